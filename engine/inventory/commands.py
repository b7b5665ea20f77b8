"""What the batch script is asked, and what it answers.

Commands and outcomes are values. Each command knows how it is packed for `lua/batch.lua`, whose
header lists what may be answered, in order of precedence. Seats are positions in the manifest,
areas are indexes in it; times are milliseconds since 1970 on Redis' clock.
"""

from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.inventory.facts import StreamId
from engine.platform.ids import (
    FINGERPRINT_BYTES,
    PURCHASE_KEY_BYTES,
    HoldId,
    purchase_key_digest,
)

Areas = tuple[tuple[int, int], ...]
"""Pairs of area index and count."""

_encode: Final = msgspec.msgpack.Encoder().encode


class Packed(Struct, frozen=True):
    """A command as `batch.lua` reads it."""

    fingerprint: bytes
    """6 bytes."""
    purchase_key: bytes
    """8 bytes that stand for a purchase's key."""
    values: bytes
    """Its values as msgpack, without a list around them."""
    tail_at: int
    """Where in the values the tail begins, which becomes a part of the hold's record."""


_NO_PURCHASE_KEY: Final = bytes(PURCHASE_KEY_BYTES)


def _pack(
    head: tuple[Any, ...],
    tail: tuple[Any, ...] = (),
    fingerprint: int = 0,
    purchase_key: bytes = _NO_PURCHASE_KEY,
) -> Packed:
    # Without the one byte of a list of up to 15 values.
    packed = _encode(head)[1:]
    return Packed(
        fingerprint.to_bytes(FINGERPRINT_BYTES, "big"),
        purchase_key,
        packed + _encode(tail)[1:] if tail else packed,
        len(packed),
    )


@lru_cache(maxsize=256)
def _plain_head(ttl_ms: int) -> bytes:
    return _encode((1, ttl_ms, False))[1:]


_RELEASE: Final = _pack((3,))
_LOOK: Final = _pack((5,))


class Selection(Struct, frozen=True):
    """What a buyer wants: seats by position, places by area, seats together by price level.

    `best` pairs an index in the manifest's levels with how many seats next to each other.
    """

    seats: tuple[int, ...] = ()
    areas: Areas = ()
    best: tuple[tuple[int, int], ...] = ()

    @property
    def tickets(self) -> int:
        """How many tickets it is for."""
        counted = len(self.seats)
        for pairs in (self.areas, self.best):
            for _, count in pairs:
                counted += count
        return counted


def _places(wanted: Selection) -> tuple[Any, ...]:
    return (wanted.seats, wanted.areas) if wanted.areas else (wanted.seats,)


class Hold(Struct, frozen=True):
    """Claim a selection for a buyer, for `ttl_ms`. `fingerprint` stands for the request's body."""

    hold: HoldId
    buyer: str
    ttl_ms: int
    fingerprint: int
    selection: Selection

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        wanted = self.selection
        if wanted.best:
            head = _encode((1, self.ttl_ms, wanted.best))[1:]
        else:
            head = _plain_head(self.ttl_ms)
        return Packed(
            self.fingerprint.to_bytes(FINGERPRINT_BYTES, "big"),
            _NO_PURCHASE_KEY,
            head + _encode((self.buyer, *_places(wanted)))[1:],
            len(head),
        )


class Replace(Struct, frozen=True):
    """Put another selection in the place of a hold's; its deadline stays."""

    hold: HoldId
    fingerprint: int
    selection: Selection

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        return _pack((2, self.selection.best or False), _places(self.selection), self.fingerprint)


class Release(Struct, frozen=True):
    """Give a hold's seats back."""

    hold: HoldId

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        return _RELEASE


class Purchase(Struct, frozen=True):
    """Turn a hold into a sale. `key` stands for the idempotency key, `fingerprint` for the body."""

    hold: HoldId
    key: str
    fingerprint: int
    payment_reference: str

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        return _pack(
            (4, self.payment_reference, self.key),
            fingerprint=self.fingerprint,
            purchase_key=purchase_key_digest(self.key),
        )


class Look(Struct, frozen=True):
    """Ask how a hold stands."""

    hold: HoldId

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        return _LOOK


Command = Hold | Replace | Release | Purchase | Look


