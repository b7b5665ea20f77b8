"""What clients send to keep places for who has a right to them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.inputs import (
    BLOCKED_SEATS_MAX,
    Areas,
    Body,
    Buyer,
    Moment,
    Name,
    SeatLabel,
    Slug,
    repeated_seats,
    too_many_bytes,
    years_out_of_bounds,
)
from api.problems import Fault
from engine.platform.legible import BUYER_BYTES_MAX
from engine.sales.rights import plain_code

RIGHTS_MAX: Final = 100
BUYERS_MAX: Final = 1000
_CODE_LEAST: Final = 4

Code = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9 _.-]+$(?!\n)",
        max_length=64,
        description="Letters and digits, of which there are 4 at least. Upper and lower case are "
        "the same, and so is what parts them: spaces, `-`, `_` and `.`.",
        examples=["FANCLUB-2027"],
    ),
]
Channel = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)",
        max_length=64,
        description="Your own name of the way that the request comes by.",
        examples=["box-office"],
    ),
]


class RightInput(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who may hold the places. It has one of the members.

    A code that all of them know, codes that each buyer has of their own, a channel, or another
    reseller, who sells them by its own credentials.
    """

    code: Code | UnsetType = UNSET
    personal_codes: bool = False
    channel: Channel | UnsetType = UNSET
    reseller: (
        Annotated[
            str,
            Meta(
                max_length=64,
                description="Its id, as `GET /v1/allotments/received` tells it its own.",
                examples=["rsl_eu_0123456789abcdef"],
            ),
        ]
        | UnsetType
    ) = UNSET


class AllottedPlaces(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which places. Seats that are named may be withheld by the house: then they are no more.

    Of `areas` it is so many open places, of `withheld_areas` so many that the house withholds.

    Of `price_levels`, and by `all`, it is what is neither withheld nor in another allotment.
    """

    seats: Annotated[list[SeatLabel], Meta(max_length=BLOCKED_SEATS_MAX)] | UnsetType = UNSET
    areas: Areas | UnsetType = UNSET
    withheld_areas: Areas | UnsetType = UNSET
    price_levels: Annotated[list[Slug], Meta(max_length=255)] | UnsetType = UNSET
    everything: bool = msgspec.field(default=False, name="all")

    def is_nothing(self) -> bool:
        """Tell whether no place is named."""
        named = (self.seats, self.areas, self.withheld_areas, self.price_levels, self.everything)
        return not any(named)


class AllotmentBody(Body, frozen=True, kw_only=True):
    """Places that are for some, for a time.

    Nobody may hold them before `from`; at `until` they go to everybody by themselves.
    """

    name: Name
    places: AllottedPlaces
    rights: Annotated[list[RightInput], Meta(min_length=1, max_length=RIGHTS_MAX)] = msgspec.field(
        name="for"
    )
    begins_at: Moment | None = msgspec.field(default=None, name="from")
    ends_at: Moment | None = msgspec.field(default=None, name="until")

    def asked(self) -> dict[str, Any]:
        """Return the places as they are kept, to be told again."""
        told: dict[str, Any] = msgspec.to_builtins(self.places)
        return told

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        times: Mapping[str, datetime | None] = {"from": self.begins_at, "until": self.ends_at}
        faults = years_out_of_bounds(times)
        if self.begins_at and self.ends_at and self.begins_at >= self.ends_at:
            faults.append(Fault("is not after from", pointer="/until"))
        if self.places.is_nothing():
            faults.append(Fault("name some place", pointer="/places"))
        faults += [
            Fault(one.reason, pointer=f"/places{one.pointer}")
            for one in repeated_seats(self.places.seats or [])
        ]
        for n, right in enumerate(self.rights):
            named = (right.code, right.channel, right.reseller)
            if sum(one is not UNSET for one in named) + right.personal_codes != 1:
                reason = "give one of code, personal_codes, channel and reseller"
                faults.append(Fault(reason, pointer=f"/for/{n}"))
            elif right.code and len(plain_code(right.code)) < _CODE_LEAST:
                reason = f"fewer than {_CODE_LEAST} letters and digits"
                faults.append(Fault(reason, pointer=f"/for/{n}/code"))
        return faults


class CodesBody(Body, frozen=True, kw_only=True):
    """Buyers, each of whom gets a code of their own."""

    buyers: Annotated[list[Buyer], Meta(min_length=1, max_length=BUYERS_MAX)]

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return [
            fault
            for n, buyer in enumerate(self.buyers)
            for fault in too_many_bytes(f"/buyers/{n}", buyer, BUYER_BYTES_MAX)
        ]
