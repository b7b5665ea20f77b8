"""The recorder's task: woken by every sale, with looks at all shows in turns behind it."""

import asyncio
from typing import Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine.inventory.keys import WAKE_CHANNEL, Wake, read_wake, show_keys
from engine.inventory.rounds import Round
from engine.platform.ids import entity_hex
from engine.platform.redis import Subscription
from engine.platform.redis_cluster_map import SlotUnavailableError
from engine.platform.retrying import OUTAGE, Patience
from engine.runtime import Working
from engine.sales.recorder import Turn
from workers.show_queue import ShowQueue

_LOOK_EVERY_S: Final = 1.0
_AT_ONCE: Final = 4
_OF_ONE_SERVER_AT_ONCE: Final = 2
_LISTEN_S: Final = 1.0
_BUSY_S: Final = 0.05

_log = structlog.stdlib.get_logger(__name__)


async def run_recorder(working: Working) -> None:
    """Record until cancelled. A store that fails ends it; whoever started it starts it again."""
    queue = ShowQueue(of_one_server_max=_OF_ONE_SERVER_AT_ONCE)
    async with working.subscriber.pubsub() as pubsub:
        await pubsub.subscribe(WAKE_CHANNEL)
        working.stirred.note_loss()  # of what was said before
        async with asyncio.TaskGroup() as group:
            group.create_task(_listen(pubsub, working, queue))
            group.create_task(_look(working, queue))
            for _ in range(_AT_ONCE):
                group.create_task(_work(working, queue))


async def _listen(pubsub: Subscription, working: Working, queue: ShowQueue) -> None:
    while True:
        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=_LISTEN_S)
        wake = read_wake(message["data"]) if message is not None else None
        if wake is None:
            continue
        working.stirred.note(wake[1])
        if wake[0] is Wake.RECORD:
            await _add(working, queue, wake[1])


async def _look(working: Working, queue: ShowQueue) -> None:
    """Ask for turns for all shows, in their order: a call may be lost, a sale may not."""
    looks = Round(working.recorder_engine, working.stirred, "recorder")
    while True:
        shows = [show.id for show in await looks.next()]
        for show in await working.recorder.behind(shows):
            await _add(working, queue, show)
        await asyncio.sleep(0 if looks.is_first else _LOOK_EVERY_S)


async def _add(working: Working, queue: ShowQueue, show: int) -> None:
    try:
        queue.add(show, await working.redis.server_of(show_keys(show).sales))
    except SlotUnavailableError as error:
        # Of a cluster: nobody has the show now; the next look may find it.
        _log.debug("show is nowhere", show=entity_hex(show), error=str(error))


async def _work(working: Working, queue: ShowQueue) -> None:
    patience = Patience(OUTAGE)
    while True:
        show, server = await queue.take()
        try:
            recorded = await working.recorder.record(show)
            patience.is_well()
            if recorded.turn is Turn.MORE:
                queue.add(show, server)
            elif recorded.turn is Turn.BUSY:
                # Its row is locked, by the house or by another worker: soon again.
                asyncio.get_running_loop().call_later(_BUSY_S, queue.add, show, server)
        except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
            # The sales stay in the stream; the next look, in a second, tries again.
            _log.warning("sales wait to be recorded", show=entity_hex(show), error=repr(error))
            await patience.pause()
        except Exception:  # noqa: BLE001 - logged, and tried again in a second
            # One show that can't be recorded must not keep the others from it.
            _log.exception("sales can't be recorded", show=entity_hex(show))
            await patience.pause()
        finally:
            queue.done(show)
