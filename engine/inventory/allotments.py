"""Allotments: places of one show that only who has a right to them may hold, for a time.

To the store they are open like all others. Who may hold them is decided by the process that asks
it, by what it knows of the show: that is exact, since the script answers `stale` to whoever does
not know the newest inventory version, and each allotment that is made or ended makes one.
docs/decisions/0043-allotments.md has why.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.commands import Selection
from engine.inventory.manifest import SEPARATOR, Area, Manifest
from engine.platform.ids import EntityId
from engine.platform.tables import allotments

LIVING_MAX: Final = 100
"""Of one show at a time: a byte a position says whose it is."""

NOWHERE: Final = 999_999
"""A price level to search that has no seats, so that nothing is ever found together in it."""

Ranges = tuple[tuple[int, int], ...]
"""`[start, end)` positions, rising."""

Counts = tuple[int, int, int, int]
"""How many of an area's places are open, held, sold and blocked."""

Rights = frozenset[int]
"""Indexes of the living allotments that somebody may hold places of."""

NO_RIGHTS: Final[Rights] = frozenset()

ONLY: Final = -1
"""Among rights: what is for everybody is not theirs. So it is for who sells what another released.
"""

_RANKS_HASHED: Final = 997
_SEARCHES_KEPT_MAX: Final = 256
_OPEN: Final = ord("o")
_BLOCKED: Final = ord("b")
_OPEN_TO_BLOCKED: Final = bytes.maketrans(b"o", b"b")
_ALL_TO_BLOCKED: Final = bytes.maketrans(b"ohs", b"bbb")
_RANKS: Final = 1 + LIVING_MAX + LIVING_MAX * (LIVING_MAX - 1) // 2 + _RANKS_HASHED


class Share(NamedTuple):
    """Places of an area that moved to one of their own."""

    area: int
    share: int
    places: int


class Allotment(Struct, frozen=True, kw_only=True):
    """One that lives. Times are ms since 1970, UTC."""

    id: EntityId
    allotment_no: int
    seats: Ranges
    shares: tuple[Share, ...]
    code_digests: frozenset[bytes]
    channels: frozenset[str]
    is_personal: bool
    begins_at_ms: int | None
    sellers: frozenset[int] = frozenset()
    """Other resellers who may sell its places."""


class Allotments:
    """The living allotments of a show, in the order of their numbers."""

    def __init__(self, living: Sequence[Allotment] = (), positions: int = 0) -> None:
        """Take them, and how many positions the show's layout has."""
        self.living = tuple(living)
        owners = bytearray(positions)
        for n, one in enumerate(self.living, 1):
            for start, end in one.seats:
                owners[start:end] = bytes([n]) * (end - start)
        self._owners = bytes(owners)
        self._share_owners = {
            share.share: n for n, one in enumerate(self.living) for share in one.shares
        }
        self._searches: dict[tuple[int, Rights], Ranges] = {}

    def __eq__(self, other: object) -> bool:
        """Tell whether the same may be held by the same."""
        return isinstance(other, Allotments) and self.living == other.living

    def __hash__(self) -> int:
        """Return what equal ones have in common."""
        return hash(self.living)

    @property
    def has_personal_codes(self) -> bool:
        """Tell whether a right may depend on who the buyer is."""
        return any(one.is_personal for one in self.living)

    def foreign_seats(self, seats: Iterable[int], rights: Rights) -> tuple[int, ...]:
        """Return those of the seats that somebody with these rights may not hold."""
        owners = self._owners
        if ONLY in rights:
            own = {n + 1 for n in rights if n != ONLY}
            return tuple(seat for seat in seats if not own or owners[seat] not in own)
        return tuple(seat for seat in seats if owners[seat] and owners[seat] - 1 not in rights)

    def are_for_all(self, wanted: Selection) -> bool:
        """Tell whether everybody may hold a selection that was judged by other allotments."""
        if any(level == NOWHERE for level, _ in wanted.best):
            return False
        return not self.living or not self.foreign_seats(wanted.seats, NO_RIGHTS)

    def is_foreign(self, seat: int) -> bool:
        """Tell whether a seat is not for everybody."""
        return bool(self._owners) and self._owners[seat] != 0

    def mask(self, seats: bytes, rights: Rights) -> bytes:
        """Return the states of all seats as somebody with these rights is told them."""
        told = bytearray(seats)
        hidden = _ALL_TO_BLOCKED if ONLY in rights else _OPEN_TO_BLOCKED
        for start, end in self._foreign_ranges(rights, len(seats)):
            told[start:end] = told[start:end].translate(hidden)
        return bytes(told)

    def mask_change(self, seats: Mapping[int, int]) -> dict[int, int]:
        """Return seats' new states, by position, as anybody is told them."""
        if not self._owners:
            return dict(seats)
        return {
            seat: _BLOCKED if state == _OPEN and self._owners[seat] else state
            for seat, state in seats.items()
        }

    def fold_areas(
        self, areas: Sequence[Area], counts: Sequence[Counts], rights: Rights
    ) -> list[Counts]:
        """Return the counts of areas with those of their shares, which have none of their own.

        Of shares that somebody has no right to, what is open is told as blocked; to who is told of
        their own only, all of what is not.
        """
        told = list(counts)
        if ONLY in rights:
            own = {n for n, owner in self._share_owners.items() if owner in rights}
            told = [one if n in own else (0, 0, 0, sum(one)) for n, one in enumerate(counts)]
        for n, area in enumerate(areas):
            if area.parent is None:
                continue
            opened, held, sold, blocked = told[n]
            owner = self._share_owners.get(n)
            if owner is not None and owner not in rights:
                opened, blocked = 0, blocked + opened
            before = told[area.parent]
            told[area.parent] = (
                before[0] + opened,
                before[1] + held,
                before[2] + sold,
                before[3] + blocked,
            )
            told[n] = (0, 0, 0, 0)
        return told

    def shares_of(self, area: int, rights: Rights) -> list[int]:
        """Return the shares of an area that somebody may hold places of."""
        return [
            share.share
            for n, one in enumerate(self.living)
            if n in rights
            for share in one.shares
            if share.area == area
        ]

    def level_to_search(self, level: int, levels: int, rights: Rights) -> int:
        """Return by which number a price level is searched with these rights.

        What is not found by a number once is not searched for again until a seat opens: so each
        set of rights has its own, the same in every process. Those of three and more share some:
        one may be told of none together that another did not find.
        """
        rank, most = self._rank(rights), NOWHERE // levels
        if rank >= most:
            rank = 1 + LIVING_MAX + rank % (most - LIVING_MAX - 1)
        return level + levels * rank

    def search(self, manifest: Manifest, level: int, rights: Rights) -> Ranges | None:
        """Return the ranges of a price level, by the number to search it by, best first.

        None: there is no such level.
        """
        if level == NOWHERE:
            return ()
        levels = len(manifest.levels)
        if level < 0 or (level >= levels and not self.living and ONLY not in rights):
            return None
        level %= levels
        ranges = manifest.levels[level].ranges
        if ONLY not in rights and not any(one.seats for one in self.living):
            return ranges
        known = self._searches.get((level, rights))
        if known is None:
            if len(self._searches) >= _SEARCHES_KEPT_MAX:
                self._searches.clear()
            foreign = sorted(self._foreign_ranges(rights, len(manifest.layout)))
            known = tuple(_cut(ranges, foreign, manifest.layout))
            self._searches[level, rights] = known
        return known

    def _foreign_ranges(self, rights: Rights, positions: int) -> Iterator[tuple[int, int]]:
        if ONLY in rights:
            at = 0
            own = (one.seats for n, one in enumerate(self.living) if n in rights)
            for start, end in sorted(chain.from_iterable(own)):
                if at < start:
                    yield at, start
                at = end
            yield at, positions
            return
        for n, one in enumerate(self.living):
            if n not in rights:
                yield from one.seats

    def _rank(self, rights: Rights) -> int:
        """Return a number of a set of rights: 0 for none, others for one and for each pair."""
        if ONLY in rights:
            return _RANKS + self._rank(rights - {ONLY})
        if not rights:
            return 0
        first, *others = sorted(rights)
        if not others:
            return 1 + first
        if len(others) == 1:
            second = others[0]
            return 1 + LIVING_MAX + second * (second - 1) // 2 + first
        pairs = LIVING_MAX * (LIVING_MAX - 1) // 2
        digest = sum(1 << n for n in rights) % _RANKS_HASHED
        return 1 + LIVING_MAX + pairs + digest


