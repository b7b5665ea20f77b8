"""What befalls a primary and its replica; each ends when the replica follows again."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from loadtests.torture.faults.processes import DOWN_S_MAX, bring_back, down
from loadtests.torture.faults.struck import Strike, Struck
from loadtests.torture.ground import Ground
from ops.stack import Stack

_HANGS_S: Final = (0.0, 2.5)
_PAUSED_S: Final = (0.2, 4.5)

_Act = Callable[[Stack, random.Random], Awaitable[tuple[float | None, str]]]
"""Returns when there was a primary again, and details."""


async def _promote_replica(stack: Stack, _dice: random.Random) -> tuple[float | None, str]:
    """Kill the primary and have its replica take over."""
    old = stack.valkey
    await asyncio.to_thread(stack.promote_replica)
    serves = time.monotonic()
    await bring_back(old)
    return serves, f"{old.name} killed, {stack.valkey.name} promoted"


async def _replace_paused(stack: Stack, dice: random.Random) -> tuple[float | None, str]:
    """Have the replica take over from a primary that hangs, and goes on later as if nothing was."""
    old, before_s, after_s = stack.valkey, dice.uniform(*_HANGS_S), dice.uniform(*_HANGS_S)
    old.pause()
    try:
        await asyncio.to_thread(partial(stack.promote_replica, kill=False))
        serves = time.monotonic()
        await asyncio.sleep(before_s)
    finally:
        old.resume()
    await asyncio.sleep(after_s)
    await asyncio.to_thread(old.kill, restart=False)
    await bring_back(old)
    woken = f"woken {before_s:.2f} s later, and went on for {after_s:.2f} s"
    return serves, f"{old.name} paused, {stack.valkey.name} promoted; the old one {woken}"


async def _kill_primary(stack: Stack, dice: random.Random) -> tuple[float | None, str]:
    """Kill the primary; it comes back as the primary."""
    child, down_s = stack.valkey, dice.uniform(0, DOWN_S_MAX)
    async with down(child, down_s):
        await asyncio.to_thread(child.kill, restart=False)
    return time.monotonic(), f"{child.name}, the primary, killed, down for {down_s:.2f} s"


async def _kill_replica(stack: Stack, dice: random.Random) -> tuple[float | None, str]:
    """Kill the replica: the primary has nobody to follow it, and sells nothing."""
    (child,), down_s = stack.replicas, dice.uniform(0, DOWN_S_MAX)
    async with down(child, down_s):
        await asyncio.to_thread(child.kill, restart=False)
    return None, f"{child.name}, the replica, killed, down for {down_s:.2f} s"


async def _pause_replica(stack: Stack, dice: random.Random) -> tuple[float | None, str]:
    """Stop the replica: the primary goes on, but no purchase finds it acknowledged."""
    (child,), paused_s = stack.replicas, dice.uniform(*_PAUSED_S)
    child.pause()
    try:
        await asyncio.sleep(paused_s)
    finally:
        child.resume()
    return None, f"{child.name}, the replica, paused for {paused_s:.2f} s"


def _strike(kind: str, act: _Act, *, loses_holds: bool) -> Strike:
    async def struck(ground: Ground, dice: random.Random) -> Struck:
        began = time.monotonic_ns()
        serves, details = await act(ground.stack, dice)
        await asyncio.to_thread(ground.stack.await_replicas)
        return Struck(
            kind=kind,
            at_ns=began,
            until_ns=time.monotonic_ns(),
            details=details,
            loses_holds=loses_holds,
            serves_ns=None if serves is None else round(serves * 1e9),
        )

    return struck


REPLICA_FAULTS: Final[dict[str, Strike]] = {
    "promote-replica": _strike("promote-replica", _promote_replica, loses_holds=True),
    "replace-paused-primary": _strike("replace-paused-primary", _replace_paused, loses_holds=True),
    "kill-primary": _strike("kill-primary", _kill_primary, loses_holds=False),
    "kill-replica": _strike("kill-replica", _kill_replica, loses_holds=False),
    "pause-replica": _strike("pause-replica", _pause_replica, loses_holds=False),
}
"""By kind."""
