"""The teacher of a bridge block behind its own vLLM server: an OpenAI-compatible child process.

The block that is taught starts the server on the teacher's checkpoint and ends it. Of each position the server gives
the teacher's likeliest tokens only, so what is minimised is an approximation: `DIVERGENCES` says which.

Simplified: the server runs on this machine (on its own devices, if the scenario names some). One that runs already
could not be checked to hold the weights that the block's key names.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tuition.planner.stages import Objective
from tuition.runners.scenarios.settings import TeacherServer
from tuition.runners.training.launch import end_session, end_with_parent, how_it_ended, last_error

START_SECONDS = 900
"""A 70B checkpoint takes minutes to load."""

DIVERGENCES: Mapping[tuple[Objective, bool], str] = {
    ("forward_kl", False): "forward KL over the full vocabulary",
    ("forward_kl", True): "forward KL over the teacher's {top_k} likeliest tokens and one bucket for the rest's mass",
    ("reverse_kl", False): "reverse KL over the full vocabulary",
    ("reverse_kl", True): "reverse KL over two events: the sampled token, and any other",
}
"""What a bridge block minimises, by objective and whether the teacher is behind a server.

Behind one it is what TRL's ServerDistillationTrainer computes: its reverse KL has the sampled token only.
"""


def divergence(objective: Objective, server: TeacherServer | None) -> str | None:
    """What a block minimises, in words; None where it is no divergence."""
    words = DIVERGENCES.get((objective, server is not None))
    return words.format(top_k=server.top_k if server else 0) if words else None


class TeacherServerError(RuntimeError):
    """The teacher's server did not start, or ended while a block trained; one line with the log and the fix."""


@contextmanager
def serve(folder: Path, dtype: str, settings: TeacherServer, log: Path, trust: bool = False) -> Iterator[str]:
    """Serve the checkpoint in `folder` while the context lasts; yields the server's URL, without `/v1`.

    TeacherServerError when the server does not start, and when it has ended before the context has.
    """
    port = _free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder), "--dtype", dtype]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-logprobs", str(settings.top_k)]
    command += ["--tensor-parallel-size", str(settings.tensor_parallel), "--disable-uvicorn-access-log"]
    command += ["--gpu-memory-utilization", str(settings.gpu_memory_utilization), "--generation-config", "vllm"]
    if trust:
        command.append("--trust-remote-code")
    environment = dict(os.environ)
    if settings.devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = settings.devices
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        # A separate session, so that the workers that vLLM starts end with it.
        process = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=stream, start_new_session=True, preexec_fn=end_with_parent
        )
    try:
        _wait(process, port, log)
        yield f"http://127.0.0.1:{port}"
    except Exception as error:
        if process.poll() is None or isinstance(error, TeacherServerError):
            raise
        raise TeacherServerError(
            f"the teacher's server ended with {how_it_ended(process.returncode)} during training "
            f"({last_error(log)}): read {log}, then rerun the same command"
        ) from error
    finally:
        end_session(process)


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < START_SECONDS:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5.0).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(0.5)
    ended = "did not answer" if process.poll() is None else f"ended with {how_it_ended(process.returncode)}"
    raise TeacherServerError(
        f"the teacher's server {ended} after {time.monotonic() - began:.0f} s ({last_error(log)}): read {log}; give it "
        "more memory (hardware.teacher_server: gpu_memory_utilization, devices), or remove teacher_server"
    )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
