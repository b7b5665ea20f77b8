"""Events: keep one's own, archive them, look at one, public or one's own, and at its shows."""

from collections.abc import Iterable
from typing import Final

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from api.catalog_inputs import CATALOG_BODY_BYTES_MAX
from api.context import ApiRequest, is_anonymous, runtime_of
from api.documents import describe
from api.event_answers import EventAnswer, tell_event, tell_event_page
from api.event_inputs import EventBody, EventChangeBody
from api.event_outcomes import (
    no_event,
    parse_event,
    performer_faults,
    read_performers,
    still_selling,
)
from api.problems import Fault, ProblemKind, invalid
from api.reading import check_query, optional_key, read_body
from api.repeating import Keeper, answer_once
from api.written import written_json
from engine.catalog.events import (
    Event,
    NotPerformers,
    UnknownEvent,
    archive_event,
    change_event,
    create_event,
    find_event,
    restore_event,
    unbillable,
)
from engine.catalog.finding import public_page
from engine.catalog.pages import EventPage
from engine.catalog.selling import StillSelling
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId
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

    async def act(keeper: Keeper) -> tuple[int, EventAnswer]:
        new = body.new(performers)
        remember = keeper.remember(HTTP_201_CREATED, tell)
        with store_failures():
            made = await create_event(runtime.app_engine, request.user, new, remember)
        if isinstance(made, NotPerformers):
            raise invalid(*performer_faults(performers, made.named))
        return HTTP_201_CREATED, tell(made)

    answered = await answer_once(request, "events", body.fingerprint(), act)
    made = msgspec.json.decode(answered.body, type=EventAnswer)
    return written_json(
        EventAnswer,
        answered.body,
        status_code=answered.status,
        headers={"Location": f"/v1/events/{made.event}"},
    )


@get(
    "/{event:str}",
    summary="Look at an event",
    operation_class=describe(scope=Scope.CATALOG_READ, anybody=True, problems=_UNKNOWN),
)
async def look(request: ApiRequest, event: FromPath[str]) -> EventAnswer:
    """Tell of an event: without a credential of any that is public, with one of your own."""
    check_query(request)
    named = parse_event(request, event)
    runtime = runtime_of(request)
    if not is_anonymous(request):
        with store_failures():
            found = await find_event(runtime.app_engine, request.user, named)
        return _tell(request, found)
    with store_failures():
        page = await public_page(runtime.app_engine, "event", named)
    if not isinstance(page, EventPage):
        raise no_event()
    return tell_event_page(page)


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
    runtime = runtime_of(request)
    with store_failures():
        archived = await archive_event(runtime.app_engine, request.user, named)
    if isinstance(archived, StillSelling):
        raise still_selling(runtime.ids, archived)
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


def _tell(request: ApiRequest, found: Event | UnknownEvent) -> EventAnswer:
    if isinstance(found, UnknownEvent):
        raise no_event()
    return tell_event(found, runtime_of(request).ids)


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
    path="/v1/events", tags=["events"], route_handlers=[make, look, change, archive, restore]
)
