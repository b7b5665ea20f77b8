"""One HTTP call on a connection of its own: what a client that repeats nothing by itself does.

Usual clients repeat a GET, PUT or DELETE whose connection was lost, unasked. A history must have
each sending as a call of its own, since each may act, and late.
"""

import asyncio
from typing import Any, Final
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

_PROBLEM: Final = "urn:onsale:problem:"
_ANSWER_BYTES_MAX: Final = 4 * 2**20
_END_OF_HEAD: Final = b"\r\n\r\n"


class NotSentError(Exception):
    """There was no connection: the server can't have heard of the call."""


class LostError(Exception):
    """The call was sent, or part of it, and no whole answer came."""


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    body: dict[str, Any]

    @property
    def problem(self) -> str:
        """The problem's slug, or nothing."""
        kind = self.body.get("type")
        return kind.removeprefix(_PROBLEM) if isinstance(kind, str) else ""


class Wire:
    """The way to one API with one key."""

    def __init__(self, base_url: str, api_key: str, timeout_s: float) -> None:
        """Take where it listens on TCP, the reseller's key, and how long an answer may take."""
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._timeout_s = timeout_s
        self._head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {api_key}\r\n"

    async def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> Answer:
        """Send a request once and return its answer.

        Raises:
            NotSentError: it was never sent.
            LostError: nobody knows whether it acts, or acted.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, limit=_ANSWER_BYTES_MAX
                )
        except (OSError, TimeoutError) as error:
            raise NotSentError(repr(error)) from error
        try:
            async with asyncio.timeout(self._timeout_s):
                writer.write(self._request(method, path, body, key))
                await writer.drain()
                return await _read(reader)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            raise LostError(repr(error)) from error
        finally:
            writer.transport.abort()

    def _request(self, method: str, path: str, body: object, key: str | None) -> bytes:
        content = b"" if body is None else msgspec.json.encode(body)
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Connection: close\r\n"
        if key is not None:
            head += f"Idempotency-Key: {key}\r\n"
        if body is not None:
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        return head.encode("ascii") + b"\r\n" + content


def path_of(*parts: str) -> str:
    """Return `/v1/...` of these parts, each quoted."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


async def _read(reader: asyncio.StreamReader) -> Answer:
    """Read an answer to its end.

    Raises:
        EOFError, ValueError: it was cut off, or is not one.
    """
    head = (await reader.readuntil(_END_OF_HEAD)).decode("latin-1")
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    status = int(first.split(" ")[1])
    headers = dict(line.lower().split(": ", 1) for line in lines)
    if headers.get("transfer-encoding") == "chunked":
        content = await _read_chunks(reader)
    else:
        content = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(status, msgspec.json.decode(content, type=dict[str, Any]) if content else {})


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    return b"".join(parts)
