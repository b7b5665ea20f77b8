"""Follows the deltas of the shows that somebody watches, once a process however many watch.

A show is followed from its first watcher to its last. A turn reads what is new of all shows, of
each server in one round trip; what one frame tells is merged from it. Where the deltas have a gap,
or are of another epoch or inventory version, the show is read anew: nothing is left out in silence.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from itertools import islice
from typing import Any, Final, Protocol

import structlog
from msgspec.structs import replace
from redis.exceptions import RedisError

from engine.inventory.allotments import NO_RIGHTS
from engine.inventory.availability import InventoryState
from engine.inventory.commands import Recovering
from engine.inventory.facts import EDIT, StreamId
from engine.inventory.live_frames import (
    Counts,
    Frame,
    GapError,
    History,
    Picture,
    Telling,
    read_frames,
)
from engine.inventory.shows import OVER, Show
from engine.platform.cpu_demand import CpuDemand
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import entity_hex
from engine.platform.redis import Store, StreamEntries

FRAME_S: Final = 0.1
"""At most ten frames a second."""

FRAME_S_MAX: Final = 0.3
"""Not fewer than three either where CPU is short: what is told must stay news."""

STARVED_FRAME_S_MAX: Final = 1.0
"""Where a thread does not get along at all any more: holds come first."""

STALE_S: Final = 3.0
"""After so long without an answer watchers are told that nobody knows."""

_OPEN: Final = ord("o")
_BLOCKED: Final = ord("b")
_BUSY: Final = 0.88
_STARVED: Final = 0.95
_IDLE: Final = 0.78
_SLOWER: Final = 1.1
_FASTER: Final = 0.94
_SMOOTHING: Final = 0.3
_ENTRIES_AT_A_TIME: Final = 2000
_READS_A_TURN: Final = 4
_BEFORE: Final = 1000
_RETRY_S: Final = 0.5
_RETRY_ARCHIVED_S: Final = 10.0
_OPENINGS_AT_ONCE: Final = 16

_AWAY: Final = (RedisError, OSError, TimeoutError)
_log = structlog.stdlib.get_logger(__name__)


class Gone(StrEnum):
    """Why nothing is told of a show for now."""

    RECOVERING = "recovering"
    UNAVAILABLE = "unavailable"


class Audience(Protocol):
    """Who is told of a show."""

    async def show_picture(self) -> None:
        """Tell everybody how the show stands: what they were told before is void."""
        ...

    async def show_frame(self, frame: Frame) -> None:
        """Tell everybody what has changed."""
        ...

    async def show_gone(self, why: Gone) -> None:
        """Tell everybody that nothing is known for now; a picture follows."""
        ...


class LiveShow:
    """A show that is followed, as far as it is known."""

    def __init__(self, show: Show, audience: Audience) -> None:
        """Begin with nothing known."""
        self.show = show
        self.picture: Picture | None = None
        """None until it was read, and while nothing is known."""
        self.history = History()
        self.gone: Gone | None = None
        self.audience = audience
        self.read_at = time.monotonic()
        self.retry_at = 0.0


class Pace:
    """How long a turn lasts: longer when a thread of this process is short of CPU, within bounds.

    Sending is not done when it returns: the server's own thread writes what it was given, and what
    it can't write in time waits there, before every other answer.
    """

    def __init__(
        self, demand: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin with the shortest; `demand` is the share of the time since it was asked last."""
        self.turn_s = FRAME_S
        self._demand = demand
        self._clock = clock
        self._began_at = clock()
        self._share = 0.0

    def begin(self) -> None:
        """Begin a turn."""
        self._began_at = self._clock()

    def end(self) -> float:
        """End it; return how long to rest until the next."""
        self._share += _SMOOTHING * (self._demand() - self._share)
        if self._share > _BUSY:
            most_s = STARVED_FRAME_S_MAX if self._share > _STARVED else FRAME_S_MAX
            self.turn_s = min(self.turn_s * _SLOWER, most_s)
        elif self._share < _IDLE:
            self.turn_s = max(self.turn_s * _FASTER, FRAME_S)
        return max(self.turn_s - (self._clock() - self._began_at), 0.0)


