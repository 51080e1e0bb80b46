"""Noise floors: what is known of made tables is found, and what they do not tell is not claimed."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from tests.benchmarks.made_table import SEEDS, SPACE, made_header, made_run
from tuition.benchmarks.tables.noise_floor import NoiseFloor, noise_floor
from tuition.benchmarks.tables.recorded_table import (
    RecordedError,
    RecordedRun,
    RecordedTable,
    checked_table,
    recorded_seeds,
)
from tuition.planner.allocation import Allocation

PROBLEMS, SAMPLES = 40, 25
SIZE = PROBLEMS * SAMPLES
TEXTS = [str(allocation) for allocation in SPACE.allocations()][:30]
HEADER = made_header(num_problems=PROBLEMS, samples=SAMPLES)


@cache
def blank(text: str, seed: int) -> RecordedRun:
    return made_run(HEADER, text, seed)


def counts(correct: int) -> tuple[int, ...]:
    """So many correct samples of a suite, spread over its problems."""
    return tuple(correct // PROBLEMS + (problem < correct % PROBLEMS) for problem in range(PROBLEMS))


def made(
    test: Callable[[int, int], float],
    validation: Callable[[int, int], float] | None = None,
    seeds: tuple[int, ...] = SEEDS,
    texts: list[str] = TEXTS,
) -> RecordedTable:
    """A table with these scores of allocation number a and seed, which is also the validation's unless given."""
    return checked_table(
        HEADER,
        [
            blank(text, seed).model_copy(
                update={
                    "test_correct": counts(round(SIZE * test(number, seed))),
                    "validation_correct": counts(round(SIZE * (validation or test)(number, seed))),
                }
            )
            for seed in seeds
            for number, text in enumerate(texts)
        ],
    )


def test_without_noise_the_floor_is_zero_whatever_the_seeds_own_levels() -> None:
    floor = noise_floor(made(lambda a, seed: 0.3 + a / 100 + 0.05 * (seed - SEEDS[0])))
    assert floor.error == pytest.approx(0, abs=1e-9) and floor.shrunken_error == pytest.approx(0, abs=1e-9)
    assert floor.kept == pytest.approx(1) and (floor.all_draws.raw, floor.one_draw.raw) == (0, 0)
    assert floor.all_draws.low is floor.all_draws.high is None
    assert floor.shrunken_means == pytest.approx(floor.judge_means)
    assert (floor.draw_seeds, floor.judge_seeds, floor.left_out) == (SEEDS[1::2], SEEDS[::2], ())


def test_where_allocations_are_equal_nothing_is_kept() -> None:
    floor = noise_floor(made(lambda a, seed: 0.5))
    assert (floor.kept, floor.error, floor.all_draws.raw) == (0, 0, 0)


def simulated(rng: np.random.Generator, spread: float, noise: float) -> tuple[NoiseFloor, dict[Allocation, float]]:
    """A table of three judge seeds and three draw seeds, whose scores are truth, the seed's level and noise."""
    seeds = recorded_seeds(6)
    truth = 0.5 + spread * rng.normal(size=len(TEXTS))
    level = 0.05 * rng.normal(size=len(seeds))
    scores = np.clip(truth + level[:, None] + noise * rng.normal(size=(len(seeds), len(TEXTS))), 0, 1)
    floor = noise_floor(made(lambda a, seed: float(scores[seed - seeds[0], a]), seeds=seeds))
    return floor, dict(zip(map(Allocation.parse, TEXTS), truth, strict=True))


