"""What becomes of the facts of a batch: an order, a conflict, a stranded fact, or nothing.

Pure. The recorder tells it what the ledger has; `JudgedBatch` says what to add. Facts are judged
in the order of the stream, each on top of what the earlier ones of its batch took.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from engine.inventory.facts import FactError, SeatsSold, StreamId, read_sale
from engine.inventory.ticket_types import TicketTypesError, read_types
from engine.sales.pricing import Quote, UnpricedError
from engine.sales.terms import AreaPlace, SeatPlace, Terms

_Index = Annotated[int, Meta(ge=0, lt=2**31)]
_Count = Annotated[int, Meta(ge=1, lt=2**31)]
_Wide = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Text = Annotated[str, Meta(pattern=r"^[^\x00]*$")]  # PostgreSQL's text takes no NUL


class _Recordable(Struct, frozen=True):
    """A fact that fits the ledger's columns."""

    hold: Annotated[bytes, Meta(min_length=16, max_length=16)]
    buyer: _Text
    seats: tuple[_Index, ...]
    areas: tuple[tuple[_Index, _Count], ...]
    price_version: _Index
    sold_at_ms: Annotated[int, Meta(ge=0, lt=2**47)]
    purchase_key: _Text
    body_fp: _Wide
    payment_reference: _Text
    hold_fp: _Wide
    types: _Text


class OrderStatus(StrEnum):
    """Where an order stands in the ledger."""

    CONFIRMED = "confirmed"
    CONFLICT = "conflict"
    REFUNDED = "refunded"
    RETURNED = "returned"


class Entry(Struct, frozen=True):
    """One entry of a show's `sales` stream."""

    id: StreamId
    fields: dict[bytes, bytes]

    @property
    def hold(self) -> bytes | None:
        """Return the hold that it names, if it names one."""
        hold = self.fields.get(b"h", b"")
        return hold if len(hold) == 16 else None  # noqa: PLR2004 - an id's bytes


class ReadEntry(Struct, frozen=True):
    """An entry that was read and found to fit the ledger's columns."""

    entry: Entry
    fact: SeatsSold


class Sale(Struct, frozen=True):
    """An entry that was read, found to fit, and priced."""

    id: StreamId
    fact: SeatsSold
    quote: Quote
    seats: tuple[tuple[int, SeatPlace], ...]
    areas: tuple[tuple[int, int, AreaPlace], ...]
    """Area index, count, place."""
    types: tuple[str, ...] = ()
    """Of the seats, then of each area's places; none: all are standard."""


class Stranded(Struct, frozen=True):
    """An entry that cannot become an order; it is kept whole, for a person or a refund."""

    entry: Entry
    reason: str
    sale: Sale | None = None
    """What it would have sold, if that can be read and priced: to be paid back."""

    @property
    def hold(self) -> bytes | None:
        """Return the hold that it names, if it names one."""
        return self.entry.hold


class Clash(Struct, frozen=True):
    """A place that an order could not have: whose the seat is, or an area that is full."""

    seat: int | None
    area: int | None
    owner: bytes | None


class Conflict(Struct, frozen=True):
    """A sale that lost a place, and so all of them."""

    sale: Sale
    clashes: tuple[Clash, ...]


class LedgerState(Struct, frozen=True):
    """What the ledger has already of the places and orders that a batch names."""

    orders: frozenset[bytes]
    owners: Mapping[int, bytes]
    """Seat position to the order that has it."""
    room: Mapping[int, int]
    """Area index to places left, for the areas that have sold any."""


NOTHING_SOLD: Final = LedgerState(orders=frozenset(), owners={}, room={})


class JudgedBatch(Struct, frozen=True):
    """What to add to the ledger."""

    confirmed: tuple[Sale, ...]
    conflicts: tuple[Conflict, ...]
    stranded: tuple[Stranded, ...]
    area_counts: Mapping[int, int]
    """Area index to the places that the confirmed sales take."""

    def refused(self) -> tuple[bytes, ...]:
        """Return the holds that were not confirmed."""
        return (
            *(conflict.sale.fact.hold for conflict in self.conflicts),
            *(stranded.hold for stranded in self.stranded if stranded.hold is not None),
        )