NO_ALLOTMENTS: Final = Allotments()


def read_allotments(found: Any, positions: int) -> Allotments:  # noqa: ANN401 - a JSONB column
    """Read a show's living allotments as PostgreSQL tells them."""
    if not found:
        return NO_ALLOTMENTS
    living = [
        Allotment(
            id=EntityId(row["id"]),
            allotment_no=row["allotment_no"],
            seats=msgspec.convert(row["seats"], Ranges),
            shares=msgspec.convert(row["shares"], tuple[Share, ...]),
            code_digests=frozenset(
                bytes.fromhex(digest.removeprefix("\\x")) for digest in row["code_digests"]
            ),
            channels=frozenset(row["channels"]),
            is_personal=row["is_personal"],
            begins_at_ms=row["begins_at_ms"],
            sellers=frozenset(row["sellers"]),
        )
        for row in found
    ]
    return Allotments(living, positions)


async def read_apart(connection: AsyncConnection, show: int) -> tuple[list[Any], list[int]]:
    """Return which places of a show are not for everybody: ranges of seats, and areas.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    query = select(allotments.c.seats, allotments.c.shares).where(
        allotments.c.show_id == show, allotments.c.ended_at.is_(None)
    )
    rows = (await connection.execute(query)).all()
    return (
        [found for row in rows for found in row.seats],
        [share for row in rows for _, share, _ in row.shares],
    )


def ranges_of(seats: Iterable[int]) -> list[tuple[int, int]]:
    """Return positions as ranges."""
    ranges: list[tuple[int, int]] = []
    for seat in sorted(seats):
        if ranges and ranges[-1][1] == seat:
            ranges[-1] = ranges[-1][0], seat + 1
        else:
            ranges.append((seat, seat + 1))
    return ranges


def _cut(
    ranges: Iterable[tuple[int, int]], foreign: Sequence[tuple[int, int]], layout: str
) -> Iterator[tuple[int, int]]:
    """Yield what is left of ranges without others, beginning and ending at a seat each."""
    for start, end in ranges:
        at = start
        for first, after in foreign:
            if after > at and first < end:
                yield from _trimmed(at, first, layout)
                at = max(at, after)
        yield from _trimmed(at, end, layout)


def _trimmed(start: int, end: int, layout: str) -> Iterator[tuple[int, int]]:
    while start < end and layout[start] == SEPARATOR:
        start += 1
    while start < end and layout[end - 1] == SEPARATOR:
        end -= 1
    if start < end:
        yield start, end
