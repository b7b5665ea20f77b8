"""A queue in front of a route whose requests are large."""

import asyncio
from collections import Counter
from typing import Final

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import (
    ASGIApp,
    HTTPReceiveMessage,
    Receive,
    Scope,
    Send,
    WebSocketReceiveMessage,
)

from api.problems import ProblemError, ProblemKind
from engine.platform.ids import EntityId

_PATIENCE_S: Final = 10
_AT_ONCE_MAX: Final = 12
_OF_ONE_RESELLER_MAX: Final = 4


class OneAtATime(ASGIMiddleware):
    """Lets one request work at a time, once its whole body is there.

    So a body that comes slowly holds nobody up; how many may be on their way is bounded, and how
    many of one reseller's among them.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._turn = asyncio.Semaphore(1)
        self._present: Counter[EntityId] = Counter()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Serve a request.

        Raises:
            ProblemError: `overloaded`: too many are there already, or its turn takes too long.
        """
        visit = _Visit(self._turn, self._present, scope, receive)
        try:
            await next_app(scope, visit.receive, send)
        finally:
            visit.leave()


class _Visit:
    """One request's way through the queue; it starts when its body is first asked for."""

    def __init__(
        self, turn: asyncio.Semaphore, present: Counter[EntityId], scope: Scope, receive: Receive
    ) -> None:
        self._turn = turn
        self._present = present
        self._scope = scope
        self._receive = receive
        self._reseller: EntityId | None = None
        self._has_turn = False

    async def receive(self) -> HTTPReceiveMessage | WebSocketReceiveMessage:
        if self._reseller is None:
            self._enter(self._scope["user"])
        message = await self._receive()
        is_last = message["type"] == "http.request" and not message.get("more_body", False)
        if is_last and not self._has_turn:
            await self._wait_for_turn()
        return message

    def _enter(self, reseller: EntityId) -> None:
        total = self._present.total()
        if total >= _AT_ONCE_MAX or self._present[reseller] >= _OF_ONE_RESELLER_MAX:
            raise _overloaded()
        self._present[reseller] += 1
        self._reseller = reseller

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._turn.acquire()
        except TimeoutError:
            raise _overloaded() from None
        self._has_turn = True

    def leave(self) -> None:
        if self._has_turn:
            self._turn.release()
        if self._reseller is not None:
            self._present[self._reseller] -= 1
            if not self._present[self._reseller]:
                del self._present[self._reseller]


def _overloaded() -> ProblemError:
    return ProblemError(
        ProblemKind.OVERLOADED,
        "Other seating plans are being read; repeat in some seconds, with the same key.",
        headers={"Retry-After": "5"},
    )