def read_entries(
    entries: Sequence[Entry],
) -> tuple[tuple[ReadEntry, ...], tuple[Stranded, ...]]:
    """Read entries; what can't be read is stranded with the reason."""
    found: list[ReadEntry] = []
    stranded: list[Stranded] = []
    for entry in entries:
        try:
            found.append(ReadEntry(entry, _fact(entry)))
        except FactError as error:
            stranded.append(Stranded(entry, str(error)))
    return tuple(found), tuple(stranded)


def price_entries(
    entries: Sequence[ReadEntry], terms: Terms
) -> tuple[tuple[Sale, ...], tuple[Stranded, ...]]:
    """Price what was read; what can't be priced is stranded with the reason."""
    sales: list[Sale] = []
    stranded: list[Stranded] = []
    for read in entries:
        try:
            sales.append(_price(read, terms))
        except (UnpricedError, TicketTypesError, IndexError) as error:
            stranded.append(Stranded(read.entry, str(error)))
    return tuple(sales), tuple(stranded)


def judge(sales: Sequence[Sale], stranded: Sequence[Stranded], state: LedgerState) -> JudgedBatch:
    """Decide what becomes of each sale, in the order of the stream.

    A known order is a replay: it is left as it is. A sale gets all its places or none.
    """
    known = set(state.orders)
    owners = dict(state.owners)
    taken: dict[int, int] = {}
    confirmed: list[Sale] = []
    conflicts: list[Conflict] = []
    for sale in sales:
        order = sale.fact.hold
        if order in known:
            continue
        known.add(order)
        clashes = (
            *(Clash(seat, None, owners[seat]) for seat, _ in sale.seats if seat in owners),
            *(
                Clash(None, area, None)
                for area, count, place in sale.areas
                if taken.get(area, 0) + count > state.room.get(area, place.capacity)
            ),
        )
        if clashes:
            conflicts.append(Conflict(sale, clashes))
            continue
        confirmed.append(sale)
        owners.update((seat, order) for seat, _ in sale.seats)
        for area, count, _ in sale.areas:
            taken[area] = taken.get(area, 0) + count
    return JudgedBatch(
        confirmed=tuple(confirmed),
        conflicts=tuple(conflicts),
        # A replay of what was recorded is no loss, whatever became of its epoch since.
        stranded=tuple(one for one in stranded if one.hold not in state.orders),
        area_counts=taken,
    )


def _fact(entry: Entry) -> SeatsSold:
    fact = read_sale(entry.fields)
    try:
        msgspec.convert(fact, _Recordable, from_attributes=True)
    except msgspec.ValidationError as error:
        msg = f"does not fit the ledger: {error}"
        raise FactError(msg) from error
    places = (*fact.seats, *(~area for area, _ in fact.areas))
    if not places or len(set(places)) != len(places):
        msg = "names no place, or one twice"
        raise FactError(msg)
    return fact


def _price(read: ReadEntry, terms: Terms) -> Sale:
    fact = read.fact
    places = terms.places_at(fact.price_version)
    seats = tuple([(seat, places.seat(seat)) for seat in fact.seats])
    areas = tuple([(area, count, places.area(area)) for area, count in fact.areas])
    types: tuple[str, ...] = ()
    if fact.types:
        types = read_types(fact.types, len(seats) + sum(count for _, count in fact.areas))
    return Sale(
        id=read.entry.id,
        fact=fact,
        quote=terms.quote(
            fact.price_version,
            tuple([place.price_level for _, place in seats]),
            tuple([(area, place.price_level, count) for area, count, place in areas]),
            types,
        ),
        seats=seats,
        areas=areas,
        types=types,
    )
