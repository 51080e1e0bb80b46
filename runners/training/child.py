"""A process that trains a block, alone or with others, started by `tuition.runners.training.launch`.

On a GPU it is `python -m tuition.runners.training.child FOLDER`; on a CPU it is forked, and forks the others from
itself, so that libraries are imported once.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tuition.runners import fork_server
from tuition.runners.training.process_environment import set_for_training
from tuition.runners.training.sharding import allow_on_a_cpu
from tuition.runners.training.work_order import EVENTS, META, ORDER, OUT, ROWS, WorkOrder


def forked(folder: Path, log: Path, environment: dict[str, str]) -> None:
    """Carry out the order in `folder` in a process of the fork server; `log` takes what it and the others write."""
    # A separate session: Ctrl-C asks the parent, which lets the current block finish.
    os.setsid()
    with log.open("wb") as stream:
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # with which torch ends the others, and the server has none
    fork_server.enter(environment)
    main(folder)


def main(folder: Path) -> None:
    """Carry out the order in `folder`, in this process or in all that the order asks for and nobody has started yet."""
    ordered = json.loads((folder / ORDER).read_text())
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "INFO")  # what is printed here is the block's log; TRL would hush it
    set_for_training(ordered["device"], ordered["sharded"])
    if ordered["sharded"] and ordered["device"] == "cpu":
        allow_on_a_cpu()
    if ordered["device"] == "cpu" and ordered["processes"] > 1:
        run_together(ordered["processes"], train, folder)
    else:
        train(folder)


def run_together(processes: int, function: Callable[..., None], *arguments: Any) -> None:
    """Run `function(*arguments)` in so many processes, which find each other as torchrun's do (RANK, WORLD_SIZE, ...).

    Raises torch's ProcessException when one fails or dies; the others are ended first.
    """
    from torch.distributed.elastic.utils.distributed import get_free_port
    from torch.multiprocessing.spawn import start_processes

    import tuition.runners.training.execution
    import tuition.runners.training.stages.preloaded  # noqa: F401

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(get_free_port())}
    start_processes(_run_as, (processes, function, arguments), processes, start_method="fork")


def _run_as(rank: int, processes: int, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    size = str(processes)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size}
    function(*arguments)


def train(folder: Path) -> None:
    """Carry out this process's share of the order in `folder`; the first process writes what the block leaves."""
    _end_when_orphaned()
    import torch
    from accelerate import PartialState

    from tuition.benchmarks.grading.grader import Grader
    from tuition.runners.events import EventLog, ignore
    from tuition.runners.training.execution import save_result, train_block
    from tuition.runners.training.meter import peak_memory_bytes

    order = WorkOrder.model_validate_json((folder / ORDER).read_text(encoding="utf-8"))
    state = PartialState(cpu=order.device == "cpu")
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in (folder / ROWS).read_text(encoding="utf-8").splitlines()]
    scratch = folder / f"scratch-{state.process_index}"
    scratch.mkdir()

    grader, events = Grader(policy=order.grading), EventLog(folder / EVENTS)
    try:
        result = train_block(order, rows, scratch, grader, events.write if state.is_main_process else ignore)
    finally:
        events.close()
        grader.close()
    peak = torch.tensor(peak_memory_bytes(order.device), dtype=torch.int64, device=state.device)
    seconds = torch.tensor(time.process_time(), device=state.device)
    if order.processes > 1:
        torch.distributed.all_reduce(peak, torch.distributed.ReduceOp.MAX)
        torch.distributed.all_reduce(seconds)
    if state.is_main_process:
        (folder / OUT).mkdir()
        save_result(order, result, folder / OUT)
        # Last: a folder with it is whole.
        account = {"peak_memory_bytes": int(peak.item()), "processor_seconds": round(seconds.item(), 3)}
        (folder / META).write_text(json.dumps(account), encoding="utf-8")
    state.wait_for_everyone()
    state.destroy_process_group()


def _end_when_orphaned() -> None:
    """The launcher may be killed outright; its processes then end by themselves instead of training on."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