class TellingAnybody(Telling):
    """Places that are not for everybody are told as blocked, shares under their areas.

    Of a show that is over nothing is open, whatever still comes back to the store.
    """

    def __init__(self, show: Show) -> None:
        """Take the show."""
        self._show = show
        self._is_over = show.state in OVER

    def seats(self, seats: bytes) -> bytes:
        """Return the states of all seats."""
        seats = self._show.allotments.mask(seats, NO_RIGHTS)
        return seats.replace(b"o", b"b") if self._is_over else seats

    def changes(self, seats: dict[int, int]) -> dict[int, int]:
        """Return new states by position."""
        seats = self._show.allotments.mask_change(seats)
        if not self._is_over:
            return seats
        return {seat: _BLOCKED if state == _OPEN else state for seat, state in seats.items()}

    def areas(self, areas: list[Counts]) -> list[Counts]:
        """Return the counts of all areas."""
        told = self._show.allotments.fold_areas(self._show.manifest.areas, areas, NO_RIGHTS)
        return [*map(self.counts, told)]

    def counts(self, counts: Counts) -> Counts:
        """Return the counts of an area for everybody."""
        opened, held, sold, blocked = counts
        return (0, held, sold, blocked + opened) if self._is_over else counts

    def area(self, area: int) -> int:
        """Return under which area one is told."""
        parent = self._show.manifest.areas[area].parent
        return area if parent is None else parent


Reading = Callable[[Show], Awaitable[InventoryState | Recovering]]


