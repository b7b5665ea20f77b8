"""Looks at processes: who descends from whom, and what CPU time they have used."""

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
# proc_pid_stat(5), counted after the name, which may have spaces and brackets in it.
_PARENT: Final = 1
_USER_TICKS: Final = 11
_SYSTEM_TICKS: Final = 12


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it; itself alone where nobody can tell."""
    children: dict[int, list[int]] = {}
    if sys.platform == "linux":
        for folder in _PROC.iterdir():
            if folder.name.isdigit():
                fields = _stat(int(folder.name))
                if fields:
                    children.setdefault(int(fields[_PARENT]), []).append(int(folder.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def cpu_seconds(processes: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Return the CPU seconds that each part has used so far, user and system.

    To a hundredth; what had ended counts no more, and nothing is known but on Linux.
    """
    if sys.platform != "linux":
        return {}
    ticks = os.sysconf("SC_CLK_TCK")
    used: dict[str, float] = {}
    for part, pids in processes.items():
        fields = [_stat(pid) for pid in pids]
        used[part] = sum(int(f[_USER_TICKS]) + int(f[_SYSTEM_TICKS]) for f in fields if f) / ticks
    return used


def _stat(pid: int) -> list[str]:
    """Return the fields after the name; none of a process that has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()
    return []
