"""Cancel a show or move it, what holders of tickets choose then, and further dates."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import UNSET, Meta, Struct, UnsetType

from api.context import ApiRequest, find_show, runtime_of, stores_of
from api.documents import ScopedOperation, describe
from api.inputs import Body, Moment, Name, years_out_of_bounds
from api.life_outcomes import (
    changed_or_problem,
    choice_refused,
    no_choice,
    transition_refused,
)
from api.opening import is_opened
from api.outcomes import order_not_found
from api.paging import PAGE_DEFAULT, Cursor, Limit, no_cursor
from api.problems import Fault, ProblemKind, invalid
from api.reading import check_query, optional_key, read_body
from api.repeating import Keeper, answer_once
from api.show_life import LifeAnswer, tell_life
from api.written import written_json
from engine.catalog.dates import NewDate, Opens, add_date
from engine.catalog.life import life_of
from engine.catalog.shows import ShowFaultsError
from engine.catalog.transitions import SCOPE, Refused
from engine.inventory.house import Finish, RulesChanged
from engine.platform.database import Transaction
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, HoldId, IdError, Ids, Prefix, new_entity_id
from engine.runtime import Serving
from engine.sales.choices import (
    Change,
    Choice,
    ChoiceRefused,
    NoChoice,
    OrderChoice,
    choose,
    list_choices,
)
from engine.sales.upheavals import CHOOSE_WITHIN, Moved, Offer, cancel_show, reschedule_show
from engine.tenancy.principals import Scope

T = TypeVar("T")

_WORD: Final = f"^({'|'.join(Choice)})$"
ChoiceText = Annotated[
    str,
    Meta(
        pattern=_WORD,
        examples=["refund"],
        description="`keep` (for the new time), `refund`, `credit`, or a `voucher` for the new "
        "date.",
    ),
]
Offered = Annotated[list[ChoiceText], Meta(min_length=1, max_length=len(Choice))]
Note = Annotated[str, Meta(max_length=2000, description="Why, for whoever has tickets.")]
ShowId = Annotated[str, Meta(min_length=1, max_length=64)]


class OfferBody(Body, frozen=True, kw_only=True):
    """What holders of tickets may choose, and until when."""

    note: Note = ""
    choose_by: Annotated[Moment, Meta(description="Left out: in two weeks.")] | UnsetType = UNSET

    def faults(self) -> list[Fault]:
        """List what no single field shows."""
        return years_out_of_bounds({"choose_by": self.choose_by or None})


class CancelBody(OfferBody, frozen=True, kw_only=True):
    """A show that does not take place."""

    offered: Offered | UnsetType = UNSET
    default: ChoiceText = Choice.REFUND.value
    new_show: Annotated[ShowId, Meta(description="What a voucher is for.")] | UnsetType | None = (
        UNSET
    )


class RescheduleBody(OfferBody, frozen=True, kw_only=True):
    """A show's new times; `closes_at` and `doors_at` are cleared unless they are told."""

    starts_at: Moment
    opens_at: Moment | UnsetType = UNSET
    closes_at: Moment | None = None
    doors_at: Moment | None = None
    offered: Offered | UnsetType = UNSET
    default: ChoiceText = Choice.KEEP.value

    def faults(self) -> list[Fault]:
        """List what no single field shows."""
        moments = {"starts_at": self.starts_at, "opens_at": self.opens_at or None}
        moments |= {"closes_at": self.closes_at, "doors_at": self.doors_at}
        return [*OfferBody.faults(self), *years_out_of_bounds(moments)]


