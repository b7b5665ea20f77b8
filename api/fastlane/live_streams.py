"""The streams of live seats of one process: their bounds, and when they end."""

import asyncio
import time
from typing import Final

import structlog

from api.fastlane.live_audience import Audience, Watcher
from api.fastlane.streams import Streams
from api.fastlane.unread import cut_off, read_acknowledged
from api.problems import ProblemError, ProblemKind
from engine.inventory.facts import StreamId
from engine.inventory.live import LiveSeats
from engine.inventory.live_blocks import Block
from engine.inventory.shows import Show
from engine.platform.settings import Settings

SHOWS_MAX: Final = 1024
PARTS_MAX: Final = 4096
"""Of all shows: what changes is written once for each."""
OF_ONE_RESELLER: Final = 0.75
"""The share of both that one reseller's shows may have: a crowd of theirs shuts nobody else out."""

_BLIND_BYTES_MAX: Final = 1024 * 1024
_SWEEP_S: Final = 1.0
_LOOK_S: Final = 10.0

_log = structlog.stdlib.get_logger(__name__)


class Live:
    """The streams of live seats of one process."""

    def __init__(self) -> None:
        """Begin with none."""
        self._audiences: dict[int, Audience] = {}
        self._watchers: set[Watcher] = set()
        self._streams: Streams | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._is_blind = False

    def streams(self, settings: Settings) -> Streams:
        """Return what counts them."""
        if self._streams is None:
            self._streams = Streams(
                at_once_max=settings.live_watchers_max,
                of_one_address_max=settings.live_watchers_of_address_max,
                of_one_reseller_max=settings.live_watchers_of_reseller_max,
                instead="the availability",
            )
        return self._streams

    def check_room(self, show: Show, block: Block) -> None:
        """Refuse another show, or part of one, beyond the bounds.

        Raises:
            ProblemError: `overloaded`.
        """
        audience = self._audiences.get(show.id)
        if audience is not None and block in audience.parts:
            return
        everybodys = list(self._audiences.values())
        own = [one for one in everybodys if one.live.show.reseller == show.reseller]
        is_full = any(
            sum(len(one.parts) for one in those) >= PARTS_MAX * share
            or (audience is None and len(those) >= SHOWS_MAX * share)
            for those, share in ((everybodys, 1.0), (own, OF_ONE_RESELLER))
        )
        if is_full:
            raise ProblemError(
                ProblemKind.OVERLOADED,
                "Too much is watched here; ask for the availability instead.",
            )

    async def watch(
        self, seats: LiveSeats, show: Show, block: Block, watcher: Watcher, last: StreamId | None
    ) -> None:
        """Tell somebody of a part of a show until their stream ends."""
        audience = self._audiences.get(show.id)
        if audience is None:
            audience = Audience(lambda one: seats.follow(show, one))
            self._audiences[show.id] = audience
        self._watchers.add(watcher)
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep())
        audience.join(block, watcher, last)
        try:
            await watcher.ended
        finally:
            self._watchers.discard(watcher)
            audience.leave(block, watcher)
            if not audience.parts:
                self._audiences.pop(show.id, None)
                seats.leave(audience.live)

    async def _sweep(self) -> None:
        """End streams that are over, or are not read; let the others know that they live."""
        looked_at = time.monotonic()
        while self._watchers:
            await asyncio.sleep(_SWEEP_S)
            now = time.monotonic()
            try:
                for watcher in list(self._watchers):
                    if now >= watcher.ends_at:
                        watcher.end()
                for audience in list(self._audiences.values()):
                    await audience.beat(now)
                if now - looked_at >= _LOOK_S:
                    looked_at = now
                    await self._look()
            except Exception:  # noqa: BLE001 - told; the next sweep may go well
                _log.exception("live seats: a sweep failed")

    async def _look(self) -> None:
        """Cut off who does not read: what was sent to them would be kept for them."""
        for port in {watcher.port for watcher in self._watchers}:
            try:
                acknowledged = await asyncio.to_thread(read_acknowledged, port)
            except OSError as error:
                self._look_blindly(error)
                continue
            now = time.monotonic()
            slow = [
                one
                for one in self._watchers
                if one.port == port
                and (read := acknowledged.get(one.peer)) is not None
                and not one.reads(read, now)
            ]
            if slow:
                _log.info("live seats: cut off who does not read", watchers=len(slow))
                await asyncio.to_thread(cut_off, {one.peer for one in slow})
                for one in slow:
                    one.end()

    def _look_blindly(self, error: OSError) -> None:
        """Let streams end early where nobody can tell what is read of them: they come back."""
        if not self._is_blind:
            _log.warning("live seats: what is read can't be told", error=repr(error))
        self._is_blind = True
        for watcher in self._watchers:
            if watcher.sent > _BLIND_BYTES_MAX:
                watcher.end()
