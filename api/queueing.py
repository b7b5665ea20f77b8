"""A queue in front of a route whose requests are large."""

import asyncio
from typing import Final

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from api.problems import ProblemError, ProblemKind

_PATIENCE_S: Final = 10
_WAITING_MAX: Final = 16


class OneAtATime(ASGIMiddleware):
    """Lets one request through at a time, before its body is read."""

    scopes = (ScopeType.HTTP,)

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Wait for a turn.

        Raises:
            ProblemError: `overloaded`: it takes too long, or too many wait already.
        """
        if self._waiting >= _WAITING_MAX:
            raise _overloaded()
        self._waiting += 1
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._turn.acquire()
        except TimeoutError:
            raise _overloaded() from None
        finally:
            self._waiting -= 1
        try:
            await next_app(scope, receive, send)
        finally:
            self._turn.release()


def _overloaded() -> ProblemError:
    return ProblemError(
        ProblemKind.OVERLOADED,
        "Other seating plans are being read; repeat in some seconds, with the same key.",
        headers={"Retry-After": "5"},
    )
