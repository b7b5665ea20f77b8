"""What befalls a cluster: a primary that is lost, hangs or is replaced, and a slot that moves.

Each strikes the node that has the round's show, and ends when every primary has a replica again.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from redis.crc import key_slot

from loadtests.torture.faults.processes import DOWN_S_MAX, down
from loadtests.torture.faults.struck import Strike, Struck
from loadtests.torture.faults.twice import newest_show
from loadtests.torture.ground import Ground
from ops.child import StackError
from ops.cluster import NODE_TIMEOUT_MS, Cluster

_ELECTED_WITHIN_S: Final = 20.0
_FAILOVERS_MAX: Final = 3
_FAILOVER_S: Final = 6.0
"""A fail-over by hand is given up by the replica after 5 s."""
_POLL_S: Final = 0.02
_AFTER_S_MAX: Final = 1.5
_LATE_S: Final = (0.5, 2.0)
_AT_ONCE: Final = 0.25
_FORCED: Final = 0.4

_Where = tuple[str, int]
"""A key of the round's show, and the node that has it."""

_Act = Callable[[Ground, _Where, random.Random], Awaitable[tuple[float | None, str]]]
"""Returns when the show had a server again, and details."""


async def _kill_primary(
    ground: Ground, where: _Where, dice: random.Random
) -> tuple[float | None, str]:
    """Kill the primary; its replica is elected, and it comes back as a replica.

    Now and then it is back before anybody has missed it.
    """
    _, node = where
    cluster = ground.stack.cluster
    child, down_s = cluster.children[node], dice.uniform(0, DOWN_S_MAX)
    if dice.random() < _AT_ONCE:
        async with down(child, 0):
            await asyncio.to_thread(child.kill, restart=False)
        return time.monotonic(), f"{child.name} killed, and back at once"
    async with down(child, down_s):
        await asyncio.to_thread(child.kill, restart=False)
        elected = await _until_another_has_it(cluster, where)
    return elected, f"{child.name} killed, back {down_s:.2f} s after the election"


async def _pause_primary(
    ground: Ground, where: _Where, dice: random.Random
) -> tuple[float | None, str]:
    """Stop the primary until it is replaced; it wakes in the belief that the show is its own."""
    _, node = where
    cluster = ground.stack.cluster
    child, more_s = cluster.children[node], dice.uniform(0, _AFTER_S_MAX)
    child.pause()
    try:
        elected = await _until_another_has_it(cluster, where)
        await asyncio.sleep(more_s)
    finally:
        child.resume()
    return elected, f"{child.name} paused, woken {more_s:.2f} s after the election"


async def _kill_replica(
    ground: Ground, where: _Where, dice: random.Random
) -> tuple[float | None, str]:
    """Kill the replica of the show's primary, for longer than its primary needs to miss it."""
    cluster = ground.stack.cluster
    node = await asyncio.to_thread(cluster.replica_of, where[1])
    child, down_s = cluster.children[node], dice.uniform(0, 2 * NODE_TIMEOUT_MS / 1000)
    async with down(child, down_s):
        await asyncio.to_thread(child.kill, restart=False)
    return None, f"{child.name}, a replica, killed, down for {down_s:.2f} s"


async def _fail_over(
    ground: Ground, where: _Where, dice: random.Random
) -> tuple[float | None, str]:
    """Have the replica take over by hand, with its primary's consent or without asking it."""
    cluster = ground.stack.cluster
    replica = await asyncio.to_thread(cluster.replica_of, where[1])
    words = ("FORCE",) if dice.random() < _FORCED else ()
    at = await _take_over(cluster, where, replica, *words)
    return at, " ".join((cluster.children[replica].name, "took over", *words))


async def _migrate_slot(
    ground: Ground, where: _Where, dice: random.Random
) -> tuple[float | None, str]:
    """Move the show's slot to another primary while it sells, at once or key by key."""
    name, source = where
    cluster = ground.stack.cluster
    others = [n for n in await asyncio.to_thread(cluster.primaries) if n != source]
    target, at_once = dice.choice(others), dice.random() < 1 / 2
    move = cluster.move_slot if at_once else cluster.move_slot_key_by_key
    await asyncio.to_thread(move, key_slot(name.encode()), source, target)
    way = "at once" if at_once else "key by key"
    return time.monotonic(), f"the slot moved to {cluster.children[target].name} {way}"


