"""How much of the time a thread of this process wanted a core, whether it got one or not."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_THREADS: Final = Path("/proc/self/task")
_NS_PER_S: Final = 1_000_000_000


class CpuDemand:
    """Of the busiest thread: it ran, or waited to run (`schedstat`, proc-schedstats of Linux).

    What a process has used says little where others use the machine too: one that is starved has
    used next to nothing. Where the system does not tell, it is what the whole process has used.
    """

    def __init__(self) -> None:
        """Begin to measure."""
        self._read_at = time.monotonic()
        self._before = _wanted_s()

    def share(self) -> float:
        """Return which share of the time since this was asked last it was; 1 is all of it."""
        now, wanted = time.monotonic(), _wanted_s()
        took_s = max(now - self._read_at, 1e-6)
        shares = [wanted[thread] - self._before.get(thread, 0.0) for thread in wanted]
        self._read_at, self._before = now, wanted
        return max(shares, default=0.0) / took_s


def _wanted_s() -> dict[str, float]:
    wanted: dict[str, float] = {}
    with suppress(OSError):
        for thread in os.listdir(_THREADS):  # noqa: PTH208 - ten times a second
            with suppress(OSError, ValueError):  # it has ended
                told = (_THREADS / thread / "schedstat").read_bytes().split()
                wanted[thread] = (int(told[0]) + int(told[1])) / _NS_PER_S
    return wanted or {"": time.process_time()}
