"""What clients may send: the shapes of bodies, with every bound in the type.

Defaults are left out when a body is written again for its fingerprint, so that a field which is
added later does not change the fingerprints of requests that lack it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

from api.problems import Fault
from engine.catalog.shows import HOLD_TTL_S_MAX, HOLD_TTL_S_MIN
from engine.platform import ids
from engine.platform.legible import (
    BUYER_BYTES_MAX,
    BUYER_CHARACTERS_MAX,
    LEGIBLE,
    is_legible,
)
from engine.sales.rights import NOTHING_SHOWN, Shown
from engine.sales.wanted import Wanted, WantedType
from engine.tenancy.names import name_fault

PLACES_MAX: Final = 1000
"""In one request; far more than a hold may have, so that the show's own limit is what answers."""

TYPES_MAX: Final = 30
"""Ticket types of a show."""

BLOCKED_SEATS_MAX: Final = 5000
PAYMENT_REFERENCE_BYTES_MAX: Final = 500
_UTF8_BYTES_MAX: Final = 4
_YEAR_MIN: Final = 2000
_YEAR_MAX: Final = 2200

NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"

_encode_sorted: Final = msgspec.json.Encoder(order="sorted").encode

KEY_PATTERN: Final = r"^[\x21-\x7e]+$(?!\n)"
"""Visible ASCII, as in an Idempotency-Key header."""

SeatLabel = Annotated[str, Meta(min_length=1, max_length=64, examples=["A-1-1"])]
Slug = Annotated[str, Meta(min_length=1, max_length=200, examples=["vip"])]
TypeSlug = Annotated[
    str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)", max_length=32, examples=["child"])
]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=LEGIBLE)]
Buyer = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=BUYER_CHARACTERS_MAX,
        pattern=LEGIBLE,
        description="Your own stable name for the buyer, at most 200 bytes of UTF-8. Limits per "
        "buyer count by it.",
        examples=["b-17"],
    ),
]
LooseBuyer = Annotated[str, Meta(min_length=1, max_length=BUYER_CHARACTERS_MAX)]
PaymentReference = Annotated[
    str,
    Meta(
        max_length=255,
        pattern=NO_CONTROLS,
        description="What your payment is known by, at most 500 bytes of UTF-8.",
        examples=["pay_8731"],
    ),
]
Ttl = Annotated[
    int,
    Meta(
        ge=HOLD_TTL_S_MIN,
        le=HOLD_TTL_S_MAX,
        description="Seconds until the hold ends; left out, the show's `hold_ttl_s`.",
    ),
]
QueuePass = Annotated[
    str,
    Meta(
        max_length=64,
        description="The buyer's pass, where the show has a waiting room. A purchase that has it "
        "ends it, so that the next in line gets the place in checkout.",
    ),
]
AccessCode = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=LEGIBLE,
        description="What gives the right to hold places of an allotment.",
        examples=["FANCLUB-2027"],
    ),
]
SalesChannel = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=LEGIBLE,
        description="The way that it comes by, where an allotment is for one.",
        examples=["box-office"],
    ),
]
Bps = Annotated[int, Meta(ge=0, le=10_000)]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339, with an offset.")]
Areas = Annotated[dict[Slug, Count], Meta(max_length=PLACES_MAX)]


