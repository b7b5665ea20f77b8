"""What the batch script is asked, and what it answers.

Commands and outcomes are values. Each command knows how it is packed for `lua/batch.lua`, whose
header lists what may be answered, in order of precedence. Seats are positions in the manifest,
areas are indexes in it; times are milliseconds since 1970 on Redis' clock.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from engine.inventory.facts import StreamId
from engine.platform.ids import (
    FINGERPRINT_BYTES,
    HoldId,
    purchase_key_digest,
)

Areas = tuple[tuple[int, int], ...]
"""Pairs of area index and count."""

_encode: Final = msgspec.msgpack.Encoder().encode


_NUMBER_MAX: Final = 0xFFFF_FFFE
_POSITION_MAX: Final = 0x7FFF_FFFF
_TOGETHER: Final = 0x8000_0000
"""Added to a price level, in the place of a seat: so many together there."""
_LEVEL_MAX: Final = 0xFFFF
_NONE: Final = b"\xff\xff\xff\xff"
"""In the place of a seat: there is none."""


class Packed(Struct, frozen=True):
    """A command as `batch.lua` reads it, whose header says what the parts are.

    Each is packed by itself, so that what can't be packed is its own caller's error.
    """

    first: bytes
    second: bytes
    ttl_ms: bytes
    name: bytes
    """After its length."""
    text: bytes
    """After its length."""


def pack_batch(holds: Sequence[bytes], packed: Sequence[Packed]) -> tuple[bytes, ...]:
    """Return the commands as the last arguments of `batch.lua`: by columns."""
    firsts = [one.first for one in packed]
    seconds = [one.second for one in packed]
    ttls_ms = [one.ttl_ms for one in packed]
    return (
        b"".join(holds),
        b"".join((*firsts, *seconds, *ttls_ms)),
        b"".join([one.name for one in packed]),
        b"".join([one.text for one in packed]),
    )


def pack_command(
    values: bytes, tail: bytes = b"", fingerprint: int = 0, name: bytes = b""
) -> Packed:
    """Return a command that is given in its text.

    `values` and the record's `tail` are msgpack without a list around them.
    """
    return Packed(
        _NONE, _number(len(values)), _NONE, _name(name), _text(fingerprint, values + tail)
    )


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _name(name: bytes) -> bytes:
    return len(name).to_bytes(2, "big") + name


def _text(fingerprint: int, text: bytes) -> bytes:
    size = FINGERPRINT_BYTES + len(text)
    return _number(size) + fingerprint.to_bytes(FINGERPRINT_BYTES, "big") + text


def _values(*values: object) -> bytes:
    # Without the one byte of a list of up to 15 values.
    return _encode(values)[1:]


_RELEASE: Final = pack_command(_values(3))
_LOOK: Final = pack_command(_values(5))


class Selection(Struct, frozen=True):
    """What a buyer wants: seats by position, places by area, seats together by price level.

    `best` pairs an index in the manifest's levels with how many seats next to each other.
    """

    seats: tuple[int, ...] = ()
    areas: Areas = ()
    best: tuple[tuple[int, int], ...] = ()
    types: str = ""
    """Of its tickets, as `engine.inventory.ticket_types` writes them; empty: all are standard."""

    @property
    def tickets(self) -> int:
        """How many tickets it is for."""
        counted = len(self.seats)
        if not self.areas and not self.best:
            return counted
        for pairs in (self.areas, self.best):
            for _, count in pairs:
                counted += count
        return counted


def _places(wanted: Selection) -> tuple[Any, ...]:
    if wanted.types:
        return wanted.seats, wanted.areas, wanted.types
    return (wanted.seats, wanted.areas) if wanted.areas else (wanted.seats,)


def _numbers(wanted: Selection) -> tuple[bytes, bytes] | None:
    """Return the two numbers that tell all of a selection; None if it takes more."""
    match wanted:
        case Selection(seats=(first,), areas=(), best=()) if 0 <= first <= _POSITION_MAX:
            return _number(first), _NONE
        case Selection(seats=(first, second), areas=(), best=()) if (
            0 <= first <= _POSITION_MAX and 0 <= second <= _POSITION_MAX
        ):
            return _number(first), _number(second)
        case Selection(seats=(), areas=(), best=((level, count),), types="") if (
            0 <= level <= _LEVEL_MAX and 0 <= count <= _NUMBER_MAX
        ):
            return _number(_TOGETHER + level), _number(count)
        case _:
            return None


class Hold(Struct, frozen=True):
    """Claim a selection for a buyer, for `ttl_ms`. `fingerprint` stands for the request's body."""

    hold: HoldId
    buyer: str
    ttl_ms: int
    fingerprint: int
    selection: Selection
    bundle: str = ""
    """For which bundle, by its id's 16 hex digits; empty: for a buyer alone."""

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        wanted = self.selection
        if self.bundle:
            values = _values(6, self.bundle, self.ttl_ms, wanted.best or False)
            return pack_command(values, _values(self.buyer, *_places(wanted)), self.fingerprint)
        numbers = _numbers(wanted)
        if numbers is None or not 0 <= self.ttl_ms <= _NUMBER_MAX:
            values = _values(1, self.ttl_ms, wanted.best or False)
            return pack_command(values, _values(self.buyer, *_places(wanted)), self.fingerprint)
        first, second = numbers
        # What is found together is known to the script alone: it packs that tail itself.
        places = _places(wanted) if wanted.types else (wanted.seats,)
        tail = b"" if wanted.best else _values(self.buyer, *places)
        ttl_ms, name = _number(self.ttl_ms), _name(self.buyer.encode())
        return Packed(first, second, ttl_ms, name, _text(self.fingerprint, tail))


