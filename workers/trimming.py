"""Trims the sales streams, well behind what the ledger has committed."""

import asyncio
from collections import deque
from time import monotonic
from typing import Final

import structlog
from redis.exceptions import ResponseError
from sqlalchemy import select

from engine.inventory.facts import StreamId
from engine.inventory.keys import show_keys
from engine.platform.ids import entity_hex
from engine.platform.tables import recorder_positions
from engine.runtime import Working

_log = structlog.stdlib.get_logger(__name__)

_SAMPLES: Final = 15
_SAMPLE_EVERY_S_MIN: Final = 1.0


class PositionHistory:
    """Where the recorder stood at some moments of the recent past, per show.

    Keeps 17 positions a show at most. Times are seconds on any clock that only goes forward.
    """

    def __init__(self, kept_s: float) -> None:
        """Take for how long a sale stays in its stream after it was recorded."""
        self._kept_s = kept_s
        self._samples: dict[int, deque[tuple[float, StreamId]]] = {}

    def note(self, now: float, positions: dict[int, StreamId]) -> None:
        """Note where each show stands now; shows that are not named are forgotten."""
        self._samples = {
            show: self._samples.get(show, deque(maxlen=_SAMPLES + 2)) for show in positions
        }
        for show, position in positions.items():
            self._samples[show].append((now, position))

    def trimmable(self, now: float) -> dict[int, StreamId]:
        """Return, per show, the position that was committed long enough ago."""
        found: dict[int, StreamId] = {}
        for show, samples in self._samples.items():
            old = [position for at, position in samples if now - at >= self._kept_s]
            if old:
                found[show] = old[-1]
        return found


async def run_trimming(working: Working) -> None:
    """Trim until cancelled. A store that fails ends it; whoever started it starts it again."""
    kept_s = working.settings.sales_kept_s
    history = PositionHistory(kept_s)
    pause_s = max(kept_s / _SAMPLES, _SAMPLE_EVERY_S_MIN)
    while True:
        now = monotonic()
        history.note(now, await _positions(working))
        for show, position in history.trimmable(now).items():
            oldest = f"{position.epoch}-{max(position.n, 0)}"
            try:
                await working.redis.xtrim(show_keys(show).sales, minid=oldest, approximate=False)
            except ResponseError as error:
                # One stream that is spoilt must not keep the others from being trimmed.
                _log.error("stream can't be trimmed", show=entity_hex(show), error=repr(error))
        await asyncio.sleep(pause_s)


async def _positions(working: Working) -> dict[int, StreamId]:
    query = select(
        recorder_positions.c.show_id, recorder_positions.c.epoch, recorder_positions.c.seq
    )
    async with working.recorder_engine.connect() as connection:
        return {show: StreamId(epoch, seq) for show, epoch, seq in await connection.execute(query)}
