"""Reads bodies of a bounded size in a bounded time, with one look around a second for all.

A timer for each request would cost more than what most requests are read for.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from api.problems import ProblemError, ProblemKind
from api.server import BROKEN_OFF, Exchange, RequestScope, read_parts

BODY_TIMEOUT_S: Final = 20.0
"""A whole body has to be there by then: bodies are small here."""

_LOOK_S: Final = 1.0


class BodyReader:
    """Reads the bodies of one process."""

    def __init__(self, timeout_s: float = BODY_TIMEOUT_S) -> None:
        """Take how long a body may be on its way; it may be a second more."""
        self._timeout_s = timeout_s
        self._look_s = min(_LOOK_S, timeout_s)
        self._since: dict[asyncio.Task[object], float] = {}
        self._late: set[asyncio.Task[object]] = set()
        self._look: asyncio.TimerHandle | None = None

    async def read(
        self, scope: RequestScope, exchange: Exchange, length: int | None, bytes_max: int
    ) -> bytes:
        """Return a request's body; `length` is what Content-Length says, None if there is none.

        That is at most `bytes_max`: the server never reads on beyond it.

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
            if length is not None:
                return await exchange()
            return await _gather(read_parts(scope, exchange), bytes_max)
        except BROKEN_OFF:
            raise ProblemError(ProblemKind.MALFORMED_REQUEST, "The body ended too early.") from None
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


async def _gather(given: AsyncIterator[bytes], bytes_max: int) -> bytes:
    """Put a body of unknown length together."""
    parts: list[bytes] = []
    size = 0
    async for part in given:
        parts.append(part)
        size += len(part)
        if size > bytes_max:
            raise body_too_large(bytes_max)
    return b"".join(parts)


def body_too_large(bytes_max: int) -> ProblemError:
    """Return the problem of a body that is larger than a call takes."""
    return ProblemError(
        ProblemKind.BODY_TOO_LARGE, f"A body has at most {bytes_max} bytes at this address."
    )