class DateBody(Body, frozen=True, kw_only=True):
    """Another date; what is left out is the first's, times as they lie to `starts_at`."""

    starts_at: Moment
    opens: Annotated[
        str,
        Meta(
            pattern=f"^({'|'.join(Opens)})$",
            description="`now`, `at` (its `opens_at`), or `when_first_sells_out`: until then it is "
            "announced, or a draft.",
        ),
    ] = Opens.NOW.value
    opens_at: Moment | UnsetType = UNSET
    closes_at: Moment | UnsetType = UNSET
    doors_at: Moment | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    state: (
        Annotated[
            str,
            Meta(
                pattern="^(draft|announced)$",
                description="What it is until the first sells out: `announced` or `draft`.",
            ),
        ]
        | UnsetType
    ) = UNSET

    def faults(self) -> list[Fault]:
        """List what no single field shows."""
        names = ("starts_at", "opens_at", "closes_at", "doors_at")
        return years_out_of_bounds({name: getattr(self, name) or None for name in names})


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


class DateAnswer(Struct, frozen=True):
    """A date that was added: a show of its own, which follows the first."""

    show: str
    follows: str
    state: str


def _described(body: type[Body], *problems: ProblemKind) -> type[ScopedOperation]:
    kinds = (
        ProblemKind.SHOW_NOT_FOUND,
        ProblemKind.TRANSITION_REFUSED,
        ProblemKind.REQUEST_UNDER_WAY,
        ProblemKind.KEY_REUSED,
        *problems,
    )
    return describe(scope=SCOPE, body=body, key="honoured", problems=kinds)


@post(
    "/{show:str}/cancel",
    summary="Cancel a show",
    status_code=HTTP_200_OK,
    operation_class=_described(CancelBody),
)
async def cancel(request: ApiRequest, show: FromPath[str]) -> Response[LifeAnswer]:
    """Cancel a show for good: nothing of it is held or bought any more.

    Every confirmed order gets a choice among what is `offered`; whoever chooses nothing until
    `choose_by` gets the `default`. A refund takes the order back.
    """
    check_query(request)
    found = await find_show(request, show)
    body = await read_body(request, CancelBody)
    runtime = runtime_of(request)
    new_show = _show_named(runtime, body.new_show)
    offer = _offer(body, body.offered or [Choice.REFUND], body.default, None, new_show)

    async def do(keeper: Keeper) -> tuple[int, LifeAnswer]:
        stores, keep = stores_of(runtime), _keeping(runtime, keeper)
        with store_failures():
            outcome = await cancel_show(stores, request.user, found.id, offer, keep)
        return HTTP_200_OK, tell_life(runtime, changed_or_problem(outcome))

    return await _once(request, f"cancel {found.id:016x}", body, do)


@post(
    "/{show:str}/reschedule",
    summary="Move a show to another time",
    status_code=HTTP_200_OK,
    operation_class=_described(RescheduleBody),
)
async def reschedule(request: ApiRequest, show: FromPath[str]) -> Response[LifeAnswer]:
    """Move a show. Its sale rests until it is opened again; tickets are for the new time.

    Every confirmed order gets a choice among what is `offered`; whoever chooses nothing until
    `choose_by` gets the `default`. A refund takes the order back, and its places go on sale.
    """
    check_query(request)
    found = await find_show(request, show)
    body = await read_body(request, RescheduleBody)
    runtime = runtime_of(request)
    offered = body.offered or [Choice.KEEP, Choice.REFUND]
    offer = _offer(body, offered, body.default, body.starts_at, None)
    moved = Moved(
        starts_at=body.starts_at,
        opens_at=body.opens_at or None,
        closes_at=body.closes_at,
        doors_at=body.doors_at,
    )

    async def do(keeper: Keeper) -> tuple[int, LifeAnswer]:
        stores, keep = stores_of(runtime), _keeping(runtime, keeper)
        with store_failures():
            outcome = await reschedule_show(stores, request.user, found.id, moved, offer, keep)
        return HTTP_200_OK, tell_life(runtime, changed_or_problem(outcome))

    return await _once(request, f"reschedule {found.id:016x}", body, do)


