"""How a show stands: counts that add up, and the seat map."""

from collections import OrderedDict
from typing import Final

import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED
from msgspec import Struct

from api.answers import Price, tell_price
from api.compressing import accepts_gzip, gzipped
from api.context import ApiRequest, find_show, runtime_of
from api.documents import describe
from api.outcomes import problem_of
from api.problems import ProblemKind
from api.reading import check_query
from api.written import written_json
from engine.inventory.availability import InventoryState
from engine.inventory.commands import Recovering
from engine.platform.ids import Ids, Prefix
from engine.sales.pricing import Tariff, ticket_charge

_REMEMBERED_MAX: Final = 64


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


class _Written(Struct, frozen=True):
    etag: str
    content: bytes
    compressed: bytes


# By show, what was written last: while nobody buys, everybody gets the same bytes.
_written: OrderedDict[int, _Written] = OrderedDict()


@get(
    "/{show:str}/availability",
    summary="Counts and seat map",
    operation_class=describe(problems=(ProblemKind.SHOW_NOT_FOUND,)),
)
async def show_availability(
    request: ApiRequest, show: FromPath[str]
) -> Response[AvailabilityAnswer]:
    """Tell how many places are open, per price level and area, why, and the seat map.

    Numbered seats count in their price level, places in areas in their area. Send `If-None-Match`
    with the last ETag: `304` says that nothing has changed. `HEAD` gives the headers alone.
    """
    check_query(request)
    named = await find_show(request, show)
    runtime = runtime_of(request)
    state = await runtime.box_office.availability(named)
    if isinstance(state, Recovering):
        raise problem_of(state, named)
    etag = f'W/"{state.sequence}.{state.show.inventory_version}.{state.show.price_version}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if _matches(request.headers.get("if-none-match"), etag):
        return _answer(b"", headers, HTTP_304_NOT_MODIFIED)
    written = _written.get(named.id)
    if written is None or written.etag != etag:
        tariff = await runtime.box_office.prices(state.show, state.show.price_version)
        content = msgspec.json.encode(tell_availability(state, tariff, runtime.ids))
        written = _Written(etag, content, gzipped(content))
        _written[named.id] = written
        _written.move_to_end(named.id)
        while len(_written) > _REMEMBERED_MAX:
            _written.popitem(last=False)
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        return _answer(written.compressed, headers | {"Content-Encoding": "gzip"})
    return _answer(written.content, headers)


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
        for n, area in enumerate(manifest.areas)
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


def _matches(if_none_match: str | None, etag: str) -> bool:
    """Compare weakly (RFC 9110, 8.8.3.2): what matters is what the tag says between its quotes."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


def _answer(
    content: bytes, headers: dict[str, str], status_code: int = HTTP_200_OK
) -> Response[AvailabilityAnswer]:
    return written_json(AvailabilityAnswer, content, status_code=status_code, headers=headers)


router = Router(path="/v1/shows", tags=["availability"], route_handlers=[show_availability])
