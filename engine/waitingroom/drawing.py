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
from engine.waitingroom.queues import Queue, draw_of, note_beacon, note_count, note_draw
from engine.waitingroom.rules import beacon_at_close

_log = structlog.get_logger(__name__)
_decode = msgspec.msgpack.Decoder(list[Any]).decode


def is_draw_due(queue: Queue, now_ms: int) -> bool:
    """Tell whether a step of a queue's draw is to be made."""
    draws_at = queue.rules.draws_at
    if draws_at is None or queue.drawn_at is not None:
        return False
    return now_ms >= draws_at.timestamp() * 1000


async def draw_places(
    redis: Store,
    engine: AsyncEngine,
    queue: Queue,
    find_beacon: Callable[[Queue], Awaitable[bytes | None]],
) -> None:
    """Make the next step of a draw that is due; each is committed before the one after it.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """
    if queue.count is None:
        await _close_entries(redis, engine, queue)
    elif queue.rules.beacon is not None and queue.beacon_value is None:
        value = await find_beacon(queue)
        if value is not None:
            await note_beacon(engine, queue.show, queue.epoch, value)
    else:
        draw = draw_of(queue.show_text, queue.secret, queue.count, queue.beacon_value)
        # Of all places: seconds of work for a million.
        digest = await asyncio.to_thread(draw.digest)
        drawn = await note_draw(engine, queue, datetime.now(UTC), digest)
        _log.info("places drawn", show=entity_hex(queue.show), count=queue.count, done=drawn)


async def _close_entries(redis: Store, engine: AsyncEngine, queue: Queue) -> None:
    reply = await load_script("close_entries").call(redis, queue.keys.all(), queue.epoch)
    status, *rest = _decode(reply)
    if status != "closed":
        return
    closed_at = datetime.now(UTC)
    beacon = queue.rules.beacon and beacon_at_close(queue.rules.beacon, closed_at)
    await note_count(engine, queue, rest[0], closed_at, beacon)
