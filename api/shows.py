"""Shows: put one on sale, list one's own, look at one, get its seating plan back."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import MediaType, Response, Router, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_201_CREATED, HTTP_202_ACCEPTED
from msgspec import UNSET, Struct, UnsetType

from api.answers import FullShowAnswer, ShowAnswer, tell_show
from api.context import ApiRequest, find_show, runtime_of, served_in_front, stores_of
from api.documents import describe
from api.life_outcomes import changed_or_problem
from api.opening import is_opened
from api.outcomes import show_not_found
from api.paging import PAGE_DEFAULT, Cursor, Limit
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.queueing import OneAtATime
from api.reading import SHOW_BODY_BYTES_MAX, check_query, optional_key, read_body
from api.repeating import Keeper, answer_once
from api.show_inputs import ShowBody, ShowChangeBody
from api.written import written_json
from engine.catalog.changing import change_show
from engine.catalog.price_steps import Ahead, look_ahead
from engine.catalog.show_looks import read_life
from engine.catalog.shows import (
    NewShow,
    PaymentMethod,
    ShowFault,
    ShowFaultsError,
    Visibility,
    create_show,
)
from engine.catalog.transitions import ShowState
from engine.inventory.seating_plan import SeatingPlan, SeatingPlanError, export_plan, read_plan
from engine.inventory.seating_plan_faults import FAULTS_LISTED_MAX
from engine.inventory.shows import Show
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Prefix, fingerprint, new_entity_id
from engine.runtime import Serving
from engine.tenancy.principals import Scope


class ShowPage(Struct, frozen=True):
    """A reseller's shows, the newest first. `next_cursor` is null on the last page."""

    shows: list[ShowAnswer]
    next_cursor: str | None


@post(
    "/",
    summary="Put a show on sale",
    request_max_body_size=SHOW_BODY_BYTES_MAX,
    # Bodies of up to 64 MiB, seconds of work each: one at a time in a process.
    middleware=[OneAtATime()],
    operation_class=describe(
        scope=Scope.SHOWS_WRITE,
        body=ShowBody,
        key="honoured",
        problems=(
            ProblemKind.INVALID_SEATING_PLAN,
            ProblemKind.REQUEST_UNDER_WAY,
            ProblemKind.KEY_REUSED,
        ),
    ),
)
async def create(request: ApiRequest) -> Response[FullShowAnswer]:
    """Create a show from a seating plan in pretix's JSON format, or from a configuration.

    It sells from `opens_at` on, unless its `state` is another. `201` comes when its inventory is
    there; should that take longer than 20 seconds, `202` comes before.
    """
    check_query(request)
    optional_key(request)
    body = await read_body(request, ShowBody, with_faults=True)
    plan, stands_for = await asyncio.to_thread(_read_plan, body)

    async def act(_keeper: Keeper) -> tuple[int, FullShowAnswer]:
        show = await _create(request, body, plan, stands_for)
        opened = await is_opened(runtime_of(request), show)
        answer = await tell_now(runtime_of(request), show)
        return HTTP_201_CREATED if opened else HTTP_202_ACCEPTED, answer

    answered = await answer_once(request, "shows", stands_for, act)
    created = msgspec.json.decode(answered.body, type=ShowAnswer)
    return written_json(
        FullShowAnswer,
        answered.body,
        status_code=answered.status,
        headers={"Location": f"/v1/shows/{created.show}"},
    )


@get("/", summary="List your shows", operation_class=describe(scope=Scope.SHOWS_READ))
async def list_own(
    request: ApiRequest, cursor: Cursor = None, limit: Limit = PAGE_DEFAULT
) -> ShowPage:
    """List the shows that are yours, the newest first."""
    del cursor, limit
    raise served_in_front(request.url.path)


@get(
    "/{show:str}",
    summary="Look at a show",
    operation_class=describe(scope=Scope.SHOWS_READ, problems=(ProblemKind.SHOW_NOT_FOUND,)),
)
async def look(show: FromPath[str]) -> FullShowAnswer:
    """Tell a show with its rules, price levels and areas. Counts: its availability.

    Of a show of which places were released to you it says what it takes to sell them: neither what
    it belongs to nor what is planned.
    """
    raise served_in_front(show)


@patch(
    "/{show:str}",
    summary="Change a show",
    operation_class=describe(
        scope=Scope.SHOWS_WRITE,
        body=ShowChangeBody,
        problems=(ProblemKind.SHOW_NOT_FOUND, ProblemKind.TRANSITION_REFUSED),
    ),
)
async def change(request: ApiRequest, show: FromPath[str]) -> FullShowAnswer:
    """Change a show's name, times, limits, who sees it, how it is paid for: all, or nothing.

    What was sold stays as it was sold: once a show was on sale, `starts_at` moves by
    `POST /v1/shows/{show}/reschedule` alone; while it is on sale or paused, an `opens_at` that is
    past stays. What its state refuses is told first, as `409`; then all that is wrong, at once.
    """
    check_query(request)
    found = await find_show(request, show)
    body = await read_body(request, ShowChangeBody, with_faults=True)
    runtime = runtime_of(request)
    amiss = _amiss(body)
    columns = _columns(body, lambda text: _named(runtime, Prefix.EVENT, text, amiss))
    try:
        with store_failures():
            changed = await change_show(stores_of(runtime), request.user, found.id, columns, amiss)
    except ShowFaultsError as error:
        raise _refused(error) from error
    changed_or_problem(changed)
    return await tell_now(runtime, found)


