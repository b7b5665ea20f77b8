"""What machine a figure was taken on."""

import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Final

from msgspec import Struct

from loadtests.generator.pinning import usable_cpus

_CPU_INFO: Final = Path("/proc/cpuinfo")
_WRITES: Final = 51
_WRITE: Final = b"x" * 4096


class Machine(Struct, frozen=True):
    """A machine, as far as it decides about speed."""

    cpu: str
    cores: int
    """That this process may use."""
    kernel: str
    python: str
    load_average: float
    """Of the last minute: what else was going on."""
    fsync_us: float
    """Median time to append 4 KiB to a file and have them on disk, where the stores are."""


def read_machine() -> Machine:
    """Look at this machine."""
    return Machine(
        cpu=_cpu(),
        cores=len(usable_cpus()),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        load_average=round(os.getloadavg()[0], 2),
        fsync_us=round(_fsync_us(), 1),
    )


def _cpu() -> str:
    if sys.platform == "linux":
        for line in _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _fsync_us() -> float:
    took: list[float] = []
    with tempfile.TemporaryFile(buffering=0) as file:
        for _ in range(_WRITES):
            began = time.perf_counter()
            file.write(_WRITE)
            os.fsync(file.fileno())
            took.append((time.perf_counter() - began) * 1e6)
    return median(took)
