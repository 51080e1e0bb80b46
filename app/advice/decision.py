"""What a study allows to decide, in one sentence that people can act on.

The rule: the split with the best posterior mean is to be deployed where no other is better by more than `MARGIN` points
with a probability of `SURE` or more. Else no decision is possible, and the sentence says what stands against it. Of
fewer than `LEAST_SCORES` scores nothing is said. All three are our choice.
"""

from collections.abc import Sequence

from tuition.app.advice.verdict import Decision
from tuition.planner.planning.advice import LEVEL, Rivals, Spread, Standing, standing
from tuition.planner.planning.planner import POINTS, View
from tuition.planner.scores.observations import Observation

MARGIN = 1.0
SURE = 0.9
LEAST_SCORES = 4
NEXT = "`tuition next` says what to train"


def decide(
    view: View, observed: Sequence[Observation], rivals: Rivals | None = None, margin: float = MARGIN
) -> Decision:
    """What can be decided now.

    Args:
        view: of the study.
        observed: its scores.
        rivals: with draws, where they were drawn already.
        margin: points by which a split may be worse than the best and still be good enough.
    """
    if view.num_scores < LEAST_SCORES:
        counted = "1 score" if view.num_scores == 1 else f"{view.num_scores} scores"
        sentence = f"No decision possible: the study has {counted}, and {LEAST_SCORES} are needed; {NEXT}."
        return Decision(sentence=sentence, verdict="too few scores", scores=view.num_scores, margin_points=margin)
    rivals = rivals or Rivals.of(view)
    stands = standing(rivals.draws, rivals.named, margin)
    node = int(rivals.nodes[rivals.named])
    allocation = view.grid.checkpoint(node)
    trained = bool(view.state[node] > 0) and node not in view.pending
    outside = not trained and any(one.outside and one.checkpoint == allocation for one in observed)
    rival = None if stands.rival is None else str(view.grid.checkpoint(int(rivals.nodes[stands.rival])))
    sure = stands.good_enough >= SURE
    verb = "Deploy" if trained else "Deploy what was trained elsewhere," if outside else "Train and deploy"
    score, ahead = stands.score, stands.ahead
    return Decision(
        sentence=f"{verb} {_confident(str(allocation), stands, margin)}."
        if sure
        else f"No decision possible: {_doubtful(str(allocation), rival, stands, margin)}; {NEXT}.",
        level=LEVEL,
        verdict="deploy" if sure else "undecided",
        scores=view.num_scores,
        allocation=str(allocation),
        trained=trained,
        outside=outside,
        mean=score.mean / POINTS,
        low=score.low / POINTS,
        high=score.high / POINTS,
        probability_best=stands.best,
        probability_good_enough=stands.good_enough,
        margin_points=margin,
        expected_regret_points=stands.regret,
        rival=rival,
        ahead_points=None if ahead is None else (ahead.mean, ahead.low, ahead.high),
    )


def _confident(split: str, stands: Standing, margin: float) -> str:
    return (
        f"{split}: {scored(stands.score)}, and with a probability of {stands.good_enough:.0%} no split is better by "
        f"more than {points(margin)}"
    )


def _doubtful(split: str, rival: str | None, stands: Standing, margin: float) -> str:
    assert rival is not None and stands.ahead is not None, "a split that no other beats is good enough"
    less = ", less than the error" if stands.ahead.open else ""
    return (
        f"{split} leads with {scored(stands.score)}, but is only {points(stands.ahead.mean)} "
        f"[{stands.ahead.low:+.1f}, {stands.ahead.high:+.1f}] ahead of {rival}{less}; the probability that no split is "
        f"better by more than {points(margin)} is {stands.good_enough:.0%}, and {SURE:.0%} are needed"
    )


def scored(score: Spread) -> str:
    """An expected score with its interval."""
    return f"{score.mean:.1f}% expected on validation ({LEVEL:.0%} interval {score.low:.1f}% to {score.high:.1f}%)"


def points(number: float) -> str:
    """Points in words."""
    return f"{number:.1f}".removesuffix(".0") + (" point" if number == 1 else " points")
