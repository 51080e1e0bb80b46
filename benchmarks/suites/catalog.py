"""The suites by name, and how a command line names them: `math500`, `math500@1`, `micro`, `micro-validation`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuition.benchmarks.suites import aime24, aime25, aime26, amc23, dapo_math, gsm8k, math500, olympiadbench
from tuition.benchmarks.suites.loading import LoadedSuite, Suite, SuiteError, checksums, load
from tuition.benchmarks.suites.micro import SUITE_VERSION, make_problems, num_problems

SUITES: dict[str, Suite] = {
    module.SUITE.name: module.SUITE for module in (math500, aime24, aime25, aime26, amc23, gsm8k, olympiadbench)
}

# Data sets to train on. Nobody is scored on them.
POOLS: dict[str, Suite] = {dapo_math.SUITE.name: dapo_math.SUITE}

# The mix (which is the scenario's name), split and number of problems, as that scenario scores them.
MICRO: dict[str, tuple[str, str, int]] = {
    "micro": ("micro", "test", 384),
    "micro-validation": ("micro", "validation", 192),
    "micro-b": ("micro-b", "test", 320),
    "micro-b-validation": ("micro-b", "validation", 160),
    "micro-c": ("micro-c", "test", 360),
    "micro-c-validation": ("micro-c", "validation", 180),
}

GENERATED = re.compile(r"(micro|micro-b|micro-c)-(validation|test)")
"""Names of generated suites as scores carry them, without version and number of problems."""


def find_suite(name: str) -> Suite:
    """A suite by its name, with or without version; SuiteError names the known ones."""
    bare, _, version = name.partition("@")
    suite = SUITES.get(bare)
    if suite is None:
        raise SuiteError(f"unknown suite {name!r}: choose from {', '.join([*SUITES, *MICRO])}")
    if version and version != str(suite.version):
        raise SuiteError(f"suite {name!r}: this release has {suite.versioned}")
    return suite


def home_scenario(name: str) -> str | None:
    """The scenario whose protocol a generated suite has, and whose models it is for; None for any other suite."""
    found = MICRO.get(name.partition("@")[0])
    return found[0] if found else None


def load_by_name(name: str, data_dir: Path | None = None, lock: Mapping[str, Any] | None = None) -> LoadedSuite:
    """All problems of a suite by its name; `loading.load` says the rest."""
    if home_scenario(name) is None:
        return load(find_suite(name), data_dir, lock)
    bare, _, version = name.partition("@")
    if version and version.partition("/")[0] != str(SUITE_VERSION):
        raise SuiteError(f"suite {name!r}: this release has {bare}@{SUITE_VERSION}")
    return _generate(*MICRO[bare])


def generated(versioned: str) -> LoadedSuite | None:
    """A generated suite by the name that scores carry, "micro-test@1/384", of any length.

    None for every other name, and for another version than the generator's: its problems can no longer be made.
    """
    match = re.fullmatch(rf"{GENERATED.pattern}@([0-9]{{1,9}})/([1-9][0-9]{{0,4}})", versioned)
    if match is None or int(match[3]) != SUITE_VERSION or int(match[4]) > num_problems(match[2], match[1]):
        return None
    return _generate(match[1], match[2], int(match[4]))


def _generate(mix: str, split: str, count: int) -> LoadedSuite:
    problems = tuple(make_problems(split, count, mix))
    # The name that scenarios give it: the generator's version, and how many of the split's problems.
    versioned = f"{mix}-{split}@{SUITE_VERSION}/{count}"
    # Verified: its rows are computed, and a test holds their checksum.
    return LoadedSuite(versioned, versioned, problems, count, True, "generator", checksums(problems)[0])
