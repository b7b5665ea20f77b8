"""Processes that are killed, and processes that stop and go on as if nothing had been."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

from loadtests.bench.processes import family
from loadtests.torture.faults.struck import Act
from loadtests.torture.ground import Ground
from ops.child import Child, StackError

DOWN_S_MAX: Final = 1.5
_BACK_S: Final = 60.0
# A store's time-out lies between: most pauses are shorter, some outlast every deadline there is.
_SHORT_PAUSE_S: Final = (0.2, 1.5)
_LONG_PAUSE_S: Final = (3.2, 5.0)
_LONG_PAUSES: Final = 0.4


def child_of(ground: Ground, part: str) -> Child:
    """Return a part by its name."""
    children = {child.name: child for child in ground.stack.children}
    return children[part]


async def bring_back(child: Child) -> None:
    """Start a part that is down and wait until it serves.

    Raises:
        StackError: it did not within a minute.
    """
    with suppress(StackError):
        await asyncio.to_thread(child.start)
        return
    # As when the last backend of a killed PostgreSQL was still there: the supervisor tries again.
    await asyncio.to_thread(child.wait_until_ready, _BACK_S)


@asynccontextmanager
async def down(child: Child, seconds: float) -> AsyncGenerator[None]:
    """Let a part be ended in the block, and start it again so many seconds after.

    Raises:
        StackError: it did not come back within a minute.
    """
    try:
        yield
        await asyncio.sleep(seconds)
    finally:
        await bring_back(child)


def kill(part: str) -> Act:
    """End a part with all its processes at once, and start it a little later."""

    async def act(ground: Ground, dice: random.Random) -> str:
        down_s = dice.uniform(0, DOWN_S_MAX)
        child = child_of(ground, part)
        async with down(child, down_s):
            await asyncio.to_thread(_kill_all, child)
        return f"{part} killed, down for {down_s:.2f} s"

    return act


def kill_one_of(part: str) -> Act:
    """End one of a part's subprocesses: the part itself has to notice and replace it."""

    async def act(ground: Ground, dice: random.Random) -> str:
        child = child_of(ground, part)
        _, *subprocesses = await asyncio.to_thread(family, child.pid)
        victim = dice.choice(sorted(subprocesses)) if subprocesses else child.pid
        send(victim, signal.SIGKILL)
        await asyncio.to_thread(child.wait_until_ready, _BACK_S)
        return f"one of {len(subprocesses)} processes of {part} killed"

    return act


def pause(part: str) -> Act:
    """Stop a part with all its processes; its connections stay open. Then let it go on."""

    async def act(ground: Ground, dice: random.Random) -> str:
        paused_s = dice.uniform(
            *(_LONG_PAUSE_S if dice.random() < _LONG_PAUSES else _SHORT_PAUSE_S)
        )
        child = child_of(ground, part)
        stopped = await asyncio.to_thread(_stop_all, child.pid)
        try:
            await asyncio.sleep(paused_s)
        finally:
            for pid in stopped:
                send(pid, signal.SIGCONT)
        await asyncio.to_thread(child.wait_until_ready, _BACK_S)
        return f"{part} paused for {paused_s:.2f} s"

    return act


def _kill_all(child: Child) -> None:
    """A part's subprocesses may have groups of their own, as PostgreSQL's have."""
    for pid in _stop_all(child.pid)[1:]:
        send(pid, signal.SIGKILL)
    child.kill(restart=False)


def _stop_all(pid: int) -> list[int]:
    """Stop a process, then whatever it had forked until then; return them all."""
    stopped = [pid]
    send(pid, signal.SIGSTOP)
    for member in family(pid)[1:]:
        send(member, signal.SIGSTOP)
        stopped.append(member)
    return stopped


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process, unless it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
