"""A simulated world: what can be trained, what it costs, and what it would score. Scores are points (0 to 100).

`Chain` is the world of stages that feed each other: a teacher that learns, a bridge that carries over what it knows, a
student that goes on learning. Its counter-forms are off by default.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuition.planner.space import SearchSpace

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
NONE = -1


@dataclass(frozen=True)
class Counts:
    """Allocations as arrays of one shape: teacher (its place, NONE for none), blocks t, w, o and s of the stages
    `teacher_rl`, `warmup`, `opd` and `student_rl`."""

    teacher: IntArray
    t: IntArray
    w: IntArray
    o: IntArray
    s: IntArray

    @property
    def bridged(self) -> NDArray[np.bool_]:
        """Whether there is a teacher, and so a bridge."""
        bridged: NDArray[np.bool_] = self.teacher != NONE
        return bridged


@dataclass(frozen=True)
class Prices:
    """GPU-seconds of a block by stage, for `teacher_rl` by teacher, and of a score; the unit is arbitrary."""

    teacher: tuple[float, ...]
    warmup: float
    opd: float
    student: float
    score: float


@dataclass(frozen=True)
class World:
    """What a family draws.

    Attributes:
        space: what may be proposed.
        prices: what it costs.
        student: true score of allocations, in points.
        teacher: true score of a teacher, given its place and its label blocks, in points.
        noise: standard deviation of a score's own noise, in points.
        luck: standard deviation of what a checkpoint owes to the luck of its blocks, in points; checkpoints that share
            blocks share it.
    """

    space: SearchSpace
    prices: Prices
    student: Callable[[Counts], FloatArray]
    teacher: Callable[[int, IntArray], FloatArray]
    noise: float = 0.8
    luck: float = 0.0


@dataclass(frozen=True)
class Curve:
    """Learning: `gain` · (1 - e^(-(x/scale)^shape)) after x blocks; a shape above 1 has a flat start."""

    gain: float
    scale: float
    shape: float = 1.0

    def __call__(self, x: IntArray) -> FloatArray:
        """What is gained after so many blocks."""
        return self.gain * -np.expm1(-((x / self.scale) ** self.shape))


@dataclass(frozen=True)
class Chain:
    """A chain of stages. With T the teacher's score after t blocks, S the student's base and gap = T - S:

        bridge  v = S + gap · cap · m(gap) · (1 - e^(-(w/τ_w + o/τ_o))) · (.85 without warmup) · (.9 without opd)
                      · (1 - excess · (w + o - longest)₊)₊
                  - overwrite · (1 - e^(-(w + o)/2)) - split · 4ts / (t + s)²
        student v + (ceiling - v)₊ · gain · logistic((v - threshold) / 4) · (1 - e^(-(s/τ_s)^shape))

    and without a bridge v = S. m(gap) = e^(-(gap₊/reach)²): a teacher that is too good teaches less.
    """

    base: float
    teachers: tuple[tuple[float, Curve], ...]
    """Base score and learning of each."""
    caps: tuple[float, ...]
    warmup_scale: float
    opd_scale: float
    ceiling: float
    threshold: float
    learning: Curve
    """The student's after the bridge: its gain is the share of what is left to the ceiling."""
    overwrite: float = 0.0
    split: float = 0.0
    reach: float = np.inf
    excess: float = 0.0
    longest: float = 3.0

    def teacher(self, place: int, t: IntArray) -> FloatArray:
        """A teacher's score."""
        base, curve = self.teachers[place]
        return base + curve(t)

    def student(self, counts: Counts) -> FloatArray:
        """Students' scores."""
        carried = np.zeros(counts.t.shape)
        for place, cap in enumerate(self.caps):
            gap = self.teacher(place, counts.t) - self.base
            transfer = cap * np.exp(-((np.maximum(gap, 0) / self.reach) ** 2))
            carried = np.where(counts.teacher == place, gap * transfer, carried)
        length = counts.w + counts.o
        carried = carried * -np.expm1(-(counts.w / self.warmup_scale + counts.o / self.opd_scale))
        carried = carried * np.where(counts.w == 0, 0.85, 1.0) * np.where(counts.o == 0, 0.9, 1.0)
        carried = carried * np.maximum(1 - self.excess * np.maximum(length - self.longest, 0), 0)
        labels = np.maximum(counts.t + counts.s, 1)
        carried = carried + self.overwrite * np.expm1(-length / 2) - self.split * 4 * counts.t * counts.s / labels**2
        v = self.base + np.where(counts.bridged, carried, 0.0)
        ready = 1 / (1 + np.exp(-(v - self.threshold) / 4))
        return v + np.maximum(self.ceiling - v, 0) * ready * self.learning(counts.s)
