"""How much memory the parts of a platform take, from Linux' /proc.

What is told is PSS, the proportional set size (proc_pid_smaps(5)): pages that processes share are
divided among them, so PostgreSQL's shared buffers count once, however many backends use them. Of
a process whose maps may not be read it is the resident size.
"""

import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_KIB_A_MIB: Final = 1024
_GONE: Final = (FileNotFoundError, ProcessLookupError)


def share_out(roots: Mapping[str, int]) -> dict[str, list[int]]:
    """Return each part's processes: its root and all that descend from it, but from no later root.

    One look at /proc for all parts; the roots alone on anything but Linux.
    """
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*/stat"):
        with suppress(*_GONE):
            # The second field, a name in parentheses, may have anything in it: `pid (name) S ppid`.
            _, _, after_name = entry.read_text(errors="replace").rpartition(")")
            children.setdefault(int(after_name.split()[1]), []).append(int(entry.parent.name))
    parts: dict[str, list[int]] = {}
    others = set(roots.values())
    for part, root in roots.items():
        found = [root]
        for pid in found:
            found += (child for child in children.get(pid, ()) if child not in others)
        parts[part] = found
    return parts


def memory_mib(parts: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Return the MiB (PSS) of each part's processes together; {} on anything but Linux."""
    if sys.platform != "linux":
        return {}
    return {part: round(sum(map(_pss_kib, pids)) / _KIB_A_MIB, 1) for part, pids in parts.items()}


def is_called(pid: int, name: str) -> bool:
    """Tell whether a process runs a program of this name; nobody can on anything but Linux."""
    with suppress(*_GONE):
        return (_PROC / str(pid) / "comm").read_text(errors="replace").strip() == name
    return False


def _pss_kib(pid: int) -> int:
    """Return 0 for a process that has ended, and the resident size of one that hides its maps."""
    folder = _PROC / str(pid)
    with suppress(*_GONE):
        try:
            return _field(folder / "smaps_rollup", "Pss:")
        except PermissionError:
            return _field(folder / "status", "VmRSS:")
    return 0


def _field(path: Path, name: str) -> int:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
