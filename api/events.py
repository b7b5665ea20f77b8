"""Events: keep one's own, archive them, look at one, public or one's own, and at its shows."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK

from api.catalog_inputs import CATALOG_BODY_BYTES_MAX
from api.context import ApiRequest, is_anonymous, runtime_of
from api.documents import describe
from api.event_answers import EventAnswer, EventList, EventShows, tell_event
from api.event_inputs import EventBody, EventChangeBody
from api.event_outcomes import (
    no_event,
    parse_event,
    performer_faults,
    read_performers,
    still_selling,
)
from api.interchange import tell_available
from api.making import Remember, make_once
from api.paging import PAGE_DEFAULT, Archived, Cursor, Limit, read_cursor
from api.problems import Fault, ProblemKind, invalid
from api.public_pages import kept_for_all, tell_public_page, tell_to_all
from api.reading import check_query, optional_key, read_body
from api.search_answers import tell_found_show
from engine.catalog.events import (
    Event,
    NotPerformers,
    UnknownEvent,
    archive_event,
    change_event,
    create_event,
    find_event,
    list_events,
    restore_event,
    unbillable,
)
from engine.catalog.finder import RESULTS
from engine.catalog.finding import PublicShow, public_page, public_shows_of
from engine.catalog.own_shows import own_shows_of
from engine.catalog.selling import StillSelling
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, Ids, Prefix
from engine.tenancy.principals import Scope

_UNKNOWN: Final = (ProblemKind.EVENT_NOT_FOUND,)
_FAULTS_MAX: Final = 20


@post(
    "/",
    summary="Make an event",
    request_max_body_size=CATALOG_BODY_BYTES_MAX,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE,
        body=EventBody,
        key="honoured",
        problems=(ProblemKind.REQUEST_UNDER_WAY, ProblemKind.KEY_REUSED),
    ),
)
async def make(request: ApiRequest) -> Response[EventAnswer]:
    """Promote something: shows name it as theirs then.

    Its page is public from `public_from` on, or at once, unless its `visibility` is `hidden`.
    """
    check_query(request)
    optional_key(request)
    body = await read_body(request, EventBody)
    performers = await _billed(request, body.unfit(), body.performers)
    runtime = runtime_of(request)

    def tell(made: Event) -> EventAnswer:
        return tell_event(made, runtime.ids)

    async def create(remember: Remember[Event]) -> Event:
        new = body.new(performers)
        made = await create_event(runtime.app_engine, request.user, new, remember)
        if isinstance(made, NotPerformers):
            raise invalid(*performer_faults(performers, made.named))
        return made

    return await make_once(
        request,
        "events",
        body.fingerprint(),
        create,
        tell=tell,
        answer=EventAnswer,
        address=_address,
    )


@get(
    "/{event:str}",
    summary="Look at an event",
    operation_class=describe(scope=Scope.CATALOG_READ, anybody=True, problems=_UNKNOWN),
)
async def look(request: ApiRequest, event: FromPath[str]) -> Response[EventAnswer]:
    """Tell of an event: without a credential of any that is public, with one of your own.

    Of a public one the header `Onsale-Available` is how many places of its shows can be had: `HEAD`
    tells no more than that. Without it, nobody has counted yet.
    """
    check_query(request)
    named = parse_event(request, event)
    if is_anonymous(request):
        page = await tell_public_page(request, "event", named, EventAnswer)
        if page is None:
            raise no_event()
        page.headers.update(await tell_available(request, named))
        return page
    with store_failures():
        found = await find_event(runtime_of(request).app_engine, request.user, named)
    return Response(_tell(request, found))


@get(
    "/mine",
    summary="List your events",
    operation_class=describe(scope=Scope.CATALOG_READ),
)
async def list_own(
    request: ApiRequest,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
    archived: Archived = False,  # noqa: FBT002 - a parameter of the query
) -> EventList:
    """List the events that are yours, the newest first: public or not, with shows and without."""
    check_query(request, "cursor", "limit", "archived")
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.EVENT, cursor)
    # One more than asked for tells whether there is a next page.
    with store_failures():
        found = await list_events(
            runtime.app_engine, request.user, after=after, limit=limit + 1, archived=archived
        )
    page = [tell_event(event, runtime.ids) for event in found[:limit]]
    return EventList(page, page[-1].event if len(found) > limit else None)


@get(
    "/{event:str}/shows",
    summary="An event's shows",
    operation_class=describe(scope=Scope.CATALOG_READ, anybody=True, problems=_UNKNOWN),
)
async def list_shows(
    request: ApiRequest,
    event: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> Response[EventShows]:
    """Tell its shows, the soonest first: without a credential the public ones, with one all yours.

    What is left and what it costs is at most a second old; so is, of yours, what shows there are.
    """
    check_query(request, "cursor", "limit")
    named = parse_event(request, event)
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.SHOW, cursor)
    if is_anonymous(request):
        return await _public_shows(request, named, after, limit)
    with store_failures():
        there = await find_event(runtime.app_engine, request.user, named)
        if isinstance(there, UnknownEvent):
            raise no_event()
        found = await own_shows_of(
            runtime.app_engine, request.user, named, after=after, limit=limit + 1
        )
    return Response(_page_of(found, limit, runtime.ids))


async def _public_shows(
    request: ApiRequest, event: EntityId, after: EntityId | None, limit: int
) -> Response[EventShows]:
    runtime = runtime_of(request)

    async def read() -> bytes:
        if await public_page(runtime.app_engine, "event", event) is None:
            return b""
        found = await public_shows_of(
            runtime.app_engine, "event", event, after=after, limit=limit + 1
        )
        return msgspec.json.encode(_page_of(found, limit, runtime.ids))

    key = f"shows:{event:016x}:{after or 0:016x}:{limit}"
    content = await kept_for_all(request, key, RESULTS, read)
    if not content:
        raise no_event()
    return tell_to_all(request, content, EventShows, fresh_s=0, stale_s=1)


def _page_of(found: Sequence[PublicShow], limit: int, ids: Ids) -> EventShows:
    page = [tell_found_show(show, ids) for show in found[:limit]]
    return EventShows(page, page[-1].show if len(found) > limit else None)


@patch(
    "/{event:str}",
    summary="Change an event",
    request_max_body_size=CATALOG_BODY_BYTES_MAX,
    operation_class=describe(scope=Scope.CATALOG_WRITE, body=EventChangeBody, problems=_UNKNOWN),
)
async def change(request: ApiRequest, event: FromPath[str]) -> EventAnswer:
    """Change what is named. `performers` replaces who is billed as a whole."""
    check_query(request)
    named = parse_event(request, event)
    body = await read_body(request, EventChangeBody)
    performers = await _billed(request, body.unfit(), body.performers or (), event=named)
    with store_failures():
        changed = await change_event(
            runtime_of(request).app_engine, request.user, named, body.changes(performers)
        )
    if isinstance(changed, NotPerformers):
        raise invalid(*performer_faults(performers, changed.named))
    return _tell(request, changed)


@post(
    "/{event:str}/archive",
    summary="Archive an event",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE, problems=(*_UNKNOWN, ProblemKind.STILL_SELLING)
    ),
)
async def archive(request: ApiRequest, event: FromPath[str]) -> EventAnswer:
    """Put it away: the public sees neither it nor its shows, and no show can name it anew.

    Refused while shows to come of it sell. Repeated, it is as it was.
    """
    check_query(request)
    named = parse_event(request, event)
    with store_failures():
        archived = await archive_event(runtime_of(request).app_engine, request.user, named)
    return _tell(request, archived)


@post(
    "/{event:str}/restore",
    summary="Take an archived event back",
    status_code=HTTP_200_OK,
    operation_class=describe(scope=Scope.CATALOG_WRITE, problems=_UNKNOWN),
)
async def restore(request: ApiRequest, event: FromPath[str]) -> EventAnswer:
    """Undo its being archived. Repeated, it is as it was."""
    check_query(request)
    named = parse_event(request, event)
    with store_failures():
        restored = await restore_event(runtime_of(request).app_engine, request.user, named)
    return _tell(request, restored)


def _address(made: EventAnswer) -> str:
    return f"/v1/events/{made.event}"


def _tell(request: ApiRequest, found: Event | UnknownEvent | StillSelling) -> EventAnswer:
    ids = runtime_of(request).ids
    match found:
        case Event():
            return tell_event(found, ids)
        case UnknownEvent():
            raise no_event()
        case StillSelling():
            raise still_selling(ids, found)


async def _billed(
    request: ApiRequest,
    faults: Iterable[Fault],
    texts: Iterable[str],
    *,
    event: EntityId | None = None,
) -> tuple[EntityId, ...]:
    """Return who performs, once nothing else is wrong with the body.

    Raises:
        ProblemError: `invalid-request`, with all that is wrong, performers included.
    """
    runtime = runtime_of(request)
    named = read_performers(runtime.ids, list(texts))
    found = list(faults)
    known = [performer for performer in named if performer is not None]
    if not found and len(known) == len(named):
        return tuple(known)
    with store_failures():
        unknown = await unbillable(runtime.app_engine, request.user, known, event=event)
    raise invalid(*[*found, *performer_faults(named, unknown)][:_FAULTS_MAX])


router = Router(
    path="/v1/events",
    tags=["events"],
    route_handlers=[make, list_own, look, list_shows, change, archive, restore],
)
