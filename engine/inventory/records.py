"""Packed records of a show in Redis, read and written outside the scripts: by a recovery.

The format is `lua/includes/records.lua`'s: a format byte, then a msgpack array. A test holds the
two together.
"""

from enum import IntEnum
from typing import Any, Final

import msgspec

from engine.inventory.commands import Areas

FORMAT: Final = b"\x01"

KEPT_AFTER_DEADLINE_MS: Final = 600_000
"""How long a tombstone outlives its hold's deadline."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class RecordError(ValueError):
    """A packed record is not of a format that this version reads."""


class HoldState(IntEnum):
    """How a hold stands."""

    LIVE = 1
    PURCHASED = 2
    RELEASED = 3
    EXPIRED = 4


class Tombstone(msgspec.Struct, frozen=True):
    """What is left of a released or expired hold until `forgotten_at_ms`."""

    state: HoldState
    forgotten_at_ms: int
    fingerprint: int


class HoldRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A live or a purchased hold; `sale` is None for a live one."""

    deadline_ms: int
    fingerprint: int
    buyer: str
    price_version: int
    selection_fingerprint: int
    seats: tuple[int, ...]
    areas: Areas
    sale: "SaleRecord | None" = None

    @property
    def tickets(self) -> int:
        """How many tickets it is for."""
        return len(self.seats) + sum(count for _, count in self.areas)


class SaleRecord(msgspec.Struct, frozen=True):
    """What a purchase adds to its hold: enough to answer its repetition."""

    key: str
    body_fingerprint: int
    epoch: int
    n: int
    sold_at_ms: int


def unpack_record(packed: bytes) -> HoldRecord | Tombstone:
    """Read a value of the `holds` hash.

    Raises:
        RecordError: not a record of a known format.
    """
    if packed[:1] != FORMAT:
        msg = f"record of format {packed[:1]!r}: this version reads {FORMAT!r}"
        raise RecordError(msg)
    try:
        state, deadline, fingerprint, *rest = _decode(packed[1:])
        if state in {HoldState.RELEASED, HoldState.EXPIRED}:
            return Tombstone(HoldState(state), deadline, fingerprint)
        buyer, price_version, selection_fp, seats, areas, *sale = rest
        return HoldRecord(
            deadline_ms=deadline,
            fingerprint=fingerprint,
            buyer=buyer,
            price_version=price_version,
            selection_fingerprint=selection_fp,
            seats=tuple(seats),
            areas=tuple((area, count) for area, count in areas),
            sale=SaleRecord(*sale) if state == HoldState.PURCHASED else None,
        )
    except (ValueError, TypeError, msgspec.DecodeError) as error:
        msg = f"not a hold's record: {error}"
        raise RecordError(msg) from error


def pack_record(record: HoldRecord | Tombstone) -> bytes:
    """Write a value of the `holds` hash."""
    if isinstance(record, Tombstone):
        return FORMAT + _encode([record.state, record.forgotten_at_ms, record.fingerprint])
    fields: list[Any] = [
        HoldState.LIVE if record.sale is None else HoldState.PURCHASED,
        record.deadline_ms,
        record.fingerprint,
        record.buyer,
        record.price_version,
        record.selection_fingerprint,
        record.seats,
        record.areas,
    ]
    if record.sale is not None:
        fields += msgspec.structs.astuple(record.sale)
    return FORMAT + _encode(fields)


class AreaCounts(msgspec.Struct, frozen=True):
    """A general admission area's places, by state."""

    open: int
    held: int = 0
    sold: int = 0
    blocked: int = 0


def pack_area(counts: AreaCounts) -> bytes:
    """Write a value of the `areas` hash."""
    return FORMAT + _encode(msgspec.structs.astuple(counts))


def unpack_area(packed: bytes) -> AreaCounts:
    """Read a value of the `areas` hash.

    Raises:
        RecordError: not counts of a known format.
    """
    if packed[:1] != FORMAT:
        msg = f"area counts of format {packed[:1]!r}: this version reads {FORMAT!r}"
        raise RecordError(msg)
    return AreaCounts(*_decode(packed[1:]))


def pack_buyer(held: int, bought: int, deadline_ms: int) -> bytes:
    """Write a value of the `buyers` hash."""
    return FORMAT + _encode([held, bought, deadline_ms])
