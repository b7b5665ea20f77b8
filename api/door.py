"""What stands between the edge and Litestar: the limits, before anything else is looked at."""

from typing import Final

from litestar.datastructures import State
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.context import RUNTIME
from api.credentials import CREDENTIALS, Credentials
from api.fastlane.call import address_behind
from api.limits import LIMITS, Limits, Told
from api.problems import ProblemError
from api.shares import Share
from engine.runtime import Serving

_UNCOUNTED: Final = "/health/"
"""Whoever looks after the process must not be told that they look too often."""


class Door:
    """Wraps Litestar."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        """Take the application, and what its lifespan opens things in."""
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, if it is not one too many.

        Raises:
            ProblemError: `rate-limited` or `overloaded`.
        """
        if scope["type"] != "http" or scope["path"].startswith(_UNCOUNTED):
            await self._app(scope, receive, send)
            return
        told, share = await self._count(scope)

        async def send_told(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = [(name.encode(), value.encode()) for name, value in told]
                message["headers"] = [*message["headers"], *fields]
            await send(message)

        try:
            await self._app(scope, receive, send_told)
        finally:
            if share is not None:
                share.under_way -= 1

    async def _count(self, scope: Scope) -> tuple[Told, Share | None]:
        credentials: Credentials = self._state[CREDENTIALS]
        limits: Limits = self._state[LIMITS]
        authorization = _lines(scope, b"authorization")
        principal = credentials.remembered(authorization[0]) if len(authorization) == 1 else None
        if principal is None:
            return limits.count_address(self._address(scope)), None
        told = limits.count_credential(principal)
        try:
            return told, await limits.begin(principal)
        except ProblemError as problem:
            problem.headers = {**problem.headers, **dict(told)}
            raise

    def _address(self, scope: Scope) -> str:
        runtime: Serving = self._state[RUNTIME]
        client = scope.get("client")
        # Proxies may add a line instead of prolonging one.
        forwarded = ", ".join(_lines(scope, b"x-forwarded-for"))
        own = client[0] if client else ""
        return address_behind(runtime.settings.trusted_proxies, forwarded, own)


def _lines(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for header, value in scope["headers"] if header == name]
