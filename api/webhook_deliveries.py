"""Webhooks: what became of telling an endpoint, and telling it again."""

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK

from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.paging import no_cursor
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.reading import check_query, read_body
from api.repeating import Keeper, answer_once
from api.webhook_answers import (
    DeliveryPage,
    FullDeliveryAnswer,
    ReplayAnswer,
    tell_delivery,
    tell_full_delivery,
)
from api.webhook_inputs import ReplayBody
from api.webhook_outcomes import find_endpoint, no_endpoint, now, parse_endpoint, webhooks_of
from engine.facts.log import START, Cursor
from engine.facts.types import FactType
from engine.notify.deliveries import Replayed, Span, UnknownDelivery, UnknownFact
from engine.notify.endpoints import UnknownEndpoint
from engine.notify.judging import DeliveryState
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Prefix
from engine.tenancy.principals import Scope

PAGE_MAX: Final = 200
_PAGE_DEFAULT: Final = 50
_END: Final = Cursor(2**63 - 1, 2**63 - 1)
_FIRST_MOMENT: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST_MOMENT: Final = datetime(2201, 1, 1, tzinfo=UTC)
_SCOPE: Final = Scope.WEBHOOKS_MANAGE
_UNKNOWN: Final = (ProblemKind.ENDPOINT_NOT_FOUND,)


@get(
    "/{endpoint:str}/deliveries",
    summary="What became of facts",
    operation_class=describe(scope=_SCOPE, problems=_UNKNOWN),
)
async def list_deliveries(  # noqa: PLR0913, PLR0917 - each a query parameter
    request: ApiRequest,
    endpoint: FromPath[str],
    # `state` is Litestar's own word.
    of_state: Annotated[DeliveryState | None, QueryParameter(name="state")] = None,
    of_type: Annotated[FactType | None, QueryParameter(name="type")] = None,
    cursor: Annotated[
        str | None, QueryParameter(max_length=64, description="A page's `next_cursor`.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = _PAGE_DEFAULT,
) -> DeliveryPage:
    """List an endpoint's deliveries, those of the latest facts first. Kept for 30 days."""
    check_query(request, "state", "type", "cursor", "limit")
    named = (await find_endpoint(request, endpoint)).id
    ids = runtime_of(request).ids
    before: int | None = None
    if cursor is not None:
        try:
            of_endpoint, before = ids.parse_delivery(cursor)
        except IdError:
            of_endpoint = None
        if of_endpoint != named:
            raise no_cursor()
    with store_failures():
        found = await webhooks_of(request).deliveries.page(
            request.user, named, before=before, limit=limit + 1, state=of_state, type_=of_type
        )
    page = [tell_delivery(delivery, ids) for delivery in found[:limit]]
    return DeliveryPage(page, page[-1].delivery if len(found) > limit else None)


@get(
    "/{endpoint:str}/deliveries/{delivery:str}",
    summary="Look at a delivery",
    operation_class=describe(scope=_SCOPE, problems=(*_UNKNOWN, ProblemKind.DELIVERY_NOT_FOUND)),
)
async def look_at_delivery(
    request: ApiRequest, endpoint: FromPath[str], delivery: FromPath[str]
) -> FullDeliveryAnswer:
    """Tell a delivery with its attempts: when, how long, and the beginning of each answer."""
    check_query(request)
    named = (await find_endpoint(request, endpoint)).id
    ids = runtime_of(request).ids
    unknown = ProblemError(ProblemKind.DELIVERY_NOT_FOUND, "This endpoint has no such delivery.")
    try:
        of_endpoint, fact = ids.parse_delivery(delivery)
    except IdError:
        raise unknown from None
    if of_endpoint != named:
        raise unknown
    with store_failures():
        found = await webhooks_of(request).deliveries.find(request.user, named, fact)
    if isinstance(found, UnknownDelivery):
        raise unknown
    return tell_full_delivery(*found, ids)


@post(
    "/{endpoint:str}/replay",
    summary="Tell facts again",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=_SCOPE,
        body=ReplayBody,
        key="honoured",
        problems=(
            *_UNKNOWN,
            ProblemKind.FACT_NOT_FOUND,
            ProblemKind.REQUEST_UNDER_WAY,
            ProblemKind.KEY_REUSED,
        ),
    ),
)
async def replay(request: ApiRequest, endpoint: FromPath[str]) -> Response[ReplayAnswer]:
    """Send one fact of the log again, or a range of those that the endpoint wants.

    They keep their ids, so that a receiver which has them already knows; of each object the
    earliest comes first. What is pending anyway is not told twice.
    """
    check_query(request)
    named = parse_endpoint(request, endpoint)
    body = await read_body(request, ReplayBody)

    async def act(_keeper: Keeper) -> tuple[int, ReplayAnswer]:
        with store_failures():
            replayed = await _replay(request, named, body)
        match replayed:
            case UnknownEndpoint():
                raise no_endpoint()
            case UnknownFact():
                raise _no_fact()
            case Replayed():
                after = replayed.more_after
                ids = runtime_of(request).ids
                told = None if after is None else ids.cursor(request.user, after.xid, after.id)
                return HTTP_200_OK, ReplayAnswer(replayed.count, told)

    scope = f"webhook-replay {named:016x}"
    answered = await answer_once(request, scope, body.fingerprint(), act)
    told = msgspec.json.decode(answered.body, type=ReplayAnswer)
    return Response(told, status_code=answered.status)


async def _replay(
    request: ApiRequest, endpoint: EntityId, body: ReplayBody
) -> Replayed | UnknownEndpoint | UnknownFact:
    deliveries, ids = webhooks_of(request).deliveries, runtime_of(request).ids
    if body.fact:
        try:
            fact = ids.parse_entity(Prefix.FACT, body.fact)
        except IdError:
            raise _no_fact() from None
        return await deliveries.replay_one(request.user, endpoint, fact, now())
    span = Span(
        after=_cursor(request, "/after", body.after) if body.after else START,
        through=_cursor(request, "/through", body.through) if body.through else _END,
        begin=body.since or _FIRST_MOMENT,
        end=body.until or _LAST_MOMENT,
    )
    return await deliveries.replay_span(request.user, endpoint, span, now())


def _cursor(request: ApiRequest, pointer: str, text: str) -> Cursor:
    try:
        return Cursor(*runtime_of(request).ids.parse_cursor(request.user, text))
    except IdError:
        raise invalid(Fault("is no cursor of your log", pointer=pointer)) from None


def _no_fact() -> ProblemError:
    return ProblemError(ProblemKind.FACT_NOT_FOUND, "Your log has no such fact.")
