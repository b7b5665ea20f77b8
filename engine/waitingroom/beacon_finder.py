"""Asks for the beacon values that draws wait for, one server, seldom enough."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from engine.platform.ids import entity_hex
from engine.waitingroom.beacon import BeaconError, BeaconTooEarlyError
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
            # Beside the event loop, where numbers are handed out: a tenth of a second, once.
            ask = await asyncio.to_thread(_load)
            return await ask(beacon.round, server=self._server, timeout_s=_TIMEOUT_S)
        except BeaconTooEarlyError:
            return None
        except BeaconError as error:
            _log.warning("beacon not found", show=entity_hex(queue.show), error=str(error))
            return None


def _load() -> Callable[..., Awaitable[bytes]]:
    from engine.waitingroom.beacon_fetching import ask_server  # noqa: PLC0415 - for few draws

    return ask_server
