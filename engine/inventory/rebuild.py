"""What a show's inventory must be: computed from the ledger, the blocks and the surviving holds.

Pure: a recovery reads, this decides, a recovery writes. What the ledger has sold is sold; of the
surviving holds, one whose order is in the ledger becomes that order, one whose seats are its own
stays with its deadline put off by the outage, any other ends. Counts are computed afresh, never
carried over.

A server that lagged when it took over brings back holds that their buyers had given up since, for
what the ledger has them buy: only as many stay as the limit per buyer allows. What the server by
itself had let a buyer have stays: the house may have lowered the limit since. So does what is being
purchased.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from engine.inventory.manifest import Manifest
from engine.inventory.records import (
    KEPT_AFTER_DEADLINE_MS,
    AreaCounts,
    HoldRecord,
    HoldState,
    SaleRecord,
    Tombstone,
    pack_area,
    pack_buyer,
    pack_record,
)
from engine.platform.ids import purchase_key_digest

OPEN: Final = ord("o")
HELD: Final = ord("h")
SOLD: Final = ord("s")
BLOCKED: Final = ord("b")


class LedgerOrder(Struct, frozen=True, kw_only=True):
    """An order as the ledger has it; one that was returned has places and owns them no longer."""

    hold: bytes
    buyer: str
    owns: bool
    seats: tuple[int, ...]
    areas: tuple[tuple[int, int], ...]
    types: str = ""
    price_version: int
    hold_fingerprint: int
    purchase_key: str
    sale: SaleRecord


class HouseBlocks(Struct, frozen=True):
    """What the house withholds: seats by position, places by area."""

    seats: tuple[int, ...] = ()
    areas: tuple[tuple[int, int], ...] = ()


class Inventory(Struct, frozen=True, kw_only=True):
    """The content of a show's keys, field by field as Redis stores it."""

    seats: bytes
    areas: dict[str, bytes]
    holds: dict[bytes, bytes]
    expiry: dict[bytes, int]
    buyers: dict[str, bytes]
    keys: dict[bytes, bytes]
    holds_kept: int
    holds_voided: int
    holds_ended: tuple[bytes, ...] = ()
    """Those of the voided that were not purchased."""


class ContradictionError(RuntimeError):
    """The ledger sold a seat that the manifest has not, or twice: nothing may be opened on it."""


class _Buyer:
    def __init__(self) -> None:
        self.held = 0
        self.bought = 0
        self.deadline_ms = 0


class _Places:
    """Seats and areas while they are being filled, each place once."""

    def __init__(self, manifest: Manifest) -> None:
        self.seats = bytearray(manifest.layout, "ascii")
        self.removed = frozenset(manifest.removed_by_label.values())
        self.areas = [Counter(open=area.capacity) for area in manifest.areas]

    def has(self, seats: Iterable[int], areas: Iterable[tuple[int, int]]) -> bool:
        return all(
            0 <= seat < len(self.seats) and self.seats[seat] == OPEN for seat in seats
        ) and all(
            0 <= area < len(self.areas) and self.areas[area]["open"] >= count
            for area, count in areas
        )

    def take(self, seats: Iterable[int], areas: Iterable[tuple[int, int]], state: int) -> None:
        word = {HELD: "held", SOLD: "sold", BLOCKED: "blocked"}[state]
        for seat in seats:
            self.seats[seat] = state
        for area, count in areas:
            self.areas[area]["open"] -= count
            self.areas[area][word] += count


