"""The hooks for pre-commit that CONTRIBUTING.md names."""

import re

import yaml

from tests.docs.documents import ROOT


def test_the_hooks_are_what_lint_runs() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local", "nothing is fetched"
    hooked = {re.sub(r" --\S+", "", hook["entry"]) for hook in local["hooks"]}
    makefile = (ROOT / "Makefile").read_text()
    recipes = [makefile.split(f"\n{target}\n")[1].split("\n\n")[0] for target in ("lint: style", "style: setup")]
    commands = [line.strip() for recipe in recipes for line in recipe.splitlines()]
    linted = {re.sub(r" --\S+", "", line.replace("$(BIN)", ".venv/bin")) for line in commands}
    assert hooked == linted
