"""Connections that are reset, and answers and requests that are lost on their way."""

import asyncio
import random
from contextlib import suppress
from typing import Final

from loadtests.torture.faults.struck import Act
from loadtests.torture.ground import Ground
from loadtests.torture.proxy import Toll

_CUTS_MAX: Final = 5
_CUT_PAUSE_S_MAX: Final = 0.2
_DROPS_MAX: Final = 4
_DROPS_WITHIN_S: Final = 2.0
_STALL_S: Final = (0.2, 4.5)
_PICKY: Final = 0.5
_COMMIT: Final = b"COMMIT"
"""In what is sent and answered when PostgreSQL commits."""


def cut(proxy: str) -> Act:
    """Reset all connections of a proxy, a few times."""

    async def act(ground: Ground, dice: random.Random) -> str:
        times = dice.randint(1, _CUTS_MAX)
        ended = 0
        for _ in range(times):
            ended += ground.proxies[proxy].cut()
            await asyncio.sleep(dice.uniform(0, _CUT_PAUSE_S_MAX))
        return f"{ended} connections cut in {times} cuts"

    return act


def drop_replies(proxy: str) -> Act:
    """Swallow some replies: the server has acted, and who asked sees its connection end."""

    async def act(ground: Ground, dice: random.Random) -> str:
        return await _drop(proxy, ground.proxies[proxy].replies, dice)

    return act


def drop_requests(proxy: str) -> Act:
    """Swallow some requests before the server sees them."""

    async def act(ground: Ground, dice: random.Random) -> str:
        return await _drop(proxy, ground.proxies[proxy].requests, dice)

    return act


def stall(proxy: str) -> Act:
    """Let no byte pass for a while; connections stay open, and everything arrives afterwards."""

    async def act(ground: Ground, dice: random.Random) -> str:
        stalled_s = dice.uniform(*_STALL_S)
        ground.proxies[proxy].pause(stalled_s)
        await asyncio.sleep(stalled_s)
        return f"stalled for {stalled_s:.2f} s"

    return act


async def _drop(name: str, toll: Toll, dice: random.Random) -> str:
    # Of what is said to PostgreSQL little is a commit, and those are the ones that hurt.
    picky = name.endswith("postgres") and dice.random() < _PICKY
    count, before = dice.randint(1, _DROPS_MAX), toll.taken
    toll.set(count, _COMMIT if picky else b"")
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DROPS_WITHIN_S):
                await toll.over.wait()
    finally:
        toll.set(0, b"")
    return f"{toll.taken - before} of {count} {'commits' if picky else 'messages'} dropped"
