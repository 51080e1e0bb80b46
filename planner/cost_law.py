"""The estimate law: what a block that was never measured may cost, from one that was.

A block's work is counted in four numbers that do not depend on the device, `Workload`. A device's `Speed` turns them
into seconds:

    seconds = floating-point operations / rate
            + passes of one layer in training * seconds of such a pass
            + passes of one layer in decoding * seconds of such a pass
            + seconds of starting and publishing a block

Training and rollouts are apart because tokens of a rollout come one after the other: for small models, or few
sequences at once, the number of passes decides and not the number of operations.

Simplified: several devices are assumed to share the work without loss; waiting for memory is not modelled, nor is
vLLM; an estimate never crosses from one type of number, kind of device or rollout engine to another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles

import numpy as np

SHARE_WITHIN = 0.9
"""Of the estimates that were checked, so many were within the error that is stated."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What a block does.

    Attributes:
        flops: floating-point operations of training, of teachers and of rollouts.
        training_passes: passes of a micro-batch through one layer: 1 forward, 2 backward.
        decoding_passes: passes of a batch through one layer, for one token of each of its sequences.
        parameters: of the largest model that takes part.
        blocks: 1, or 0 where only steps are counted.
    """

    flops: float
    training_passes: float
    decoding_passes: float
    parameters: float
    blocks: float = 1.0

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """What a speed's constants are multiplied with."""
        return self.flops, self.training_passes, self.decoding_passes, self.blocks


@dataclass(frozen=True, slots=True)
class Speed:
    """A kind of device: seconds of one operation, of one pass in training and in decoding, and of a block.

    Attributes:
        error_factor: `SHARE_WITHIN` of the estimates of held-out models were within this factor of what was measured.
        largest: parameters of the largest model that the constants were held against.
        where: what was measured, in words.
        dtype, engine: with which type of number and rollout engine.
    """

    flop: float
    training_pass: float
    decoding_pass: float
    block: float
    error_factor: float
    largest: float
    where: str
    dtype: str
    engine: str

    def holds_for(self, environment: Mapping[str, str]) -> bool:
        """Whether it was measured with the type of number and the rollout engine of an environment."""
        return (environment.get("dtype"), environment.get("engine")) == (self.dtype, self.engine)

    def beyond(self, workload: Workload, source: Workload | None = None) -> float:
        """How many times as large the models are as any that were measured: for the constants, or the source itself."""
        return workload.parameters / max(self.largest, source.parameters if source is not None else 0.0)

    def words(self, beyond: float, *assumed: str, where: str = "") -> str:
        """What an estimate is made from, and how far it may be wrong."""
        error = f"within a factor of {self.error_factor:.1f}"
        if beyond > 1:
            error = f"the model is {beyond:.1f} times as large as any that this was checked on"
        return f"{where or self.where} ({', '.join([error, *assumed])})"

    def seconds(self, workload: Workload) -> float:
        """Device-seconds of a block."""
        constants = (self.flop, self.training_pass, self.decoding_pass, self.block)
        return sum(number * constant for number, constant in zip(workload.numbers, constants, strict=True))


@dataclass(frozen=True, slots=True)
class Sample:
    """A block, or the steps of one, that was measured. `group` names its models."""

    group: str
    stage: str
    workload: Workload
    seconds: float


def fitted(samples: Sequence[Sample]) -> tuple[float, float, float, float]:
    """The constants, at least 0, with the smallest relative errors: the sum of squares of predicted / measured - 1."""
    from scipy.optimize import nnls

    numbers = np.array([sample.workload.numbers for sample in samples])
    relative = numbers / np.array([[sample.seconds] for sample in samples])
    scale = relative.max(axis=0)
    scale[scale == 0] = 1.0
    constants, _ = nnls(relative / scale, np.ones(len(samples)))
    flop, training, decoding, block = (float(value) for value in constants / scale)
    return flop, training, decoding, block


def scaled(seconds: float, measured: Workload, wanted: Workload, speed: Speed) -> float:
    """What `wanted` takes where `measured` took `seconds`: the ratio of what the law says of both."""
    return seconds * speed.seconds(wanted) / speed.seconds(measured)


def nearest(wanted: Workload, stage: str, samples: Sequence[Sample], speed: Speed) -> Sample:
    """The sample to scale from: of the same stage if there is one, then the most alike in model size and in time."""

    def distance(sample: Sample) -> tuple[bool, float]:
        longer = speed.seconds(wanted) / speed.seconds(sample.workload)
        larger = wanted.parameters / sample.workload.parameters
        return sample.stage != stage, abs(math.log(longer)) + abs(math.log(larger))

    return min(samples, key=distance)


def factor_within(ratios: Sequence[float]) -> float:
    """The factor either way that holds `SHARE_WITHIN` of ratios of estimated to measured seconds."""
    factors = sorted(math.exp(abs(math.log(ratio))) for ratio in ratios)
    if len(factors) < 2:
        return factors[0]
    return quantiles(factors, n=100, method="inclusive")[round(100 * SHARE_WITHIN) - 1]


# Fitted and checked by `python -m tests.experiments.costs.fit`; docs/costs.md has the table.
SPEEDS: Mapping[str, Speed] = {
    "cpu": Speed(
        flop=1.7e-11,
        training_pass=3.3e-3,
        decoding_pass=1.9e-3,
        block=0.43,
        error_factor=1.8,
        largest=1.35e8,
        where="one thread of an x86 server",
        dtype="float32",
        engine="transformers",
    ),
    # Its models are so small that passes decide and the fitted time of an operation is 0: our choice is 40 % of the
    # peak on the data sheet.
    "NVIDIA H200": Speed(
        flop=2.5e-15,
        training_pass=1.25e-3,
        decoding_pass=1.28e-3,
        block=0.77,
        error_factor=2.1,
        largest=9.84e7,
        where="models of 10 and 98 M parameters on an H200",
        dtype="bfloat16",
        engine="transformers",
    ),
}
"""By device type and what it is: "cpu" for any processor, one thread; else the GPU's name."""

FIGURES_OF_GPUS = "NVIDIA H200"
"""The GPU whose constants give the ratio of two blocks on GPUs that have no figures of their own."""