class LiveSeats:
    """All shows that this process follows for watchers."""

    def __init__(self, redis: Store, read: Reading) -> None:
        """Take the inventory store, and what reads a whole show."""
        self._redis = redis
        self._read = read
        self._followed: dict[int, LiveShow] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def follow(self, show: Show, audience: Audience) -> LiveShow:
        """Follow a show for an audience, until `leave`."""
        live = self._followed[show.id] = LiveShow(show, audience)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return live

    def leave(self, live: LiveShow) -> None:
        """Follow a show no more."""
        if self._followed.get(live.show.id) is live:
            del self._followed[live.show.id]

    async def stop(self) -> None:
        """Follow nothing any more."""
        self._followed.clear()
        tasks = [task for task in (self._task, *self._under_way.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        pace = Pace(CpuDemand().share)
        while self._followed:
            pace.begin()
            try:
                await self._turn()
            except Exception:  # noqa: BLE001 - told; the watchers depend on the next turn
                _log.exception("live seats: a turn failed")
            await asyncio.sleep(pace.end())

    async def _turn(self) -> None:
        """Read what is new; a server that does not answer holds up its own shows only."""
        by_server: dict[str, list[LiveShow]] = {}
        for live in list(self._followed.values()):
            try:
                server = await self._redis.server_of(live.show.keys.deltas)
            except _AWAY as error:
                await self._not_read([live], error)
            else:
                by_server.setdefault(server, []).append(live)
        for server, shows in by_server.items():
            if server not in self._under_way:
                task = self._under_way[server] = asyncio.create_task(self._read_server(shows))
                task.add_done_callback(lambda _, server=server: self._under_way.pop(server, None))
        if self._under_way:
            await asyncio.wait(
                set(self._under_way.values()),
                timeout=None if len(self._under_way) == 1 else FRAME_S,
            )

    async def _read_server(self, shows: list[LiveShow]) -> None:
        now = time.monotonic()
        unread = (one for one in shows if one.picture is None and now >= one.retry_at)
        opening = list(islice(unread, _OPENINGS_AT_ONCE))
        following = [one for one in shows if one.picture is not None]
        if opening:
            await asyncio.gather(*map(self._open, opening))
        for _ in range(_READS_A_TURN):
            if not following:
                break
            try:
                following = await self._read_on(following)
            except _AWAY as error:
                await self._not_read(following, error)
                break
        for one in shows:
            frame = one.picture.take_frame() if one.picture is not None else None
            if frame is not None:
                one.history.add(frame)
                await one.audience.show_frame(frame)

    async def _read_on(self, shows: list[LiveShow]) -> list[LiveShow]:
        """Read what is new of shows of one server; return those that have more."""
        pipeline = self._redis.pipeline(transaction=False)
        known = [(one, one.picture) for one in shows if one.picture is not None]
        for one, picture in known:
            keys = one.show.keys
            pipeline.xrange(keys.deltas, f"({picture.at}", "+", _ENTRIES_AT_A_TIME)
            pipeline.hmget(keys.meta, ["state", "epoch", "version"])
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        now = time.monotonic()
        more: list[LiveShow] = []
        for (one, picture), listed, told in zip(known, answers[::2], answers[1::2], strict=True):
            failed = next((part for part in (listed, told) if isinstance(part, Exception)), None)
            if failed is not None:
                await self._not_read([one], failed)
                continue
            one.read_at = now
            if not self._learn(one, picture, listed, told):
                one.picture = None
                one.retry_at = 0.0
            elif len(listed) == _ENTRIES_AT_A_TIME:
                more.append(one)
        return more

    def _learn(
        self, one: LiveShow, picture: Picture, listed: StreamEntries, told: list[bytes | None]
    ) -> bool:
        """Return whether what is known can be carried on."""
        expected = [b"open", b"%d" % picture.at.epoch, b"%d" % one.show.inventory_version]
        if told != expected:
            return False
        try:
            for at, fields in listed:
                picture.learn(StreamId.parse(at), fields[b"d"])
        except (GapError, LookupError, ValueError) as error:
            _log.info("live seats: read anew", show=entity_hex(one.show.id), why=str(error))
            return False
        return True

    async def _open(self, one: LiveShow) -> None:
        """Read a whole show, and tell how it stands."""
        try:
            state = await self._read(one.show)
        except StoreUnavailableError as error:
            await self._not_read([one], error)
            return
        except Exception as error:  # noqa: BLE001 - told; other shows go on
            _log.exception("live seats: show not read", show=entity_hex(one.show.id))
            await self._not_read([one], error)
            return
        if isinstance(state, Recovering):
            await self._tell_gone(one, Gone.RECOVERING)
            return
        if not state.show.is_stored:
            # Nothing of it changes: whoever wants to see it asks for it.
            await self._tell_gone(one, Gone.UNAVAILABLE)
            one.retry_at = time.monotonic() + _RETRY_ARCHIVED_S
            return
        at = StreamId.parse(state.sequence)
        areas = ((c.open, c.held, c.sold, c.blocked) for c in state.areas)
        history = await self._read_before(state, at)
        one.show, one.history = state.show, history
        one.read_at = time.monotonic()
        told = TellingAnybody(state.show)
        one.picture = Picture(at, state.as_of_ms, state.seats, areas, told)
        one.gone = None
        await one.audience.show_picture()

    async def _read_before(self, state: InventoryState, at: StreamId) -> History:
        """Return what came before, so that who was cut off elsewhere can go on here."""
        history = History()
        first = StreamId(at.epoch, max(at.n - _BEFORE, 0))
        with suppress(GapError, LookupError, ValueError, *_AWAY):  # then there is no history
            listed = await self._redis.xrange(
                state.show.keys.deltas, str(first), str(at), _BEFORE + 1
            )
            # Who was told of other places, before an edit of them, is told anew.
            edited = [n for n, (_, fields) in enumerate(listed) if EDIT in fields]
            listed = listed[edited[-1] :] if edited else listed
            entries = [(StreamId.parse(entry), fields[b"d"]) for entry, fields in listed]
            if all(area.parent is None for area in state.show.manifest.areas):
                told = TellingAnybody(state.show)
                for frame in read_frames(entries[1:], entries[0][0]):
                    areas = {area: told.counts(counts) for area, counts in frame.areas.items()}
                    history.add(replace(frame, seats=told.changes(frame.seats), areas=areas))
        return history

    async def _not_read(self, shows: list[LiveShow], error: Exception) -> None:
        now = time.monotonic()
        for one in shows:
            if one.picture is None or now - one.read_at > STALE_S:
                if one.gone is None:
                    name = entity_hex(one.show.id)
                    _log.warning("live seats: not read", show=name, error=repr(error))
                await self._tell_gone(one, Gone.UNAVAILABLE)

    async def _tell_gone(self, one: LiveShow, why: Gone) -> None:
        one.picture = None
        one.retry_at = time.monotonic() + _RETRY_S
        if one.gone is not why:
            one.gone = why
            await one.audience.show_gone(why)
