"""The waiting rooms' controller: steers every queue, five times a second."""

import asyncio
import secrets
from functools import partial
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.errors import is_outage
from engine.platform.ids import Ids, Prefix, entity_hex
from engine.platform.retrying import OUTAGE, TASK, Patience
from engine.runtime import Working
from engine.waitingroom.beacon_finder import BeaconFinder
from engine.waitingroom.queues import TendedQueue, tended_queues
from engine.waitingroom.steering import Steering

_READ_S: Final = 0.25
_AT_ONCE: Final = 32
_STEP_TIMEOUT_S: Final = 5.0

_log = structlog.get_logger(__name__)


async def run_admission(working: Working) -> None:
    """Steer until cancelled. A store that fails ends it; whoever started it starts it again."""
    settings = working.settings
    show_text = partial(Ids(settings.region, settings.secret.encode()).entity, Prefix.SHOW)
    controller = _Controller(working)
    patience = Patience(OUTAGE)
    async with asyncio.TaskGroup() as group:
        while True:
            try:
                tended = await tended_queues(working.recorder_engine, show_text)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                # Who is in line goes on by the rules that were read before.
                if not is_outage(error):
                    raise
                _log.warning("queues not read", error=repr(error))
                await patience.pause()
                continue
            patience.is_well()
            controller.tend(group, tended)
            await asyncio.sleep(_READ_S)


class _Controller:
    """Steers each queue in a task of its own, so that none waits for another's store."""

    def __init__(self, working: Working) -> None:
        self._working = working
        self._tended: dict[int, TendedQueue] = {}
        self._steered: set[int] = set()
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._beacons = BeaconFinder(working.settings.beacon_url)

    def tend(self, group: asyncio.TaskGroup, tended: list[TendedQueue]) -> None:
        """Take what PostgreSQL says now, and steer what is new."""
        self._tended = {one.queue.show: one for one in tended}
        for show in self._tended.keys() - self._steered:
            self._steered.add(show)
            group.create_task(self._steer(show), name=f"steer {entity_hex(show)}")

    async def _steer(self, show: int) -> None:
        steering = Steering(
            self._working.redis,
            self._working.recorder_engine,
            secrets.token_hex(8),  # its steps count from 1 on: a name for each time it is steered
            find_beacon=self._beacons.find,
        )
        outages, faults = Patience(OUTAGE), Patience(TASK)
        try:
            while (tended := self._tended.get(show)) is not None:
                try:
                    async with self._at_once, asyncio.timeout(_STEP_TIMEOUT_S):
                        pause_s = await steering.steer(tended.queue, tended.show_opens_at)
                except Exception as error:  # noqa: BLE001 - told; other queues are steered on
                    _tell_failure(show, error)
                    await (outages if is_outage(error) else faults).pause()
                else:
                    outages.is_well()
                    faults.is_well()
                    await asyncio.sleep(pause_s)
        finally:
            self._steered.discard(show)
            await steering.stop()


def _tell_failure(show: int, error: Exception) -> None:
    if is_outage(error):
        _log.warning("queue not steered", show=entity_hex(show), error=repr(error))
    else:
        _log.error("queue can't be steered", show=entity_hex(show), exc_info=error)
