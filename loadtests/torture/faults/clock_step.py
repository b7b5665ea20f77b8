"""The store's clock is stepped, ahead or back, and then put right again."""

import asyncio
import random
import time
from typing import Final

from redis.asyncio import Redis

from loadtests.torture.clock import STEP_WITHIN_S, Clock
from loadtests.torture.faults.struck import Struck
from loadtests.torture.ground import Ground

_STEP_S: Final = (0.5, 20.0)
_LASTS_S: Final = (0.2, 2.0)
_EXACT_S: Final = 0.2
_POLL_S: Final = 0.05
_COMMAND_TIMEOUT_S: Final = 5.0


class NoClockError(RuntimeError):
    """This machine has no clock that can be stepped."""


async def step_clock(ground: Ground, dice: random.Random) -> Struck:
    """Step Valkey's clock for a moment.

    Raises:
        NoClockError: libfaketime is not to be had here.
    """
    if ground.clock is None:
        msg = "libfaketime is not to be had here"
        raise NoClockError(msg)
    step_s = dice.uniform(*_STEP_S) * dice.choice((1, -1))
    lasts_s = dice.uniform(*_LASTS_S)
    began = time.monotonic_ns()
    try:
        reached = await _step(ground, ground.clock, step_s)
        await asyncio.sleep(lasts_s)
    finally:
        righted = await _step(ground, ground.clock, 0.0)
    word = "" if reached and righted else " (not seen to take effect)"
    return Struck(
        kind="clock-step",
        at_ns=began,
        until_ns=time.monotonic_ns(),
        details=f"the store's clock {step_s:+.1f} s for {lasts_s:.2f} s{word}",
        clock_step_s=step_s,
    )


async def _step(ground: Ground, clock: Clock, step_s: float) -> bool:
    """Step it; tell whether the server has been seen to go by it."""
    clock.step(step_s)
    until = time.monotonic() + STEP_WITHIN_S
    async with Redis.from_url(
        ground.settings.redis_url, socket_timeout=_COMMAND_TIMEOUT_S
    ) as redis:
        while time.monotonic() < until:
            seconds, micros = await redis.time()
            if abs(seconds + micros / 1e6 - time.time() - step_s) < _EXACT_S:
                return True
            await asyncio.sleep(_POLL_S)
    return False