@pytest.mark.parametrize(("spread", "noise"), [(0.02, 0.03), (0.03, 0.03), (0.05, 0.02)])
def test_errors_are_found_and_shrunken_means_are_closer(spread: float, noise: float) -> None:
    rng = np.random.default_rng(0)
    errors, raw, shrunken, stated = [], [], [], []
    for _ in range(12):
        floor, truth = simulated(rng, spread, noise)
        errors.append(floor.error**2)
        stated.append(floor.shrunken_error**2)
        # The seeds' common level is no error: all allocations have it.
        for means, off in ((floor.judge_means, raw), (floor.shrunken_means, shrunken)):
            apart = np.array([means[a] - truth[a] for a in truth])
            off.append(float(np.square(apart - apart.mean()).mean()))
        assert floor.shrunken_error < floor.error and 0 < floor.kept < 1
        assert max(floor.shrunken_means.values()) < max(floor.judge_means.values())
    assert np.mean(errors) == pytest.approx(noise**2 / 3, rel=0.15)
    assert np.mean(shrunken) < np.mean(raw)
    assert np.mean(stated) == pytest.approx(np.mean(shrunken), rel=0.25)


def test_a_choice_is_charged_what_the_judges_see() -> None:
    """The draw seeds take allocations 1 and 2 for the best, together 1; the judges prefer 0, by 4 and 2 points."""

    def test(a: int, seed: int) -> float:
        return {0: 0.62, 1: 0.58 if seed == SEEDS[0] else 0.60}.get(a, 0.5)

    def validation(a: int, seed: int) -> float:
        return {1: 0.7, 2: 0.6 if seed == SEEDS[1] else 0.75}.get(a, 0.5)

    floor = noise_floor(made(test, validation))
    assert floor.all_draws.raw == pytest.approx(0.03) and floor.one_draw.raw == pytest.approx((0.03 + 0.12) / 2)
    assert floor.all_draws.shrunken == pytest.approx(floor.kept * 0.03) and 0.9 < floor.kept < 1
    # t with one degree of freedom is 12.7, the standard error of 4 and 2 points is 1.
    assert floor.all_draws.low == pytest.approx(0.03 - 0.127, abs=1e-3)
    assert floor.all_draws.high == pytest.approx(0.03 + 0.127, abs=1e-3)
    assert floor.one_draw.low is None


def test_controls_and_seeds_that_lack_allocations_take_no_part() -> None:
    def score(a: int, seed: int) -> float:
        return 0.4 + a / 100

    whole = made(score)
    control, named = (
        "teacher=large teacher_rl=1 warmup=1 prompts=labels",
        made(score, seeds=recorded_seeds(5)[4:], texts=TEXTS[:5]),
    )
    best = {"test_correct": counts(SIZE), "validation_correct": counts(SIZE)}
    more = [blank(control, seed).model_copy(update=best) for seed in SEEDS]
    floor = noise_floor(checked_table(HEADER, [*whole.runs, *named.runs, *more]))
    assert floor.left_out == recorded_seeds(5)[4:] and len(floor.judge_means) == len(TEXTS)
    assert Allocation.parse(control) not in floor.judge_means and floor.all_draws.raw == 0


def test_among_the_leading_only_they_count_and_judges_that_have_them_suffice() -> None:
    def score(a: int, seed: int) -> float:
        return 0.4 + a / 100 + (0.02 * ((a + seed // 2) % 2) if a >= 25 else 0)

    fifth, leading = recorded_seeds(5)[4], 5
    named = made(score, seeds=(fifth,), texts=TEXTS)
    kept = [run for run in named.runs if TEXTS.index(run.allocation) >= 25]
    table = checked_table(HEADER, [*made(score).runs, *kept])
    every, best = noise_floor(table), noise_floor(table, leading)
    assert {str(a) for a in best.judge_means} == set(TEXTS[25:])
    assert fifth in every.left_out and fifth in best.judge_seeds and best.error > every.error
    assert best.kept < every.kept, "the spread of all says little about the best"


@pytest.mark.parametrize(
    ("seeds", "texts", "message"),
    [
        (SEEDS[:2], TEXTS, "not enough seeds: 1 to draw from and 1 judges"),
        (SEEDS[::2], TEXTS, "not enough seeds: 0 to draw from"),
        (SEEDS, TEXTS[:3], "not enough allocations: all seeds have 3"),
    ],
)
def test_what_a_table_cannot_tell_is_said(seeds: tuple[int, ...], texts: list[str], message: str) -> None:
    with pytest.raises(RecordedError, match=message):
        noise_floor(made(lambda a, seed: 0.5, seeds=seeds, texts=texts))
