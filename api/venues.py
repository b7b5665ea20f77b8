"""Venues: keep one's own, archive them, look at one, and at when it is taken."""

from datetime import date, timedelta
from typing import Annotated, Final

from litestar import Response, Router, get, patch, post
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK

from api.catalog_inputs import CATALOG_BODY_BYTES_MAX
from api.context import ApiRequest, is_anonymous, runtime_of
from api.documents import describe
from api.making import Remember, make_once
from api.paging import PAGE_DEFAULT, Archived, Cursor, Limit, read_cursor
from api.problems import Fault, ProblemKind, invalid
from api.public_pages import tell_public_page
from api.reading import check_query, optional_key, read_body
from api.venue_answers import (
    CalendarAnswer,
    VenueAnswer,
    VenueList,
    tell_calendar,
    tell_venue,
)
from api.venue_inputs import VenueBody, VenueChangeBody
from api.venue_outcomes import no_venue, parse_venue, refusal_of
from engine.catalog.occupancy import CALENDAR_DAYS_MAX
from engine.catalog.venues import (
    FutureShows,
    UnknownVenue,
    Venue,
    VenueChanges,
    change_venue,
    create_venue,
    find_calendar,
    find_venue,
    list_venues,
)
from engine.platform.errors import store_failures
from engine.platform.ids import Prefix
from engine.tenancy.principals import Scope

_UNKNOWN: Final = (ProblemKind.VENUE_NOT_FOUND,)
_YEAR_MIN: Final = 2000
_YEAR_MAX: Final = 2200


@post(
    "/",
    summary="Make a venue",
    request_max_body_size=CATALOG_BODY_BYTES_MAX,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE,
        body=VenueBody,
        key="honoured",
        problems=(ProblemKind.REQUEST_UNDER_WAY, ProblemKind.KEY_REUSED),
    ),
)
async def make(request: ApiRequest) -> Response[VenueAnswer]:
    """Keep a place, to which configurations are added then.

    Its page is public as soon as a show there is.
    """
    check_query(request)
    optional_key(request)
    body = await read_body(request, VenueBody)
    runtime = runtime_of(request)

    def tell(made: Venue) -> VenueAnswer:
        return tell_venue(made, runtime.ids)

    async def create(remember: Remember[Venue]) -> Venue:
        return await create_venue(runtime.app_engine, request.user, body.new(), remember)

    return await make_once(
        request,
        "venues",
        body.fingerprint(),
        create,
        tell=tell,
        answer=VenueAnswer,
        address=_address,
    )


@get("/", summary="List your venues", operation_class=describe(scope=Scope.CATALOG_READ))
async def list_own(
    request: ApiRequest,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
    archived: Archived = False,  # noqa: FBT002 - a query parameter
) -> VenueList:
    """List the venues that are yours, the newest first."""
    check_query(request, "cursor", "limit", "archived")
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.VENUE, cursor)
    # One more than asked for tells whether there is a next page.
    with store_failures():
        found = await list_venues(
            runtime.app_engine, request.user, after=after, limit=limit + 1, archived=archived
        )
    page = [tell_venue(venue, runtime.ids) for venue in found[:limit]]
    return VenueList(page, page[-1].venue if len(found) > limit else None)


@get(
    "/{venue:str}",
    summary="Look at a venue",
    operation_class=describe(scope=Scope.CATALOG_READ, anybody=True, problems=_UNKNOWN),
)
async def look(request: ApiRequest, venue: FromPath[str]) -> Response[VenueAnswer]:
    """Tell of a venue: without a credential of any that is public, with one of your own."""
    check_query(request)
    named = parse_venue(request, venue)
    if is_anonymous(request):
        page = await tell_public_page(request, "venue", named, VenueAnswer)
        if page is None:
            raise no_venue()
        return page
    with store_failures():
        found = await find_venue(runtime_of(request).app_engine, request.user, named)
    return Response(_tell(request, found))


