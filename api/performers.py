"""Performers: keep one's own, archive them, look at one, public or one's own."""

from typing import Final

from litestar import Response, Router, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK

from api.catalog_inputs import CATALOG_BODY_BYTES_MAX
from api.context import ApiRequest, is_anonymous, runtime_of
from api.documents import describe
from api.event_answers import (
    PerformerAnswer,
    PerformerList,
    tell_performer,
)
from api.event_inputs import PerformerBody, PerformerChangeBody
from api.event_outcomes import no_performer, parse_performer, still_selling
from api.making import Remember, make_once
from api.paging import PAGE_DEFAULT, Archived, Cursor, Limit, read_cursor
from api.problems import ProblemKind
from api.public_pages import tell_public_page
from api.reading import check_query, optional_key, read_body
from engine.catalog.performers import (
    Performer,
    UnknownPerformer,
    archive_performer,
    change_performer,
    create_performer,
    find_performer,
    list_performers,
    restore_performer,
)
from engine.catalog.selling import StillSelling
from engine.platform.errors import store_failures
from engine.platform.ids import Prefix
from engine.tenancy.principals import Scope

_UNKNOWN: Final = (ProblemKind.PERFORMER_NOT_FOUND,)


@post(
    "/",
    summary="Make a performer",
    request_max_body_size=CATALOG_BODY_BYTES_MAX,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE,
        body=PerformerBody,
        key="honoured",
        problems=(ProblemKind.REQUEST_UNDER_WAY, ProblemKind.KEY_REUSED),
    ),
)
async def make(request: ApiRequest) -> Response[PerformerAnswer]:
    """Keep who can be billed on events. The page is public once an event is that bills them."""
    check_query(request)
    optional_key(request)
    body = await read_body(request, PerformerBody)
    runtime = runtime_of(request)

    def tell(made: Performer) -> PerformerAnswer:
        return tell_performer(made, runtime.ids)

    async def create(remember: Remember[Performer]) -> Performer:
        return await create_performer(runtime.app_engine, request.user, body.new(), remember)

    return await make_once(
        request,
        "performers",
        body.fingerprint(),
        create,
        tell=tell,
        answer=PerformerAnswer,
        address=_address,
    )


@get(
    "/",
    summary="List your performers",
    operation_class=describe(scope=Scope.CATALOG_READ),
)
async def list_own(
    request: ApiRequest,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
    archived: Archived = False,  # noqa: FBT002 - a parameter of the query
) -> PerformerList:
    """List the performers that are yours, the newest first."""
    check_query(request, "cursor", "limit", "archived")
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.PERFORMER, cursor)
    # One more than asked for tells whether there is a next page.
    with store_failures():
        found = await list_performers(
            runtime.app_engine, request.user, after=after, limit=limit + 1, archived=archived
        )
    page = [tell_performer(performer, runtime.ids) for performer in found[:limit]]
    return PerformerList(page, page[-1].performer if len(found) > limit else None)


@get(
    "/{performer:str}",
    summary="Look at a performer",
    operation_class=describe(scope=Scope.CATALOG_READ, anybody=True, problems=_UNKNOWN),
)
async def look(request: ApiRequest, performer: FromPath[str]) -> Response[PerformerAnswer]:
    """Tell of a performer: without a credential of any who is public, with one of your own."""
    check_query(request)
    named = parse_performer(request, performer)
    if is_anonymous(request):
        page = await tell_public_page(request, "performer", named, PerformerAnswer)
        if page is None:
            raise no_performer()
        return page
    with store_failures():
        found = await find_performer(runtime_of(request).app_engine, request.user, named)
    return Response(_tell(request, found))


@patch(
    "/{performer:str}",
    summary="Change a performer",
    request_max_body_size=CATALOG_BODY_BYTES_MAX,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE, body=PerformerChangeBody, problems=_UNKNOWN
    ),
)
async def change(request: ApiRequest, performer: FromPath[str]) -> PerformerAnswer:
    """Change what is named. Events that bill them show it, too."""
    check_query(request)
    named = parse_performer(request, performer)
    body = await read_body(request, PerformerChangeBody)
    with store_failures():
        changed = await change_performer(
            runtime_of(request).app_engine, request.user, named, body.changes()
        )
    return _tell(request, changed)


@post(
    "/{performer:str}/archive",
    summary="Archive a performer",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE, problems=(*_UNKNOWN, ProblemKind.STILL_SELLING)
    ),
)
async def archive(request: ApiRequest, performer: FromPath[str]) -> PerformerAnswer:
    """Put them away: no page in public, and no event can bill them anew.

    Refused while shows to come sell of an event that bills them. Repeated, it is as it was.
    """
    check_query(request)
    named = parse_performer(request, performer)
    with store_failures():
        archived = await archive_performer(runtime_of(request).app_engine, request.user, named)
    return _tell(request, archived)


@post(
    "/{performer:str}/restore",
    summary="Take an archived performer back",
    status_code=HTTP_200_OK,
    operation_class=describe(scope=Scope.CATALOG_WRITE, problems=_UNKNOWN),
)
async def restore(request: ApiRequest, performer: FromPath[str]) -> PerformerAnswer:
    """Undo their being archived. Repeated, it is as it was."""
    check_query(request)
    named = parse_performer(request, performer)
    with store_failures():
        restored = await restore_performer(runtime_of(request).app_engine, request.user, named)
    return _tell(request, restored)


def _address(made: PerformerAnswer) -> str:
    return f"/v1/performers/{made.performer}"


def _tell(
    request: ApiRequest, found: Performer | UnknownPerformer | StillSelling
) -> PerformerAnswer:
    ids = runtime_of(request).ids
    match found:
        case Performer():
            return tell_performer(found, ids)
        case UnknownPerformer():
            raise no_performer()
        case StillSelling():
            raise still_selling(ids, found)


router = Router(
    path="/v1/performers",
    tags=["events"],
    route_handlers=[make, list_own, look, change, archive, restore],
)