@get(
    "/{show:str}/seating-plan",
    summary="Export the seating plan",
    media_type=MediaType.JSON,
    operation_class=describe(scope=Scope.SHOWS_READ, problems=(ProblemKind.SHOW_NOT_FOUND,)),
)
async def export(show: FromPath[str]) -> Response[dict[str, object]]:
    """Give the seating plan back in the format that it came in.

    It never changes: keep it. `If-None-Match` with its ETag is answered with `304`.
    """
    raise served_in_front(show)


def _read_plan(body: ShowBody) -> tuple[SeatingPlan | SeatingPlanError | None, int]:
    """Return the plan that came, if one did, or its faults; and what stands for the whole body."""
    given = body.plan
    rest = msgspec.structs.replace(body, plan=msgspec.Raw(b"null"))
    canonical = msgspec.json.encode(rest, order="sorted")
    if given is UNSET:
        return None, fingerprint(canonical)
    try:
        plan = read_plan(bytes(given))
    except SeatingPlanError as error:
        return error, fingerprint(canonical + bytes(given))
    return plan, fingerprint(canonical + export_plan(plan))


def _columns(body: ShowChangeBody, event_of: Callable[[str], EntityId | None]) -> dict[str, Any]:
    said = {name: getattr(body, name) for name in body.__struct_fields__}
    columns = {name: value for name, value in said.items() if value is not UNSET}
    if "event" in columns:
        event = columns.pop("event")
        columns["event_id"] = None if event is None else event_of(event)
    return columns


async def _create(
    request: ApiRequest,
    body: ShowBody,
    plan: SeatingPlan | SeatingPlanError | None,
    stands_for: int,
) -> Show:
    runtime = runtime_of(request)
    key = optional_key(request)
    amiss = _amiss(body)
    configuration = _named(runtime, Prefix.CONFIGURATION, body.configuration, amiss)
    event = _named(runtime, Prefix.EVENT, body.event, amiss)
    bad_plan = plan if isinstance(plan, SeatingPlanError) else None
    if bad_plan is not None:
        # Last: of a long list its end is cut.
        amiss += [ShowFault(f"/plan{f.pointer}", f.reason) for f in bad_plan.faults]
    new = NewShow(
        id=runtime.ids.derive_show(request.user, key, stands_for) if key else new_entity_id(),
        name=body.name,
        venue=body.venue or None,
        starts_at=body.starts_at,
        opens_at=body.opens_at,
        closes_at=body.closes_at,
        currency=body.currency,
        tax_bps=body.tax_bps,
        prices=body.prices,
        max_per_hold=body.max_per_hold,
        max_per_buyer=body.max_per_buyer,
        plan=None if isinstance(plan, SeatingPlanError) else plan,
        configuration=configuration,
        configuration_version=body.configuration_version or None,
        event=event,
        doors_at=body.doors_at,
        duration_min=body.duration_min,
        visibility=Visibility(body.visibility),
        public_from=body.public_from,
        hold_ttl_s=body.hold_ttl_s,
        payment_methods=tuple(map(PaymentMethod, body.payment_methods or [PaymentMethod.CARD])),
        state=ShowState(body.state),
        amiss=tuple(amiss),
    )
    try:
        with store_failures():
            show = await create_show(runtime.app_engine, runtime.redis, request.user, new)
    except ShowFaultsError as error:
        raise _refused(error, bad_plan) from error
    return await runtime.box_office.show(request.user, show)


def _amiss(body: ShowBody | ShowChangeBody) -> list[ShowFault]:
    """Return what no single field shows, in the engine's words."""
    return [ShowFault(fault.pointer or "", fault.reason) for fault in body.faults()]


def _refused(error: ShowFaultsError, plan: SeatingPlanError | None = None) -> ProblemError:
    """Return the problem of a show that can't be so; `plan` is what its plan adds to that."""
    faults = [Fault(fault.reason, pointer=fault.pointer) for fault in error.faults]
    listed = faults[:FAULTS_LISTED_MAX]
    more = len(faults) - len(listed)
    if plan is None:
        return invalid(*listed, more=more)
    more += plan.more
    beside = len(faults) - len(plan.faults)
    others = f" Beside it {beside} more are wrong: see below." if beside else ""
    return ProblemError(
        ProblemKind.INVALID_SEATING_PLAN,
        f"The seating plan can't be sold from: {plan}.{others}",
        errors=listed,
        members={"more": more} if more else {},
    )


def _named(
    runtime: Serving, prefix: Prefix, text: str | UnsetType | None, amiss: list[ShowFault]
) -> EntityId | None:
    """Return the entity that a body names; a fault more if the text is no such id."""
    if not text:
        return None
    try:
        return runtime.ids.parse_entity(prefix, text)
    except IdError as error:
        named = {Prefix.EVENT: "event", Prefix.CONFIGURATION: "configuration"}[prefix]
        amiss.append(ShowFault(f"/{named}", str(error)))
        return None


async def tell_now(runtime: Serving, show: Show) -> FullShowAnswer:
    """Tell a show as it is now.

    Raises:
        ProblemError: `show-not-found`: it is no more.
        StoreUnavailableError: the ledger can't be asked.
    """
    with store_failures():
        life = await read_life(runtime.own_reads, show.reseller, show.id)
        if life is None:
            raise show_not_found()
        ahead = Ahead(life.inventory_version, None)
        if life.has_step_ahead:
            ahead = await look_ahead(runtime.app_engine, show)
    if ahead.inventory_version != show.inventory_version:
        show = await runtime.box_office.reload(show)
    tariff = await runtime.box_office.prices(show, show.price_version)
    return tell_show(show, life, tariff, runtime.ids, ahead.step)


router = Router(
    path="/v1/shows", tags=["shows"], route_handlers=[create, list_own, look, change, export]
)
