"""A warm start: another scenario's scores are mapped by shares, believed, and refuted by data that say otherwise."""

from __future__ import annotations

import pytest

from tuition.planner.allocation import Allocation
from tuition.planner.cost import Work
from tuition.planner.planning.grid import Grid
from tuition.planner.planning.planner import Costs, Planner, View
from tuition.planner.planning.warm_start import Known, WarmStart
from tuition.planner.scores.observations import Observation
from tuition.planner.space import SearchSpace

SPACE = SearchSpace(teachers=("big",), num_label_blocks=4, max_warmup=1, max_opd=2)
SMALL = SearchSpace(teachers=("tiny",), num_label_blocks=2, max_warmup=1, max_opd=1)
COSTS = Costs(
    {
        Work("student_rl", "student"): 2.0,
        Work("teacher_rl", "big"): 8.0,
        Work("warmup", "student", "big"): 1.0,
        Work("opd", "student", "big"): 2.0,
    },
    {"student": 0.2, "big": 0.4},
)
UNTRAINED = {"student": (0.4, 0.005), "big": (0.6, 0.005)}
UPSTREAM = "teacher=big teacher_rl=4 warmup=1 opd=1"
DIRECT = "student_rl=4"


def proxy(upstream: float, direct: float) -> WarmStart:
    """Of a smaller scenario: half of what there is, at another level."""
    scores: list[Known] = []
    for blocks in (1, 2):
        gained = blocks / 2
        scores.append((f"teacher=tiny teacher_rl={blocks} warmup=1 opd=1", 0.2 + upstream * gained, 0.01))
        scores.append((f"student_rl={blocks}", 0.2 + direct * gained, 0.01))
    return WarmStart(source="a proxy", space=SMALL, untrained=(("student", 0.2, 0.01),), scores=tuple(scores))


def view(warm: WarmStart | None, observed: list[Observation] | None = None) -> View:
    return Planner(SPACE, COSTS, 0, UNTRAINED, warm=warm).view(observed or [])


def ahead(seen: View) -> float:
    """By how much all labels upstream are expected to be better than all of them on the student."""
    return seen.predict(Allocation.parse(UPSTREAM)).mean - seen.predict(Allocation.parse(DIRECT)).mean


def told(scores: dict[str, float]) -> list[Observation]:
    pairs = enumerate(scores.items())
    return [Observation(Allocation.parse(text), value, 0.02, 0.005, 0.0, trial) for trial, (text, value) in pairs]


def test_a_surface_is_mapped_by_shares_and_what_it_lacks_takes_the_nearest() -> None:
    grid, own = Grid(SPACE), Grid(SMALL)
    warm = proxy(upstream=0.5, direct=0.1)
    heights, same = warm.heights(grid), warm.heights(own)

    def at(text: str) -> float:
        return float(heights[grid.index(Allocation.parse(text))])

    def of(text: str) -> float:
        return float(same[own.index(Allocation.parse(text))])

    whole = of("teacher=tiny teacher_rl=2 warmup=1 opd=1")
    assert at(UPSTREAM) == pytest.approx(whole), "all of its budget is all of ours, by the teachers' order"
    assert at("teacher=big teacher_rl=4 warmup=1 opd=2") == pytest.approx(whole), "its longest bridge"
    assert at("student_rl=2") == pytest.approx(of("student_rl=1"))
    assert of("student_rl=1") < at("student_rl=3") < of("student_rl=2"), "a share between two of its own"
    assert whole > of("student_rl=2") + 0.2


def test_teachers_are_mapped_by_name_before_their_order() -> None:
    other = SearchSpace(teachers=("mid", "big"), num_label_blocks=4, max_warmup=1, max_opd=2)
    rows = [
        (f"teacher={name} teacher_rl=4 warmup=1 opd=2", value, 0.005) for name, value in (("mid", 0.3), ("big", 0.9))
    ]
    warm = WarmStart(source="x", space=other, untrained=(("student", 0.2, 0.01),), scores=tuple(rows))
    ours = Grid(SearchSpace(teachers=("big", "new"), num_label_blocks=4, max_warmup=1, max_opd=2))
    heights = warm.heights(ours)
    big, new = (
        heights[ours.index(Allocation.parse(f"teacher={k} teacher_rl=4 warmup=1 opd=2"))] for k in ("big", "new")
    )
    assert big > new + 0.2, "the new teacher takes the place of the one that is left"


def test_a_warm_start_moves_what_is_believed_before_any_score() -> None:
    cold, up, down = (ahead(view(warm)) for warm in (None, proxy(0.5, 0.1), proxy(0.1, 0.5)))
    assert up > cold + 0.02 and down < cold - 0.02


def test_a_wrong_warm_start_is_refuted_by_data() -> None:
    seen = told(
        {
            "student_rl=1": 0.45,
            "student_rl=4": 0.5,
            "teacher=big warmup=1 opd=2": 0.5,
            "teacher=big teacher_rl=2 warmup=1 opd=1": 0.68,
            UPSTREAM: 0.75,
        }
    )
    lie = proxy(0.1, 0.5)
    misled, still = (abs(ahead(view(lie, scores)) - ahead(view(None, scores))) for scores in ([], seen))
    assert still < misled / 3 and ahead(view(lie, seen)) > 0.2


def test_without_a_warm_start_no_member_knows_of_it() -> None:
    once, again = view(None), view(None)
    assert once.posterior.z.shape[1] == once.posterior.structure.num_unknowns + 2
    assert once.propose(20.0) == again.propose(20.0)
    assert view(proxy(0.5, 0.1)).posterior.z.shape[1] == once.posterior.z.shape[1] + 1


def test_what_is_kept_says_the_same_again() -> None:
    warm = proxy(0.5, 0.1)
    again = WarmStart(**warm.model_dump(mode="json"))
    assert again == warm and again.sha256 == warm.sha256
    assert warm.model_copy(update={"source": "another name"}).sha256 == warm.sha256
    assert proxy(0.5, 0.2).sha256 != warm.sha256
