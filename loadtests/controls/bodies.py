"""What the controls are asked and answer: the API's own hold, field by field."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

SEATS_A_BUYER_MAX: Final = 8

_SHORT: Final = Meta(min_length=1, max_length=64)
_SOMETHING: Final = Meta(
    min_length=1, max_length=64, pattern=r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
)
_MANY: Final = Meta(max_length=1000)
_FACE_VALUE: Final = 7_900
_FEE: Final = 495
_TAX: Final = 553


class BestAvailable(Struct, frozen=True, forbid_unknown_fields=True):
    """Seats next to each other in a price level; only decoded."""

    price_level: Annotated[str, _SHORT]
    quantity: Annotated[int, Meta(ge=1, le=1000)]


class HoldBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of a hold, with the API's bounds."""

    seats: Annotated[list[Annotated[str, _SHORT]], _MANY] | UnsetType = UNSET
    areas: Annotated[dict[str, int], _MANY] | UnsetType = UNSET
    best_available: BestAvailable | UnsetType | None = UNSET
    buyer: Annotated[str, _SOMETHING]
    ttl_s: Annotated[int, Meta(ge=30, le=3600)] = 600


class Price(Struct, frozen=True):
    """What something costs, in minor units."""

    face_value: int
    fee: int
    tax: int
    discount: int
    total: int


class PriceLine(Struct, frozen=True):
    """Tickets of one price level."""

    price_level: str
    area: str | None
    quantity: int
    unit: Price
    total: int


class ItemisedPrice(Struct, frozen=True):
    """What all of it costs."""

    currency: str
    lines: list[PriceLine]
    face_value: int
    fee: int
    tax: int
    discount: int
    total: int


class HoldAnswer(Struct, frozen=True):
    """The answer to a hold."""

    hold: str
    show: str
    status: str
    buyer: str
    seats: list[str]
    areas: dict[str, int]
    expires_at: datetime
    price: ItemisedPrice


def deadline(ttl_s: int) -> datetime:
    """Return when a hold that is made now ends."""
    return datetime.now(UTC) + timedelta(seconds=ttl_s)


def tell_hold(
    *, hold: str, show: str, buyer: str, seats: list[str], ends_at: datetime
) -> HoldAnswer:
    """Return the answer to a hold; every seat costs the same."""
    count = len(seats)
    unit = Price(_FACE_VALUE, _FEE, _TAX, 0, _FACE_VALUE + _FEE + _TAX)
    price = ItemisedPrice(
        currency="EUR",
        lines=[PriceLine("category-1", None, count, unit, count * unit.total)],
        face_value=count * unit.face_value,
        fee=count * unit.fee,
        tax=count * unit.tax,
        discount=0,
        total=count * unit.total,
    )
    return HoldAnswer(hold, show, "held", buyer, seats, {}, ends_at, price)
