"""Opens a queue on the server that has it now: the first time, or after a restart or fail-over."""

from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.scripts import load_script
from engine.platform.ids import entity_hex
from engine.platform.redis import Store
from engine.waitingroom.queues import Queue, begin_epoch
from engine.waitingroom.states import QueueState

_FIELDS: Final = ("next", "serving")

_log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


async def reopen_queue(redis: Store, engine: AsyncEngine, queue: Queue, *, ahead: int) -> None:
    """Commit the queue's next epoch, and open it under that behind all that was given out.

    Safe to do twice, at once, and to be stopped anywhere: PostgreSQL says behind what the line goes
    on, under the row's lock, and who comes with an older epoch changes nothing. Numbers that the
    store may have lost are skipped, and told as skipped.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """
    stored = await _read(redis, queue)
    begun = await begin_epoch(engine, queue, known_next=stored.get("next"), ahead=ahead)
    if begun is None:
        return  # another controller is at it
    fields = {
        # No number is given before the next ceiling is committed: tries that fail use none up.
        "ceiling": str(begun.first),
        "serving": str(max(stored.get("serving", 0), begun.serving)),
        "checkout_max": str(queue.rules.checkout_max),
        "pass_ttl": str(queue.rules.pass_ttl_s * 1000),
        "version": str(queue.version),
    }
    if not stored:
        fields |= {"state": QueueState.OFF.value, "joins": "shut", "rate": "0"}
    if begun.count is not None:
        fields["count"] = str(begun.count)
    header = [begun.epoch, begun.first, [part for pair in fields.items() for part in pair]]
    reply = await load_script("open_queue").call(redis, queue.keys.all(), _encode(header))
    status, *_ = _decode(reply)
    _log.info(
        "queue opened",
        show=entity_hex(queue.show),
        epoch=begun.epoch,
        first=begun.first,
        status=status,
    )


async def _read(redis: Store, queue: Queue) -> dict[str, int]:
    """Return what the store has, which may lack its end."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.hmget(queue.keys.queue, list(_FIELDS))
    (values,) = await pipeline.execute(raise_on_error=True)
    return {name: int(value) for name, value in zip(_FIELDS, values, strict=True) if value}
