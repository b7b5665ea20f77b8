"""Releases the overdue holds of quiet shows, which no batch would release otherwise.

It also carries `meta`'s highest time along while anything is held, so that a recovery can tell
for how long the show was out.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct
from redis.exceptions import ResponseError

from engine.inventory.commands import pack_batch
from engine.inventory.keys import WAKE_CHANNEL, Wake, show_keys, wake_call
from engine.inventory.lanes import SWEEP_MAX
from engine.inventory.replies import read_reply
from engine.inventory.scripts import load_script
from engine.inventory.show_time import read_clock
from engine.inventory.tending import TendedShow
from engine.platform.redis import Store

_LATE_MS: Final = 5000
_ROUNDS_MAX: Final = 200
_BACKLOG_MAX: Final = 0
"""Of no account: an empty batch sells nothing."""


class Scheduled(Struct, frozen=True):
    """A show in which something ends by itself."""

    show: TendedShow
    server: str
    first_ms: int
    """When the first of it is overdue, in ms since 1970."""

    def is_overdue(self, now_ms: int) -> bool:
        """Whether that is so already."""
        return self.first_ms <= now_ms


async def scheduled_shows(
    redis: Store, shows: Iterable[TendedShow]
) -> tuple[list[Scheduled], list[int]]:
    """Return the shows with anything in their expiry, and whose server did not answer.

    They are asked in one round trip.

    Raises:
        redis.RedisError: the store could not be asked of any.
    """
    shows = list(shows)
    pipeline = redis.pipeline(transaction=False)
    for show in shows:
        pipeline.zrange(show_keys(show.id).expiry, 0, 0, withscores=True)
    answers = await pipeline.execute(raise_on_error=False)
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    if len(failed) == len(shows) > 0:
        raise failed[0]
    # Of a cluster one node may fail: its shows wait, the others' are swept.
    scheduled: list[Scheduled] = []
    missed: list[int] = []
    for show, found in zip(shows, answers, strict=True):
        if not isinstance(found, Exception):
            if found:
                server = await redis.server_of(show_keys(show.id).expiry)
                scheduled.append(Scheduled(show, server, int(found[0][1])))
        elif not isinstance(found, ResponseError):  # else its content is spoilt
            missed.append(show.id)
    return scheduled, missed


async def sweep(redis: Store, show: TendedShow, now_ms: int) -> bool:
    """Release a show's overdue holds; False if it is fenced or newer than `show` says.

    `now_ms` is its server's time; where that of the show is ahead, the show is asked for it.

    Raises:
        redis.RedisError: the store could not be asked.
    """
    keys = show_keys(show.id)
    batch = load_script("batch")
    is_asked = False
    for _ in range(_ROUNDS_MAX):
        # An empty batch: it sweeps, and keeps the time.
        header: list[object] = [
            show.epoch,
            show.inventory_version,
            show.price_version,
            now_ms + _LATE_MS,
            SWEEP_MAX,
            _BACKLOG_MAX,
        ]
        reply = await batch.call(
            redis,
            keys.inventory(),
            msgspec.msgpack.encode(header),
            b"",
            WAKE_CHANNEL,
            wake_call(Wake.RECORD, show.id),
            *pack_batch((), ()),
        )
        answered = read_reply(reply, (), show.price_version)
        if answered.status == "too-late" and not is_asked:
            # Its time is ahead: it never goes back, as the server's may have.
            now_ms, is_asked = await read_clock(redis, keys), True
            continue
        if answered.status != "ok":
            return False
        now_ms = answered.now_ms
        overdue = await redis.zrangebyscore(keys.expiry, "-inf", now_ms, start=0, num=1)
        if not overdue:
            return True
    return True
