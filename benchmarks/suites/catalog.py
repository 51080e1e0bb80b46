"""The suites by name, and how a command line names them: `math500`, `math500@1`, `micro`, `micro-validation`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.suites import aime24, aime25, aime26, amc23, gsm8k, math500, olympiadbench
from benchmarks.suites.loading import Loaded, Suite, SuiteError, checksums, load
from benchmarks.suites.micro import MAX_GENERATED, SUITE_VERSION, make_problems

SUITES: dict[str, Suite] = {
    module.SUITE.name: module.SUITE for module in (math500, aime24, aime25, aime26, amc23, gsm8k, olympiadbench)
}

# Split and number of problems, as the scenario `micro` scores them.
MICRO: dict[str, tuple[str, int]] = {"micro": ("test", 256), "micro-validation": ("validation", 128)}


def find_suite(name: str) -> Suite:
    """A suite by its name, with or without version; SuiteError names the known ones."""
    bare, _, version = name.partition("@")
    suite = SUITES.get(bare)
    if suite is None:
        raise SuiteError(f"unknown suite {name!r}: choose from {', '.join([*SUITES, *MICRO])}")
    if version and version != str(suite.version):
        raise SuiteError(f"suite {name!r}: this release has {suite.versioned}")
    return suite


def is_micro(name: str) -> bool:
    """Whether a name means a generated suite, which has its own protocol."""
    return name.partition("@")[0] in MICRO


def load_by_name(name: str, data_dir: Path | None = None, lock: Mapping[str, Any] | None = None) -> Loaded:
    """All problems of a suite by its name; `loading.load` says the rest."""
    if not is_micro(name):
        return load(find_suite(name), data_dir, lock)
    bare, _, version = name.partition("@")
    if version and version.partition("/")[0] != str(SUITE_VERSION):
        raise SuiteError(f"suite {name!r}: this release has {bare}@{SUITE_VERSION}")
    return _generate(*MICRO[bare])


def generated(versioned: str) -> Loaded | None:
    """A generated suite by the name that scores carry, "micro-test@1/256", of any length.

    None for every other name, and for another version than the generator's: its problems can no longer be made.
    """
    match = re.fullmatch(r"micro-([a-z]+)@([0-9]{1,9})/([1-9][0-9]{0,4})", versioned)
    if match is None or int(match[2]) != SUITE_VERSION or int(match[3]) > MAX_GENERATED:
        return None
    if match[1] not in {split for split, _ in MICRO.values()}:
        return None
    return _generate(match[1], int(match[3]))


def _generate(split: str, count: int) -> Loaded:
    problems = tuple(make_problems(split, count))
    # The name that scenarios give it: the generator's version, and how many of its endless problems.
    versioned = f"micro-{split}@{SUITE_VERSION}/{count}"
    # Verified: its rows are computed, and a test holds their checksum.
    return Loaded(versioned, versioned, problems, count, True, "generator", checksums(problems)[0])
