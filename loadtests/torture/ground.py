"""The ground that is fought on: a whole platform whose parts reach each other through proxies only.

    clients -> api -> valkey, postgres
            worker -> valkey, postgres

API and worker have proxies of their own, so that a fault may hit one and spare the other. Whoever
reads the stores afterwards uses the `settings`, which lead there directly.
"""

import asyncio
import logging
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from engine.platform.settings import APP_ROLE, RECORDER_ROLE, Settings, variable
from loadtests.torture.clock import Clock, find_library
from loadtests.torture.proxy import Proxy
from ops import servers
from ops.child import Plan, Report
from ops.places import HOME
from ops.port import Port
from ops.stack import Stack

CLIENTS: Final = "clients-api"
"""The proxy between the buyers and the API."""

_HOST: Final = "127.0.0.1"
_ROLES: Final = {"api": APP_ROLE, "worker": RECORDER_ROLE}
"""The parts that are given proxies, and whom PostgreSQL knows them as."""
# The URLs that only other roles use: a part that found one would pass by its proxy.
_OTHER_URLS: Final = (
    "queue_redis_url",
    "app_database_url",
    "recorder_database_url",
    "auditor_database_url",
)

_FAKETIME: Final = HOME / "tools" / "faketime"

_logger = logging.getLogger("onsale.torture")

Shape = Literal["single", "replicas", "cluster"]
"""What the inventory store is: one server, one with a replica, or a cluster of six."""

Adjust = Callable[[Plan], Plan]
"""Changes how a child is run; the plan's `name` says which: valkey, postgres, api or worker."""


class Ground(Struct, frozen=True, kw_only=True):
    """A running platform and what stands between its parts."""

    stack: Stack
    proxies: Mapping[str, Proxy]
    """By who talks to whom: clients-api, api-valkey, api-postgres, worker-valkey, ..."""
    base_url: str
    """Where clients reach the API, through their proxy."""
    clock: Clock | None
    """Valkey's, which can be stepped; None where libfaketime is not to be had."""
    report: Report
    """Takes a line for each step and each restart."""
    shape: Shape = "single"

    @property
    def settings(self) -> Settings:
        """What leads to the stores directly, for who reads them."""
        return self.stack.settings


@asynccontextmanager
async def open_ground(  # noqa: PLR0913 -- each is a choice of its own, all by name
    directory: Path,
    *,
    shape: Shape = "single",
    api_workers: int = 1,
    mutant: Adjust | None = None,
    environment: Mapping[str, str] | None = None,
    report: Report = _logger.info,
) -> AsyncGenerator[Ground]:
    """Start a platform in this directory; stop it at the end of the block, the data stay.

    Args:
        directory: where data, logs and sockets are kept.
        shape: what the inventory store is. A cluster's nodes tell their own addresses, so there are
            no proxies before them; nor can the clock of more than one server be stepped.
        api_workers: API processes.
        mutant: changes the plan of each part last, to run a broken engine.
        environment: `ONSALE_*` settings beside the usual ones.
        report: takes a line for each step and each restart.

    Raises:
        StackError: a part could not be started; nothing is left running.
    """
    async with AsyncExitStack() as exits:
        # Short, since a socket's path is; mkdtemp makes it private.
        sockets = Path(tempfile.mkdtemp(prefix="onsale-torture-"))
        exits.callback(shutil.rmtree, sockets, ignore_errors=True)
        port = exits.enter_context(Port(_HOST, 0))
        proxies = _make_proxies(sockets, directory, port.number)
        for proxy in proxies.values():
            await exits.enter_async_context(proxy)
        library = (
            await asyncio.to_thread(find_library, _FAKETIME, report) if shape == "single" else None
        )
        clock = None if library is None else Clock(library, sockets / "clock")
        stack = Stack(
            directory,
            port=port,
            api_workers=api_workers,
            replicas=1 if shape == "replicas" else 0,
            cluster=shape == "cluster",
            environment={} if environment is None else environment,
            adjust=_adjust(sockets, clock, mutant, shape),
            report=report,
        )
        # In a thread: to become ready the API talks through the proxies, which this loop runs.
        exits.push_async_callback(asyncio.to_thread, stack.stop)
        await asyncio.to_thread(stack.start)
        base_url = f"http://{_HOST}:{proxies[CLIENTS].port}"
        yield Ground(
            stack=stack,
            proxies=proxies,
            base_url=base_url,
            clock=clock,
            report=report,
            shape=shape,
        )


def _make_proxies(sockets: Path, directory: Path, port: int) -> dict[str, Proxy]:
    proxies = {CLIENTS: Proxy((_HOST, 0), (_HOST, port))}
    for part in _ROLES:
        (sockets / part).mkdir()
        for server, name in servers.SOCKETS.items():
            upstream = directory.absolute() / "run" / name
            proxies[f"{part}-{server}"] = Proxy(sockets / part / name, upstream)
    return proxies


def _adjust(sockets: Path, clock: Clock | None, mutant: Adjust | None, shape: Shape) -> Adjust:
    def adjust(plan: Plan) -> Plan:
        if plan.name in _ROLES:
            plan = _through_proxies(plan, sockets, shape)
        elif plan.name == "valkey" and clock is not None:
            plan = clock.given_to(plan)
        return plan if mutant is None else mutant(plan)

    return adjust


def _through_proxies(plan: Plan, sockets: Path, shape: Shape) -> Plan:
    urls = dict.fromkeys(_OTHER_URLS, "") | {
        "redis_url": valkey_url_at(
            sockets / plan.name, plan.environment.get(variable("redis_url"), "")
        ),
        "database_url": servers.postgres_url(sockets / plan.name, _ROLES[plan.name]),
    }
    if shape == "cluster":
        del urls["redis_url"], urls["queue_redis_url"]
    through = {variable(name): url for name, url in urls.items()}
    return replace(plan, environment={**plan.environment, **through})


def valkey_url_at(sockets: Path, url: str) -> str:
    """Return a Valkey's URL with its password, as it is reached by a socket that lies there."""
    return servers.valkey_url(sockets, urlsplit(url).password or "")
