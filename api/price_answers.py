"""How prices, ticket types and price steps are told."""

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from engine.catalog.price_rules import NewPrices
from engine.catalog.price_steps import PriceStep
from engine.catalog.prices import PublishedVersion
from engine.inventory.price_versions import TypePrice
from engine.inventory.shows import Show
from engine.inventory.ticket_types import TicketType
from engine.platform.ids import Ids, Prefix


class TypePriceAnswer(Struct, frozen=True):
    """What a ticket type costs, as it was published: see `PUT /v1/shows/{show}/prices`."""

    share_bps: int | UnsetType = UNSET
    prices: dict[str, int] | UnsetType = UNSET


class PriceVersionAnswer(Struct, frozen=True, kw_only=True):
    """A price version; `step` is the price step that made it, null if it was published."""

    price_version: int
    published_at: datetime
    step: int | None
    prices: dict[str, int]
    ticket_types: dict[str, TypePriceAnswer]


class PricesAnswer(Struct, frozen=True, kw_only=True):
    """What a show's tickets cost before fees and taxes, cost earlier, and will cost.

    `history` begins with the present version, and has the last 100.
    """

    show: str
    currency: str
    price_version: int
    prices: dict[str, int]
    ticket_types: dict[str, TypePriceAnswer]
    steps: list["PriceStepAnswer"]
    history: list[PriceVersionAnswer]


class TicketTypeAnswer(Struct, frozen=True, kw_only=True):
    """A ticket type. `price_levels` says where it is offered; null: everywhere."""

    ticket_type: str
    name: str
    kind: str
    description: str
    min_per_hold: int | None
    max_per_hold: int | None
    price_levels: list[str] | None


class TicketTypesAnswer(Struct, frozen=True):
    """All ticket types of a show, in their order; those without a price are not offered yet."""

    show: str
    ticket_types: list[TicketTypeAnswer]


class PriceStepAnswer(Struct, frozen=True, kw_only=True):
    """A price step; `came_at` and `price_version` are null until it has come."""

    step: int
    at: datetime | None
    after_sold: int | None
    price_level: str | None
    prices: dict[str, int]
    ticket_types: dict[str, TypePriceAnswer]
    came_at: datetime | None
    price_version: int | None


class PriceStepsAnswer(Struct, frozen=True):
    """All price steps of a show in their order; those that have come are the first."""

    show: str
    steps: list[PriceStepAnswer]


def tell_prices(
    show: Show, versions: list[PublishedVersion], steps: list[PriceStep], ids: Ids
) -> PricesAnswer:
    """Tell a show's prices; the newest version comes first."""
    current = versions[0].prices
    return PricesAnswer(
        show=ids.entity(Prefix.SHOW, show.id),
        currency=show.currency,
        price_version=current.version,
        prices=current.face_values,
        ticket_types=_tell_type_prices(current.types),
        steps=[tell_step(step) for step in steps],
        history=[
            PriceVersionAnswer(
                price_version=one.prices.version,
                published_at=one.published_at,
                step=one.step_no,
                prices=one.prices.face_values,
                ticket_types=_tell_type_prices(one.prices.types),
            )
            for one in versions
        ],
    )


def tell_step(step: PriceStep) -> PriceStepAnswer:
    """Tell a price step."""
    changes: NewPrices = step.prices
    return PriceStepAnswer(
        step=step.step_no,
        at=step.at,
        after_sold=step.after_sold,
        price_level=step.price_level,
        prices=changes.face_values,
        ticket_types=_tell_type_prices(changes.types),
        came_at=step.came_at,
        price_version=step.price_version,
    )


def tell_type(one: TicketType) -> TicketTypeAnswer:
    """Tell a ticket type."""
    return TicketTypeAnswer(
        ticket_type=one.slug,
        name=one.name,
        kind=one.kind,
        description=one.description,
        min_per_hold=one.min_per_hold,
        max_per_hold=one.max_per_hold,
        price_levels=None if one.levels is None else list(one.levels),
    )


def _tell_type_prices(types: dict[str, TypePrice]) -> dict[str, TypePriceAnswer]:
    return {
        slug: TypePriceAnswer(
            UNSET if price.share_bps is None else price.share_bps, price.prices or UNSET
        )
        for slug, price in types.items()
    }
