"""Allotments: places of a show that only holders of a right may hold, for a time."""

import re
from functools import partial
from typing import Annotated, Final

from litestar import Response, Router, delete, get, post
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from api.allotment_answers import (
    AllotmentAnswer,
    AllotmentPage,
    AllotmentTold,
    CodesAnswer,
    PersonalCode,
    ReceivedPage,
    tell_allotment,
    tell_received,
    tell_standing,
)
from api.allotment_inputs import AllotmentBody, CodesBody
from api.allotment_outcomes import allotment_not_found, made_or_problem, unknown_places
from api.context import ApiRequest, find_show, runtime_of
from api.documents import describe
from api.life_outcomes import check_not_final
from api.outcomes import problem_of, problem_of_store
from api.paging import PAGE_DEFAULT, Cursor, Limit, no_cursor, read_cursor
from api.problems import Fault, ProblemKind, invalid
from api.reading import check_query, read_body
from api.repeating import Keeper, answer_once
from api.written import written_json
from engine.catalog.allotment_ends import end_allotment
from engine.catalog.allotments import (
    AllotmentRow,
    UnknownAllotmentError,
    ledger_of,
    list_allotments,
    read_allotment,
)
from engine.catalog.allotting import NewAllotment, make_allotment
from engine.catalog.released import list_released
from engine.inventory.commands import Recovering
from engine.inventory.shows import Show
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Ids, Prefix
from engine.sales.rights import personal_code, plain_code
from engine.sales.wanted import UnknownPlaces, Wanted, resolve
from engine.tenancy.principals import Scope

_NUMBER: Final = re.compile(r"[1-9]\d{0,3}")


@post(
    "/shows/{show:str}/allotments",
    summary="Make an allotment",
    status_code=HTTP_201_CREATED,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE,
        body=AllotmentBody,
        key="honoured",
        problems=(
            ProblemKind.SHOW_NOT_FOUND,
            ProblemKind.TRANSITION_REFUSED,
            ProblemKind.ALLOTMENT_REFUSED,
            ProblemKind.TOO_MANY_ALLOTMENTS,
            ProblemKind.REQUEST_UNDER_WAY,
            ProblemKind.KEY_REUSED,
            ProblemKind.UNKNOWN_SEATS,
            ProblemKind.UNKNOWN_AREAS,
            ProblemKind.UNKNOWN_PRICE_LEVELS,
        ),
    ),
)
async def make(request: ApiRequest, show: FromPath[str]) -> Response[AllotmentAnswer]:
    """Keep open places for who has a right to them: all of these, or none.

    Whoever asks without the right is told of them as blocked, and gets none. A hold names its
    right by `access_code` or `channel`. Refused by name are seats that are held or sold, or in
    another allotment.
    """
    check_query(request)
    named = await find_show(request, show)
    body = await read_body(request, AllotmentBody)
    runtime = runtime_of(request)
    new = _read(request, named, body)
    tell = partial(tell_allotment, ids=runtime.ids)

    async def act(keeper: Keeper) -> tuple[int, AllotmentAnswer]:
        # By the ledger: what this process knows may be older than a cancellation.
        check_not_final(await runtime.box_office.reload(named))
        with store_failures():
            made = await make_allotment(
                runtime.app_engine,
                runtime.redis,
                runtime.book,
                runtime.ids,
                named,
                new,
                keeper.remember(HTTP_201_CREATED, tell),
            )
        # This process is to know it at once; the others learn it from the store.
        await runtime.box_office.reload(named)
        return HTTP_201_CREATED, tell(made_or_problem(made, named, runtime.ids, body))

    answered = await answer_once(request, f"allotments {named.id:016x}", body.fingerprint(), act)
    return written_json(AllotmentAnswer, answered.body, status_code=answered.status)


@get(
    "/shows/{show:str}/allotments",
    summary="List allotments",
    operation_class=describe(scope=Scope.CATALOG_READ, problems=(ProblemKind.SHOW_NOT_FOUND,)),
)
async def list_of_show(
    request: ApiRequest,
    show: FromPath[str],
    cursor: Annotated[
        str | None, QueryParameter(max_length=4, description="A page's `next_cursor`.")
    ] = None,
    limit: Limit = PAGE_DEFAULT,
) -> AllotmentPage:
    """List a show's allotments, those that have ended as well, the newest first."""
    check_query(request, "cursor", "limit")
    if cursor is not None and not _NUMBER.fullmatch(cursor):
        raise no_cursor()
    named = await find_show(request, show)
    runtime = runtime_of(request)
    before = None if cursor is None else int(cursor)
    with store_failures():
        # One more than asked for tells whether there is a next page.
        found = await list_allotments(runtime.app_engine, named, before=before, limit=limit + 1)
    page = found[:limit]
    return AllotmentPage(
        [tell_allotment(row, ids=runtime.ids) for row in page],
        str(page[-1].allotment_no) if len(found) > limit else None,
    )


@get(
    "/allotments/received",
    summary="List allotments that others released to you",
    operation_class=describe(scope=Scope.SHOWS_READ),
)
async def received(
    request: ApiRequest, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT
) -> ReceivedPage:
    """List the allotments of other resellers' shows that you may sell, or could, the newest first.

    Each of these shows is read, held and bought by its id, with your own credential: all that is
    told of its places is how yours stand.
    """
    check_query(request, "cursor", "limit")
    runtime = runtime_of(request)
    behind = read_cursor(runtime.ids, Prefix.ALLOTMENT, cursor)
    with store_failures():
        # One more than asked for tells whether there is a next page.
        found = await list_released(runtime.app_engine, request.user, behind=behind, most=limit + 1)
    page = [tell_received(one, runtime.ids) for one in found[:limit]]
    return ReceivedPage(
        runtime.ids.entity(Prefix.RESELLER, request.user),
        page,
        page[-1].allotment if len(found) > limit else None,
    )


