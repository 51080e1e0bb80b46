"""What a block costs: device seconds, peak memory, and the name of the device."""

import platform
import resource
import time


class Clock:
    """Wall seconds and GPU-seconds of a piece of work. On a CPU, a GPU-second is a second of processor time."""

    def __init__(self, device: str):
        self.device = device
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        """Wall-clock seconds since the start."""
        return time.perf_counter() - self._wall

    def gpu_seconds(self) -> float:
        """Seconds of device time since the start: processor time on a CPU, wall time of one device on a GPU."""
        return time.process_time() - self._processor if self.device == "cpu" else self.seconds()


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
