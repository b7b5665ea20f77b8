"""Sends one message over HTTP, trusting nothing about who is at the other end.

The status alone decides; of an answer's body only its beginning is read, never unpacked, and for a
moment only. Redirects are not followed: they would lead where nobody checked. How it is done over
HTTP: `engine.notify.posting`.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from msgspec import Struct

from engine.notify.addresses import find_url_fault


class Sent(Struct, frozen=True):
    """What became of one attempt. `status` is None if there was no answer: `error` says why."""

    status: int | None
    duration_ms: int
    error: str | None = None
    response: str = ""
    retry_after: str | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 - HTTP's

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.status == HTTPStatus.GONE

    @property
    def asks_for_time(self) -> bool:
        """Whether the receiver is there, and has too much to do."""
        return self.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


class Wire(Protocol):
    """What messages are sent over."""

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, doubtful: bool
    ) -> Sent:
        """Send a message to a URL that was checked. Raises nothing of the other side's."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Sender:
    """Sends messages; any number at a time, which its callers bound."""

    def __init__(self, *, private: bool, wire: Wire | None = None) -> None:
        """Take whether loopback may be told too, and what to send over if not over our own."""
        self._private = private
        self._wire = wire

    async def close(self) -> None:
        """Close the connections."""
        if self._wire is not None:
            await self._wire.close()

    async def send(
        self, url: str, headers: Mapping[str, str], body: bytes, *, doubtful: bool = True
    ) -> Sent:
        """Send a message. Whatever the other side does is a value: this raises nothing of it."""
        fault = find_url_fault(url, private=self._private)
        if fault is not None:
            return Sent(None, 0, f"not sent: the URL {fault}")
        wire = self._wire or await self._open()
        return await wire.post(url, headers, body, doubtful=doubtful)

    async def _open(self) -> Wire:
        # Beside the event loop, which has sales to serve: it takes a tenth of a second, once.
        over_http = await asyncio.to_thread(_load)
        if self._wire is None:  # nobody else came first
            self._wire = over_http(private=self._private)
        return self._wire


def _load() -> Callable[..., Wire]:
    from engine.notify.posting import HttpWire  # noqa: PLC0415 - many processes never send

    return HttpWire
