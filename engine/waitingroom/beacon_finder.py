"""Asks for the beacon values that draws wait for, one server, seldom enough."""

import time
from typing import Final

import aiohttp
import structlog

from engine.platform.ids import entity_hex
from engine.waitingroom.beacon import BeaconError, BeaconTooEarlyError, fetch_beacon
from engine.waitingroom.queues import Queue
from engine.waitingroom.rules import DRAND

_EVERY_S: Final = 2.0
_TIMEOUT_S: Final = 3.0

_log = structlog.get_logger(__name__)


class BeaconFinder:
    """Finds values of drand's rounds."""

    def __init__(self, server: str) -> None:
        """Take the server to ask."""
        self._server = server
        self._asked_s: dict[int, float] = {}

    async def find(self, queue: Queue) -> bytes | None:
        """Return the value that a queue's draw waits for, if it can be had now."""
        beacon = queue.rules.beacon
        if beacon is None or beacon.name != DRAND or beacon.round is None:
            return None
        now_s = time.monotonic()
        if now_s - self._asked_s.get(queue.show, -_EVERY_S) < _EVERY_S:
            return None
        self._asked_s = {show: at for show, at in self._asked_s.items() if now_s - at < _EVERY_S}
        self._asked_s[queue.show] = now_s
        try:
            async with aiohttp.ClientSession() as session:
                return await fetch_beacon(
                    session, beacon.round, server=self._server, timeout_s=_TIMEOUT_S
                )
        except BeaconTooEarlyError:
            return None
        except BeaconError as error:
            _log.warning("beacon not found", show=entity_hex(queue.show), error=str(error))
            return None
