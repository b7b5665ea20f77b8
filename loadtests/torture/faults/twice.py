"""Work that is done twice at once, or goes on long after somebody else has done it."""

import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.database import connect_once
from engine.platform.settings import RECORDER_ROLE, variable
from loadtests.torture.faults.processes import send
from loadtests.torture.ground import Ground, valkey_url_at
from loadtests.torture.proxy import Proxy
from ops import servers
from ops.child import Child
from ops.places import ROOT

_START_TIMEOUT_S: Final = 15.0
_END_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.01
_TOLD_WITHIN_S: Final = 30.0
_SLOW_S: Final = (0.0, 0.03)
_BOTH_S: Final = (0.2, 1.0)
_PAUSED_S: Final = (0.3, 2.5)
_RECOVERY_SLOW_S: Final = (0.003, 0.012)
# By measurement: how many times a message's delay a recovery of a small show takes.
_RECOVERY_DELAYS: Final = 230
_CUTS: Final = 0.7
_NEWEST_SHOW: Final = text("SELECT id FROM shows ORDER BY created_at DESC LIMIT 1")


async def duplicate_deliveries(ground: Ground, dice: random.Random) -> str:
    """Let two recorders work on the same streams, and stop one amid its work for a while.

    Who was stopped goes on with what it had read, which the other has recorded meanwhile.
    """
    slow_s, paused_s = dice.uniform(*_SLOW_S), dice.uniform(*_PAUSED_S)
    before_s, after_s = dice.uniform(*_BOTH_S), dice.uniform(*_BOTH_S)
    worker, links = ground.stack.worker, ground.proxies["worker-postgres"]
    log = worker.plan.log.with_name("second-worker.log")
    second = Child(replace(worker.plan, name="second worker", log=log), ground.report)
    connected = links.connections
    links.delay(slow_s)
    try:
        await asyncio.to_thread(second.start)
        await _until_connected(links, connected + 1)
        await asyncio.sleep(before_s)
        worker.pause()
        try:
            await asyncio.sleep(paused_s)
        finally:
            worker.resume()
        await asyncio.sleep(after_s)
    finally:
        links.delay(0)
        await asyncio.to_thread(second.kill, restart=False)
    return f"two recorders, the first paused for {paused_s:.2f} s, {slow_s * 1000:.0f} ms a message"


async def two_recoveries(ground: Ground, dice: random.Random) -> str:
    """Recover the newest show twice at once, and stop one recovery in the middle.

    Sometimes its way to PostgreSQL is cut meanwhile, so that it loses its locks and the other
    overtakes it: what it still writes to the store when it wakes must be refused.
    """
    slow_s, asleep_s = dice.uniform(*_RECOVERY_SLOW_S), dice.uniform(*_PAUSED_S)
    amid_s, is_cut = dice.uniform(0, _RECOVERY_DELAYS * slow_s), dice.random() < _CUTS
    show = await newest_show(ground)
    async with _victims_proxies(ground, slow_s) as (to_valkey, to_postgres, environment):
        victim = await _recover(show, environment)
        rival = await _recover(show, dict(ground.stack.worker.plan.environment))
        try:
            await _until_connected(to_postgres, 1)
            await asyncio.sleep(amid_s)
            send(victim.pid, signal.SIGSTOP)
            cut = to_postgres.cut() if is_cut else 0
            await asyncio.sleep(asleep_s)
            send(victim.pid, signal.SIGCONT)
            for proxy in (to_valkey, to_postgres):
                proxy.delay(0)
            codes = [await _end(victim), await _end(rival)]
        finally:
            for process in (victim, rival):
                send(process.pid, signal.SIGKILL)
                await process.wait()
    return (
        f"two recoveries, one asleep for {asleep_s:.2f} s after {amid_s:.2f} s, {cut} of its "
        f"connections cut; they ended with {codes}"
    )


async def newest_show(ground: Ground) -> int:
    """Return the round's show, also where PostgreSQL is down just now.

    Raises:
        TimeoutError: nobody told it.
    """
    async with asyncio.timeout(_TOLD_WITHIN_S):
        while True:
            with suppress(SQLAlchemyError, OSError):
                async with connect_once(ground.settings.database_url) as connection:
                    return (await connection.execute(_NEWEST_SHOW)).scalar_one()
            await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def _victims_proxies(
    ground: Ground, slow_s: float
) -> AsyncGenerator[tuple[Proxy, Proxy, dict[str, str]]]:
    """Open ways of its own to both stores, and the environment of who takes them."""
    async with AsyncExitStack() as exits:
        sockets = Path(tempfile.mkdtemp(prefix="onsale-torture-"))
        exits.callback(shutil.rmtree, sockets, ignore_errors=True)
        proxies: list[Proxy] = []
        for name in (servers.SOCKETS["valkey"], servers.SOCKETS["postgres"]):
            proxy = Proxy(sockets / name, ground.stack.directory / "run" / name)
            proxy.delay(slow_s)
            proxies.append(await exits.enter_async_context(proxy))
        environment = dict(ground.stack.worker.plan.environment) | {
            variable("database_url"): servers.postgres_url(sockets, RECORDER_ROLE),
        }
        if ground.shape != "cluster":
            url = valkey_url_at(sockets, ground.settings.redis_url)
            environment[variable("redis_url")] = url
        yield proxies[0], proxies[1], environment


async def _recover(show: int, environment: dict[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", "recover", f"{show:016x}"),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def _end(process: Process) -> int | None:
    """Return its exit code; None if it does not end in time."""
    try:
        async with asyncio.timeout(_END_TIMEOUT_S):
            return await process.wait()
    except TimeoutError:
        return None


async def _until_connected(proxy: Proxy, connections: int) -> None:
    until = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < until and proxy.connections < connections:  # noqa: ASYNC110 -- no event
        await asyncio.sleep(_POLL_S)
