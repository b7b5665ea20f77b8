"""Packed records of a show in Redis, read and written outside the scripts: by a recovery.

The formats are those of `lua/includes/records.lua`, `view_buyers.lua` and `view_areas.lua`: a
format byte, then fixed parts of big-endian integers and msgpack. A test holds the two together.
"""

from enum import IntEnum
from typing import Any, Final

import msgspec

from engine.inventory.commands import Areas, Held, Purchased

FORMAT: Final = b"\x02"
FORMAT_BEFORE: Final = b"\x01"
AREA_FORMAT: Final = b"\x01"

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


_ENDED: Final = frozenset({HoldState.RELEASED, HoldState.EXPIRED})
_ENDED_BYTES: Final = 14
_LIVE_BYTES: Final = 24
_SOLD_BYTES: Final = 46
_LIST_OF_THREE: Final = b"\x93"
_LIST_OF_FOUR: Final = b"\x94"


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
    try:
        if packed[:1] == FORMAT:
            return _unpack(packed)
        if packed[:1] == FORMAT_BEFORE:
            return _unpack_before(_decode(packed[1:]))
    except (ValueError, TypeError, IndexError, msgspec.DecodeError) as error:
        msg = f"not a hold's record: {error}"
        raise RecordError(msg) from error
    msg = f"record of format {packed[:1]!r}: this version reads {FORMAT_BEFORE!r} and {FORMAT!r}"
    raise RecordError(msg)


def read_standing(packed: bytes) -> Held | Purchased:
    """Read the record of a live or a purchased hold, as the script answers it.

    Raises:
        RecordError: it is none.
    """
    record = unpack_record(packed)
    if isinstance(record, Tombstone):
        msg = "the record of a hold that has ended"
        raise RecordError(msg)
    sale = record.sale
    if sale is None:
        return Held(
            record.buyer, record.deadline_ms, record.price_version, record.seats, record.areas
        )
    return Purchased(
        record.buyer,
        sale.epoch,
        sale.n,
        sale.sold_at_ms,
        record.price_version,
        record.seats,
        record.areas,
    )


def _unpack(packed: bytes) -> HoldRecord | Tombstone:
    state = packed[1]
    deadline, fingerprint = _int(packed, 2, 6), _int(packed, 8, 6)
    if state in _ENDED:
        _check_size(packed, _ENDED_BYTES)
        return Tombstone(HoldState(state), deadline, fingerprint)
    is_sold = state == HoldState.PURCHASED
    tail = _SOLD_BYTES if is_sold else _LIVE_BYTES
    if state != HoldState.LIVE and not is_sold:
        msg = f"state {state}"
        raise ValueError(msg)
    # A tail's values have no list around them; one byte puts it there.
    list_of = _LIST_OF_FOUR if is_sold else _LIST_OF_THREE
    buyer, seats, areas, *key = _decode(list_of + packed[tail:])
    sale = None
    if is_sold:
        sale = SaleRecord(
            key=key[0],
            body_fingerprint=_int(packed, 24, 6),
            epoch=_int(packed, 30, 4),
            n=_int(packed, 34, 6),
            sold_at_ms=_int(packed, 40, 6),
        )
    return HoldRecord(
        deadline_ms=deadline,
        fingerprint=fingerprint,
        buyer=buyer,
        price_version=_int(packed, 20, 4),
        selection_fingerprint=_int(packed, 14, 6),
        seats=tuple(seats),
        areas=tuple((area, count) for area, count in areas),
        sale=sale,
    )


def _unpack_before(fields: list[Any]) -> HoldRecord | Tombstone:
    """Read the first format: one msgpack list."""
    state, deadline, fingerprint, *rest = fields
    if state in _ENDED:
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


def pack_record(record: HoldRecord | Tombstone) -> bytes:
    """Write a value of the `holds` hash.

    Raises:
        OverflowError: a number is larger than a record has room for.
    """
    if isinstance(record, Tombstone):
        return (
            FORMAT
            + bytes([record.state])
            + record.forgotten_at_ms.to_bytes(6, "big")
            + record.fingerprint.to_bytes(6, "big")
        )
    sale = record.sale
    fixed = (
        FORMAT
        + bytes([HoldState.LIVE if sale is None else HoldState.PURCHASED])
        + record.deadline_ms.to_bytes(6, "big")
        + record.fingerprint.to_bytes(6, "big")
        + record.selection_fingerprint.to_bytes(6, "big")
        + record.price_version.to_bytes(4, "big")
    )
    tail = [record.buyer, record.seats, record.areas]
    if sale is None:
        return fixed + _encode(tail)[1:]
    return (
        fixed
        + sale.body_fingerprint.to_bytes(6, "big")
        + sale.epoch.to_bytes(4, "big")
        + sale.n.to_bytes(6, "big")
        + sale.sold_at_ms.to_bytes(6, "big")
        + _encode([*tail, sale.key])[1:]
    )


def _int(packed: bytes, start: int, size: int) -> int:
    _check_size(packed, start + size)
    return int.from_bytes(packed[start : start + size], "big")


def _check_size(packed: bytes, least: int) -> None:
    if len(packed) < least:
        msg = f"{len(packed)} bytes, not {least}"
        raise ValueError(msg)


class AreaCounts(msgspec.Struct, frozen=True):
    """A general admission area's places, by state."""

    open: int
    held: int = 0
    sold: int = 0
    blocked: int = 0


def pack_area(counts: AreaCounts) -> bytes:
    """Write a value of the `areas` hash."""
    return AREA_FORMAT + _encode(msgspec.structs.astuple(counts))


def unpack_area(packed: bytes) -> AreaCounts:
    """Read a value of the `areas` hash.

    Raises:
        RecordError: not counts of a known format.
    """
    if packed[:1] != AREA_FORMAT:
        msg = f"area counts of format {packed[:1]!r}: this version reads {AREA_FORMAT!r}"
        raise RecordError(msg)
    return AreaCounts(*_decode(packed[1:]))


def pack_buyer(held: int, bought: int, deadline_ms: int) -> bytes:
    """Write a value of the `buyers` hash."""
    return (
        FORMAT
        + held.to_bytes(3, "big")
        + bought.to_bytes(3, "big")
        + deadline_ms.to_bytes(6, "big")
    )
