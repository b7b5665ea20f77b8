"""The facts that scripts write into a show's streams, and how they are packed.

A fact is past tense: it has happened. `seats_sold` goes to the `sales` stream, for the recorder;
changes of seats go to the `deltas` stream, for live maps. Stream ids are `<epoch>-<n>`.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from engine.platform.ids import HOLD_BYTES, HoldId

FORMAT: Final = 1

_decode = msgspec.msgpack.Decoder(list[Any]).decode


class StreamId(NamedTuple):
    """A place in a show's stream: epochs are ordered first, so ids rise across fail-overs."""

    epoch: int
    n: int

    @classmethod
    def parse(cls, text: bytes | str) -> "StreamId":
        """Read `<epoch>-<n>` as Redis writes it."""
        epoch, _, n = (text.decode() if isinstance(text, bytes) else text).partition("-")
        return cls(int(epoch), int(n))

    def __str__(self) -> str:
        """Write it as Redis reads it."""
        return f"{self.epoch}-{self.n}"


class SeatsSold(msgspec.Struct, frozen=True):
    """One purchase, as the script decided it: the order that the ledger is to record.

    Times are milliseconds since 1970 on Redis' clock; fingerprints are 48-bit integers;
    `purchase_key` stands for the Idempotency-Key of the purchase.
    """

    hold: HoldId
    buyer: str
    seats: tuple[int, ...]
    areas: tuple[tuple[int, int], ...]
    price_version: int
    sold_at_ms: int
    purchase_key: str
    body_fp: int
    payment_reference: str
    hold_fp: int
    types: str = ""
    """Of its tickets, see `ticket_types`."""


class FactError(ValueError):
    """A stream entry is not a fact of a format that this version reads."""


def read_sale(fields: dict[bytes, bytes]) -> SeatsSold:
    """Read an entry of the `sales` stream.

    Raises:
        FactError: not a fact of a known format.
    """
    try:
        packed = _decode(fields[b"f"])
        if packed[0] != FORMAT:
            msg = f"sales fact of format {packed[0]!r}: this version reads {FORMAT}"
            raise FactError(msg)
        _, buyer, seats, areas, price_version, sold_at_ms, *rest = packed
        purchase_key, body_fp, payment_reference, hold_fp, *typed = rest
        (types,) = typed or ("",)
        if not isinstance(types, str):
            msg = f"ticket types {types!r}"
            raise FactError(msg)
        return SeatsSold(
            hold=HoldId(fields[b"h"]),
            buyer=buyer,
            seats=tuple(seats),
            areas=tuple((area, count) for area, count in areas),
            price_version=price_version,
            sold_at_ms=sold_at_ms,
            purchase_key=purchase_key,
            body_fp=body_fp,
            payment_reference=payment_reference,
            hold_fp=hold_fp,
            types=types,
        )
    except (KeyError, ValueError, TypeError, IndexError, msgspec.DecodeError) as error:
        msg = f"not a sales fact: {error}"
        raise FactError(msg) from error


class Delta(msgspec.Struct, frozen=True, array_like=True):
    """What changed in one batch, for who follows a show."""

    format: Literal[2]
    at_ms: int
    seats: tuple[int, ...]
    """Position, state, position, state, ...: a state is a letter of the seat map, as its code."""
    areas: tuple[tuple[int, int, int, int, int], ...]
    """Index, and how many of its places are open, held, sold and blocked now."""
    made: tuple[int, ...]
    """The first 4 bytes of the id of each hold that was made, as a number."""


EDIT: Final = b"m"
"""The field of a delta that an edit of the show's map made: its number."""


def read_expired(fields: Mapping[bytes, bytes]) -> list[HoldId]:
    """Return the holds that expired with an entry of the `deltas` stream, in that order."""
    packed = fields.get(b"e", b"")
    starts = range(0, len(packed) - len(packed) % HOLD_BYTES, HOLD_BYTES)
    return [HoldId(packed[start : start + HOLD_BYTES]) for start in starts]


read_delta: Final = msgspec.msgpack.Decoder(Delta).decode


def write_sale(sale: SeatsSold) -> dict[bytes, bytes]:
    """Pack a sale as the script does: for tests, and for re-delivering a fact."""
    packed = msgspec.msgpack.encode(
        [
            FORMAT,
            sale.buyer,
            sale.seats,
            sale.areas,
            sale.price_version,
            sale.sold_at_ms,
            sale.purchase_key,
            sale.body_fp,
            sale.payment_reference,
            sale.hold_fp,
            *([sale.types] if sale.types else []),
        ]
    )
    return {b"h": sale.hold, b"f": packed}
