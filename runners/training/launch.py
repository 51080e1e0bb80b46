"""Training a block in other processes of this machine: a child that is `accelerate launch`, on a CPU a fork that forks.

The parent hands over a work order and rows as JSON and gets back a folder; meanwhile it passes on the events that the
child logs. Gradients are averaged over processes (DDP). A child that dies is a failed block with its log; a parent that
stops or dies takes the children with it.

Simplified: one machine. Sharding is FSDP2's (`tuition.runners.training.sharding`).
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeAlias

import httpx

from tuition.benchmarks.scoring.engines.vllm_engine import vllm_version
from tuition.runners import fork_server
from tuition.runners.events import Listener, read_events
from tuition.runners.training import child
from tuition.runners.training.rows import BlockError
from tuition.runners.training.work_order import EVENTS, META, ORDER, ROWS, WorkOrder

STOP_SECONDS = 30

Child: TypeAlias = "subprocess.Popen[bytes] | BaseProcess"


class LaunchError(RuntimeError):
    """The processes that trained a block ended without it; one line with their log and the fix."""


def too_few_gpus(device: str, processes: int) -> str | None:
    """What to change where there are fewer GPUs than processes; None where they suffice, or there is no GPU at all."""
    import torch

    here = torch.cuda.device_count() if device == "cuda" else 0
    if not here or processes <= here:
        return None
    return (
        f"hardware.processes={processes} needs one GPU per process, but {here} {'are' if here > 1 else 'is'} visible: "
        f"set it to {here} or less, or check CUDA_VISIBLE_DEVICES"
    )


def check_rollout_engine(order: WorkOrder) -> None:
    """BlockError when what draws the rollouts is not there: TRL would say so in many lines, or after minutes."""
    if order.engine != "vllm":
        return
    if vllm_version() is None:
        raise BlockError(
            "hardware.engine is vllm, but vLLM is not installed: pip install vllm==0.31.0, or set it to transformers"
        )
    if (url := order.vllm.rollout_server) is not None:
        try:
            httpx.get(f"{url}/health", timeout=10.0).raise_for_status()
        except httpx.HTTPError as error:
            raise BlockError(
                f"hardware.vllm.rollout_server {url} does not answer ({type(error).__name__}: {error}): start it, "
                "correct the URL, or remove it"
            ) from error


def train_in_processes(
    order: WorkOrder,
    rows: list[dict[str, Any]],
    folder: Path,
    log: Path,
    hear: Listener,
) -> dict[str, Any]:
    """Train a block in `order.processes` processes besides this one; what it leaves is in `folder`/out.

    Returns {"peak_memory_bytes": of the largest process, "processor_seconds": of all}. LaunchError when one died.
    """
    (folder / ORDER).write_text(order.model_dump_json(), encoding="utf-8")
    with (folder / ROWS).open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    log.parent.mkdir(parents=True, exist_ok=True)
    process = _fork(folder, log) if order.device == "cpu" else _launch(order, folder, log)
    try:
        code = _watch(process, folder / EVENTS, hear)
    finally:
        end_session(process)
    if code or not (folder / META).exists():
        many = f"{order.processes} processes" if order.processes > 1 else "a separate process"
        raise LaunchError(
            f"training in {many} ended with {how_it_ended(code)} ({last_error(log)}): read {log}, then "
            "rerun the same command; if memory ran out, `tuition doctor --scenario` shows what reduces it"
        )
    document: dict[str, Any] = json.loads((folder / META).read_text(encoding="utf-8"))
    return document


def _fork(folder: Path, log: Path) -> BaseProcess:
    # `accelerate launch` starts several processes on a CPU by mpirun only; this one forks the others.
    process = fork_server.forked().Process(target=child.forked, args=(folder, log, dict(os.environ)))
    fork_server.start(process)
    return process


def _launch(order: WorkOrder, folder: Path, log: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable]
    if order.processes > 1:
        command += ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
        command += ["--num_processes", str(order.processes), "--mixed_precision", "no", "--dynamo_backend", "no"]
        command += ["--main_process_port", "0"]
    with log.open("wb") as stream:
        # A separate session: Ctrl-C asks the parent, which lets the current block finish.
        return subprocess.Popen(
            [*command, "-m", "tuition.runners.training.child", str(folder)],
            cwd=Path(__file__).parents[3],  # that of the package `tuition`
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )


def _watch(process: Child, events: Path, hear: Listener) -> int | None:
    """Wait for the end, and pass on what the child tells; its exit status."""
    code, position = None, 0
    while code is None:
        code = process.exitcode if isinstance(process, BaseProcess) else process.poll()
        logged, position = read_events(events, position)
        for line in logged:
            hear(line.event)
        time.sleep(0.2 if code is None else 0.0)
    return code


def end_session(process: Child) -> None:
    """End a child and all that it started: politely, then at once."""
    assert process.pid is not None
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            process.terminate()  # if it is a fork of this moment, which has no session yet
            return
        if isinstance(process, BaseProcess):
            process.join(STOP_SECONDS)
        else:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)


def end_with_parent() -> None:
    """In a child before it runs: be ended when the parent is, however it is. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def how_it_ended(code: int | None) -> str:
    """An exit status in words."""
    return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"


def last_error(log: Path) -> str:
    """The last line of a log that names an error, or else its last."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line and not line.startswith("raise ")]
    return (errors or lines or ["its log is empty"])[-1][-200:]
