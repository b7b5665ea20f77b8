"""Packed records of a show in Redis, read and written outside the scripts: by a recovery.

The formats are those of `lua/includes/records.lua`, `view_buyers.lua` and `view_areas.lua`: fixed
parts of big-endian integers, and msgpack. A test holds the two together.
"""

from contextlib import suppress
from enum import IntEnum
from typing import Any, Final

import msgspec

from engine.inventory.commands import Areas, Held, Purchased

AREA_FORMAT: Final = b"\x01"

KEPT_AFTER_DEADLINE_MS: Final = 600_000
"""How long a tombstone outlives its hold's deadline."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


_NARROW_BUYER_BYTES: Final = 8
_WIDE_BUYER_BYTES: Final = 12


class RecordError(ValueError):
    """A packed record is not of a format that this version reads."""


class HoldState(IntEnum):
    """How a hold stands."""

    LIVE = 1
    PURCHASED = 2
    RELEASED = 3
    EXPIRED = 4


_ENDED: Final = frozenset({HoldState.RELEASED, HoldState.EXPIRED})
_FORMAT: Final = 32
"""Added to the state in a record's first byte."""
_REPLACED: Final = 5
"""The state of a live hold that keeps the fingerprint of another selection than its own body's."""
_RETURNED: Final = 6
"""The state of a purchased hold whose order was returned: its places are no longer its own."""
_BUNDLED: Final = 7
"""The state of a live hold of a bundle."""
_COMMITTING: Final = 8
"""The state of one that its bundle is about to purchase: its deadline is the commitment's."""
_BUNDLE_BYTES: Final = 16
_LIVE_BYTES: Final = 15
_REPLACED_BYTES: Final = 21
_SOLD_BYTES: Final = 29
_LISTS: Final = (b"\x92", b"\x93", b"\x94")
"""What msgpack lists of two, three and four values begin with."""
_NARROW_MAX: Final = 255


class Tombstone(msgspec.Struct, frozen=True):
    """What is left of a released or expired hold until `forgotten_at_ms`."""

    state: HoldState
    forgotten_at_ms: int
    fingerprint: int


class HoldRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A live or a purchased hold; `sale` is None for a live one.

    Of a purchased one the deadline is when it was sold, and the selection's fingerprint its body's:
    neither matters any more.
    """

    deadline_ms: int
    fingerprint: int
    buyer: str
    price_version: int
    selection_fingerprint: int
    seats: tuple[int, ...]
    areas: Areas
    types: str = ""
    """Of its tickets, see `ticket_types`."""
    bundle: str = ""
    """Of which it is a part, by 16 hex digits; empty: of none. It is told while the hold lives."""
    committing: bool = False
    """Whether its bundle is about to purchase it."""
    sale: "SaleRecord | None" = None

    @property
    def tickets(self) -> int:
        """How many tickets it is for."""
        return len(self.seats) + sum(count for _, count in self.areas)


class SaleRecord(msgspec.Struct, frozen=True):
    """What a purchase adds to its hold: enough to answer its repetition."""

    body_fingerprint: int
    epoch: int
    n: int
    sold_at_ms: int
    returned: bool = False
    """Whether the order that it became was given back; the record still answers repetitions."""


def unpack_record(packed: bytes) -> HoldRecord | Tombstone:
    """Read a value of the `holds` hash.

    Raises:
        RecordError: not a record of a known format.
    """
    try:
        return _unpack(packed)
    except (ValueError, TypeError, IndexError, msgspec.DecodeError) as error:
        msg = f"not a hold's record: {error}"
        raise RecordError(msg) from error


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
            record.buyer,
            record.deadline_ms,
            record.price_version,
            record.seats,
            record.areas,
            record.types,
        )
    return Purchased(
        record.buyer,
        sale.epoch,
        sale.n,
        sale.sold_at_ms,
        record.price_version,
        record.seats,
        record.areas,
        returned=sale.returned,
        types=record.types,
    )


def _unpack(packed: bytes) -> HoldRecord | Tombstone:
    state = packed[0] - _FORMAT
    if state in {HoldState.PURCHASED, _RETURNED}:
        buyer, seats, areas, types = _unpack_tail(packed, _SOLD_BYTES)
        sold_at_ms = _int(packed, 23, 6)
        fingerprint = _int(packed, 3, 6)
        return HoldRecord(
            deadline_ms=sold_at_ms,
            fingerprint=fingerprint,
            buyer=buyer,
            price_version=_int(packed, 1, 2),
            selection_fingerprint=fingerprint,
            seats=seats,
            areas=areas,
            types=types,
            sale=SaleRecord(
                body_fingerprint=_int(packed, 9, 6),
                epoch=_int(packed, 15, 4),
                n=_int(packed, 19, 4),
                sold_at_ms=sold_at_ms,
                returned=state == _RETURNED,
            ),
        )
    if state in _ENDED:
        return Tombstone(HoldState(state), _int(packed, 1, 6), _int(packed, 7, 6))
    if state not in {HoldState.LIVE, _REPLACED, _BUNDLED, _COMMITTING}:
        msg = f"state {state}"
        raise ValueError(msg)
    replaced, bundled = state == _REPLACED, state in {_BUNDLED, _COMMITTING}
    start = _REPLACED_BYTES if replaced else _LIVE_BYTES + (_BUNDLE_BYTES if bundled else 0)
    buyer, seats, areas, types = _unpack_tail(packed, start)
    return HoldRecord(
        deadline_ms=_int(packed, 1, 6),
        fingerprint=_int(packed, 9, 6),
        buyer=buyer,
        price_version=_int(packed, 7, 2),
        selection_fingerprint=_int(packed, 15 if replaced else 9, 6),
        seats=seats,
        areas=areas,
        types=types,
        bundle=packed[_LIVE_BYTES:start].decode("ascii") if bundled else "",
        committing=state == _COMMITTING,
    )


def _unpack_tail(packed: bytes, start: int) -> tuple[str, tuple[int, ...], Areas, str]:
    """Read buyer, seats, areas and types, which have no list around them; the last may lack."""
    buyer, seats, *rest = _unpack_values(packed[start:])
    areas = rest[0] if rest else ()
    types = rest[1] if len(rest) > 1 else ""
    if not isinstance(types, str):
        msg = f"ticket types {types!r}"
        raise TypeError(msg)
    return buyer, tuple(seats), tuple((area, count) for area, count in areas), types


def _unpack_values(packed: bytes) -> list[Any]:
    for beginning in _LISTS[:-1]:
        with suppress(msgspec.DecodeError):
            return _decode(beginning + packed)
    return _decode(_LISTS[-1] + packed)


def pack_record(record: HoldRecord | Tombstone) -> bytes:
    """Write a value of the `holds` hash.

    Raises:
        OverflowError: a number is larger than a record has room for.
    """
    if isinstance(record, Tombstone):
        return (
            bytes([_FORMAT + record.state])
            + record.forgotten_at_ms.to_bytes(6, "big")
            + record.fingerprint.to_bytes(6, "big")
        )
    tail: list[Any] = [record.buyer, record.seats]
    if record.areas or record.types:
        tail.append(record.areas)
    if record.types:
        tail.append(record.types)
    packed_tail = _encode(tail)[1:]
    price_version = record.price_version.to_bytes(2, "big")
    fingerprint = record.fingerprint.to_bytes(6, "big")
    sale = record.sale
    if sale is not None:
        return (
            bytes([_FORMAT + (_RETURNED if sale.returned else HoldState.PURCHASED)])
            + price_version
            + fingerprint
            + sale.body_fingerprint.to_bytes(6, "big")
            + sale.epoch.to_bytes(4, "big")
            + sale.n.to_bytes(4, "big")
            + sale.sold_at_ms.to_bytes(6, "big")
            + packed_tail
        )
    if record.bundle:
        return (
            bytes([_FORMAT + (_COMMITTING if record.committing else _BUNDLED)])
            + record.deadline_ms.to_bytes(6, "big")
            + price_version
            + fingerprint
            + record.bundle.encode("ascii")
            + packed_tail
        )
    replaced = record.selection_fingerprint != record.fingerprint
    return (
        bytes([_FORMAT + (_REPLACED if replaced else HoldState.LIVE)])
        + record.deadline_ms.to_bytes(6, "big")
        + price_version
        + fingerprint
        + (record.selection_fingerprint.to_bytes(6, "big") if replaced else b"")
        + packed_tail
    )


def _int(packed: bytes, start: int, size: int) -> int:
    part = packed[start : start + size]
    if len(part) < size:
        msg = f"{len(packed)} bytes are too few"
        raise ValueError(msg)
    return int.from_bytes(part, "big")


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
    """Write a value of the `buyers` hash: 8 bytes, or 12 where a count needs more."""
    size = 1 if held <= _NARROW_MAX and bought <= _NARROW_MAX else 3
    return (
        held.to_bytes(size, "big") + bought.to_bytes(size, "big") + deadline_ms.to_bytes(6, "big")
    )


def unpack_buyer(packed: bytes) -> tuple[int, int, int]:
    """Read a value of the `buyers` hash: held, bought, and the holds' deadline in ms.

    Raises:
        RecordError: not of a known form.
    """
    size = {_NARROW_BUYER_BYTES: 1, _WIDE_BUYER_BYTES: 3}.get(len(packed))
    if size is None:
        msg = f"a buyer of {len(packed)} bytes"
        raise RecordError(msg)
    return _int(packed, 0, size), _int(packed, size, size), _int(packed, 2 * size, 6)