@get(
    "/allotments/{allotment:str}",
    summary="Look at an allotment",
    operation_class=describe(scope=Scope.CATALOG_READ, problems=(ProblemKind.ALLOTMENT_NOT_FOUND,)),
)
async def look(request: ApiRequest, allotment: FromPath[str]) -> AllotmentTold:
    """Tell an allotment, and how many of its places are open, held and sold."""
    check_query(request)
    row = await _find(request, allotment)
    runtime = runtime_of(request)
    show = await runtime.box_office.show(request.user, row.show_id)
    state = await runtime.box_office.inventory(show)
    if isinstance(state, Recovering):
        raise problem_of(state, show)
    return tell_standing(row, state, ids=runtime.ids)


@delete(
    "/allotments/{allotment:str}",
    summary="End an allotment",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE, problems=(ProblemKind.ALLOTMENT_NOT_FOUND,)
    ),
)
async def end(request: ApiRequest, allotment: FromPath[str]) -> AllotmentAnswer:
    """Give the places to everybody now. What is held by the right stays held. Repeating is safe."""
    check_query(request)
    row = await _find(request, allotment)
    runtime = runtime_of(request)
    with store_failures():
        outcome = await end_allotment(
            ledger_of(runtime.app_engine, request.user),
            runtime.redis,
            runtime.book,
            runtime.ids,
            show=row.show_id,
            allotment=row.id,
            by="request",
        )
    if outcome is not None:
        raise problem_of_store(outcome)
    await runtime.box_office.reload(await runtime.box_office.show(request.user, row.show_id))
    return tell_allotment(await _find(request, allotment), ids=runtime.ids)


@post(
    "/allotments/{allotment:str}/codes",
    summary="Derive personal codes",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE,
        body=CodesBody,
        problems=(ProblemKind.ALLOTMENT_NOT_FOUND,),
    ),
)
async def derive_codes(request: ApiRequest, allotment: FromPath[str]) -> CodesAnswer:
    """Tell each buyer's own code, which is good for holds of that buyer alone.

    It follows from the buyer: the same each time, and nothing is kept.
    """
    check_query(request)
    body = await read_body(request, CodesBody)
    row = await _find(request, allotment)
    if not row.is_personal:
        raise invalid(Fault("the allotment has no personal codes", pointer=""))
    ids = runtime_of(request).ids
    return CodesAnswer(
        [
            PersonalCode(buyer, personal_code(ids, row.show_id, row.id, buyer))
            for buyer in body.buyers
        ]
    )


async def _find(request: ApiRequest, text: str) -> AllotmentRow:
    runtime = runtime_of(request)
    try:
        allotment = runtime.ids.parse_entity(Prefix.ALLOTMENT, text)
        with store_failures():
            return await read_allotment(runtime.app_engine, request.user, allotment)
    except (IdError, UnknownAllotmentError):
        raise allotment_not_found() from None


def _read(request: ApiRequest, show: Show, body: AllotmentBody) -> NewAllotment:
    places = body.places
    levels = tuple((slug, 1) for slug in dict.fromkeys(places.price_levels or ()))
    areas = tuple(sorted((places.areas or {}).items()))
    withheld = tuple(sorted((places.withheld_areas or {}).items()))
    found = resolve(show, Wanted(places.seats or (), (*areas, *withheld), levels))
    if isinstance(found, UnknownPlaces):
        raise unknown_places(found, show, places)
    ids = runtime_of(request).ids
    codes = [plain_code(right.code) for right in body.rights if right.code]
    sellers = _read_sellers(ids, body)
    return NewAllotment(
        name=body.name,
        seats=found.seats,
        levels=tuple(level for level, _ in found.best),
        is_all=places.everything,
        areas=found.areas[: len(areas)],
        withheld_areas=found.areas[len(areas) :],
        asked=body.asked(),
        code_digests=frozenset(ids.digest_code(show.id, code) for code in codes),
        channels=frozenset(right.channel for right in body.rights if right.channel),
        is_personal=any(right.personal_codes for right in body.rights),
        sellers=frozenset(sellers),
        begins_at=body.begins_at,
        ends_at=body.ends_at,
    )


def _read_sellers(ids: Ids, body: AllotmentBody) -> list[EntityId]:
    """Return the resellers that are named.

    Raises:
        ProblemError: `invalid-request`: one is no reseller's id.
        ForeignIdError: one is another cell's.
    """
    found: list[EntityId] = []
    faults: list[Fault] = []
    for n, right in enumerate(body.rights):
        if not isinstance(right.reseller, str):
            continue
        try:
            found.append(ids.parse_entity(Prefix.RESELLER, right.reseller))
        except IdError as error:
            faults.append(Fault(str(error), pointer=f"/for/{n}/reseller"))
    if faults:
        raise invalid(*faults)
    return found


router = Router(
    path="/v1",
    tags=["allotments"],
    route_handlers=[make, list_of_show, received, look, end, derive_codes],
)
