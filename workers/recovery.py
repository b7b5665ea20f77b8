"""Recovers shows: woken when a lane meets a fence, and by a look at every show each second."""

import asyncio
from typing import Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine.inventory.keys import WAKE_CHANNEL
from engine.inventory.recovery import SupersededError
from engine.inventory.tending import Ailing, find_ailing, tended_shows
from engine.platform.ids import entity_hex
from engine.platform.redis import Subscription
from engine.runtime import Working

_PAUSE_S: Final = 1.0
_SECOND_LOOK_S: Final = 0.05
_AT_ONCE: Final = 4
_WAKE: Final = b"recover:"

_log = structlog.get_logger(__name__)


async def run_recovery(working: Working) -> None:
    """Recover until cancelled. A store that fails ends it; whoever started it starts it again."""
    async with working.subscriber.pubsub() as pubsub:
        await pubsub.subscribe(WAKE_CHANNEL)
        while True:
            await recover_ailing(working)
            await _woken(pubsub)


async def recover_ailing(working: Working) -> None:
    """Look at every show and recover those that need it, a few at once."""
    tended = await tended_shows(working.recorder_engine)
    ailing = await find_ailing(working.redis, tended)
    if not ailing:
        return
    # The house changes PostgreSQL and Redis one after the other: what is between them for a
    # moment is no illness.
    await asyncio.sleep(_SECOND_LOOK_S)
    tended = await tended_shows(working.recorder_engine)
    still = {one.show.id for one in ailing}
    limit = asyncio.Semaphore(_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for one in await find_ailing(working.redis, tended):
            if one.show.id in still:
                group.create_task(_recover(working, one, limit))


async def _recover(working: Working, ailing: Ailing, limit: asyncio.Semaphore) -> None:
    show = ailing.show.id
    async with limit:
        try:
            await working.recoverer.recover(show, ailing.reason)
        except SupersededError as error:
            _log.info("recovery overtaken", show=entity_hex(show), by=str(error))
        except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
            # The next look, in a second, starts over.
            _log.warning("recovery failed", show=entity_hex(show), error=repr(error))
        except Exception:  # noqa: BLE001 - logged, and tried again in a second
            # One show that can't be recovered must not keep the others from it.
            _log.exception("recovery impossible", show=entity_hex(show))


async def _woken(pubsub: Subscription) -> None:
    """Wait for a lane's call, or for the pause to pass."""
    loop = asyncio.get_running_loop()
    until = loop.time() + _PAUSE_S
    while (left := until - loop.time()) > 0:
        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=left)
        if message is not None and message["data"].startswith(_WAKE):
            return