@post(
    "/{show:str}/dates",
    summary="Add another date",
    status_code=HTTP_201_CREATED,
    operation_class=_described(DateBody),
)
async def add(request: ApiRequest, show: FromPath[str]) -> Response[DateAnswer]:
    """Add another date of a show: a show of its own with the same event, places, prices, rules.

    What the house withholds is withheld there, too; a waiting room is not taken over.
    """
    check_query(request)
    found = await find_show(request, show)
    body = await read_body(request, DateBody)
    runtime = runtime_of(request)
    key = optional_key(request)
    stands_for = body.fingerprint() ^ found.id & 0xFFFF_FFFF_FFFF
    new = NewDate(
        id=runtime.ids.derive_show(request.user, key, stands_for) if key else new_entity_id(),
        starts_at=body.starts_at,
        opens=Opens(body.opens),
        opens_at=body.opens_at or None,
        closes_at=body.closes_at or None,
        doors_at=body.doors_at or None,
        name=body.name or None,
        is_draft=body.state == "draft",
    )

    async def do(_: Keeper) -> tuple[int, DateAnswer]:
        with store_failures():
            outcome = await _faults_told(add_date(stores_of(runtime), request.user, found.id, new))
        if isinstance(outcome, Refused):
            raise transition_refused(outcome)
        made = await runtime.box_office.show(request.user, outcome)
        await is_opened(runtime, made)
        ids = runtime.ids
        first = ids.entity(Prefix.SHOW, found.id)
        return HTTP_201_CREATED, DateAnswer(ids.entity(Prefix.SHOW, made.id), first, made.state)

    answered = await answer_once(request, f"dates {found.id:016x}", body.fingerprint(), do)
    return written_json(DateAnswer, answered.body, status_code=answered.status)


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
    after = _after(runtime.ids, request.user, found.id, cursor)
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
        of_show, named = runtime.ids.parse_order(request.user, order)
    except IdError:
        raise order_not_found() from None
    if of_show != found.id:
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


def _offer(
    body: OfferBody,
    offered: list[str] | list[Choice],
    default: str,
    starts_at: datetime | None,
    new_show: EntityId | None,
) -> Offer:
    if len(set(offered)) < len(offered):
        raise invalid(Fault("names a choice twice", pointer="/offered"))
    in_two_weeks = datetime.now(UTC) + CHOOSE_WITHIN
    latest = in_two_weeks if starts_at is None else min(in_two_weeks, starts_at)
    return Offer(
        offered=tuple(Choice(word) for word in offered),
        default=Choice(default),
        choose_by=body.choose_by or latest,
        note=body.note,
        new_show=new_show,
    )


def _show_named(runtime: Serving, text: str | UnsetType | None) -> EntityId | None:
    try:
        return runtime.ids.parse_entity(Prefix.SHOW, text) if text else None
    except IdError as error:
        raise invalid(Fault(str(error), pointer="/new_show")) from error


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


def _after(ids: Ids, reseller: EntityId, show: EntityId, cursor: str | None) -> HoldId | None:
    if cursor is None:
        return None
    try:
        of_show, order = ids.parse_order(reseller, cursor)
    except IdError:
        raise no_cursor() from None
    if of_show != show:
        raise no_cursor()
    return order


def _keeping(runtime: Serving, keeper: Keeper) -> Finish:
    async def keep(transaction: Transaction, changed: RulesChanged) -> None:
        await keeper.keep(transaction, HTTP_200_OK, tell_life(runtime, life_of(changed)))

    return keep


async def _once(
    request: ApiRequest,
    scope: str,
    body: Body,
    do: Callable[[Keeper], Awaitable[tuple[int, LifeAnswer]]],
) -> Response[LifeAnswer]:
    async def act(keeper: Keeper) -> tuple[int, LifeAnswer]:
        return await _faults_told(do(keeper))

    answered = await answer_once(request, scope, body.fingerprint(), act)
    return written_json(LifeAnswer, answered.body, status_code=answered.status)


async def _faults_told(work: Awaitable[T]) -> T:
    try:
        return await work
    except ShowFaultsError as error:
        raise invalid(*(Fault(f.reason, pointer=f.pointer) for f in error.faults)) from error


router = Router(
    path="/v1/shows",
    tags=["shows"],
    route_handlers=[cancel, reschedule, add, choices, choose_one],
)
