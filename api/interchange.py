"""What other systems read of what is public: calendars, schema.org, feeds. It needs no credential.

Whoever sends one is told the same: what is hidden stays so here.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import Response, Router, get
from litestar.params import FromPath, QueryParameter

from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.kept_answers import ForAll, answer_for_all
from api.outcomes import show_not_found
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.reading import check_query
from api.written_once import FOR_ALL
from engine.catalog.events import EventType
from engine.catalog.finder import TooBusyError
from engine.catalog.interchange import calendars, feeds, schema_org
from engine.catalog.interchange.calendars import CalendarOf, write_calendar
from engine.catalog.interchange.feeds import FeedOf, JsonFeed, json_feed, rss_feed
from engine.catalog.interchange.reading import NewOnSales, PublicReads, Subject, name_of
from engine.catalog.interchange.schema_org import describe_event
from engine.catalog.interchange.shown import ShownShow
from engine.catalog.pages import EventPage
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Prefix

_OF_SHOW: Final = describe(scope=None, problems=(ProblemKind.SHOW_NOT_FOUND,))
_OF_EVENT: Final = describe(scope=None, problems=(ProblemKind.EVENT_NOT_FOUND,))
_OF_PERFORMER: Final = describe(scope=None, problems=(ProblemKind.PERFORMER_NOT_FOUND,))
_OF_VENUE: Final = describe(scope=None, problems=(ProblemKind.VENUE_NOT_FOUND,))
_NOT_FOUND: Final = {
    Prefix.EVENT: (ProblemKind.EVENT_NOT_FOUND, "event"),
    Prefix.PERFORMER: (ProblemKind.PERFORMER_NOT_FOUND, "performer"),
    Prefix.VENUE: (ProblemKind.VENUE_NOT_FOUND, "venue"),
}
_ON_SALES_TITLE: Final = "New on-sales"
_ON_SALES_WORDS: Final = "Shows whose sale has begun, the latest first."

Country = Annotated[
    str | None,
    QueryParameter(
        pattern="^[A-Z]{2}$", description="Of the venue: two capital letters (ISO 3166-1)."
    ),
]
Reseller = Annotated[str | None, QueryParameter(max_length=64, description="Who sells: their id.")]
Type = Annotated[EventType | None, QueryParameter(description="Of the event.")]


@get(
    "/shows/{show:str}/calendar.ics",
    summary="A show as a calendar",
    media_type=calendars.MEDIA_TYPE,
    operation_class=_OF_SHOW,
)
async def show_calendar(request: ApiRequest, show: FromPath[str]) -> Response[str]:
    """Tell one public show as iCalendar (RFC 5545)."""
    check_query(request)
    shown = await _show(request, show)
    address = f"{_site(request)}/v1/shows/{shown.show}/calendar.ics"
    return await _calendar(
        request, CalendarOf(id=shown.show, name=shown.title, address=address), [shown]
    )


@get(
    "/events/{event:str}/calendar.ics",
    summary="An event's shows as a calendar",
    media_type=calendars.MEDIA_TYPE,
    operation_class=_OF_EVENT,
)
async def event_calendar(request: ApiRequest, event: FromPath[str]) -> Response[str]:
    """Tell a public event's shows as iCalendar, to be subscribed to.

    It has the next 200 shows, and those of the last 31 days. An entry keeps its UID; when a show is
    moved or cancelled its SEQUENCE rises, and a cancelled one stays, as CANCELLED.
    """
    return await _calendar_of(request, Prefix.EVENT, event)


@get(
    "/performers/{performer:str}/calendar.ics",
    summary="A performer's shows as a calendar",
    media_type=calendars.MEDIA_TYPE,
    operation_class=_OF_PERFORMER,
)
async def performer_calendar(request: ApiRequest, performer: FromPath[str]) -> Response[str]:
    """Tell a performer's public shows as iCalendar, as an event's."""
    return await _calendar_of(request, Prefix.PERFORMER, performer)


@get(
    "/venues/{venue:str}/calendar.ics",
    summary="A venue's shows as a calendar",
    media_type=calendars.MEDIA_TYPE,
    operation_class=_OF_VENUE,
)
async def venue_calendar(request: ApiRequest, venue: FromPath[str]) -> Response[str]:
    """Tell a venue's public shows as iCalendar, as an event's."""
    return await _calendar_of(request, Prefix.VENUE, venue)


@get(
    "/events/{event:str}/schema.json",
    summary="An event in the words of schema.org",
    media_type=schema_org.MEDIA_TYPE,
    operation_class=_OF_EVENT,
)
async def event_schema(request: ApiRequest, event: FromPath[str]) -> Response[dict[str, Any]]:
    """Tell a public event as JSON-LD, for search engines: https://schema.org/Event.

    One show is one node; of several a `@graph` has them all, and the series that they belong to.
    """
    check_query(request)
    subject = await _subject(request, Prefix.EVENT, event)
    assert isinstance(subject.page, EventPage)  # noqa: S101 - as asked for
    page, shown, site = subject.page, subject.shown, _site(request)
    # What is on sale, and over, is so by the second.
    now = datetime.now(UTC).replace(microsecond=0)
    content = await FOR_ALL.get(
        ("schema", page, shown, now),
        lambda: msgspec.json.encode(describe_event(page, shown, site, now)),
    )
    answer = ForAll(
        content=content,
        media_type=schema_org.MEDIA_TYPE,
        fresh_s=60,
        stale_s=300,
    )
    return answer_for_all(request, answer)


@get(
    "/feeds/on-sales.json",
    summary="New on-sales as a JSON Feed",
    media_type=feeds.JSON_MEDIA_TYPE,
    operation_class=describe(scope=None),
)
async def json_on_sales(
    request: ApiRequest,
    reseller: Reseller = None,
    type: Type = None,  # noqa: A002 - the parameter's name
    country: Country = None,
) -> Response[JsonFeed]:
    """Tell the 100 public shows whose sale began last, as a JSON Feed 1.1."""
    wanted = _wanted(request, reseller, type, country)
    return await _feed(request, wanted, json_feed, feeds.JSON_MEDIA_TYPE)


@get(
    "/feeds/on-sales.rss",
    summary="New on-sales as RSS",
    media_type=feeds.RSS_MEDIA_TYPE,
    operation_class=describe(scope=None),
)
async def rss_on_sales(
    request: ApiRequest,
    reseller: Reseller = None,
    type: Type = None,  # noqa: A002 - the parameter's name
    country: Country = None,
) -> Response[str]:
    """Tell the 100 public shows whose sale began last, as RSS 2.0."""
    wanted = _wanted(request, reseller, type, country)
    return await _feed(request, wanted, rss_feed, feeds.RSS_MEDIA_TYPE)


async def tell_available(request: ApiRequest, event: EntityId) -> dict[str, str]:
    """Return the header that says how many places of a public event are open.

    Raises:
        ProblemError: `overloaded`.
        StoreUnavailableError: PostgreSQL can't be asked.
    """
    with _reading(request) as reads:
        subject = await reads.subject("event", event)
    now = datetime.now(UTC)
    counts = [show.open_at(now) for show in subject.shown] if subject else []
    counted = [count for count in counts if count is not None]
    return {"Onsale-Available": str(sum(counted))} if counted else {}


async def _show(request: ApiRequest, text: str) -> ShownShow:
    show = _parsed(request, Prefix.SHOW, text, show_not_found())
    with _reading(request) as reads:
        shown = await reads.show(show)
    if shown is None:
        raise show_not_found()
    return shown


async def _subject(request: ApiRequest, prefix: Prefix, text: str) -> Subject:
    problem, noun = _NOT_FOUND[prefix]
    unknown = ProblemError(problem, f"There is no {noun} of this id that is public.")
    entity = _parsed(request, prefix, text, unknown)
    with _reading(request) as reads:
        subject = await reads.subject(noun, entity)
    if subject is None:
        raise unknown
    return subject


def _parsed(request: ApiRequest, prefix: Prefix, text: str, unknown: ProblemError) -> EntityId:
    try:
        return runtime_of(request).ids.parse_entity(prefix, text)
    except IdError:
        raise unknown from None


async def _calendar_of(request: ApiRequest, prefix: Prefix, text: str) -> Response[str]:
    check_query(request)
    subject = await _subject(request, prefix, text)
    entity, name = name_of(subject.page)
    told = CalendarOf(
        id=entity,
        name=name,
        address=f"{_site(request)}/v1/{_NOT_FOUND[prefix][1]}s/{entity}/calendar.ics",
        description=subject.page.description if isinstance(subject.page, EventPage) else "",
    )
    return await _calendar(request, told, subject.shown)


async def _calendar(
    request: ApiRequest, told: CalendarOf, shown: Sequence[ShownShow]
) -> Response[str]:
    # What sells is not in a calendar.
    lasting = [msgspec.structs.replace(show, **_SOLD) for show in shown]
    site = _site(request)
    content = await FOR_ALL.get((told, lasting), lambda: write_calendar(told, lasting, site))
    answer = ForAll(
        content=content,
        media_type=calendars.MEDIA_TYPE,
        fresh_s=300,
        stale_s=3600,
        changed_at=max((show.changed_at for show in shown), default=None),
        headers=(("Content-Disposition", f'inline; filename="{told.id}.ics"'),),
    )
    return answer_for_all(request, answer)


_SOLD: Final[dict[str, Any]] = {"available": None, "price_min": None, "price_max": None}


async def _feed(
    request: ApiRequest,
    wanted: NewOnSales,
    write: Callable[[FeedOf, Sequence[ShownShow], str], bytes],
    media_type: str,
) -> Response[Any]:
    check_query(request, "reseller", "type", "country")
    site = _site(request)
    with _reading(request) as reads:
        shown = await reads.new_on_sales(wanted)
    query = urlencode(sorted(request.query_params.items()))
    told = FeedOf(
        title=_ON_SALES_TITLE,
        address=f"{site}{request.scope['path']}" + (f"?{query}" if query else ""),
        home=site,
        description=_ON_SALES_WORDS,
    )
    answer = ForAll(
        content=await FOR_ALL.get((media_type, told, shown), lambda: write(told, shown, site)),
        media_type=media_type,
        fresh_s=60,
        stale_s=600,
        # That its sale begins changes nothing of a show.
        changed_at=max((max(show.changed_at, show.opens_at) for show in shown), default=None),
    )
    return answer_for_all(request, answer)


@contextmanager
def _reading(request: ApiRequest) -> Generator[PublicReads]:
    runtime = runtime_of(request)
    try:
        with store_failures():
            yield PublicReads(runtime.app_engine, runtime.finder, runtime.ids)
    except TooBusyError as error:
        raise ProblemError(
            ProblemKind.OVERLOADED, "Too much is looked up at this moment: repeat in a second."
        ) from error


def _wanted(
    request: ApiRequest, reseller: str | None, type_: EventType | None, country: str | None
) -> NewOnSales:
    ids = runtime_of(request).ids
    try:
        whose = None if reseller is None else ids.parse_entity(Prefix.RESELLER, reseller)
    except IdError:
        raise invalid(Fault("is no reseller's id", parameter="reseller")) from None
    return NewOnSales(reseller=whose, type=type_, country=country)


def _site(request: ApiRequest) -> str:
    return runtime_of(request).settings.site_address()


router = Router(
    path="/v1",
    tags=["interchange"],
    route_handlers=[
        show_calendar,
        event_calendar,
        performer_calendar,
        venue_calendar,
        event_schema,
        json_on_sales,
        rss_on_sales,
    ],
)
