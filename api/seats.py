"""The seats of a show, one by one, with state and price."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

from litestar import Router, get
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from api.charges import Price, tell_price
from api.context import ApiRequest, find_show_to_sell, runtime_of
from api.documents import describe
from api.outcomes import problem_of
from api.paging import no_cursor
from api.problems import ProblemKind
from api.reading import check_query
from api.rights import (
    SHOWN,
    AccessCodeParameter,
    BuyerParameter,
    ChannelParameter,
    check_guess,
    shown_by,
)
from engine.inventory.availability import InventoryState
from engine.inventory.commands import Recovering
from engine.inventory.manifest import NO_TRAITS, SEPARATOR
from engine.sales.pricing import ticket_charge
from engine.sales.wanted import UnknownPlaces
from engine.tenancy.principals import Scope

LIMIT_DEFAULT: Final = 500
LIMIT_MAX: Final = 2000
_CURSOR_MAX: Final = 1_000_000


class SeatStatus(StrEnum):
    """How a seat stands."""

    OPEN = "open"
    HELD = "held"
    SOLD = "sold"
    BLOCKED = "blocked"


_LETTERS: Final = {status: status.value[0] for status in SeatStatus}
_STATUSES: Final = {letter: status for status, letter in _LETTERS.items()}


class SeatAnswer(Struct, frozen=True):
    """One seat. `position` is its place in the seat map of the availability.

    What is special about a seat is there only where it is so: `companion_of` names the accessible
    seat that it goes with, `entrance` and `gate` are its zone's.
    """

    seat: str
    zone: str
    row: str
    number: str
    position: int
    price_level: str
    status: SeatStatus
    price: Price
    accessible: bool | UnsetType = UNSET
    companion_of: str | UnsetType = UNSET
    restricted_view: bool | UnsetType = UNSET
    entrance: str | UnsetType = UNSET
    gate: str | UnsetType = UNSET


class SeatPage(Struct, frozen=True):
    """Seats, best rows first. `next_cursor` is null on the last page."""

    currency: str
    sequence: str
    seats: list[SeatAnswer]
    next_cursor: str | None


@get(
    "/{show:str}/seats",
    summary="List seats",
    operation_class=describe(
        scope=Scope.SHOWS_READ,
        problems=(ProblemKind.SHOW_NOT_FOUND, ProblemKind.UNKNOWN_PRICE_LEVELS),
    ),
)
async def list_seats(  # noqa: PLR0913, PLR0917 -- each is a query parameter
    request: ApiRequest,
    show: FromPath[str],
    status: FromQuery[SeatStatus | None] = None,
    price_level: Annotated[str | None, QueryParameter(max_length=200)] = None,
    price_max: Annotated[
        int | None,
        QueryParameter(
            ge=0, le=10**12, description="All-in, in minor units of the show's currency."
        ),
    ] = None,
    cursor: Annotated[
        str | None, QueryParameter(max_length=16, description="A page's `next_cursor`.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
    access_code: AccessCodeParameter = None,
    channel: ChannelParameter = None,
    buyer: BuyerParameter = None,
) -> SeatPage:
    """List the seats of a show with how they stand and what they cost, all-in.

    Each page is of its own moment: seats may change hands in between, and none is listed twice.
    """
    check_query(request, "status", "price_level", "price_max", "cursor", "limit", *SHOWN)
    start = _read_cursor(cursor)
    named = await find_show_to_sell(request, show)
    runtime = runtime_of(request)
    shown = shown_by(access_code, channel, buyer)
    check_guess(runtime, request.auth, named, shown)
    state = await runtime.box_office.availability(named, shown)
    if isinstance(state, Recovering):
        raise problem_of(state, named)
    named, manifest = state.show, state.show.manifest
    if price_level is not None and manifest.level_index(price_level) is None:
        raise problem_of(UnknownPlaces(price_levels=(price_level,)), named)
    tariff = await runtime.box_office.prices(named, named.price_version)
    prices = [tell_price(ticket_charge(tariff, level.slug)) for level in manifest.levels]
    levels = {
        n
        for n, level in enumerate(manifest.levels)
        if price_level in (None, level.slug) and (price_max is None or prices[n].total <= price_max)
    }
    found = _find(state, start, status, levels, limit + 1)
    page = found[:limit]
    listed: list[SeatAnswer] = []
    states = state.seats.decode()
    for position in page:
        seat, row = manifest.describe(position), manifest.row_of(position)
        traits = manifest.traits.get(position, NO_TRAITS)
        listed.append(
            SeatAnswer(
                seat=seat.label,
                zone=seat.zone,
                row=seat.row,
                number=seat.number,
                position=position,
                price_level=seat.price_level,
                status=_STATUSES[states[position]],
                price=prices[manifest.level_of(position)],
                accessible=traits.accessible or UNSET,
                companion_of=traits.companion_of or UNSET,
                restricted_view=traits.restricted_view or UNSET,
                entrance=row.entrance or UNSET,
                gate=row.gate or UNSET,
            )
        )
    return SeatPage(
        currency=named.currency,
        sequence=state.sequence,
        seats=listed,
        next_cursor=f"p{found[limit]}" if len(found) > limit else None,
    )


def _find(
    state: InventoryState, start: int, status: SeatStatus | None, levels: set[int], most: int
) -> list[int]:
    level_by_position = state.show.manifest.level_by_position
    found: list[int] = []
    for position in _positions(state.seats, start, status) if levels else ():
        if level_by_position[position] in levels:
            found.append(position)
            if len(found) == most:
                break
    return found


def _positions(seats: bytes, start: int, status: SeatStatus | None) -> Iterator[int]:
    """Yield the positions of seats in that state, or of all, from one on."""
    if status is None:
        separator = SEPARATOR.encode()[0]
        yield from (n for n in range(start, len(seats)) if seats[n] != separator)
        return
    letter = _LETTERS[status].encode()
    position = seats.find(letter, start)
    while position >= 0:
        yield position
        position = seats.find(letter, position + 1)


def _read_cursor(cursor: str | None) -> int:
    if cursor is None:
        return 0
    digits = cursor[1:]
    if cursor[:1] != "p" or not (digits.isascii() and digits.isdigit()):
        raise no_cursor()
    return min(int(digits), _CURSOR_MAX)


router = Router(path="/v1/shows", tags=["availability"], route_handlers=[list_seats])