def rebuild(  # noqa: PLR0913 - what a recovery has read
    manifest: Manifest,
    orders: Iterable[LedgerOrder],
    blocks: HouseBlocks,
    survivors: Mapping[bytes, HoldRecord | Tombstone],
    outage_ms: int,
    *,
    max_per_buyer: int,
) -> Inventory:
    """Return what the show's keys must hold.

    Raises:
        ContradictionError: the ledger contradicts the manifest or itself.
    """
    places = _Places(manifest)
    buyers: dict[str, _Buyer] = {}
    records: dict[bytes, HoldRecord | Tombstone] = {}
    keys: dict[bytes, bytes] = {}

    for order in orders:
        record = _purchased(order)
        if order.owns:
            # A seat that was taken out where its sale had been lost, and was found since: it is its
            # buyer's, and stays out.
            seats = [seat for seat in order.seats if seat not in places.removed]
            if not places.has(seats, order.areas):
                msg = f"order {order.hold.hex()} owns what is not there, or is another's"
                raise ContradictionError(msg)
            places.take(seats, order.areas, SOLD)
            buyers.setdefault(order.buyer, _Buyer()).bought += record.tickets
        records[order.hold] = record
        keys[purchase_key_digest(order.purchase_key)] = order.hold

    # A seat sold before it was withheld stays sold; the house's other blocks come before holds.
    places.take([s for s in blocks.seats if places.seats[s] == OPEN], (), BLOCKED)
    places.take(
        (),
        [(area, min(count, places.areas[area]["open"])) for area, count in blocks.areas],
        BLOCKED,
    )

    allowed = _allowed(survivors.values())
    kept = voided = 0
    ended: list[bytes] = []
    for hold, record in sorted(survivors.items(), key=_paid_first):
        if hold in records:
            continue
        if isinstance(record, Tombstone):
            forgotten_at = record.forgotten_at_ms + outage_ms
            records[hold] = replace(record, forgotten_at_ms=forgotten_at)
            continue
        deadline = record.deadline_ms + outage_ms
        buyer = buyers.setdefault(record.buyer, _Buyer())
        most = max(max_per_buyer, allowed[record.buyer])
        is_allowed = record.committing or buyer.held + buyer.bought + record.tickets <= most
        if record.sale is None and is_allowed and places.has(record.seats, record.areas):
            places.take(record.seats, record.areas, HELD)
            buyer.held += record.tickets
            # A hold not swept yet has an earlier one: the live ones count. One that is about to be
            # purchased has a deadline of its own, which is nobody else's.
            if not record.committing:
                buyer.deadline_ms = max(buyer.deadline_ms, deadline)
            records[hold] = replace(record, deadline_ms=deadline)
            kept += 1
        else:
            records[hold] = Tombstone(
                HoldState.EXPIRED, deadline + KEPT_AFTER_DEADLINE_MS, record.fingerprint
            )
            voided += 1
            if record.sale is None:
                ended.append(hold)

    return Inventory(
        seats=bytes(places.seats),
        areas={
            str(index): pack_area(
                AreaCounts(area["open"], area["held"], area["sold"], area["blocked"])
            )
            for index, area in enumerate(places.areas)
        },
        holds={hold: pack_record(record) for hold, record in records.items()},
        expiry={
            hold: record.forgotten_at_ms if isinstance(record, Tombstone) else record.deadline_ms
            for hold, record in records.items()
            if isinstance(record, Tombstone) or record.sale is None
        },
        buyers={
            name: pack_buyer(buyer.held, buyer.bought, buyer.deadline_ms)
            for name, buyer in buyers.items()
            if buyer.held + buyer.bought > 0
        },
        keys=keys,
        holds_kept=kept,
        holds_voided=voided,
        holds_ended=tuple(ended),
    )


def _allowed(survivors: Iterable[HoldRecord | Tombstone]) -> Counter[str]:
    """Return how many tickets each buyer had by the server itself, held and bought."""
    tickets: Counter[str] = Counter()
    for record in survivors:
        if isinstance(record, HoldRecord) and (record.sale is None or not record.sale.returned):
            tickets[record.buyer] += record.tickets
    return tickets


def _paid_first(survivor: tuple[bytes, HoldRecord | Tombstone]) -> tuple[bool, int]:
    """Put what is being purchased before all else, and what is overdue last.

    Live holds of a buyer share a deadline: which of them was given up nobody can tell.
    """
    record = survivor[1]
    if isinstance(record, Tombstone):
        return True, 0
    return not record.committing, -record.deadline_ms


def _purchased(order: LedgerOrder) -> HoldRecord:
    return HoldRecord(
        deadline_ms=order.sale.sold_at_ms,
        fingerprint=order.hold_fingerprint,
        buyer=order.buyer,
        price_version=order.price_version,
        selection_fingerprint=order.hold_fingerprint,
        seats=order.seats,
        areas=order.areas,
        types=order.types,
        sale=order.sale,
    )
