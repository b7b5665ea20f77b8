"""What is done to the inventory store and its files."""

import asyncio
import random
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from loadtests.torture.faults.processes import DOWN_S_MAX, down
from loadtests.torture.ground import Ground
from ops.doctor.store import store_urls

_CUT_BYTES_MAX: Final = 600
_FLUSHES_MAX: Final = 20
_FLUSH_PAUSE_S_MAX: Final = 0.05
_COMMAND_TIMEOUT_S: Final = 5.0


async def truncate_aof(ground: Ground, dice: random.Random) -> str:
    """Kill the server and cut off the end of what it had written, as a torn write would."""
    cut_bytes = dice.randint(1, _CUT_BYTES_MAX)
    down_s = dice.uniform(0, DOWN_S_MAX)
    valkey = ground.stack.valkey
    async with down(valkey, down_s):
        await asyncio.to_thread(valkey.kill, restart=False)
        left = await asyncio.to_thread(_cut_tail, ground.stack.directory / "valkey", cut_bytes)
    return f"the last {cut_bytes} bytes of the AOF cut off, {left} left"


async def wipe(ground: Ground, dice: random.Random) -> str:
    """Kill the server and empty its disk."""
    down_s = dice.uniform(0, DOWN_S_MAX)
    valkey = ground.stack.valkey
    async with down(valkey, down_s):
        await asyncio.to_thread(valkey.kill, restart=False)
        await asyncio.to_thread(_empty, ground.stack.directory / "valkey")
    return f"the store emptied, down for {down_s:.2f} s"


async def flush_scripts(ground: Ground, dice: random.Random) -> str:
    """Have the server forget all scripts, again and again: between a load and a call, too."""
    times = dice.randint(1, _FLUSHES_MAX)
    async with AsyncExitStack() as exits:
        servers = [
            await exits.enter_async_context(Redis.from_url(url, socket_timeout=_COMMAND_TIMEOUT_S))
            for url in store_urls(ground.settings.redis_url)
        ]
        for _ in range(times):
            for server in servers:
                await server.script_flush()
            await asyncio.sleep(dice.uniform(0, _FLUSH_PAUSE_S_MAX))
    return f"scripts forgotten {times} times"


def _cut_tail(directory: Path, cut_bytes: int) -> int:
    """Shorten the file that was written to last; return what is left of it."""
    parts = sorted(
        (directory / "appendonlydir").glob("*.incr.aof"),
        key=lambda path: int(path.name.split(".")[-3]),
    )
    size = max(0, parts[-1].stat().st_size - cut_bytes)
    with parts[-1].open("r+b") as file:
        file.truncate(size)
    return size


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
