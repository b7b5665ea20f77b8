"""Edits of the map that a show sells: price levels, capacities, seats out and back in."""

import re
from datetime import datetime
from functools import partial
from typing import Annotated, Final

import msgspec
from litestar import Response, Router, get, post
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Struct
from msgspec.structs import replace

from api.context import ApiRequest, find_show, runtime_of
from api.documents import describe
from api.edit_inputs import EditInput, EditsBody
from api.life_outcomes import told_if_final
from api.outcomes import problem_of
from api.paging import PAGE_DEFAULT, Limit, no_cursor
from api.problems import Fault, ProblemKind, invalid
from api.reading import check_query, read_body
from api.repeating import Keeper, answer_once
from api.written import written_json
from engine.inventory.edits import EditMade, EditRow, MapEdit
from engine.inventory.shows import Show
from engine.platform.ids import Prefix
from engine.sales.editing import resolve_edits
from engine.tenancy.principals import Scope

_FAULTS_MAX: Final = 20
_NUMBER: Final = re.compile(r"[1-9]\d{0,8}")


class EditsAnswer(Struct, frozen=True):
    """What was changed, and the versions since then; `edit` is null if all was so already.

    Prices are the same: the next price version says from when on places are sold at these levels.
    """

    show: str
    edit: int | None
    inventory_version: int
    price_version: int
    seats_moved: int
    seats_taken_out: int
    seats_put_back: int


class EditTold(Struct, frozen=True):
    """Edits that were done together: as they were asked for, and what they changed."""

    edit: int
    """A number: 1, 2, ... of the show."""
    inventory_version: int
    price_version: int
    reason: str
    edits: list[EditInput]
    seats_moved: int
    seats_taken_out: int
    seats_put_back: int
    made_at: datetime


class EditsPage(Struct, frozen=True):
    """A show's edits, the newest first. `next_cursor` is null on the last page."""

    edits: list[EditTold]
    next_cursor: str | None


@post(
    "/{show:str}/edits",
    summary="Edit the map",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.SHOWS_WRITE,
        body=EditsBody,
        key="honoured",
        problems=(
            ProblemKind.SHOW_NOT_FOUND,
            ProblemKind.TRANSITION_REFUSED,
            ProblemKind.EDITS_REFUSED,
            ProblemKind.INVENTORY_CHANGED,
            ProblemKind.TOO_MANY_EDITS,
            ProblemKind.REQUEST_UNDER_WAY,
            ProblemKind.KEY_REUSED,
        ),
    ),
)
async def edit_map(request: ApiRequest, show: FromPath[str]) -> Response[EditsAnswer]:
    """Change the places of a show while it sells: all of the edits, or none.

    Seats move to another price level, an area to another one or to another capacity; seats and rows
    are taken out, as if they had never been there, and put back. What is so already stays so.
    Refused by name are seats that are held or sold, and areas with fewer open places than are to
    go. What is held or sold keeps its price. The seating plan stays as it was.
    """
    check_query(request)
    named = await find_show(request, show)
    body = await read_body(request, EditsBody)
    wanted = _read(named, body)
    tell = partial(_answer, request, named)

    async def act(keeper: Keeper) -> tuple[int, EditsAnswer]:
        remember = keeper.remember(HTTP_200_OK, tell)
        with told_if_final():
            outcome = await runtime_of(request).house_office.edit(named, wanted, remember)
        if not isinstance(outcome, EditMade):
            raise problem_of(outcome, named)
        return HTTP_200_OK, tell(outcome)

    answered = await answer_once(request, f"edits {named.id:016x}", body.fingerprint(), act)
    return written_json(EditsAnswer, answered.body, status_code=answered.status)


@get(
    "/{show:str}/edits",
    summary="List edits of the map",
    operation_class=describe(scope=Scope.SHOWS_READ, problems=(ProblemKind.SHOW_NOT_FOUND,)),
)
async def list_edits(
    request: ApiRequest,
    show: FromPath[str],
    cursor: Annotated[
        str | None, QueryParameter(max_length=9, description="A page's `next_cursor`.")
    ] = None,
    limit: Limit = PAGE_DEFAULT,
) -> EditsPage:
    """List what was edited of a show's map, the newest first."""
    check_query(request, "cursor", "limit")
    if cursor is not None and not _NUMBER.fullmatch(cursor):
        raise no_cursor()
    named = await find_show(request, show)
    before = None if cursor is None else int(cursor)
    office = runtime_of(request).house_office
    # One more than asked for tells whether there is a next page.
    found = await office.list_edits(named, before=before, limit=limit + 1)
    page = [_tell(row) for row in found[:limit]]
    return EditsPage(page, str(page[-1].edit) if len(found) > limit else None)


def _read(show: Show, body: EditsBody) -> MapEdit:
    found = resolve_edits(show.manifest, body.wanted())
    if not isinstance(found, MapEdit):
        raise invalid(
            *(Fault(one.reason, pointer=f"/edits{one.pointer}") for one in found[:_FAULTS_MAX])
        )
    return replace(
        found,
        reason=body.reason,
        asked=body.told(),
        inventory_version=body.inventory_version,
    )


def _answer(request: ApiRequest, show: Show, made: EditMade) -> EditsAnswer:
    return EditsAnswer(
        show=runtime_of(request).ids.entity(Prefix.SHOW, show.id),
        edit=made.edit_no,
        inventory_version=made.inventory_version,
        price_version=made.price_version,
        seats_moved=made.seats_moved,
        seats_taken_out=made.seats_taken_out,
        seats_put_back=made.seats_put_back,
    )


def _tell(row: EditRow) -> EditTold:
    return EditTold(
        edit=row.edit_no,
        inventory_version=row.inventory_version,
        price_version=row.price_version,
        reason=row.reason,
        edits=msgspec.convert(row.asked, list[EditInput]),
        seats_moved=row.seats_moved,
        seats_taken_out=row.seats_taken_out,
        seats_put_back=row.seats_put_back,
        made_at=row.created_at,
    )


router = Router(path="/v1/shows", tags=["house"], route_handlers=[edit_map, list_edits])
