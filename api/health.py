"""Whether this process lives and whether it can serve, and where to read on."""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

import structlog
from litestar import Request, Router, get
from msgspec import Struct

from api.context import runtime_of
from api.problems import ProblemError, ProblemKind
from engine.platform.errors import StoreUnavailableError, store_failures
from engine.tenancy.keys import authenticate

_TIMEOUT_S: Final = 1.5
_OK: Final = "ok"

_log = structlog.stdlib.get_logger(__name__)


class Alive(Struct, frozen=True):
    """The process answers."""

    status: str = "alive"


class Ready(Struct, frozen=True):
    """Both stores answer too."""

    status: str
    redis: str
    postgresql: str


class Welcome(Struct, frozen=True):
    """Where to read on."""

    name: str = "Onsale"
    openapi: str = "/schema/openapi.json"
    health: str = "/health/ready"
    shows: str = "/v1/shows"


@get("/health/live", summary="Whether the process answers", security=[])
async def live() -> Alive:
    """Answer without asking anybody."""
    return Alive()


@get("/health/ready", summary="Whether the process can serve", security=[])
async def ready(request: Request[Any, Any, Any]) -> Ready:
    """Ask both stores; `503` says which of them does not answer."""
    runtime = runtime_of(request)
    redis, postgresql = await asyncio.gather(
        _ask(runtime.redis.ping()),
        # The look-up that every request starts with, of a key that nobody has.
        _ask(authenticate(runtime.app_engine, "readiness")),
    )
    if redis != _OK or postgresql != _OK:
        raise ProblemError(
            ProblemKind.UNAVAILABLE,
            f"Redis: {redis}; PostgreSQL: {postgresql}.",
            members={"redis": redis, "postgresql": postgresql},
        )
    return Ready("ready", redis, postgresql)


@get("/", summary="Where to read on", security=[])
async def welcome() -> Welcome:
    """Point to the documentation."""
    return Welcome()


async def _ask(question: Awaitable[object]) -> str:
    try:
        with store_failures():
            async with asyncio.timeout(_TIMEOUT_S):
                await question
    except StoreUnavailableError as error:
        _log.warning("a store does not answer", error=str(error))
        return "does not answer"
    return _OK


router = Router(path="/", tags=["health"], route_handlers=[live, ready, welcome])
