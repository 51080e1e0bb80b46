"""Grading policies: named, versioned rules of when an answer equals the checked one.

What: a policy's name says which rules decide (`tuition-2`, ...); its version also names the library beneath them, and
is what keys, records and leaderboard entries hold (`tuition-2+math-verify-0.9.0`). A policy never changes what it
accepts: other rules are another policy, and every policy that was ever recorded stays. `docs/grading.md` has the rules.
"""

import importlib.metadata
from collections.abc import Iterable
from dataclasses import dataclass

MATH_VERIFY = f"math-verify-{importlib.metadata.version('math-verify')}"


class PolicyError(ValueError):
    """A policy, or a version of one, that this installation cannot grade by; one line with the fix."""


@dataclass(frozen=True)
class Policy:
    """One way to grade. `version` is what keys and records hold of it."""

    name: str
    version: str
    summary: str


CORRECTED, LAST_BOX = "tuition-2", "last-box"
POLICIES = {
    policy.name: policy
    for policy in (
        Policy("tuition-1", f"tuition-1+{MATH_VERIFY}", "math-verify's verdicts; what graded until 2026-11-30"),
        Policy(CORRECTED, f"{CORRECTED}+{MATH_VERIFY}", "math-verify's verdicts with documented corrections"),
        Policy("math-verify", MATH_VERIFY, "math-verify's verdicts"),
        Policy(LAST_BOX, LAST_BOX, "the last box, compared as normalised text, as in the paper"),
    )
}
FIRST_POLICY = "tuition-1"
"""What graded everything that was recorded without a policy's name."""
DEFAULT_POLICY = CORRECTED
GRADER_VERSION = POLICIES[DEFAULT_POLICY].version
"""The version of the policy that grades where nobody chose another."""


def find_policy(name: str) -> Policy:
    """A policy by its name. PolicyError for an unknown one."""
    if name not in POLICIES:
        raise PolicyError(f"unknown grading policy {name!r:.80}: choose one of {', '.join(POLICIES)}")
    return POLICIES[name]


def policy_of(version: str) -> Policy:
    """The policy whose version a key, record or entry names, such as "tuition-1+math-verify-0.9.0".

    PolicyError where this installation grades by no policy of this version: an unknown name, or another math-verify.
    """
    for policy in POLICIES.values():
        if policy.version == version:
            return policy
    name = version.partition("+")[0]
    if name in POLICIES:
        raise PolicyError(
            f"graded by {version!r:.80}, and here {name} is {POLICIES[name].version}: install that version"
        )
    raise PolicyError(f"graded by {version!r:.80}, an unknown policy: known are {', '.join(known_versions())}")


def refuse_mixed(graders: Iterable[str]) -> None:
    """PolicyError where two versions graded, for their verdicts are not comparable; it names both."""
    different = sorted(set(graders))
    if len(different) > 1:
        raise PolicyError(
            f"graded by {' and by '.join(different)}: verdicts of two policies are not compared; grade all by one"
        )


def known_versions() -> list[str]:
    """The versions of all policies of this installation."""
    return [policy.version for policy in POLICIES.values()]
