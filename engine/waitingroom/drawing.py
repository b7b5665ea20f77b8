"""Draws places: closes the entries, waits for the beacon, and publishes what proves the draw."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.scripts import load_script
from engine.platform.ids import entity_hex
from engine.platform.redis import Store
from engine.waitingroom.draw import Draw
from engine.waitingroom.queues import Queue, draw_of, note_beacon, note_count, note_draw

_log = structlog.get_logger(__name__)
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class DigestWork:
    """Works out a draw's digest beside the steps: seconds for a million places.

    Awaited within a step it would outlast the step's time-out, and be begun again for ever.
    """

    def __init__(self) -> None:
        """Have nothing under way."""
        self._work: tuple[Draw, asyncio.Future[bytes]] | None = None

    def result(self, draw: Draw) -> bytes | None:
        """Return the digest once it is worked out; begin it when first asked for."""
        if self._work is None or self._work[0] is not draw:
            self._work = draw, asyncio.ensure_future(asyncio.to_thread(draw.digest))
        work = self._work[1]
        return work.result() if work.done() else None


async def draw_places(  # noqa: PLR0913 - the stores, the queue, and what takes its time
    redis: Store,
    engine: AsyncEngine,
    queue: Queue,
    now_ms: int,
    *,
    find_beacon: Callable[[Queue], Awaitable[bytes | None]],
    digest_work: DigestWork,
) -> None:
    """Do the next of the draw's steps that is due; each is committed before the one after it.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """
    rules = queue.rules
    if rules.draws_at is None or queue.drawn_at is not None:
        return
    if now_ms < rules.draws_at.timestamp() * 1000:
        return
    if queue.count is None:
        await _close_entries(redis, engine, queue)
    elif rules.beacon is not None and queue.beacon_value is None:
        value = await find_beacon(queue)
        if value is not None:
            await note_beacon(engine, queue.show, queue.epoch, value)
    else:
        draw = draw_of(queue.show_text, queue.secret, queue.count, queue.beacon_value)
        digest = digest_work.result(draw)
        if digest is None:
            return
        drawn = await note_draw(engine, queue.show, queue.epoch, datetime.now(UTC), digest)
        _log.info("places drawn", show=entity_hex(queue.show), count=queue.count, done=drawn)


async def _close_entries(redis: Store, engine: AsyncEngine, queue: Queue) -> None:
    reply = await load_script("close_entries").call(redis, queue.keys.all(), queue.epoch)
    status, *rest = _decode(reply)
    if status == "closed":
        await note_count(engine, queue.show, queue.epoch, rest[0])