class Replace(Struct, frozen=True):
    """Put another selection in the place of a hold's; its deadline stays."""

    hold: HoldId
    fingerprint: int
    selection: Selection

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        wanted = self.selection
        head = _values(2, wanted.best or False)
        return pack_command(head, _values(*_places(wanted)), self.fingerprint)


class Release(Struct, frozen=True):
    """Give a hold's seats back; one of a bundle with its bundle."""

    hold: HoldId
    bundle: str = ""

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        return pack_command(_values(3, self.bundle)) if self.bundle else _RELEASE


class Purchase(Struct, frozen=True):
    """Turn a hold into a sale. `key` stands for the idempotency key, `fingerprint` for the body."""

    hold: HoldId
    key: str
    fingerprint: int
    payment_reference: str
    bundle: str = ""

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        of_bundle = (self.bundle,) if self.bundle else ()
        return pack_command(
            _values(4, self.payment_reference, self.key, *of_bundle),
            fingerprint=self.fingerprint,
            name=purchase_key_digest(self.key),
        )


class Look(Struct, frozen=True):
    """Ask how a hold stands."""

    hold: HoldId

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        return _LOOK


class Commit(Struct, frozen=True):
    """Keep a hold for its bundle, which is about to purchase it: for 60 s from now."""

    hold: HoldId
    bundle: str

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        return pack_command(_values(7, self.bundle))


Command = Hold | Replace | Release | Purchase | Look | Commit


class Held(Struct, frozen=True, array_like=True, tag="held"):
    """The hold stands until its deadline, at the prices of `price_version`."""

    buyer: str
    deadline_ms: int
    price_version: int
    seats: tuple[int, ...]
    areas: Areas
    types: str = ""


class Purchased(Struct, frozen=True, array_like=True, tag="purchased"):
    """The hold is sold; `epoch` and `n` are where its fact stands in the sales stream."""

    buyer: str
    epoch: int
    n: int
    sold_at_ms: int
    price_version: int
    seats: tuple[int, ...]
    areas: Areas
    durable: bool = True
    """Whether each replica that could be promoted has it; if not, its row alone makes it sure."""
    returned: bool = False
    """Whether its order was given back since: then the ledger alone tells how that stands."""
    types: str = ""

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


class OfBundle(Struct, frozen=True, array_like=True, tag="of-bundle"):
    """The hold is a bundle's: it is bought and released with that only, and stays as it is."""

    bundle: str


class Committing(Struct, frozen=True, array_like=True, tag="committing"):
    """The hold is its bundle's to purchase until this deadline."""

    deadline_ms: int


class NotOnSale(Struct, frozen=True, array_like=True, tag="not-on-sale"):
    """The house has closed the sale, or has not opened it; or what is held can't be bought now."""

    state: str = ""
    """What the house has decided of the show: `paused`, `cancelled`, ..."""


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


class LedgerBehind(Struct, frozen=True, array_like=True, tag="ledger-behind"):
    """Nothing was done, since too many sales wait to be recorded: come back, with the same key."""


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

Unavailable = Recovering | InDoubt | Overloaded | LedgerBehind
"""Not decided, or not known: to be repeated with the same key."""

Ended = Unknown | Released | Expired

Outcome = (
    Held
    | Purchased
    | Committing
    | Done
    | Ended
    | AlreadyPurchased
    | OfBundle
    | Refusal
    | Unavailable
)


Answer = (
    Held
    | Purchased
    | Done
    | Unknown
    | Released
    | Expired
    | KeyReused
    | AlreadyPurchased
    | OfBundle
    | Committing
    | NotOnSale
    | TooEarly
    | SalesEnded
    | OverHoldLimit
    | OverBuyerLimit
    | SeatsTaken
    | AreaShort
    | NoneTogether
    | LedgerBehind
    | Malformed
    | Inconsistent
)
"""What the script answers to one command, told apart by the status word that comes first."""
