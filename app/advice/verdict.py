"""The type of a decision, as a search's report keeps it. It imports nothing: pages read reports at once."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Decision(BaseModel):
    """The sentence, and what it is made of. None where there are too few scores. Scores are fractions."""

    model_config = ConfigDict(frozen=True)

    sentence: str
    verdict: Literal["deploy", "undecided", "too few scores"]
    scores: int
    """Checkpoints that were scored, base models apart."""
    allocation: str | None = None
    """The split with the best posterior mean of all."""
    trained: bool = False
    outside: bool = False
    """Whether it was trained elsewhere and its score told: there is no checkpoint of it."""
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    level: float = 0.9
    """Of the interval."""
    probability_best: float | None = None
    probability_good_enough: float | None = None
    """That no other split is better by more than `margin_points`."""
    margin_points: float
    expected_regret_points: float | None = None
    rival: str | None = None
    """The split that is most often the best where this one is not good enough."""
    ahead_points: tuple[float, float, float] | None = None
    """By how much it is ahead of the rival: mean, low, high."""
