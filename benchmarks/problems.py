"""A problem with its checked answer: what pools, suites, prompts and grading are made of."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One problem. `answer` is its checked answer; reading it costs a label unless it belongs to a suite."""

    id: str
    problem: str
    answer: str
    level: int | None = None
    subject: str | None = None
