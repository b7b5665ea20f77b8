"""Trims the sales streams, well behind what the ledger has committed."""

import asyncio
from collections import deque
from time import monotonic
from typing import Final

import structlog
from redis.exceptions import ResponseError
from sqlalchemy import text

from engine.inventory.facts import StreamId
from engine.inventory.keys import show_keys
from engine.platform.ids import entity_hex
from engine.runtime import Working

_log = structlog.stdlib.get_logger(__name__)

_SAMPLES: Final = 15
_SAMPLE_EVERY_S_MIN: Final = 1.0
_READ_AT_ONCE: Final = 5000
_RECORDED: Final = text(
    "SELECT show_id, epoch, seq FROM recorder_positions WHERE show_id > :after"
    " AND (epoch > 1 OR seq >= 0) ORDER BY show_id LIMIT :most"
)


class PositionHistory:
    """Where the recorder stood at some moments of the recent past, per show.

    Keeps 17 positions a show at most. Times are seconds on any clock that only goes forward.
    """

    def __init__(self, kept_s: float) -> None:
        """Take for how long a sale stays in its stream after it was recorded."""
        self._kept_s = kept_s
        self._samples: dict[int, deque[tuple[float, StreamId]]] = {}
        self._trimmed: dict[int, StreamId] = {}

    def note(self, now: float, positions: dict[int, StreamId]) -> None:
        """Note where each show stands now; shows that are not named are forgotten."""
        self._samples = {
            show: self._samples.get(show, deque(maxlen=_SAMPLES + 2)) for show in positions
        }
        self._trimmed = {show: at for show, at in self._trimmed.items() if show in positions}
        for show, position in positions.items():
            samples = self._samples[show]
            # A show that is quiet keeps one sample, not the same seventeen times.
            if not samples or samples[-1][1] != position:
                samples.append((now, position))

    def trimmable(self, now: float) -> dict[int, StreamId]:
        """Return, per show, the position committed long enough ago, unless it is trimmed."""
        found: dict[int, StreamId] = {}
        for show, samples in self._samples.items():
            old = [position for at, position in samples if now - at >= self._kept_s]
            if old and self._trimmed.get(show) != old[-1]:
                found[show] = old[-1]
        return found

    @property
    def remembered(self) -> int:
        """How many positions are kept, of all shows."""
        return sum(map(len, self._samples.values()))

    def note_trimmed(self, show: int, position: StreamId) -> None:
        """Note that a show's stream begins behind a position now."""
        self._trimmed[show] = position


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
                history.note_trimmed(show, position)
            except ResponseError as error:
                # One stream that is spoilt must not keep the others from being trimmed.
                _log.error("stream can't be trimmed", show=entity_hex(show), error=repr(error))
        await asyncio.sleep(pause_s)


async def _positions(working: Working) -> dict[int, StreamId]:
    """Return where each show stands of which anything was recorded."""
    found: dict[int, StreamId] = {}
    after: int | None = 0
    while after is not None:
        async with working.recorder_engine.connect() as connection:
            rows = (
                await connection.execute(_RECORDED, {"after": after, "most": _READ_AT_ONCE})
            ).all()
        found |= {row.show_id: StreamId(row.epoch, row.seq) for row in rows}
        after = rows[-1].show_id if len(rows) == _READ_AT_ONCE else None
    return found
