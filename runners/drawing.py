"""Drawing from a checkpoint on all devices of a scenario: teacher rollouts, samples to select from, scores.

Each of several processes holds the whole checkpoint and draws its share. What is drawn does not depend on their number:
which sequences make a batch follows from the prompts alone, and a batch's stream of random numbers from the seed and
the batch's first row; vLLM has a seed for every row. With one process transformers draws all batches from one stream,
in this process, as it always did.

Simplified: one machine. A process that dies ends the draw; of a score, finished batches are kept.
"""

import gc
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

from tuition.benchmarks.scoring.decoding import Preset
from tuition.benchmarks.scoring.effective_decoding import EffectiveDecoding
from tuition.benchmarks.scoring.engines.requests import (
    EngineError,
    Generated,
    Request,
    check_template,
    decoded,
    row_seed,
)
from tuition.benchmarks.scoring.engines.transformers_engine import TransformersEngine, check_prompts
from tuition.benchmarks.scoring.engines.vllm_engine import VllmEngine, generate_with_vllm, load_vllm, vllm_batch
from tuition.benchmarks.scoring.sampling import (
    Decoding,
    Prompt,
    Stream,
    encode_prompts,
    generate_batch,
    generate_ids,
    in_batches,
)
from tuition.runners import fork_server
from tuition.runners.training.checkpoint import load_tokenizer
from tuition.runners.training.work_order import ModelFiles

START_SECONDS = 900


@dataclass(frozen=True)
class Sampler:
    """A checkpoint, and how it is opened to draw from.

    `ends` are the token ids that end a completion; `batch` is how many sequences transformers draws together.
    """

    files: ModelFiles
    engine: str
    device: str
    ends: tuple[int, ...]
    batch: int
    tensor_parallel: int = 1
    """Devices over which vLLM splits it."""

    @contextmanager
    def opened(self) -> Iterator[TransformersEngine | VllmEngine]:
        """Its engine, in this process."""
        tokenizer = load_tokenizer(self.files.base)
        if self.engine == "transformers":
            with closing(TransformersEngine(self.files.load(self.device, trainable=False), tokenizer)) as engine:
                yield engine
            return
        model = load_vllm(self.files.checkpoint, self.files.dtype, self.files.trust, self.tensor_parallel)
        with closing(VllmEngine(model, tokenizer, self.ends, self.device)) as served:
            del model
            yield served
        gc.collect()


@dataclass(frozen=True)
class Drawn:
    """Completions (token ids), in the order of their prompts, and what drawing them took besides this process.

    Attributes:
        completions: one for each prompt.
        elsewhere: processor seconds of other processes.
        used: device seconds in which something was drawn, on all devices; None where that is all of the time.
    """

    completions: list[list[int]]
    elsewhere: float = 0.0
    used: float | None = None


def draw_alone(
    engine: TransformersEngine | VllmEngine, prompts: list[list[int]], decoding: Decoding, seed: int, batch: int
) -> Drawn:
    """One completion for each prompt (token ids), drawn in this process."""
    if isinstance(engine, TransformersEngine):
        return Drawn(generate_ids(engine.model, engine.tokenizer, prompts, decoding, seed, batch))
    return Drawn(_of_batch(engine, _Batch(prompts, list(range(len(prompts))), decoding, seed)))


@dataclass(frozen=True)
class _Batch:
    """What one process draws at once."""

    prompts: list[list[int]]
    rows: list[int]
    decoding: Decoding
    seed: int


@dataclass(frozen=True)
class _Reply:
    """What a process has drawn, seconds of its device, and its processor seconds so far, opening the model included."""

    completions: list[list[int]]
    process: int
    used: float
    processor: float


