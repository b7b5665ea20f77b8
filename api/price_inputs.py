"""What clients may send of prices, ticket types and price steps."""

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from api.inputs import TYPES_MAX, Body, Bps, Moment, Name, Slug, TypeSlug
from engine.catalog.price_rules import NewPrices, NewStep
from engine.catalog.price_steps import STEPS_MAX
from engine.inventory.price_versions import VERSION_MAX, TypePrice
from engine.inventory.ticket_types import TicketType

_LEVELS_MAX: Final = 250

FaceValue = Annotated[int, Meta(ge=0, le=10_000_000)]
FaceValues = Annotated[dict[Slug, FaceValue], Meta(max_length=_LEVELS_MAX)]
Kind = Literal["adult", "child", "student", "senior", "companion", "disabled", "group", "other"]
PerHold = Annotated[int, Meta(ge=1, le=100)]


class TypePriceBody(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a ticket type costs: by price level, or else a share of the level's face value."""

    share_bps: Bps | UnsetType = UNSET
    prices: FaceValues | UnsetType = UNSET

    def price(self) -> TypePrice:
        """Return it in the engine's words."""
        return TypePrice(None if self.share_bps is UNSET else self.share_bps, self.prices or {})


TypePrices = Annotated[dict[TypeSlug, TypePriceBody], Meta(max_length=TYPES_MAX)]


class PricesBody(Body, frozen=True, kw_only=True):
    """The next price version: all price levels, and all ticket types but the standard one."""

    after_version: Annotated[
        int,
        Meta(
            ge=1,
            le=VERSION_MAX,
            description="The price version that these follow: the show's, as you know it.",
        ),
    ]
    prices: FaceValues
    ticket_types: TypePrices = field(default_factory=dict[str, TypePriceBody])

    def new(self) -> NewPrices:
        """Return them in the engine's words."""
        return _prices(self.prices, self.ticket_types)


class TicketTypeBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A ticket type. `price_levels` says where it is offered; null: everywhere."""

    ticket_type: TypeSlug
    name: Name
    kind: Kind
    description: Annotated[str, Meta(max_length=1000)] = ""
    min_per_hold: PerHold | None = None
    max_per_hold: PerHold | None = None
    price_levels: Annotated[list[Slug], Meta(min_length=1, max_length=_LEVELS_MAX)] | None = None

    def type(self) -> TicketType:
        """Return it in the engine's words."""
        return TicketType(
            slug=self.ticket_type,
            name=self.name,
            kind=self.kind,
            description=self.description,
            min_per_hold=self.min_per_hold,
            max_per_hold=self.max_per_hold,
            levels=None if self.price_levels is None else tuple(self.price_levels),
        )


class TicketTypesBody(Body, frozen=True, kw_only=True):
    """All ticket types of a show, in the order in which buyers are to see them."""

    ticket_types: Annotated[list[TicketTypeBody], Meta(max_length=TYPES_MAX)]


class PriceStepBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What changes, and when: at a moment, or once so many tickets are sold, if that is first.

    `after_sold` counts the tickets of `price_level`, or of the whole show.
    """

    at: Moment | None = None
    after_sold: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None
    price_level: Slug | None = None
    prices: FaceValues = {}
    ticket_types: TypePrices = {}

    def step(self) -> NewStep:
        """Return it in the engine's words."""
        return NewStep(
            at=self.at,
            after_sold=self.after_sold,
            price_level=self.price_level,
            prices=_prices(self.prices, self.ticket_types),
        )


class PriceStepsBody(Body, frozen=True, kw_only=True):
    """The steps to come, in their order; those that have come stay as they are."""

    steps: Annotated[list[PriceStepBody], Meta(max_length=STEPS_MAX)]

    def moments(self) -> dict[str, datetime | None]:
        """Return the moments that it names, by where they stand."""
        return {f"steps/{n}/at": step.at for n, step in enumerate(self.steps)}


def _prices(prices: dict[str, int], types: dict[str, TypePriceBody]) -> NewPrices:
    return NewPrices(prices, {slug: price.price() for slug, price in types.items()})
