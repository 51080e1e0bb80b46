"""What a block costs: device seconds, peak memory, and the name of the device."""

import platform
import resource
import time
from functools import cache
from pathlib import Path

from tuition.benchmarks.provenance import PROCESSOR, names_no_processor

CPUINFO = Path("/proc/cpuinfo")


class Clock:
    """Wall seconds and GPU-seconds of a piece of work. On a CPU, a GPU-second is a second of processor time."""

    def __init__(self, device: str, processes: int = 1):
        self.device = device
        self.processes = processes
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        """Wall-clock seconds since the start."""
        return time.perf_counter() - self._wall

    def gpu_seconds(self, elsewhere: float = 0.0) -> float:
        """Reserved device time since the start: wall time of each device on a GPU, processor time on a CPU.

        `elsewhere` is processor time of other processes.
        """
        if self.device == "cpu":
            return time.process_time() - self._processor + elsewhere
        return self.seconds() * self.processes


def accelerator_name(device: str) -> str:
    """Name of the device that trains: a GPU's model as CUDA calls it, or "cpu: " and the processor's model.

    As in "NVIDIA H200" and "cpu: AMD EPYC 9R14, family 25 model 17" (virtual machines may hide the name, but not the
    numbers). Weights depend on it. Records of before say "cpu x86_64" or "cpu": `names_no_processor`.
    """
    if device == "cpu":
        return f"{PROCESSOR}{_processor()}"
    import torch

    return str(torch.cuda.get_device_name())


def same_accelerator(one: str, other: str) -> bool:
    """Whether two names may be of one model of device; a processor that is not named may be any."""
    if names_no_processor(one) or names_no_processor(other):
        return one.startswith("cpu") and other.startswith("cpu")
    return one == other


@cache
def _processor() -> str:
    """Model of this machine's processor, as Linux says it; on ARM, and elsewhere, what Python knows."""
    try:
        lines = CPUINFO.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
    except OSError:
        lines = []
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if not said.get("model name"):
        return platform.processor() or platform.machine()
    numbers = [f"{word} {said[name]}" for word, name in (("family", "cpu family"), ("model", "model")) if name in said]
    return ", ".join([said["model name"], " ".join(numbers)] if numbers else [said["model name"]])


def peak_memory_bytes(device: str) -> int:
    """Peak memory: allocated on the GPU, or resident in this process so far."""
    if device == "cpu":
        kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return kibibytes if platform.system() == "Darwin" else kibibytes * 1024
    import torch

    return int(torch.cuda.max_memory_allocated())
