"""Cancel a show or move it, and further dates."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from litestar import Response, Router, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from msgspec import UNSET, Meta, Struct, UnsetType

from api.choices import ChoiceText
from api.context import ApiRequest, find_show, runtime_of, stores_of
from api.documents import ScopedOperation, describe
from api.inputs import Body, Moment, Name, years_out_of_bounds
from api.life_outcomes import changed_or_problem, transition_refused
from api.opening import is_opened
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
from engine.platform.ids import EntityId, IdError, Prefix, new_entity_id
from engine.runtime import Serving
from engine.sales.choices import Choice
from engine.sales.upheavals import CHOOSE_WITHIN, Moved, Offer, cancel_show, reschedule_show
from engine.waitingroom.another_date import take_over_queue

T = TypeVar("T")

Offered = Annotated[list[ChoiceText], Meta(min_length=1, max_length=len(Choice))]
Note = Annotated[
    str,
    Meta(
        max_length=2000,
        pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$",
        description="Why, for whoever has tickets.",
    ),
]
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
            pattern=rf"^({'|'.join(Opens)})$(?!\n)",
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
                pattern=r"^(draft|announced)$(?!\n)",
                description="What it is until the first sells out: `announced` or `draft`.",
            ),
        ]
        | UnsetType
    ) = UNSET
    waiting_room: Annotated[
        bool, Meta(description="Whether it gets a waiting room as the first has one.")
    ] = True

    def faults(self) -> list[Fault]:
        """List what no single field shows."""
        names = ("starts_at", "opens_at", "closes_at", "doors_at")
        return years_out_of_bounds({name: getattr(self, name) or None for name in names})


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

    What the house withholds is withheld there, too. A waiting room is taken over with its rules,
    moved as `opens_at` is: nobody is in line, and the draw's secret is another.
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
        take_over = take_over_queue if body.waiting_room else None
        adding = add_date(stores_of(runtime), request.user, found.id, new, take_over)
        with store_failures():
            outcome = await _faults_told(adding)
        if isinstance(outcome, Refused):
            raise transition_refused(outcome)
        made = await runtime.box_office.show(request.user, outcome)
        await is_opened(runtime, made)
        ids = runtime.ids
        first = ids.entity(Prefix.SHOW, found.id)
        return HTTP_201_CREATED, DateAnswer(ids.entity(Prefix.SHOW, made.id), first, made.state)

    answered = await answer_once(request, f"dates {found.id:016x}", body.fingerprint(), do)
    return written_json(DateAnswer, answered.body, status_code=answered.status)


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
    route_handlers=[cancel, reschedule, add],
)