@patch(
    "/{venue:str}",
    summary="Change a venue",
    request_max_body_size=CATALOG_BODY_BYTES_MAX,
    operation_class=describe(scope=Scope.CATALOG_WRITE, body=VenueChangeBody, problems=_UNKNOWN),
)
async def change(request: ApiRequest, venue: FromPath[str]) -> VenueAnswer:
    """Change what is named; an address is replaced as a whole. Shows keep the name they have."""
    check_query(request)
    named = parse_venue(request, venue)
    body = await read_body(request, VenueChangeBody)
    runtime = runtime_of(request)
    with store_failures():
        changed = await change_venue(runtime.app_engine, request.user, named, body.changes())
    return _tell(request, changed)


@post(
    "/{venue:str}/archive",
    summary="Archive a venue",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE, problems=(*_UNKNOWN, ProblemKind.SHOWS_TO_COME)
    ),
)
async def archive(request: ApiRequest, venue: FromPath[str]) -> VenueAnswer:
    """Put it away: no show can be made there anew. Refused while shows are to come.

    Repeated, it is as it was.
    """
    return await _archive(request, venue, is_archived=True)


@post(
    "/{venue:str}/restore",
    summary="Take an archived venue back",
    status_code=HTTP_200_OK,
    operation_class=describe(scope=Scope.CATALOG_WRITE, problems=_UNKNOWN),
)
async def restore(request: ApiRequest, venue: FromPath[str]) -> VenueAnswer:
    """Undo its being archived. Repeated, it is as it was."""
    return await _archive(request, venue, is_archived=False)


@get(
    "/{venue:str}/calendar",
    summary="When a venue is taken",
    operation_class=describe(scope=Scope.CATALOG_READ, problems=_UNKNOWN),
)
async def calendar(
    request: ApiRequest,
    venue: FromPath[str],
    first: Annotated[date, QueryParameter(name="from", description="The first day, at the venue.")],
    last: Annotated[
        date, QueryParameter(name="to", description="The last day: at most 366 in all.")
    ],
) -> CalendarAnswer:
    """Tell which shows take the venue on which days, which overlap, and the gaps between them.

    A show is at a venue if it was made from one of its configurations.
    """
    check_query(request, "from", "to")
    named = parse_venue(request, venue)
    _check_days(first, last)
    runtime = runtime_of(request)
    with store_failures():
        found = await find_calendar(runtime.app_engine, request.user, named, first, last)
    if isinstance(found, UnknownVenue):
        raise no_venue()
    its_venue, told = found
    return tell_calendar(its_venue, first, last, told, runtime.ids)


async def _archive(request: ApiRequest, venue: str, *, is_archived: bool) -> VenueAnswer:
    check_query(request)
    named = parse_venue(request, venue)
    runtime = runtime_of(request)
    with store_failures():
        changed = await change_venue(
            runtime.app_engine, request.user, named, VenueChanges(), archived=is_archived
        )
    return _tell(request, changed)


def _address(made: VenueAnswer) -> str:
    return f"/v1/venues/{made.venue}"


def _tell(request: ApiRequest, found: Venue | UnknownVenue | FutureShows) -> VenueAnswer:
    ids = runtime_of(request).ids
    if isinstance(found, Venue):
        return tell_venue(found, ids)
    raise refusal_of(found, ids)


def _check_days(first: date, last: date) -> None:
    faults = [
        Fault(f"the year must be {_YEAR_MIN} to {_YEAR_MAX}", parameter=name)
        for name, day in (("from", first), ("to", last))
        if not _YEAR_MIN <= day.year <= _YEAR_MAX
    ]
    if not faults and last < first:
        faults = [Fault("is before from", parameter="to")]
    elif not faults and last - first >= timedelta(days=CALENDAR_DAYS_MAX):
        faults = [Fault(f"{CALENDAR_DAYS_MAX} days at most", parameter="to")]
    if faults:
        raise invalid(*faults)


router = Router(
    path="/v1/venues",
    tags=["venues"],
    route_handlers=[make, list_own, look, change, archive, restore, calendar],
)