class Body(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The body of a request."""

    def is_legible(self) -> bool:
        """Tell whether the texts that were read without their patterns fit them; see `LOOSE`."""
        return True

    def fingerprint(self) -> int:
        """Return what stands for it: the same for any order of keys and any white space."""
        return ids.fingerprint(_encode_sorted(self))

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return ()


class BestAvailable(Body, frozen=True, kw_only=True):
    """Seats next to each other, the best that are open in a price level."""

    price_level: Slug
    quantity: Annotated[int, Meta(ge=1, le=PLACES_MAX)]


class TypedPlaces(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which of the places are of a ticket type, and how many of the best available."""

    seats: Annotated[list[SeatLabel], Meta(max_length=PLACES_MAX)] | UnsetType = UNSET
    areas: Areas | UnsetType = UNSET
    best_available: Annotated[int, Meta(ge=1, le=PLACES_MAX)] | UnsetType = UNSET


TicketTypes = Annotated[
    dict[TypeSlug, TypedPlaces],
    Meta(
        max_length=TYPES_MAX,
        description="Which of the places are of which ticket type; all others are `standard`.",
    ),
]


class SelectionBody(Body, frozen=True, kw_only=True):
    """What to hold: numbered seats, places in areas by count, the best available, or a mix."""

    seats: Annotated[list[SeatLabel], Meta(max_length=PLACES_MAX)] | UnsetType = UNSET
    areas: Areas | UnsetType = UNSET
    best_available: BestAvailable | UnsetType | None = UNSET
    ticket_types: TicketTypes | UnsetType = UNSET
    access_code: AccessCode | UnsetType = UNSET
    channel: SalesChannel | UnsetType = UNSET

    def shown(self, buyer: str) -> Shown:
        """Return what it shows of itself, of a buyer, in the engine's words."""
        code, channel = self.access_code, self.channel
        return Shown(code or "", channel or "", buyer) if code or channel else NOTHING_SHOWN

    def wanted(self) -> Wanted:
        """Return it in the engine's words."""
        seats = self.seats or ()
        areas, best, types = self.areas, self.best_available, self.ticket_types
        if not areas and not best and not types:
            return Wanted(seats)
        return Wanted(
            seats,
            tuple(sorted((areas or {}).items())),
            ((best.price_level, best.quantity),) if best else (),
            tuple(_wanted_type(slug, places) for slug, places in sorted((types or {}).items())),
        )

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        seats = self.seats
        faults = type_faults(self)
        if seats:
            return [*repeated_seats(seats), *faults]
        if self.areas or self.best_available:
            return faults
        return [Fault("name at least one of seats, areas and best_available", pointer=""), *faults]


class HoldBody(SelectionBody, frozen=True, kw_only=True):
    """A selection, for a buyer."""

    buyer: Buyer
    ttl_s: Ttl | UnsetType = UNSET
    queue_pass: QueuePass = msgspec.field(default="", name="pass")

    def ttl_ms(self, default_s: int) -> int:
        """Return for how long to hold: what is asked for, or the show's default."""
        return 1000 * (self.ttl_s or default_s)

    def fingerprint(self) -> int:
        """Return what stands for it; by which pass it came makes no other request of it."""
        alone = structs.replace(self, queue_pass="") if self.queue_pass else self
        return Body.fingerprint(alone)

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        seats = self.seats
        is_short = len(self.buyer) * _UTF8_BYTES_MAX <= BUYER_BYTES_MAX
        if is_short and seats and not self.ticket_types and len(set(seats)) == len(seats):
            return ()
        faults = SelectionBody.faults(self)
        return [*faults, *too_many_bytes("/buyer", self.buyer, BUYER_BYTES_MAX)]


class LooseHoldBody(HoldBody, frozen=True, kw_only=True):
    """A `HoldBody` as it is read: a regular expression costs as much as the rest of reading it."""

    buyer: LooseBuyer

    def is_legible(self) -> bool:
        """Tell whether the buyer has something to see and no control characters."""
        return is_legible(self.buyer)


LOOSE: Final[dict[type[Body], type[Body]]] = {HoldBody: LooseHoldBody}
"""Bodies that are read without the patterns of their texts, which `is_legible` checks for less."""


class PurchaseBody(Body, frozen=True, kw_only=True):
    """The hold to sell."""

    hold: Annotated[str, Meta(min_length=1, max_length=64)]
    payment_reference: PaymentReference = ""
    queue_pass: QueuePass = msgspec.field(default="", name="pass")

    def fingerprint(self) -> int:
        """Return what stands for it; by which pass it came makes no other request of it."""
        alone = structs.replace(self, queue_pass="") if self.queue_pass else self
        return Body.fingerprint(alone)

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return too_many_bytes(
            "/payment_reference", self.payment_reference, PAYMENT_REFERENCE_BYTES_MAX
        )


class BlockBody(Body, frozen=True, kw_only=True):
    """Seats and places that the house withholds, and why."""

    seats: Annotated[list[SeatLabel], Meta(max_length=BLOCKED_SEATS_MAX)] | UnsetType = UNSET
    areas: Areas | UnsetType = UNSET
    reason: Annotated[str, Meta(max_length=200, pattern=NO_CONTROLS)] = ""

    def wanted(self) -> Wanted:
        """Return it in the engine's words."""
        return Wanted(
            seats=tuple(self.seats or ()), areas=tuple(sorted((self.areas or {}).items()))
        )

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        if not self.seats and not self.areas:
            return [Fault("name at least one of seats and areas", pointer="")]
        return repeated_seats(self.seats or [])


class ReleaseBlockBody(BlockBody, frozen=True, kw_only=True):
    """Withheld seats and places that go back on sale; the reason is for your own records."""


def name_faults(pointer: str, name: str | UnsetType) -> list[Fault]:
    """List why nobody, and nothing that people are asked to trust, can be named so."""
    reason = None if name is UNSET else name_fault(name)
    return [] if reason is None else [Fault(reason, pointer=pointer)]


def years_out_of_bounds(moments: Mapping[str, datetime | None]) -> list[Fault]:
    """List the moments, by field, that nobody can mean, and that some calendar can't count."""
    return [
        Fault(f"the year must be {_YEAR_MIN} to {_YEAR_MAX}", pointer=f"/{field}")
        for field, moment in moments.items()
        if moment is not None and not _YEAR_MIN <= moment.year <= _YEAR_MAX
    ]


def repeated_seats(seats: Sequence[str]) -> list[Fault]:
    """List each seat that was named before."""
    if len(set(seats)) == len(seats):
        return []
    faults: list[Fault] = []
    seen: set[str] = set()
    for n, label in enumerate(seats):
        if label in seen:
            faults.append(Fault(f"{label} is named twice", pointer=f"/seats/{n}"))
        seen.add(label)
    return faults


def type_faults(body: SelectionBody) -> list[Fault]:
    """List what ticket types name that the selection has not, or that is named twice."""
    if not body.ticket_types:
        return []
    faults: list[Fault] = []
    left = Counter(body.areas or {})
    best = body.best_available
    left_best = best.quantity if best else 0
    seats, seen = set(body.seats or ()), set[str]()
    for slug, typed in body.ticket_types.items():
        here = f"/ticket_types/{slug}"
        for n, label in enumerate(typed.seats or ()):
            if label not in seats:
                faults.append(Fault("not among the seats", pointer=f"{here}/seats/{n}"))
            elif label in seen:
                faults.append(Fault(f"{label} is named twice", pointer=f"{here}/seats/{n}"))
            seen.add(label)
        for area, count in (typed.areas or {}).items():
            left[area] -= count
            if left[area] < 0:
                reason = f"more places than the {(body.areas or {}).get(area, 0)} of the area"
                faults.append(Fault(reason, pointer=f"{here}/areas/{_escaped(area)}"))
        left_best -= typed.best_available or 0
        if typed.best_available and left_best < 0:
            faults.append(Fault("more than the quantity", pointer=f"{here}/best_available"))
        if not typed.seats and not typed.areas and not typed.best_available:
            faults.append(Fault("name at least one of seats, areas and best_available", here))
    return faults


def _wanted_type(slug: str, places: TypedPlaces) -> WantedType:
    return WantedType(
        slug,
        places.seats or (),
        tuple(sorted((places.areas or {}).items())),
        places.best_available or 0,
    )


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")


def is_visible(text: str) -> bool:
    """Tell whether a text is visible ASCII, as `KEY_PATTERN` says; for what is not empty."""
    return text.isascii() and text.isprintable() and " " not in text


def too_many_bytes(pointer: str, text: str, most: int) -> list[Fault]:
    """List a fault if the text is longer than the scripts take."""
    if len(text.encode()) > most:
        return [Fault(f"more than {most} bytes as UTF-8", pointer=pointer)]
    return []
