"""Secrets leave a command before it is kept."""

import sys

import pytest

from tuition.benchmarks.provenance import command_line
from tuition.benchmarks.secret_texts import holds_secret, without_secrets, word_without_secrets

HOLDING = [
    "tuition search --storage postgresql://me:pw@host/db",
    "tuition search --storage postgresql+psycopg://me:p%40w@host:5432/db",
    "PGPASSWORD=pw tuition search",
    "tuition search --storage 'mysql://host/db?user=me&password=pw'",
    "tuition bench --model x --token hf_" + "a" * 34,
    "postgresql://:pw@host/db",
    "tuition search --storage postgresql://me:p@w/pw@host/db --trials 3",
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


@pytest.mark.parametrize("password", ["pw", "p@w", "p/w", "p w", "p'w", 'p"w'])
def test_an_argument_loses_its_password_whatever_that_is(password: str) -> None:
    left = word_without_secrets(f"--storage=postgresql+psycopg://me:{password}@host/db")
    assert left == "--storage=postgresql+psycopg://me@host/db"


def test_the_command_that_is_kept_has_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["/bin/tuition", "search", "--storage", "postgresql://me:p w@host/db", "--trials", "3"]
    monkeypatch.setattr(sys, "argv", given)
    assert command_line() == "tuition search --storage postgresql://me@host/db --trials 3"