async def _elect_late_replica(
    ground: Ground, where: _Where, dice: random.Random
) -> tuple[float | None, str]:
    """Cut the replica off while buyers go on, then kill the primary: who is elected knows less."""
    cluster = ground.stack.cluster
    replica = await asyncio.to_thread(cluster.replica_of, where[1])
    child, late_s = cluster.children[where[1]], dice.uniform(*_LATE_S)
    with cluster.replica_cut_off(replica):
        await asyncio.sleep(late_s)
        async with down(child, 0):
            await asyncio.to_thread(child.kill, restart=False)
            elected = await _until_another_has_it(cluster, where)
    return elected, f"{child.name} killed after its replica had followed no more for {late_s:.2f} s"


async def _there_and_back(
    ground: Ground, where: _Where, dice: random.Random
) -> tuple[float | None, str]:
    """Have a late replica take over, and hand back before anybody has recovered the show.

    The process is the one that it was, and its data are not: only `master_replid` tells.
    """
    name, first = where
    cluster, worker, late_s = ground.stack.cluster, ground.stack.worker, dice.uniform(*_LATE_S)
    second = await asyncio.to_thread(cluster.replica_of, first)
    with cluster.replica_cut_off(second):
        await asyncio.sleep(late_s)
        worker.pause()
        try:
            await _take_over(cluster, where, second, "FORCE")
            await asyncio.to_thread(cluster.wait_until_whole)
            at = await _take_over(cluster, (name, second), first)
        finally:
            worker.resume()
    there = cluster.children[second].name
    return (
        at,
        f"{there}, {late_s:.2f} s behind, took over, and {cluster.children[first].name} again",
    )


async def _take_over(cluster: Cluster, where: _Where, replica: int, *words: str) -> float:
    """Have a replica take over from its primary; return when it had.

    Raises:
        StackError: it would not.
    """
    for _ in range(_FAILOVERS_MAX):
        with cluster.client(replica) as client:
            client.execute_command("CLUSTER", "FAILOVER", *words)
        with suppress(TimeoutError):
            return await _until_another_has_it(cluster, where, _FAILOVER_S)
    msg = f"{cluster.children[replica].name} never took over"
    raise StackError(msg)


async def _until_another_has_it(
    cluster: Cluster, where: _Where, within_s: float = _ELECTED_WITHIN_S
) -> float:
    """Wait until another node has the show; return when that was seen.

    Raises:
        TimeoutError: none has it in time.
    """
    name, lost = where
    seen_by = (lost + 1) % len(cluster.children)
    async with asyncio.timeout(within_s):
        while True:
            with suppress(StackError):  # nobody has it for a moment
                find = partial(cluster.primary_of, name, seen_by=seen_by)
                if await asyncio.to_thread(find) != lost:
                    return time.monotonic()
            await asyncio.sleep(_POLL_S)


def _strike(kind: str, act: _Act, *, loses_holds: bool) -> Strike:
    async def struck(ground: Ground, dice: random.Random) -> Struck:
        began, cluster = time.monotonic_ns(), ground.stack.cluster
        name = f"{{{await newest_show(ground):016x}}}:meta"
        where = name, await asyncio.to_thread(cluster.primary_of, name)
        serves, details = await act(ground, where, dice)
        await asyncio.to_thread(cluster.wait_until_whole)
        return Struck(
            kind=kind,
            at_ns=began,
            until_ns=time.monotonic_ns(),
            details=details,
            loses_holds=loses_holds,
            serves_ns=None if serves is None else round(serves * 1e9),
        )

    return struck


CLUSTER_FAULTS: Final[dict[str, Strike]] = {
    "kill-primary": _strike("kill-primary", _kill_primary, loses_holds=True),
    "pause-primary": _strike("pause-primary", _pause_primary, loses_holds=True),
    "kill-replica": _strike("kill-replica", _kill_replica, loses_holds=False),
    "failover": _strike("failover", _fail_over, loses_holds=True),
    "migrate-slot": _strike("migrate-slot", _migrate_slot, loses_holds=False),
    "elect-late-replica": _strike("elect-late-replica", _elect_late_replica, loses_holds=True),
    "there-and-back": _strike("there-and-back", _there_and_back, loses_holds=True),
}
"""By kind."""
