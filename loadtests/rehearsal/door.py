"""Connections to the API that stay open: thousands of requests a second from one process.

Whoever comes takes a free connection for one request and its answer. It speaks just enough HTTP/1.1
for our own server: an answer has a Content-Length, or no body. Nothing is repeated unasked.
"""

import asyncio
import re
import time
from typing import Any, Final, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

_HEAD_ENDS: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_RETRY: Final = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)
_PROBLEM: Final = "urn:onsale:problem:"
_TIMEOUT_S: Final = 20.0


class LostError(Exception):
    """No answer came; nobody knows whether the request acted."""


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes
    retry_after_s: float
    """0.0 if nothing was said."""
    sent_s: float
    """Seconds since 1970, right before the request went out."""
    answered_s: float

    def read(self) -> dict[str, Any]:
        """Return the JSON object.

        Raises:
            msgspec.DecodeError: it is none.
        """
        return msgspec.json.decode(self.body, type=dict[str, Any])

    @property
    def problem(self) -> str:
        """The problem's slug, or nothing."""
        try:
            kind = self.read().get("type")
        except msgspec.DecodeError:
            return ""
        return kind.removeprefix(_PROBLEM) if isinstance(kind, str) else ""

    def told(self) -> str:
        """Return it in a line, for an error."""
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


class Door:
    """The way to one API over a fixed number of connections."""

    def __init__(self, base_url: str, connections: int) -> None:
        """Take where it listens on TCP; nothing is connected yet."""
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._head = f"Host: {parts.netloc}\r\n"
        self._free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue(connections)
        self._all = [_Connection() for _ in range(connections)]
        for connection in self._all:
            self._free.put_nowait(connection)

    async def ask(self, method: str, path: str, headers: str = "", body: object = None) -> Answer:
        """Send a request once and return its answer; `headers` are lines that end in CR LF.

        Raises:
            LostError: no whole answer came in time.
        """
        content = b"" if body is None else msgspec.json.encode(body)
        head = f"{method} {path} HTTP/1.1\r\n{self._head}{headers}"
        if body is not None:
            head += "Content-Type: application/json\r\n"
        if method != "GET":
            head += f"Content-Length: {len(content)}\r\n"
        request = head.encode("ascii") + b"\r\n" + content
        connection = await self._free.get()
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                if not connection.is_open:
                    await asyncio.get_running_loop().create_connection(
                        lambda: connection, self._host, self._port
                    )
                return await connection.ask(request)
        except (OSError, TimeoutError) as error:
            raise LostError(repr(error)) from error
        finally:
            connection.rest()
            self._free.put_nowait(connection)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._all:
            connection.close()


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way; it may be opened again."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_s = 0.0
        self._waiter: asyncio.Future[Answer] | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionError(f"hung up: {exc!r}"))

    async def ask(self, request: bytes) -> Answer:
        if self._transport is None:
            msg = "hung up"
            raise ConnectionError(msg)
        self._waiter = asyncio.get_running_loop().create_future()
        self._received = b""
        self._sent_s = time.time()
        self._transport.write(request)
        answer = await self._waiter
        self._waiter = None
        return answer

    def rest(self) -> None:
        """Be ready for the next: a connection whose answer is still to come is of no more use."""
        if self._waiter is not None:
            self._waiter = None
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_ends = self._received.find(_HEAD_ENDS)
        if head_ends < 0 or self._waiter is None or self._waiter.done():
            return
        length = _LENGTH.search(self._received, 0, head_ends + 2)
        begins = head_ends + len(_HEAD_ENDS)
        ends = begins + (int(length[1]) if length else 0)
        if len(self._received) < ends:
            return
        retry = _RETRY.search(self._received, 0, head_ends + 2)
        self._waiter.set_result(
            Answer(
                int(self._received[9:12]),
                self._received[begins:ends],
                float(retry[1]) if retry else 0.0,
                self._sent_s,
                time.time(),
            )
        )