class Held(Struct, frozen=True, array_like=True, tag="held"):
    """The hold stands until its deadline, at the prices of `price_version`."""

    buyer: str
    deadline_ms: int
    price_version: int
    seats: tuple[int, ...]
    areas: Areas


class Purchased(Struct, frozen=True, array_like=True, tag="purchased"):
    """The hold is sold; `epoch` and `n` are where its fact stands in the sales stream."""

    buyer: str
    epoch: int
    n: int
    sold_at_ms: int
    price_version: int
    seats: tuple[int, ...]
    areas: Areas

    @property
    def position(self) -> StreamId:
        """Return where its fact stands in the sales stream."""
        return StreamId(self.epoch, self.n)


class Done(Struct, frozen=True, array_like=True, tag="done"):
    """The hold is released, or was before."""


class Unknown(Struct, frozen=True, array_like=True, tag="unknown"):
    """Redis knows no such hold: the ledger may."""


class Released(Struct, frozen=True, array_like=True, tag="released"):
    """The hold was released."""


class Expired(Struct, frozen=True, array_like=True, tag="expired"):
    """The hold's deadline has passed."""


class KeyReused(Struct, frozen=True, array_like=True, tag="key-reused"):
    """The same idempotency key came with another body."""


class AlreadyPurchased(Struct, frozen=True, array_like=True, tag="already-purchased"):
    """The hold has become an order by another purchase."""


class NotOnSale(Struct, frozen=True, array_like=True, tag="not-on-sale"):
    """The house has closed the sale, or has not opened it."""


class TooEarly(Struct, frozen=True, array_like=True, tag="too-early"):
    """The on-sale is still to come."""

    opens_at_ms: int


class SalesEnded(Struct, frozen=True, array_like=True, tag="too-late-to-hold"):
    """The sales window is over."""

    closed_at_ms: int


class OverHoldLimit(Struct, frozen=True, array_like=True, tag="over-hold-limit"):
    """More tickets than one hold may have."""

    most: int


class OverBuyerLimit(Struct, frozen=True, array_like=True, tag="over-buyer-limit"):
    """More tickets than one buyer may have; `has` counts what they hold and bought."""

    most: int
    has: int


class SeatsTaken(Struct, frozen=True, array_like=True, tag="seats-taken"):
    """Somebody else has these seats, or the house withholds them."""

    seats: tuple[int, ...]


class AreaShort(Struct, frozen=True, array_like=True, tag="area-short"):
    """Pairs of an area that has too few places left and how many those are."""

    areas: Areas


class NoneTogether(Struct, frozen=True, array_like=True, tag="none-together"):
    """The price level has not that many open seats next to each other."""

    level: int
    count: int


class Malformed(Struct, frozen=True, array_like=True, tag="malformed"):
    """The script could not read the command: an error of this program, which harmed nobody."""


class Inconsistent(Struct, frozen=True, array_like=True, tag="inconsistent"):
    """The hold claims what the store does not hold: the show must be recovered."""


class Recovering(Struct, frozen=True):
    """The show is being recovered: come back in a moment, with the same key."""


class InDoubt(Struct, frozen=True):
    """The answer was lost: repeat with the same key to learn what happened."""


class Overloaded(Struct, frozen=True):
    """Nothing was done, because too much is waiting: come back, with the same key."""


Refusal = (
    NotOnSale
    | TooEarly
    | SalesEnded
    | OverHoldLimit
    | OverBuyerLimit
    | SeatsTaken
    | AreaShort
    | NoneTogether
    | KeyReused
    | Malformed
)
"""Nothing was changed; decided afresh when it is asked again."""

Unavailable = Recovering | InDoubt | Overloaded
"""Not decided, or not known: to be repeated with the same key."""

Ended = Unknown | Released | Expired

Outcome = Held | Purchased | Done | Ended | AlreadyPurchased | Refusal | Unavailable


Answer = (
    Held
    | Purchased
    | Done
    | Unknown
    | Released
    | Expired
    | KeyReused
    | AlreadyPurchased
    | NotOnSale
    | TooEarly
    | SalesEnded
    | OverHoldLimit
    | OverBuyerLimit
    | SeatsTaken
    | AreaShort
    | NoneTogether
    | Malformed
    | Inconsistent
)
"""What the script answers to one command, told apart by the status word that comes first."""
