"""The shape that scores have over a search space: what a label block teaches a model, and what a bridge carries over.

What: a mean of every checkpoint's score as a function of a few dozen unknowns, and the unknowns' prior. Each is a
standard normal variable `z` that a transform turns into a rate, a share or a size, so that a sampler moves in one
simple space. Scores are in points; sizes are shares of the headroom, 100 minus the untrained student's score, so that
one prior serves a student at 12 % and one at 70 %. In single precision, 1e-5 points: several times faster where the
processor has no wide registers for exponentials of doubles.

- A teacher after t label blocks: T(t) = T0 + G hill(t; c, b), the form of ScaleRL (arXiv 2510.13786), which fits b of
  1.1 to 1.9; others saturate within .4 to .8 of an epoch (2507.18014). Hence the priors of b and c, wide.
- A bridged student: v = S0 + (T - S0) k (1 - e^-u), u growing with warmup and opd blocks.
- GRPO on the student: + (C - v)+ g gate(v) hill(s; c, b): it brings out what is there, and needs something to be there.
- What can be otherwise: transfer that falls with the gap between teacher and student (arXiv 2502.08606), a bridge that
  overwrites what the student knew, one that is too long, a split that costs more than its parts.

A Gaussian process (`tuition.planner.planning.posterior`) takes up what these forms leave.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tuition.planner.planning.grid import HARD, OPD, REPLAY, RL, SFT, STUDENT_RL, TEACHER, WARMUP, Floats, Grid, Ints
from tuition.planner.stages import STUDENT

Singles = NDArray[np.float32]
Transform = tuple[str, float, float]
"""How a standard normal becomes an unknown: "exp", "logit" or "plain", with the mean and sd before the transform."""

SHARED: dict[str, Transform] = {
    "sft_gain": ("exp", -0.1, 0.3),  # of teacher_sft, against GRPO with as many labels
    "sft_rate": ("exp", 0.0, 0.5),
    "carried": ("plain", 1.2, 1.0),  # logit of k, to which each teacher's own deviation is added
    "warmup_rate": ("exp", np.log(0.6), 0.8),  # a block
    "opd_rate": ("exp", np.log(0.6), 0.8),
    "without_warmup": ("logit", 2.0, 1.0),  # factors on what is carried over
    "without_opd": ("logit", 2.0, 1.0),
    "hard_share": ("logit", 1.0, 1.0),  # transfer_sft against the bridge
    "hard_rate": ("exp", np.log(0.4), 0.8),
    "ceiling": ("logit", 0.8, 1.2),  # share of the headroom that GRPO on the student can reach
    "gain": ("logit", 0.4, 1.3),
    "threshold": ("plain", -0.1, 0.25),  # of the headroom: below it GRPO finds little to bring out
    "half_student": ("exp", np.log(0.5), 0.8),  # labels for half of the gain, in budgets
    "power_student": ("exp", np.log(1.6), 0.4),
    "replay_share": ("logit", -0.5, 1.0),  # what a replay block counts, in label blocks
    "gap": ("exp", np.log(0.7), 0.5),  # of the headroom: where transfer falls
    "overwriting": ("plain", 0.0, 0.06),  # of the headroom; only a loss
    "splitting": ("plain", 0.0, 0.06),
    "too_long": ("plain", 0.0, 0.05),  # a block beyond the third; only a loss
}
OF_TEACHER: dict[str, Transform] = {
    "raw": ("plain", 0.0, 15.0),  # points about where it was measured, or about the student
    "reach": ("logit", 0.0, 1.3),  # share of what the raw teacher lacks that GRPO can give it
    "half": ("exp", np.log(0.5), 0.8),  # labels for half of it, in budgets
    "power": ("exp", np.log(1.6), 0.4),
    "carried": ("plain", 0.0, 0.6),
}
LONG_BRIDGE = 3
GATE_WIDTH = 0.125
COUNTER_FORMS = ("gap", "overwriting", "splitting", "too_long")


class Structure:
    """The mean score of every node of a grid.

    Args:
        grid: the checkpoints.
        untrained: measured scores of base models in points, by node: where their unknowns are centred.
        counter_forms: whether things can be otherwise; for experiments.
    """

    def __init__(self, grid: Grid, untrained: Mapping[int, float], counter_forms: bool = True) -> None:
        self.grid = grid
        known = list(untrained.values())
        middle = float(np.mean(known)) if known else 50.0
        self.base = float(untrained.get(grid.base_model(STUDENT), middle))
        self.headroom = max(100.0 - self.base, 10.0)
        num_teachers = len(grid.space.teachers)
        self.raw = np.array(
            [untrained.get(grid.base_model(name), max(middle, self.base)) for name in grid.space.teachers], np.float32
        )
        self.without = () if counter_forms else COUNTER_FORMS
        transforms = [("plain", 0.0, 1.0), *SHARED.values(), *(list(OF_TEACHER.values()) * num_teachers)]
        self._kinds = np.array([kind for kind, _, _ in transforms])
        self._means = np.array([mean for _, mean, _ in transforms], np.float32)
        self._sds = np.array([sd for _, _, sd in transforms], np.float32)
        self._counts = grid.counts.astype(np.float32)
        taught = [TEACHER, RL, SFT]
        self._taught, self._head = grid.codes(taught), grid.codes([*taught, WARMUP, OPD, HARD])
        self._end = grid.codes([STUDENT_RL, REPLAY])
        self.names = ["base", *SHARED, *(f"{name} {k}" for k in range(num_teachers) for name in OF_TEACHER)]

    @property
    def num_unknowns(self) -> int:
        """How many standard normal variables a member has."""
        return len(self.names)

    def _unknowns(self, z: Singles) -> tuple[Singles, dict[str, Singles], dict[str, Singles]]:
        base = self.base + 10.0 * z[:, 0]
        values = _transformed(z, self._kinds, self._means, self._sds)
        shared = {name: values[:, 1 + i] for i, name in enumerate(SHARED)}
        for name in self.without:
            shared[name] = np.full_like(base, np.inf if name == "gap" else 0.0)
        own = values[:, 1 + len(SHARED) :].reshape(len(values), len(self.raw), len(OF_TEACHER))
        return base, shared, {name: own[:, :, i] for i, name in enumerate(OF_TEACHER)}

    def scores(self, z: Floats, nodes: Ints) -> Floats:
        """[members, nodes] scores in points, for z [members, `num_unknowns`]."""
        base, shared, teachers = self._unknowns(z.astype(np.float32))
        # Most nodes share what comes before GRPO on the student, so that is computed once for all of them.
        heads, head_of = _distinct(self._head[nodes])
        counts = self._counts[nodes[heads]]
        before = np.repeat(base[:, None], len(counts), 1)
        if len(self.raw):
            taught_heads, taught_of = _distinct(self._taught[nodes[heads]])
            taught = self._teachers(counts[taught_heads], shared, teachers)[:, taught_of]
            bridged = self._bridged(counts, base, taught, shared, teachers["carried"])
            before = np.where(counts[:, TEACHER] >= 0, bridged, before)
            before = np.where(self.grid.is_teacher[nodes[heads]], taught, before)
        return self._after_rl(nodes, base, before, head_of, shared).astype(np.float64)

    def _teachers(self, counts: Singles, shared: dict[str, Singles], teachers: dict[str, Singles]) -> Singles:
        """[members, nodes] scores of the teachers behind nodes, those of the first where there is none."""
        budget = np.float32(self.grid.budget)
        labels = (counts[:, RL] + counts[:, SFT]) / budget
        by_sft = counts[:, SFT] > 0
        who = _teacher_of(counts)
        own = {name: values[:, who] for name, values in teachers.items()}
        raw = self.raw[who] + own["raw"]
        gain = np.maximum(100.0 - raw, 0.0) * own["reach"]
        half = own["half"]
        if by_sft.any():
            gain = np.where(by_sft, gain * shared["sft_gain"][:, None], gain)
            half = np.where(by_sft, half / shared["sft_rate"][:, None], half)
        taught: Singles = raw + gain * _hill(labels, half, own["power"])
        return taught

    def _bridged(
        self,
        counts: Singles,
        base: Singles,
        taught: Singles,
        shared: dict[str, Singles],
        own: Singles,
    ) -> Singles:
        """Scores of bridged students; `own` [members, teachers] is what each teacher adds to the logit of k."""
        carried = 1 / (1 + np.exp(-(shared["carried"][:, None] + own[:, _teacher_of(counts)])))
        warmup, opd, hard = counts[:, WARMUP], counts[:, OPD], counts[:, HARD]
        dense = 1 - np.exp(-(shared["warmup_rate"][:, None] * warmup + shared["opd_rate"][:, None] * opd))
        dense = dense * np.where(warmup == 0, shared["without_warmup"][:, None], 1.0)
        dense = dense * np.where(opd == 0, shared["without_opd"][:, None], 1.0)
        length = warmup + opd + hard
        far = np.maximum(taught - base[:, None], 0.0) / (self.headroom * shared["gap"][:, None])
        if hard.any():
            by_hard = shared["hard_share"][:, None] * (1 - np.exp(-shared["hard_rate"][:, None] * hard))
            dense = np.where(hard > 0, by_hard, dense)
        share = carried * dense
        if "gap" not in self.without:
            share = share * np.minimum(1.15 * np.exp(-(far**2)), 1.0)
        too_long = np.maximum(shared["too_long"], 0)[:, None] * np.maximum(length - LONG_BRIDGE, 0)
        share = share * np.maximum(1 - too_long, 0.0)
        lost = self.headroom * np.maximum(shared["overwriting"], 0)[:, None] * (1 - np.exp(-length / 2))
        bridged: Singles = base[:, None] + (taught - base[:, None]) * share - lost
        return bridged

    def _after_rl(
        self, nodes: Ints, base: Singles, before: Singles, head_of: Ints, shared: dict[str, Singles]
    ) -> Singles:
        """Scores of nodes, of `before` [members, heads] GRPO on the student; `head_of` [nodes] is each one's place."""
        counts, budget = self._counts[nodes], self.grid.budget
        ceiling = (base + (100.0 - base) * shared["ceiling"])[:, None]
        threshold = (base + self.headroom * shared["threshold"])[:, None]
        gate = 1 / (1 + np.exp(-np.clip((before - threshold) / (GATE_WIDTH * self.headroom), -30, 30)))
        reach = np.maximum(ceiling - before, 0.0) * shared["gain"][:, None] * gate
        ends, end_of = _distinct(self._end[nodes])
        labels = (counts[ends, STUDENT_RL] + shared["replay_share"][:, None] * counts[ends, REPLAY]) / budget
        learnt = _hill(labels, shared["half_student"][:, None], shared["power_student"][:, None])
        upstream, bought = counts[:, RL] + counts[:, SFT], counts[:, [RL, SFT, STUDENT_RL]].sum(1)
        mixed = 4 * upstream * counts[:, STUDENT_RL] / np.maximum(bought, 1) ** 2
        lost = self.headroom * shared["splitting"][:, None] * mixed
        after: Singles = before[:, head_of] + reach[:, head_of] * learnt[:, end_of] - lost
        return after


def _teacher_of(counts: Singles) -> Ints:
    """[nodes] the place of each one's teacher, 0 where there is none."""
    return np.maximum(counts[:, TEACHER], 0).astype(np.int64)


def _distinct(codes: Ints) -> tuple[Ints, Ints]:
    """Places of the first of each code, and for every place which of these has its code."""
    _, first, which = np.unique(codes, return_index=True, return_inverse=True)
    return first, which


def _transformed(z: Singles, kinds: NDArray[np.str_], means: Singles, sds: Singles) -> Singles:
    """[members, unknowns] the unknowns' values."""
    values = means + sds * z
    exp, logit = kinds == "exp", kinds == "logit"
    values[:, exp] = np.exp(values[:, exp])
    values[:, logit] = 1 / (1 + np.exp(-values[:, logit]))
    return values


def _hill(labels: Singles, half: Singles, power: Singles) -> Singles:
    # As exponentials, which numpy computes many times faster than powers.
    with np.errstate(divide="ignore"):
        share: Singles = 1 / (1 + np.exp(np.clip(power * (np.log(half) - np.log(labels)), -50, 50)))
    return share
