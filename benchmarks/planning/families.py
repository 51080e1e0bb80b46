"""Families of simulated problems: what each draws. Scores and their spreads are points, U(a, b) is uniform, costs are
GPU-seconds of an arbitrary unit.

All but `wide` have the space and the prices of `matched`: two teachers, 8 label blocks, up to 4 blocks each of warmup
and opd (2,120 allocations); a block costs 8 or 14 (`teacher_rl`), 2 (`warmup`), 3 (`opd`) or 2 (`student_rl`), a score
0.4, so that R, the dearest single route with its score, is 132.4. A score's noise has a standard deviation of 0.8.

Tuition's own planner is made of forms like those of `matched`, `interference`, `falling-transfer` and `u-shapes`;
`smooth`, `two-peaks` and `lookup` are of none of its forms.

Simplified: no replay, no SFT stages; noise is independent of the checkpoint and of the score.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.random import Generator

from tuition.benchmarks.planning.worlds import Chain, Counts, Curve, FloatArray, IntArray, Prices, World
from tuition.planner.space import SearchSpace

MATCHED_SPACE = SearchSpace(teachers=("t0", "t1"), num_label_blocks=8, max_warmup=4, max_opd=4)
MATCHED_PRICES = Prices(teacher=(8.0, 14.0), warmup=2.0, opd=3.0, student=2.0, score=0.4)
MOST_ALLOCATIONS = 100_000


def _chain(rng: Generator) -> Chain:
    """The parameters of `matched`."""
    return Chain(
        base=rng.uniform(66, 70),
        teachers=(
            (rng.uniform(70, 76), Curve(rng.uniform(6, 12), rng.uniform(1.5, 5))),
            (rng.uniform(72, 78), Curve(rng.uniform(6, 11), rng.uniform(1.5, 5))),
        ),
        caps=(rng.uniform(0.7, 0.95), rng.uniform(0.6, 0.9)),
        warmup_scale=rng.uniform(1, 4),
        opd_scale=rng.uniform(1, 4),
        ceiling=rng.uniform(82, 88),
        threshold=rng.uniform(70, 76),
        learning=Curve(rng.uniform(0.2, 0.6), rng.uniform(1.5, 6)),
    )


def _world(chain: Chain) -> World:
    return World(MATCHED_SPACE, MATCHED_PRICES, chain.student, chain.teacher)


def matched(rng: Generator) -> World:
    """`Chain` without counter-forms.

    Student's base U(66, 70). Teachers: base U(70, 76) and U(72, 78), gain U(6, 12) and U(6, 11), scale U(1.5, 5)
    blocks; cap U(.7, .95) and U(.6, .9). τ_w, τ_o: U(1, 4). Ceiling U(82, 88), threshold U(70, 76), the student's gain
    U(.2, .6), τ_s U(1.5, 6).
    """
    return _world(_chain(rng))


def interference(rng: Generator) -> World:
    """`matched`, where a bridge overwrites what the student knew, U(1, 5) points, and splitting costs, U(1, 5)."""
    return _world(replace(_chain(rng), overwrite=rng.uniform(1, 5), split=rng.uniform(1, 5)))


def falling_transfer(rng: Generator) -> World:
    """Transfer falls with the gap, and bridges can be too long.

    `matched` with reach U(12, 26) points; a bridge of more than U(2, 5) blocks loses U(.1, .25) of the transfer with
    each further one. τ_w, τ_o: U(.8, 2.5); the student learns more, or nothing would be far from the median: ceiling
    U(84, 92), threshold U(68, 74), gain U(.3, .7), τ_s U(3, 8).
    """
    return _world(
        replace(
            _chain(rng),
            reach=rng.uniform(12, 26),
            excess=rng.uniform(0.1, 0.25),
            longest=rng.uniform(2, 5),
            warmup_scale=rng.uniform(0.8, 2.5),
            opd_scale=rng.uniform(0.8, 2.5),
            ceiling=rng.uniform(84, 92),
            threshold=rng.uniform(68, 74),
            learning=Curve(rng.uniform(0.3, 0.7), rng.uniform(3, 8)),
        )
    )


def u_shapes(rng: Generator) -> World:
    """A U over the teacher's share, and teachers that are too good.

    `matched` with splitting costs U(4, 10), overwriting U(0, 4) and reach U(10, 20); teachers' bases U(72, 84), so that
    the better one may teach less; the student learns by itself: threshold U(62, 70), gain U(.4, .8).
    """
    chain = _chain(rng)
    too_good = tuple((rng.uniform(72, 84), curve) for _, curve in chain.teachers)
    return _world(
        replace(
            chain,
            teachers=too_good,
            split=rng.uniform(4, 10),
            overwrite=rng.uniform(0, 4),
            reach=rng.uniform(10, 20),
            threshold=rng.uniform(62, 70),
            learning=Curve(rng.uniform(0.4, 0.8), rng.uniform(1.5, 6)),
        )
    )


def smooth(rng: Generator) -> World:
    """A random smooth surface, which no form of ours fits, and luck that checkpoints share with their blocks.

    75 + a Matérn-5/2 process of standard deviation U(2.5, 4) over (t/8, s/8, w/4, o/4, teacher), length-scales
    U(.3, .9) for t and s, U(.4, 1.2) for w and o, and distance 1 between two teachers, or none. Teachers' scores are as
    in `matched` and say nothing about the student's. Luck: standard deviation 1.
    """
    surface = RandomSurface.draw(rng, MATCHED_SPACE, rng.uniform(2.5, 4))
    chain = _chain(rng)
    return World(MATCHED_SPACE, MATCHED_PRICES, lambda counts: 75 + surface(counts), chain.teacher, luck=1.0)


def two_peaks(rng: Generator) -> World:
    """Two separate good regions, of which the higher one may be either.

    70 + the sum over two peaks of h · e^(-d²/2), h ~ U(8, 14), with d² = Σ ((x - centre) / width)² over
    x = (t/8, s/8, w/4, o/4), widths U(.2, .35) for labels and U(.3, .6) for the bridge. One peak is upstream, centred
    at t/8 ~ U(.7, 1), s/8 ~ U(0, .2), the other downstream, at t/8 ~ U(0, .2), s/8 ~ U(.6, 1); their bridges are
    U(0, 1). The second teacher gives h times U(.6, 1.1). Without a bridge 70 + U(3, 8) · (1 - e^(-s/U(1.5, 6))).
    Teachers as in `matched`; they say nothing about the student's score.
    """
    upstream = (rng.uniform(0.7, 1), rng.uniform(0, 0.2))
    downstream = (rng.uniform(0, 0.2), rng.uniform(0.6, 1))
    narrow, broad = (0.2, 0.2, 0.3, 0.3), (0.35, 0.35, 0.6, 0.6)
    peaks = [
        (rng.uniform(8, 14), np.array([*centre, *rng.uniform(0, 1, 2)]), rng.uniform(narrow, broad))
        for centre in (upstream, downstream)
    ]
    second, direct, chain = rng.uniform(0.6, 1.1), Curve(rng.uniform(3, 8), rng.uniform(1.5, 6)), _chain(rng)

    def student(counts: Counts) -> FloatArray:
        x = _coordinates(counts, MATCHED_SPACE)
        height = sum(h * np.exp(-(((x - centre) / width) ** 2).sum(axis=-1) / 2) for h, centre, width in peaks)
        bridged = np.where(counts.teacher == 1, second, 1.0) * height
        return 70 + np.where(counts.bridged, bridged, direct(counts.s))

    return World(MATCHED_SPACE, MATCHED_PRICES, student, chain.teacher)


def lookup(rng: Generator) -> World:
    """Hardly any smoothness: 75 + a value for each allocation, independent, N(0, 2²), + a smooth surface of standard
    deviation 1 (as in `smooth`). Teachers as in `matched`; they say nothing. No planner can do much here: the control.
    """
    blocks = MATCHED_SPACE.num_label_blocks
    shape = (
        len(MATCHED_SPACE.teachers) + 1,
        blocks + 1,
        blocks + 1,
        MATCHED_SPACE.max_warmup + 1,
        MATCHED_SPACE.max_opd + 1,
    )
    values, surface, chain = rng.normal(0, 2, shape), RandomSurface.draw(rng, MATCHED_SPACE, 1.0), _chain(rng)

    def student(counts: Counts) -> FloatArray:
        own: FloatArray = values[counts.teacher, counts.t, counts.s, counts.w, counts.o]
        return 75 + own + surface(counts)

    return World(MATCHED_SPACE, MATCHED_PRICES, student, chain.teacher)


def wide(rng: Generator) -> World:
    """`matched` widened: every counter-form, other sizes and prices, saturation and luck.

    B from 4, 6, 8, 12, 16 label blocks; 1 to 4 teachers; bridges of up to 2 to 12 blocks of warmup and of opd, drawn
    again above 100,000 allocations. A teacher's block costs 20 · e^(-U(0, 1.6)), warmup U(1, 6), opd U(1, 8), the
    student's block U(1, 6), a score U(.2, 2). Student's base U(55, 72). A teacher's base is that + U(1, 16), gain
    U(2, 14), scale B · U(.08, .7) (so that labels may saturate early), shape e^U(-.35, .9), cap U(.5, 1). τ_w, τ_o: the
    longest bridge · U(.15, 1). Ceiling U(80, 90), threshold base + U(-4, 8), the student's gain U(.1, .7), scale
    B · U(.08, .8), shape as the teachers'. Each with probability ½: split U(1, 8), overwrite U(1, 6), reach U(8, 24),
    excess U(.02, .1) beyond U(2, 8) blocks. Luck U(0, 1.2).
    """
    space = _wide_space(rng)
    most, blocks = len(space.teachers), space.num_label_blocks
    base = rng.uniform(55, 72)

    def learning(low: float, high: float, saturates: float) -> Curve:
        return Curve(rng.uniform(low, high), blocks * rng.uniform(0.08, saturates), np.exp(rng.uniform(-0.35, 0.9)))

    def perhaps(low: float, high: float, otherwise: float) -> float:
        value, there = rng.uniform(low, high), rng.uniform() < 0.5
        return value if there else otherwise

    chain = Chain(
        base=base,
        teachers=tuple((base + rng.uniform(1, 16), learning(2, 14, 0.7)) for _ in range(most)),
        caps=tuple(rng.uniform(0.5, 1, most)),
        warmup_scale=space.max_warmup * rng.uniform(0.15, 1),
        opd_scale=space.max_opd * rng.uniform(0.15, 1),
        ceiling=rng.uniform(80, 90),
        threshold=base + rng.uniform(-4, 8),
        learning=learning(0.1, 0.7, 0.8),
        split=perhaps(1, 8, 0.0),
        overwrite=perhaps(1, 6, 0.0),
        reach=perhaps(8, 24, np.inf),
        excess=perhaps(0.02, 0.1, 0.0),
        longest=rng.uniform(2, 8),
    )
    prices = Prices(
        teacher=tuple(20 * np.exp(-rng.uniform(0, 1.6, most))),
        warmup=rng.uniform(1, 6),
        opd=rng.uniform(1, 8),
        student=rng.uniform(1, 6),
        score=rng.uniform(0.2, 2),
    )
    return World(space, prices, chain.student, chain.teacher, luck=rng.uniform(0, 1.2))


def _wide_space(rng: Generator) -> SearchSpace:
    while True:
        blocks, teachers = int(rng.choice([4, 6, 8, 12, 16])), int(rng.integers(1, 5))
        warmup, opd = (int(n) for n in rng.integers(2, 13, size=2))
        splits, bridges = (blocks + 1) * (blocks + 2) // 2 - 1, (warmup + 1) * (opd + 1) - 1
        if teachers * splits * bridges + blocks <= MOST_ALLOCATIONS:
            names = tuple(f"t{place}" for place in range(teachers))
            return SearchSpace(teachers=names, num_label_blocks=blocks, max_warmup=warmup, max_opd=opd)


FAMILIES: dict[str, Callable[[Generator], World]] = {
    "matched": matched,
    "interference": interference,
    "falling-transfer": falling_transfer,
    "smooth": smooth,
    "u-shapes": u_shapes,
    "two-peaks": two_peaks,
    "lookup": lookup,
    "wide": wide,
}
"""By name; each draws a world."""


def _coordinates(counts: Counts, space: SearchSpace) -> FloatArray:
    """(..., 4): t and s in budgets, w and o in longest bridges."""
    blocks = space.num_label_blocks
    columns = (counts.t / blocks, counts.s / blocks, counts.w / space.max_warmup, counts.o / space.max_opd)
    return np.stack(columns, axis=-1)


class RandomSurface:
    """A Matérn-5/2 process by random Fourier features.

    √(2/m) · sd · Σ cos(ω_j · x + φ_j), where the frequencies ω of that process are multivariate t with 5 degrees of
    freedom and φ ~ U(0, 2π); Gaussian in the limit of many features m. Teachers, and none, are coordinates of 1/√2, so
    1 apart.
    """

    FEATURES = 1024

    def __init__(self, space: SearchSpace, frequencies: FloatArray, phases: FloatArray, sd: float) -> None:
        self.space, self.frequencies, self.phases, self.sd = space, frequencies, phases, sd

    @classmethod
    def draw(cls, rng: Generator, space: SearchSpace, sd: float) -> "RandomSurface":
        """One of a standard deviation in points, over a space."""
        others = len(space.teachers) + 1
        scales = np.concatenate([rng.uniform(0.3, 0.9, 2), rng.uniform(0.4, 1.2, 2), np.ones(others)])
        normal = rng.normal(size=(cls.FEATURES, len(scales)))
        frequencies = normal * np.sqrt(5 / rng.chisquare(5, size=(cls.FEATURES, 1))) / scales
        return cls(space, frequencies, rng.uniform(0, 2 * np.pi, cls.FEATURES), sd)

    def __call__(self, counts: Counts) -> FloatArray:
        """Its values in points."""
        kinds: IntArray = np.arange(-1, len(self.space.teachers))
        apart = (counts.teacher[..., None] == kinds) / np.sqrt(2)
        x = np.concatenate([_coordinates(counts, self.space), apart], axis=-1)
        waves = np.cos(x @ self.frequencies.T + self.phases).sum(axis=-1)
        result: FloatArray = self.sd * np.sqrt(2 / self.FEATURES) * waves
        return result
