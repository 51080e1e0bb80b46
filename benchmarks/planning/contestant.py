"""What a planner in the race is: a name, and a function that plays one search on a replay within a budget."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import norm

from tuition.benchmarks.tables.recorded_table import RecordedError
from tuition.benchmarks.tables.replay import Replay
from tuition.planner.allocation import Allocation
from tuition.planner.planning.warm_start import WarmStart

Likeness = Literal["right", "wrong"]
"""Of a proxy: whether it is like what is raced on, or lies."""
Interval = tuple[float, float]
COVERAGE = 0.9
"""Of the intervals that planners with a posterior give."""


def interval(mean: float, sd: float) -> Interval:
    """The central interval of a normal distribution with probability `COVERAGE`."""
    half = sd * float(norm.ppf(0.5 + COVERAGE / 2))
    return mean - half, mean + half


class RaceError(RecordedError):
    """A race that cannot be held, or a file of one that is refused; one line with the reason."""


@dataclass(frozen=True)
class Game:
    """One search to be played.

    Attributes:
        replay: what can be trained, with an empty store. It knows no truth and no test score.
        named: the named routes by name, those that the space holds.
        budget: GPU-seconds, of training and of scores.
        seed: of the planner's own draws.
        proxy: another scenario's scores, for planners that begin with them; None where there are none.
    """

    replay: Replay
    named: Mapping[str, Allocation]
    budget: float
    seed: int
    proxy: Callable[[Likeness], WarmStart] | None = None

    def best_named(self, name: str) -> Allocation:
        """A named route as the replay has it: itself, or on an incomplete table the nearest one."""
        return self.replay.nearest_route(self.named[name]).allocation


@dataclass(frozen=True)
class Step:
    """The state of a search at a point of its spending.

    Attributes:
        spent: GPU-seconds so far.
        named: what it would hand over, of all allocations, maybe untrained; None while it has no answer.
        trained: what it would hand over of what it has trained; None while it has trained nothing.
        trials: routes trained so far.
        expected: `interval` of the true score of what is named, fractions; None without a posterior.
    """

    spent: float
    named: Allocation | None
    trained: Allocation | None
    trials: int
    expected: Interval | None = None


@dataclass(frozen=True)
class Planner:
    """A planner in the race.

    Attributes:
        name: in files, tables and on the command line.
        about: what it does, in one line.
        play: plays a search and returns its steps, by spending. It is played anew for every budget, and a step beyond
            the budget counts for no one.
        draws: whether its search depends on the seed: without, it is played once and not repeated.
        revision: raised whenever it plays otherwise, so that files of before are not reused.
    """

    name: str
    about: str
    play: Callable[[Game], Sequence[Step]]
    draws: bool = True
    revision: int = 1