class SideBySide:
    """An engine of `processes` processes, each of which holds the checkpoint of `sampler`; `parallel` is their number.

    `processor` and `used` count what they have spent so far: processor seconds by process, and device seconds of
    drawing on all devices.
    """

    def __init__(self, sampler: Sampler, processes: int) -> None:
        self.sampler, self.parallel, self.devices = sampler, processes, processes * sampler.tensor_parallel
        self.device = sampler.device
        self.tokenizer = load_tokenizer(sampler.files.base)
        self.processor, self.used, self._lock = dict[int, float](), 0.0, Lock()
        context: Any = fork_server.forked() if self.device == "cpu" else multiprocessing.get_context("spawn")
        devices, met = context.Queue(), context.Barrier(processes)
        for names in devices_of(self.device, processes, sampler.tensor_parallel):
            devices.put(names)
        self._pool = ProcessPoolExecutor(processes, context, _enter, (sampler, dict(os.environ), devices, met))
        with fork_server.without_main():  # all of them are started here: each waits for the others
            started = [self._pool.submit(_meet) for _ in range(processes)]
        for one in started:
            self._result(one)

    @property
    def elsewhere(self) -> float:
        """Processor seconds of all of its processes so far."""
        return sum(self.processor.values())

    def check(self, prompts: Sequence[Prompt], preset: Preset) -> None:
        """EngineSettingError for a chat without a usable template, EngineError for what cannot be encoded."""
        if self.sampler.engine == "transformers":
            check_prompts(self.tokenizer, prompts, preset)
        else:
            check_template(self.tokenizer, preset)

    def encode(self, prompts: Sequence[Prompt], preset: Preset) -> list[list[int]]:
        """Prompts as token ids."""
        return encode_prompts(self.tokenizer, prompts, preset.template)

    def generate(
        self, requests: Sequence[Request[list[int]]], preset: Preset, stream: Stream
    ) -> tuple[list[Generated], Stream]:
        """Completions of one batch, in order, by whichever process is free; as many threads may ask as there are.

        The stream stands still: it gives the seed only.
        """
        batch = _Batch([one.prompt for one in requests], [one.row for one in requests], preset.decoding, stream.seed)
        drawn = self._received(self._pool.submit(_draw, batch))
        return [decoded(self.tokenizer, ids, self.sampler.ends) for ids in drawn], stream

    def draw(self, prompts: list[list[int]], decoding: Decoding, seed: int) -> Drawn:
        """One completion for each prompt (token ids), in order."""
        batches = in_batches([len(prompt) for prompt in prompts], self._batch_size(len(prompts)))
        futures = [
            self._pool.submit(_draw, _Batch([prompts[row] for row in rows], rows, decoding, seed)) for rows in batches
        ]
        completions: dict[int, list[int]] = {}
        for rows, future in zip(batches, futures, strict=True):
            completions.update(zip(rows, self._received(future), strict=True))
        return Drawn([completions[row] for row in range(len(prompts))], self.elsewhere, self.used)

    def _batch_size(self, rows: int) -> int:
        # vLLM's draws do not depend on it.
        return self.sampler.batch if self.sampler.engine == "transformers" else vllm_batch(rows, self.parallel)

    def in_effect(self, preset: Preset) -> EffectiveDecoding:
        """How completions are drawn."""
        return EffectiveDecoding.of(self.sampler.engine, preset.decoding, self.sampler.ends)

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def _received(self, future: "Future[_Reply]") -> list[list[int]]:
        reply: _Reply = self._result(future)
        with self._lock:
            self.processor[reply.process] = reply.processor
            self.used += reply.used
        return reply.completions

    def _result(self, future: "Future[Any]") -> Any:
        try:
            return future.result()
        except BrokenProcessPool:
            raise EngineError(
                f"one of {self.parallel} processes that draw from {self.sampler.files.checkpoint} has died: if memory "
                "ran out, lower hardware.generation_batch, then rerun the same command to resume"
            ) from None


def devices_of(device: str, processes: int, each: int) -> list[str | None]:
    """What each process is to see of the machine's GPUs, as CUDA_VISIBLE_DEVICES says it; None on a CPU."""
    if device == "cpu":
        return [None] * processes
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    return [",".join(names[first : first + each]) for first in range(0, processes * each, each)]


class _Here:
    """In a process that draws: its sampler, its engine once it has drawn, and the processor time of its beginning."""

    sampler: Sampler
    met: Any
    engine: TransformersEngine | VllmEngine | None = None
    open: ExitStack = ExitStack()
    began: float = 0.0


def _enter(sampler: Sampler, environment: dict[str, str], devices: Any, met: Any) -> None:
    fork_server.enter(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's reaches this one too; the parent ends it
    if (name := devices.get()) is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = name
    _Here.sampler, _Here.met = sampler, met
    _Here.began = time.process_time()


def _meet() -> None:
    _Here.met.wait(START_SECONDS)


def _draw(batch: _Batch) -> _Reply:
    """Draw a batch, opening the checkpoint before the first one. EngineError where memory ran out."""
    import torch

    try:
        if _Here.engine is None:
            opening: AbstractContextManager[TransformersEngine | VllmEngine] = _Here.sampler.opened()
            _Here.engine = _Here.open.enter_context(opening)
        wall, processor = time.perf_counter(), time.process_time()
        completions = _of_batch(_Here.engine, batch)
    except torch.OutOfMemoryError as error:
        raise EngineError(f"drawing ran out of memory ({str(error)[:120]}): lower hardware.generation_batch") from None
    now = time.process_time()
    used = now - processor
    if _Here.sampler.device != "cpu":
        used = (time.perf_counter() - wall) * _Here.sampler.tensor_parallel
    return _Reply(completions, os.getpid(), used, now - _Here.began)


def _of_batch(engine: TransformersEngine | VllmEngine, batch: _Batch) -> list[list[int]]:
    if isinstance(engine, TransformersEngine):
        stream = Stream(row_seed(batch.seed, batch.rows[0]))
        return generate_batch(engine.model, engine.tokenizer, batch.prompts, batch.decoding, stream)[0]
    seeds = [row_seed(batch.seed, row) for row in batch.rows]
    return generate_with_vllm(engine.model, batch.prompts, seeds, batch.decoding, engine.ends)
