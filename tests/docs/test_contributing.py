"""The hooks for pre-commit that CONTRIBUTING.md names."""

import re

import yaml

from tests.docs.documents import ROOT


def test_the_hooks_are_what_lint_runs() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local", "nothing is fetched"
    hooked = {re.sub(r" --\S+", "", hook["entry"]) for hook in local["hooks"]}
    recipe = (ROOT / "Makefile").read_text().split("\nlint: setup\n")[1].split("\n\n")[0]
    linted = {re.sub(r" --\S+", "", line.strip().replace("$(BIN)", ".venv/bin")) for line in recipe.splitlines()}
    assert hooked == linted
