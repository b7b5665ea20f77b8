"""Reads bodies of a bounded size in a bounded time, with one look around a second for all.

A timer for each request would cost more than what most requests are read for.
"""

import asyncio
from typing import Final

from litestar.types import HTTPReceiveMessage, Receive, WebSocketReceiveMessage

from api.problems import ProblemError, ProblemKind

BODY_TIMEOUT_S: Final = 20.0
"""A whole body has to be there by then: bodies are small here."""

_LOOK_S: Final = 1.0

_Message = HTTPReceiveMessage | WebSocketReceiveMessage


class BodyReader:
    """Reads the bodies of one process."""

    def __init__(self, timeout_s: float = BODY_TIMEOUT_S) -> None:
        """Take how long a body may be on its way; it may be a second more."""
        self._timeout_s = timeout_s
        self._look_s = min(_LOOK_S, timeout_s)
        self._since: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._look: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive, length: int | None, bytes_max: int) -> bytes:
        """Return a request's body; `length` is what Content-Length says, None if there is none.

        Raises:
            ProblemError: `body-too-large`, `request-timeout`, or `malformed-request` where the
                client went away.
        """
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - every request has one
        self._since[task] = loop.time()
        if self._look is None:
            self._look = loop.call_later(self._look_s, self._look_around)
        try:
            message = await receive()
            # Most bodies come in one piece, and by their length that is known without asking on.
            if message["type"] == "http.request" and len(message["body"]) == length:
                return message["body"]
            return await _read_on(receive, message, bytes_max)
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise ProblemError(
                ProblemKind.REQUEST_TIMEOUT, "The body did not come, or came too slowly."
            ) from None
        finally:
            del self._since[task]
            self._late.discard(task)

    def _look_around(self) -> None:
        loop = asyncio.get_running_loop()
        # In the order of their beginning: those after the first that has time left have it too.
        began_before = loop.time() - self._timeout_s
        for task, since in self._since.items():
            if since > began_before:
                break
            if task not in self._late:
                self._late.add(task)
                task.cancel()
        self._look = loop.call_later(self._look_s, self._look_around) if self._since else None


async def _read_on(receive: Receive, message: _Message, bytes_max: int) -> bytes:
    """Read what follows a body's first message."""
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] != "http.request":
            raise ProblemError(ProblemKind.MALFORMED_REQUEST, "The body ended too early.")
        parts.append(message["body"])
        size += len(message["body"])
        if size > bytes_max:
            raise body_too_large(bytes_max)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()


def body_too_large(bytes_max: int) -> ProblemError:
    """Return the problem of a body that is larger than a call takes."""
    return ProblemError(
        ProblemKind.BODY_TOO_LARGE, f"A body has at most {bytes_max} bytes at this address."
    )
