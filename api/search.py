"""`GET /v1/events`: finds events by what they are called, where, when and what they cost."""

from typing import Annotated, Final, cast

from litestar import MediaType, Response, Router, get
from litestar.params import QueryParameter
from litestar.status_codes import HTTP_304_NOT_MODIFIED

from api.context import ApiRequest, runtime_of, served_in_front
from api.documents import describe
from api.fastlane.events import VARY, busy_failures, teller_of
from api.fastlane.kept import Kept
from api.reading import check_query, single_header
from api.search_answers import SearchPage
from api.search_inputs import (
    CURSOR_MAX,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    PARAMETERS,
    PATTERNS,
    SearchQuery,
)
from engine.catalog.finder import Page
from engine.catalog.search_terms import TEXT_MAX, Sort
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId
from engine.tenancy.principals import Scope

_OWN: Final = "private, no-cache"


# Documented here, and read by `api.search_inputs`, which tells all that does not fit at once.
_TEXT: Final = {"minLength": 1, "maxLength": TEXT_MAX}
_SORTS: Final = "|".join(sort.value for sort in Sort)


@get(
    "/v1/events",
    summary="Find events",
    media_type=MediaType.JSON,
    operation_class=describe(scope=Scope.CATALOG_READ, anybody=True),
)
async def find_events(  # noqa: PLR0913, PLR0917 -- each is a query parameter
    request: ApiRequest,
    text: Annotated[
        str | None,
        QueryParameter(
            name="search",
            schema_extra=_TEXT,
            description='Words of names; "in quotes": together; -word: without it.',
        ),
    ] = None,
    performer: Annotated[
        str | None,
        QueryParameter(schema_extra=_TEXT, description="An id, or words of a name."),
    ] = None,
    venue: Annotated[
        str | None,
        QueryParameter(schema_extra=_TEXT, description="An id, or words of a name."),
    ] = None,
    city: Annotated[str | None, QueryParameter(schema_extra=_TEXT, description="Its name.")] = None,
    country: Annotated[
        str | None,
        QueryParameter(schema_extra={"pattern": PATTERNS["country"]}, description="ISO 3166-1."),
    ] = None,
    event_type: Annotated[
        str | None, QueryParameter(name="type", schema_extra={"pattern": PATTERNS["type"]})
    ] = None,
    since: Annotated[
        str | None,
        QueryParameter(
            name="from",
            schema_extra={"maxLength": 50},
            description="Shows that begin then or later: a date or a moment. Now, unless told.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        QueryParameter(
            name="to",
            schema_extra={"maxLength": 50},
            description="Shows before that moment, or up to that date.",
        ),
    ] = None,
    near: Annotated[
        str | None,
        QueryParameter(
            schema_extra={"pattern": PATTERNS["near"]},
            description="Latitude and longitude, in degrees.",
        ),
    ] = None,
    within_km: Annotated[
        str | None,
        QueryParameter(
            schema_extra={"pattern": PATTERNS["within_km"]},
            description="How far from `near`, up to 20000. 50, unless told.",
        ),
    ] = None,
    price_min: Annotated[
        str | None,
        QueryParameter(
            schema_extra={"pattern": PATTERNS["price"]},
            description="Shows with tickets at this price or above: minor units, all included.",
        ),
    ] = None,
    price_max: Annotated[
        str | None,
        QueryParameter(
            schema_extra={"pattern": PATTERNS["price"]},
            description="Shows with tickets left at this price or below.",
        ),
    ] = None,
    currency: Annotated[
        str | None,
        QueryParameter(schema_extra={"pattern": PATTERNS["currency"]}, description="ISO 4217."),
    ] = None,
    available: Annotated[
        str | None,
        QueryParameter(
            schema_extra={"pattern": PATTERNS["available"]},
            description="`true`: on sale, with places left.",
        ),
    ] = None,
    reseller: Annotated[
        str | None, QueryParameter(schema_extra={"maxLength": 40}, description="An id.")
    ] = None,
    sort: Annotated[
        str | None,
        QueryParameter(
            schema_extra={"pattern": f"^({_SORTS})$"},
            description="By relevance where words are searched for, by distance where a place is"
            " named, else by date, unless told.",
        ),
    ] = None,
    facets: Annotated[
        str | None,
        QueryParameter(
            schema_extra={"pattern": PATTERNS["available"]},
            description="`true`: tell what the shows are like, too.",
        ),
    ] = None,
    cursor: Annotated[
        str | None,
        QueryParameter(
            schema_extra={"maxLength": CURSOR_MAX}, description="A page's `next_cursor`."
        ),
    ] = None,
    limit: Annotated[
        str | None,
        QueryParameter(
            schema_extra={"pattern": r"^\d{1,3}$"},
            description=f"Up to {LIMIT_MAX}; {LIMIT_DEFAULT}, unless told.",
        ),
    ] = None,
) -> Response[SearchPage]:
    """Find events with shows that fit, each told with the one that the order puts first.

    Without a credential: what is public, of everybody. With one: what is yours, public or not.
    Cancelled shows and those that are over are not found. Words may be mistyped: if nothing has
    them, the nearest words are searched for instead. Prices of several currencies are compared by
    their numbers: name a `currency` to sort by price.
    """
    del text, performer, venue, city, country, event_type, since, until, near, within_km
    del price_min, price_max, currency, available, reseller, sort, facets, cursor, limit
    check_query(request, *PARAMETERS)
    runtime = runtime_of(request)
    asked = SearchQuery(dict(request.query_params.items()), runtime.ids).read()
    reseller_id = cast("EntityId | None", request.user)
    if reseller_id is None:
        raise served_in_front(request.url.path)
    with busy_failures(), store_failures():
        page = await runtime.finder.own(reseller_id, asked, teller_of(runtime.ids))
    return _kept(request, page)


def _kept(request: ApiRequest, page: Page) -> Response[SearchPage]:
    """Tell it, unless the client has it already."""
    kept = Kept(page.etag, _OWN)
    headers = {"ETag": kept.etag, "Cache-Control": _OWN, "Vary": VARY}
    if kept.is_had(single_header(request, "if-none-match")):
        answer = Response(b"", status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    else:
        answer = Response(page.body, headers=headers, media_type=MediaType.JSON)
    # What it documents is what is in those bytes.
    return cast("Response[SearchPage]", answer)


router = Router(path="/", tags=["events"], route_handlers=[find_events])
