"""What the server calls, and Litestar behind it: RSGI in front, ASGI where speed does not matter.

Source: Granian's RSGI, version 1.6. Why: decision 16.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final, Protocol
from urllib.parse import quote

from granian.rsgi import (
    ProtocolClosed,  # pyright: ignore[reportPrivateImportUsage] - the specification's place
    ProtocolError,  # pyright: ignore[reportPrivateImportUsage]
)
from litestar import Litestar
from litestar.types import (
    ASGIApp,
    HTTPReceiveMessage,
    HTTPResponseStartEvent,
    HTTPScope,
    Message,
)

Headers = list[tuple[str, str]]

_UNREADABLE: Final = "\xff"
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}


class BrokenOffError(Exception):
    """A body ended before it was whole."""


BROKEN_OFF: Final = (ProtocolClosed, ProtocolError, BrokenOffError)
"""What reading a body raises when its client goes away."""


class RequestHeaders(Protocol):
    """A request's headers, names in small letters."""

    def __len__(self) -> int:
        """Return how many names there are."""
        ...

    def keys(self) -> list[str]:
        """Return the names."""
        ...

    def __contains__(self, name: str) -> bool:
        """Tell whether there is such a header."""
        ...

    def get(self, name: str) -> str | None:
        """Return the first value of a header; None if there is none."""
        ...

    def items(self) -> Headers:
        """Return names and values, but for values that have more than visible ASCII."""
        ...


class RequestScope(Protocol):
    """What came before a request's body. Each look at `headers` copies them: look once."""

    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    """Decoded."""
    query_string: str
    authority: str | None
    headers: RequestHeaders


class Stream(Protocol):
    """An answer in parts. The server keeps what its client does not read."""

    async def send_str(self, data: str) -> None:
        """Send a part."""
        ...

    def send_bytes(self, data: bytes) -> Awaitable[None]:
        """Send a part: at once, what it returns only tells whether the client is still there."""
        ...


class Exchange(Protocol):
    """A request's body, and its answer."""

    def __call__(self) -> Awaitable[bytes]:
        """Return the whole body, whatever its size."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the body in parts, as `read_parts` understands them."""
        ...

    def client_disconnect(self) -> Awaitable[None]:
        """Wait for the client to go away."""
        ...

    def response_stream(self, status: int, headers: Headers) -> Stream:
        """Begin an answer in parts."""
        ...

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer."""
        ...


def read_headers(given: RequestHeaders) -> Headers:
    """Return all names; for a value that can't be read a text that fits nowhere.

    A header that is missing and one that is nonsense are not the same: a key, for one. Of a header
    that came twice, once unreadable, only the readable value is told.
    """
    found = given.items()
    # As a dictionary, since a name that came twice is counted once in `given`.
    readable = dict(found)
    if len(readable) < len(given):
        found += [(name, _UNREADABLE) for name in given.keys() if name not in readable]  # noqa: SIM118 - no mapping
    return found


async def read_parts(scope: RequestScope, exchange: Exchange) -> AsyncIterator[bytes]:
    """Read a body in parts.

    A body that is whole ends with one empty part. One that is broken off has an empty part in the
    place of what can't be read, and then another: over HTTP/1 nothing else looks so, but for
    trailers, which are refused with it. Over HTTP/2, where a request may well end with an empty
    frame, the server gives up what its client breaks off.

    Raises:
        BrokenOffError: the client went away, or broke the rules, before the body's end.
    """
    empty = 0
    async for part in exchange:
        if part:
            empty = 0
            yield part
        else:
            empty += 1
    if empty > 1 and scope.http_version.startswith("1"):
        raise BrokenOffError


class Behind:
    """An ASGI application, and Litestar's lifespan, behind a server that speaks RSGI."""

    def __init__(self, litestar: Litestar, app: ASGIApp) -> None:
        """Take the application whose lifespan it is, and what serves requests."""
        self._litestar = litestar
        self._app = app
        self._over = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open what the application needs. Raises what its lifespan raises."""
        opened = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(opened))
        await asyncio.wait([self._life, opened], return_when=asyncio.FIRST_COMPLETED)
        if self._life.done():
            await self._life

    async def stop(self) -> None:
        """Close it again."""
        self._over.set()
        if self._life is not None:
            await self._life

    async def _live(self, opened: asyncio.Future[None]) -> None:
        # One task for both ends, as a task group within would want it.
        async with self._litestar.lifespan():
            opened.set_result(None)
            await self._over.wait()

    async def serve(self, scope: RequestScope, exchange: Exchange) -> None:
        """Serve one request."""
        headers = read_headers(scope.headers)
        answer = _Answer(exchange)
        body = _Body(exchange, read_parts(scope, exchange), _length(headers))
        await self._app(_asgi_scope(scope, headers), body.receive, answer.send)


class _Body:
    """A request's body in ASGI's messages."""

    def __init__(self, exchange: Exchange, parts: AsyncIterator[bytes], length: int | None) -> None:
        self._exchange = exchange
        self._parts = parts
        self._left = length
        self._ended = False

    async def receive(self) -> HTTPReceiveMessage:
        if self._ended:
            await self._exchange.client_disconnect()
            return {"type": "http.disconnect"}
        try:
            part = await anext(self._parts, None)
        except BROKEN_OFF:
            return {"type": "http.disconnect"}
        if part is not None:
            self._left = None if self._left is None else self._left - len(part)
            return {"type": "http.request", "body": part, "more_body": True}
        self._ended = True
        if self._left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}


class _Answer:
    """An answer from ASGI's messages: one that comes whole."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._start: HTTPResponseStartEvent | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body" and self._start is not None:
            if message.get("more_body", False):
                # The server would keep all of it for a client that does not read.
                msg = "an answer in parts"
                raise NotImplementedError(msg)
            start, self._start = self._start, None
            headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in start["headers"]]
            self._exchange.response_bytes(start["status"], headers, message["body"])


def _asgi_scope(scope: RequestScope, headers: Headers) -> HTTPScope:
    asgi_headers = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    if scope.authority is not None and not any(name == "host" for name, _ in headers):
        asgi_headers.append((b"host", scope.authority.encode()))
    made: Any = {
        "type": "http",
        "asgi": _ASGI,
        "http_version": scope.http_version,
        "server": _address(scope.server),
        "client": _address(scope.client),
        "scheme": scope.scheme,
        "method": scope.method,
        "root_path": "",
        "path": scope.path,
        "raw_path": quote(scope.path).encode(),
        "query_string": scope.query_string.encode(),
        "headers": asgi_headers,
        "state": {},
    }
    return made


def _address(text: str) -> tuple[str, int] | None:
    """Read `127.0.0.1:80` or `[::1]:80`."""
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdigit() else None


def _length(headers: Headers) -> int | None:
    given = next((value for name, value in headers if name == "content-length"), "")
    return int(given) if given.isdigit() else None
