"""What holders of tickets choose when their show is cancelled or moved."""

from datetime import UTC, datetime
from typing import Annotated, Final

from litestar import Router, get, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta, Struct

from api.context import ApiRequest, find_show, is_order_of, runtime_of, stores_of
from api.documents import describe
from api.inputs import Body
from api.life_outcomes import choice_refused, no_choice
from api.outcomes import order_not_found
from api.paging import PAGE_DEFAULT, Cursor, Limit, read_order_cursor
from api.problems import ProblemKind
from api.reading import check_query, read_body
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Ids, Prefix
from engine.sales.choices import (
    Change,
    Choice,
    ChoiceRefused,
    NoChoice,
    OrderChoice,
    choose,
    list_choices,
)
from engine.tenancy.principals import Scope

_WORD: Final = rf"^({'|'.join(Choice)})$(?!\n)"
ChoiceText = Annotated[
    str,
    Meta(
        pattern=_WORD,
        examples=["refund"],
        description="`keep` (for the new time), `refund`, `credit`, or a `voucher` for the new "
        "date.",
    ),
]


class ChoiceBody(Body, frozen=True, kw_only=True):
    """What becomes of an order."""

    choice: ChoiceText


class ChangeAnswer(Struct, frozen=True, kw_only=True):
    """A show cancelled or moved, and what was offered to holders of tickets."""

    change_no: int
    kind: Annotated[str, Meta(description="`cancelled` or `rescheduled`.")]
    offered: list[str]
    default: str
    choose_by: datetime
    starts_at_before: datetime
    starts_at: datetime | None
    new_show: str | None
    note: str
    decided_at: datetime
    settled_at: Annotated[datetime, Meta(description="All have chosen, or the default.")] | None


class ChoiceAnswer(Struct, frozen=True, kw_only=True):
    """What was chosen for an order; null: nothing yet."""

    order: str
    choice: str | None
    by_default: bool
    chosen_at: datetime | None


class ChoicePage(Struct, frozen=True):
    """The orders that a show's last change affects. `next_cursor` is null on the last page."""

    change: ChangeAnswer | None
    choices: list[ChoiceAnswer]
    next_cursor: str | None


@get(
    "/{show:str}/choices",
    summary="What holders of tickets chose",
    operation_class=describe(scope=Scope.ORDERS_READ, problems=(ProblemKind.SHOW_NOT_FOUND,)),
)
async def choices(
    request: ApiRequest,
    show: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> ChoicePage:
    """List the orders that the show's last cancellation or move affects, and what was chosen."""
    check_query(request, "cursor", "limit")
    found = await find_show(request, show)
    runtime = runtime_of(request)
    after = await read_order_cursor(runtime, found, cursor)
    with store_failures():
        change, listed = await list_choices(
            stores_of(runtime), request.user, found.id, after=after, limit=limit + 1
        )
    page = [_tell_choice(runtime.ids, found.id, one) for one in listed[:limit]]
    told = None if change is None else _tell_change(runtime.ids, change)
    return ChoicePage(told, page, page[-1].order if len(listed) > limit else None)


@post(
    "/{show:str}/choices/{order:str}",
    summary="Choose for an order",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.ORDERS_RETURN,
        body=ChoiceBody,
        problems=(
            ProblemKind.SHOW_NOT_FOUND,
            ProblemKind.ORDER_NOT_FOUND,
            ProblemKind.NO_CHOICE,
            ProblemKind.CHOICE_REFUSED,
        ),
    ),
)
async def choose_one(
    request: ApiRequest, show: FromPath[str], order: FromPath[str]
) -> ChoiceAnswer:
    """Say what becomes of an order whose show was cancelled or moved.

    The same again changes nothing; until `choose_by` something else may be chosen. A refund is
    final: the order is taken back at once, and the money is asked for.
    """
    check_query(request)
    found = await find_show(request, show)
    runtime = runtime_of(request)
    try:
        of_show, named = runtime.ids.read_order(order)
    except IdError:
        raise order_not_found() from None
    if of_show != found.id or not await is_order_of(runtime, found, named):
        raise order_not_found()
    body = await read_body(request, ChoiceBody)
    choice = Choice(body.choice)
    with store_failures():
        outcome = await choose(stores_of(runtime), request.user, found.id, named, choice)
    if isinstance(outcome, NoChoice):
        raise no_choice()
    if isinstance(outcome, ChoiceRefused):
        raise choice_refused(outcome)
    if choice is Choice.REFUND:
        await runtime.returns_office.deliver(found)
    return _tell_choice(runtime.ids, found.id, outcome)


def _tell_change(ids: Ids, change: Change) -> ChangeAnswer:
    new_show = change.new_show
    return ChangeAnswer(
        change_no=change.change_no,
        kind=change.kind,
        offered=[choice.value for choice in change.offered],
        default=change.default,
        choose_by=change.choose_by.astimezone(UTC),
        starts_at_before=change.starts_at_before.astimezone(UTC),
        starts_at=_utc(change.starts_at),
        new_show=None if new_show is None else ids.entity(Prefix.SHOW, new_show),
        note=change.note,
        decided_at=change.decided_at.astimezone(UTC),
        settled_at=_utc(change.settled_at),
    )


def _tell_choice(ids: Ids, show: EntityId, one: OrderChoice) -> ChoiceAnswer:
    return ChoiceAnswer(
        order=ids.order(show, one.order),
        choice=one.choice,
        by_default=one.is_default,
        chosen_at=_utc(one.chosen_at),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


router = Router(path="/v1/shows", tags=["shows"], route_handlers=[choices, choose_one])
