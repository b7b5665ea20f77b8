"""A disk that is full: Valkey may write no more to its files."""

import asyncio
import random
import resource
import sys
import time
from typing import Final

from loadtests.torture.faults.processes import bring_back
from loadtests.torture.ground import Ground
from ops.child import Child

_FULL_S: Final = (0.3, 2.5)
_ROOM_BYTES_MAX: Final = 4000
_POLL_S: Final = 0.01
_EVERYTHING: Final = resource.RLIM_INFINITY


async def fill_disk(ground: Ground, dice: random.Random) -> str:
    """Let Valkey's files grow by a few bytes and no more, for a while.

    A write beyond the limit is cut short and then refused, as on a full disk: setrlimit(2),
    RLIMIT_FSIZE. Whatever the server makes of that (with `appendfsync always` it ends), the limit
    also holds for who is started in its place.
    """
    full_s, room_bytes = dice.uniform(*_FULL_S), dice.randint(0, _ROOM_BYTES_MAX)
    valkey = ground.stack.valkey
    limit = room_bytes + max(
        path.stat().st_size
        for path in (ground.stack.directory / "valkey" / "appendonlydir").glob("*.aof")
    )
    pids: list[int] = []
    until = time.monotonic() + full_s
    try:
        while time.monotonic() < until:
            if valkey.pid not in pids:
                pids.append(valkey.pid)
            _limit(valkey, limit)
            await asyncio.sleep(_POLL_S)
    finally:
        _limit(valkey, _EVERYTHING)
        await bring_back(valkey)
        _limit(valkey, _EVERYTHING)  # of one that was started in between
    ended = len(pids) - 1 + (valkey.pid != pids[-1])
    return (
        f"the disk full for {full_s:.2f} s after {room_bytes} bytes; the server ended {ended} times"
    )


def _limit(child: Child, limit: int) -> None:
    if sys.platform != "linux":
        return
    try:
        _, hard = resource.prlimit(child.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (limit, hard))
    except ProcessLookupError:
        return  # it has just ended, and its successor comes next
