"""How a show stands: counts that add up, and the seat map."""

import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath
from msgspec import Struct

from api.charges import Price, tell_price
from api.context import served_in_front
from api.documents import describe
from api.problems import ProblemKind
from api.rights import AccessCodeParameter, BuyerParameter, ChannelParameter
from engine.inventory.availability import InventoryState
from engine.platform.ids import Ids, Prefix
from engine.sales.pricing import Tariff, ticket_charge
from engine.tenancy.principals import Scope


class Counts(Struct, frozen=True):
    """Places by state: capacity - sold - held - blocked = open."""

    capacity: int
    sold: int
    held: int
    blocked: int
    open: int


class LevelAvailability(Counts, frozen=True):
    """A price level's numbered seats, and what one of its tickets costs."""

    price_level: str
    name: str
    price: Price


class AreaAvailability(Counts, frozen=True):
    """A general admission area, and what one of its tickets costs."""

    area: str
    name: str
    price_level: str
    price: Price


class SeatMap(Struct, frozen=True):
    """One letter a position: o open, h held, s sold, b blocked, | the end of a row or an aisle.

    Which seat has which position: `GET /v1/shows/{show}/seats`. Positions never change.
    """

    version: int
    states: str


class AvailabilityAnswer(Struct, frozen=True):
    """How a show stands. `sequence` rises with every change: `<epoch>-<n>`."""

    show: str
    sequence: str
    currency: str
    total: Counts
    price_levels: list[LevelAvailability]
    areas: list[AreaAvailability]
    seat_map: SeatMap


@get(
    "/{show:str}/availability",
    summary="Counts and seat map",
    operation_class=describe(scope=Scope.SHOWS_READ, problems=(ProblemKind.SHOW_NOT_FOUND,)),
)
async def show_availability(
    show: FromPath[str],
    access_code: AccessCodeParameter = None,
    channel: ChannelParameter = None,
    buyer: BuyerParameter = None,
) -> Response[AvailabilityAnswer]:
    """Tell how many places are open, per price level and area, why, and the seat map.

    Numbered seats count in their price level, places in areas in their area. Send `If-None-Match`
    with the last ETag: `304` says that nothing has changed. `HEAD` gives the headers alone:
    `Onsale-Available` among them is how many places are open.
    """
    raise served_in_front(show, *filter(None, (access_code, channel, buyer)))


def tell_availability(state: InventoryState, tariff: Tariff, ids: Ids) -> AvailabilityAnswer:
    """Explain an inventory: every count adds up, and all of them to the total."""
    show, manifest = state.show, state.show.manifest
    levels = [
        LevelAvailability(
            **msgspec.structs.asdict(state.level_counts(n)),
            price_level=level.slug,
            name=level.name,
            price=tell_price(ticket_charge(tariff, level.slug)),
        )
        for n, level in enumerate(manifest.levels)
    ]
    areas = [
        AreaAvailability(
            **msgspec.structs.asdict(state.area_counts(n)),
            area=area.slug,
            name=area.name,
            price_level=area.price_level,
            price=tell_price(ticket_charge(tariff, area.price_level)),
        )
        for n, area in manifest.areas_told()
    ]
    parts = (*levels, *areas)
    return AvailabilityAnswer(
        show=ids.entity(Prefix.SHOW, show.id),
        sequence=state.sequence,
        currency=show.currency,
        total=Counts(
            capacity=sum(part.capacity for part in parts),
            sold=sum(part.sold for part in parts),
            held=sum(part.held for part in parts),
            blocked=sum(part.blocked for part in parts),
            open=sum(part.open for part in parts),
        ),
        price_levels=levels,
        areas=areas,
        seat_map=SeatMap(version=1, states=state.seats.decode()),
    )


router = Router(path="/v1/shows", tags=["availability"], route_handlers=[show_availability])
