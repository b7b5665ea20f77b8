"""Keeps processes on given cores, as `taskset` does, so that a measurement can be repeated."""

import os
import sys
from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path


def usable_cpus() -> list[int]:
    """Return the cores that this process may use; one, called 0, where nobody can tell."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return [0]


@contextmanager
def children_on(cpus: Collection[int]) -> Generator[None]:
    """Have what this thread starts inside the block run on these cores only; none: anywhere."""
    if sys.platform != "linux" or not cpus:
        yield
        return
    before = os.sched_getaffinity(0)  # of this thread, despite its name
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pids: Iterable[int], cpus: Collection[int]) -> None:
    """Move processes with all their threads to these cores; those that have ended are left out."""
    if sys.platform != "linux" or not cpus:
        return
    for pid in pids:
        # A thread that is born in between has its parent's cores, old or new: the second look
        # finds it.
        for _ in range(2):
            with suppress(FileNotFoundError, ProcessLookupError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(task.name), cpus)
