"""Texts: names that mislead are refused, and secrets leave a command."""

import pytest

from tuition.benchmarks.boards.texts import alike, holds_secret, one_name, without_secrets

HOLDING = [
    "tuition search --storage postgresql://me:pw@host/db",
    "tuition search --storage postgresql+psycopg://me:p%40w@host:5432/db",
    "PGPASSWORD=pw tuition search",
    "tuition search --storage 'mysql://host/db?user=me&password=pw'",
    "tuition bench --model x --token hf_" + "a" * 34,
    "postgresql://:pw@host/db",
]


@pytest.mark.parametrize("command", HOLDING)
def test_a_secret_is_seen_and_leaves_the_command(command: str) -> None:
    assert holds_secret(command)
    left = without_secrets(command)
    assert not holds_secret(left) and "pw" not in left.lower().replace("pgpassword", "") and "hf_a" not in left


@pytest.mark.parametrize(
    "command",
    [
        "tuition bench --engine server --url http://localhost:8000/v1 --model me/x@main",
        "tuition baselines --scenario micro --seeds 3", "git@github.com:me/x", "tuition run https://a.org/b:c/d@e",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(command: str) -> None:
    assert not holds_secret(command) and without_secrets(command) == command


@pytest.mark.parametrize("name", ["direct", "teacher-upstream = search #2", "разделение", "分割テスト", "größer"])
def test_names_of_one_script_are_names(name: str) -> None:
    assert one_name(name) == name


@pytest.mark.parametrize(("one", "other"), [("direct", "Direct"), ("direct", "d i-r_e.c:t"), ("half", "hálf")])
def test_names_that_look_alike_are_one(one: str, other: str) -> None:
    assert alike(one) == alike(other)


def test_names_that_differ_are_two() -> None:
    assert len({alike(name) for name in ("direct", "direct-compute", "half", "half-replay", "разделение")}) == 5
