"""Strings written to Redis by many at once: those that come during a round trip share the next.

A round trip costs a process and the store several times what a command in it does.
"""

import asyncio
from time import monotonic
from typing import Any, Final

import structlog
from msgspec import Struct
from redis.exceptions import RedisError

from engine.platform.redis import Store

_AT_ONCE: Final = 256
_WAITING_MAX: Final = 4096

_log = structlog.stdlib.get_logger(__name__)


class _Command(Struct, frozen=True):
    name: str
    value: bytes
    px: int
    is_claim: bool
    answer: "asyncio.Future[Any]"
    added_at: float

    def left_ms(self) -> int:
        """Return for how long it is to be there: what is put waits for a round trip at times."""
        waited_ms = 0 if self.is_claim else (monotonic() - self.added_at) * 1000
        return max(round(self.px - waited_ms), 1)


class GatheredSets:
    """The strings of one process."""

    def __init__(self, redis: Store) -> None:
        """Take the store."""
        self._redis = redis
        self._waiting: list[_Command] = []
        self._task: asyncio.Task[None] | None = None

    async def claim(self, name: str, value: bytes, *, px: int) -> bytes | None:
        """Write a string that expires where there is none: None; else return what is there.

        Raises:
            redis.RedisError, OSError, TimeoutError: the store failed, or has too much to do.
        """
        return await self._add(name, value, px, is_claim=True)

    def put(self, name: str, value: bytes, *, px: int) -> None:
        """Write a string that expires, soon; nobody is told if that fails."""
        answer = self._add(name, value, px, is_claim=False)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def stop(self) -> None:
        """Write nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _add(self, name: str, value: bytes, px: int, *, is_claim: bool) -> "asyncio.Future[Any]":
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= _WAITING_MAX:
            answer.set_exception(TimeoutError(f"{_WAITING_MAX} commands wait"))
            return answer
        self._waiting.append(_Command(name, value, px, is_claim, answer, monotonic()))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._send_on())
        return answer

    async def _send_on(self) -> None:
        while self._waiting:
            sent, self._waiting = self._waiting[:_AT_ONCE], self._waiting[_AT_ONCE:]
            try:
                answers = await self._send(sent)
            except (RedisError, OSError, TimeoutError) as error:
                answers: list[Any] = [error] * len(sent)
            except Exception as error:  # noqa: BLE001 - told to all who wait
                _log.exception("strings were not written")
                answers = [TimeoutError(f"they were not written: {error!r}")] * len(sent)
            except BaseException:
                for one in sent:
                    one.answer.cancel()
                raise
            for one, answer in zip(sent, answers, strict=True):
                if one.answer.done():
                    continue
                if isinstance(answer, Exception):
                    one.answer.set_exception(answer)
                else:
                    one.answer.set_result(answer)

    async def _send(self, commands: list[_Command]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for one in commands:
            pipeline.set(one.name, one.value, px=one.left_ms(), nx=one.is_claim, get=one.is_claim)
        return await pipeline.execute(raise_on_error=False)
