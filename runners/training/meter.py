"""What a block costs: device seconds, peak memory, and the name of the device."""

import platform
import resource
import time


class Clock:
    """Wall seconds and GPU-seconds of a piece of work. On a CPU, a GPU-second is a second of processor time."""

    def __init__(self, device: str, processes: int = 1):
        self.device = device
        self.processes = processes
        self._wall, self._processor = time.perf_counter(), self._processor_seconds()

    def seconds(self) -> float:
        """Wall-clock seconds since the start."""
        return time.perf_counter() - self._wall

    def gpu_seconds(self) -> float:
        """Seconds of device time since the start: processor time on a CPU, wall time of each device on a GPU."""
        if self.device == "cpu":
            return self._processor_seconds() - self._processor
        return self.seconds() * self.processes

    def _processor_seconds(self) -> float:
        """Of this process and, where several train, of the children that have ended."""
        if self.processes == 1:
            return time.process_time()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime


def accelerator_name(device: str) -> str:
    """Name of the device that trains: the GPU's model, or the processor's architecture."""
    if device == "cpu":
        return f"cpu {platform.machine()}"
    import torch

    return str(torch.cuda.get_device_name())


def peak_memory_bytes(device: str) -> int:
    """Peak memory: allocated on the GPU, or resident in this process so far."""
    if device == "cpu":
        kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return kibibytes if platform.system() == "Darwin" else kibibytes * 1024
    import torch

    return int(torch.cuda.max_memory_allocated())
