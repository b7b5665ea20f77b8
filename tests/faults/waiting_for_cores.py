"""How long a process was ready to run and none of the machine's cores was free for it.

What we promise in seconds we promise of a machine that has them; the other tests' share is told
apart by the kernel: the second number of `/proc/<pid>/task/<tid>/schedstat`, in ns
(https://docs.kernel.org/scheduler/sched-stats.html).
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def waited_for_cores_s(process: int) -> float:
    """Return the seconds of the thread that waited longest, in a process or one that it started.

    Zero where no such file tells it.
    """
    waits = [0]
    for pid in (process, *_descendants(process)):
        for path in (_PROC / str(pid) / "task").glob("*/schedstat"):
            with suppress(OSError):  # it has ended
                waits.append(int(path.read_text(encoding="ascii").split()[1]))
    return max(waits) / 1e9


def _descendants(process: int) -> Iterator[int]:
    parents: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            words = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(words[1])
    found = [process]
    for one in found:
        found += (pid for pid, parent in parents.items() if parent == one)
    yield from found[1:]
