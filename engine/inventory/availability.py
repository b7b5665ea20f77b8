"""The seat map and the counts of a show, read in one moment."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import structlog
from msgspec import Struct
from msgspec.structs import astuple, replace
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.allotments import ONLY, Rights
from engine.inventory.commands import Recovering
from engine.inventory.keys import WAKE_CHANNEL, Wake, wake_call
from engine.inventory.lanes import ShowSource
from engine.inventory.ledgered import read_blocks, read_orders
from engine.inventory.rebuild import rebuild
from engine.inventory.records import AreaCounts, unpack_area
from engine.inventory.scripts import load_script
from engine.inventory.shows import OVER, Show
from engine.platform.ids import entity_hex
from engine.platform.redis import Store
from engine.platform.retrying import RELOAD

_RELOADS_MAX: Final = 3
_LEDGERED_MAX: Final = 64

_log = structlog.stdlib.get_logger(__name__)


class SeatCounts(Struct, frozen=True):
    """Places by state: capacity - sold - held - blocked = open."""

    capacity: int
    sold: int
    held: int
    blocked: int
    open: int


class NotStored(Struct, frozen=True):
    """The inventory store is not to have the show: the ledger alone tells how it stands."""


class InventoryState(Struct, frozen=True):
    """A show's seats and areas at one moment; `sequence` is its last change's place in `deltas`."""

    show: Show
    as_of_ms: int
    sequence: str
    seats: bytes
    areas: tuple[AreaCounts, ...]

    def seen_by(self, rights: Rights) -> "InventoryState":
        """Return it as somebody is told it: what is not for them is blocked.

        Shares of areas are told under these.
        """
        show = self.show
        has_shares = any(area.parent is not None for area in show.manifest.areas)
        is_all = ONLY not in rights
        if is_all and not show.allotments.living and not has_shares:
            return self
        areas = show.allotments.fold_areas(
            show.manifest.areas, [astuple(counts) for counts in self.areas], rights
        )
        return replace(
            self,
            # Who is told of their own only is not told how often the rest has changed.
            sequence=self.sequence if is_all else f"{show.epoch}-{self.as_of_ms}",
            seats=show.allotments.mask(self.seats, rights),
            areas=tuple(AreaCounts(*counts) for counts in areas),
        )

    @property
    def open(self) -> int:
        """Return how many seats and places can be held."""
        return self.seats.count(b"o") + sum(area.open for area in self.areas)

    def level_counts(self, level: int) -> SeatCounts:
        """Return the counts of a price level's numbered seats."""
        ranges = self.show.manifest.levels[level].ranges
        return _count(b"".join(self.seats[start:end] for start, end in ranges))

    def count(self, ranges: Iterable[tuple[int, int]], areas: Iterable[int]) -> SeatCounts:
        """Return the counts of some seats and areas together."""
        seats = _count(b"".join(self.seats[start:end] for start, end in ranges))
        parts = [seats, *(self.area_counts(area) for area in areas)]
        return SeatCounts(*map(sum, zip(*map(astuple, parts), strict=True)))

    def area_counts(self, area: int) -> SeatCounts:
        """Return the counts of an area."""
        counts = self.areas[area]
        return SeatCounts(
            capacity=counts.open + counts.held + counts.sold + counts.blocked,
            sold=counts.sold,
            held=counts.held,
            blocked=counts.blocked,
            open=counts.open,
        )


def as_told(state: InventoryState) -> InventoryState:
    """Return how a show stands for who asks: once it is over, what nobody bought is not open."""
    if state.show.state not in OVER:
        return state
    return replace(
        state,
        seats=state.seats.replace(b"o", b"b"),
        areas=tuple(
            replace(area, open=0, blocked=area.blocked + area.open) for area in state.areas
        ),
    )


async def read_inventory(
    redis: Store, source: ShowSource
) -> InventoryState | NotStored | Recovering:
    """Return how the show stands.

    `Recovering` also if the store has lost a part of it: then workers are called to rebuild it.

    Raises:
        redis.RedisError: the store could not be asked.
    """
    show = await source.current()
    if not show.is_stored:
        # Another process may have opened it meanwhile.
        show = await source.reload()
    for attempt in range(1, _RELOADS_MAX + 1):
        if not show.is_stored:
            return NotStored()
        status, *rest = await load_script("read_show").call(
            redis, show.keys.inventory(), show.epoch, show.inventory_version
        )
        if status == b"ok":
            state = _state(show, *rest)
            if state is None:
                _log.error("the store has lost a part of a show", show=entity_hex(show.id))
                await redis.publish(WAKE_CHANNEL, wake_call(Wake.REBUILD, show.id))
                return Recovering()
            return state
        # The ledger may be about to have what the store has already.
        await asyncio.sleep(RELOAD.pause_s(attempt))
        show = await source.reload()
    return Recovering()


def _state(
    show: Show, now_ms: int, seats: bytes | None, sequence: bytes, areas: list[bytes]
) -> InventoryState | None:
    """Return what was read; None: it is not all there."""
    found = dict(zip(areas[::2], areas[1::2], strict=True))
    counts = [found.get(str(index).encode()) for index in range(len(show.manifest.areas))]
    known = [count for count in counts if count is not None]
    if seats is None or len(seats) != len(show.manifest.layout) or len(known) != len(counts):
        return None
    return InventoryState(
        show=show,
        as_of_ms=now_ms,
        sequence=sequence.decode(),
        seats=seats,
        areas=tuple(map(unpack_area, known)),
    )


async def read_ledgered(connection: AsyncConnection, show: Show) -> InventoryState:
    """Return how a show stands by the ledger: what is sold, and what the house withholds.

    Raises:
        ContradictionError: the ledger contradicts the manifest or itself.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger can't be asked.
    """
    orders, blocks = await read_orders(connection, show.id), await read_blocks(connection, show.id)
    built = await asyncio.to_thread(
        rebuild, show.manifest, orders, blocks, {}, 0, max_per_buyer=show.max_per_buyer
    )
    return InventoryState(
        show=show,
        as_of_ms=time.time_ns() // 1_000_000,
        # Its next epoch is a higher one, and until then only returns change it in this version.
        sequence=f"{show.epoch}-{show.return_no}",
        seats=built.seats,
        areas=tuple(unpack_area(built.areas[str(n)]) for n in range(len(show.manifest.areas))),
    )


class LedgeredStates:
    """What shows were like that the store does not have, when they were asked for last.

    Each change of theirs makes another inventory version or return number: who asks again need not
    have all of a large show's orders read and laid out again.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._known: OrderedDict[int, InventoryState] = OrderedDict()

    async def read(self, connection: AsyncConnection, show: Show) -> InventoryState:
        """Return how a show stands by the ledger. Raises as `read_ledgered`."""
        known = self._known.get(show.id)
        if known is None or _version(known.show) != _version(show):
            known = self._known[show.id] = await read_ledgered(connection, show)
            if len(self._known) > _LEDGERED_MAX:
                self._known.popitem(last=False)
        return replace(known, show=show, as_of_ms=time.time_ns() // 1_000_000)


def _version(show: Show) -> tuple[int, int, int]:
    return show.epoch, show.inventory_version, show.return_no


def _count(states: bytes) -> SeatCounts:
    sold, held, blocked, opened = (states.count(state) for state in (b"s", b"h", b"b", b"o"))
    return SeatCounts(sold + held + blocked + opened, sold, held, blocked, opened)
