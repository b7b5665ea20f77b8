"""Purchases and the orders that they make."""

from litestar import Response, Router, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED

from api.answers import OrderAnswer, tell_order
from api.context import ApiRequest, is_order_of, runtime_of, served_in_front
from api.documents import describe
from api.inputs import PurchaseBody
from api.outcomes import order_not_found, problem_of
from api.problems import ProblemKind
from api.reading import check_query
from engine.inventory.shows import Show, UnknownShowError
from engine.platform.ids import HoldId, IdError
from engine.sales.views import FailedOrder, OrderView
from engine.tenancy.principals import Scope


@post(
    "/v1/shows/{show:str}/purchases",
    summary="Purchase a hold",
    responses={
        HTTP_202_ACCEPTED: ResponseSpec(
            OrderAnswer, description="Decided, on its way to the ledger: poll the order."
        )
    },
    operation_class=describe(
        scope=Scope.ORDERS_WRITE,
        body=PurchaseBody,
        key="required",
        problems=(
            *(ProblemKind.SHOW_NOT_FOUND, ProblemKind.HOLD_NOT_FOUND),
            *(ProblemKind.HOLD_RELEASED, ProblemKind.HOLD_EXPIRED),
            *(ProblemKind.ALREADY_PURCHASED, ProblemKind.PURCHASE_FAILED),
            *(ProblemKind.HOLD_OF_BUNDLE, ProblemKind.KEY_REUSED),
        ),
    ),
)
async def purchase_hold(show: FromPath[str]) -> Response[OrderAnswer]:
    """Turn a hold into an order.

    `201` says that the order is in the ledger. `202` says that it is decided but not there yet:
    it is sold when the order says `confirmed`, so capture money only then. The same
    Idempotency-Key and body give the same order, for as long as it exists.
    """
    raise served_in_front(show)


@get(
    "/v1/orders/{order:str}",
    summary="Look at an order",
    operation_class=describe(scope=Scope.ORDERS_READ, problems=(ProblemKind.ORDER_NOT_FOUND,)),
)
async def look_at_order(request: ApiRequest, order: FromPath[str]) -> OrderAnswer:
    """Tell an order with its lines, its tickets and how it stands.

    From its purchase on it is known: until it is in the ledger it says `recording`. One that was
    lost with the store that decided it says `failed`, once that is certain.
    """
    check_query(request)
    show, hold = await _find_order(request, order)
    outcome = await runtime_of(request).box_office.order(show, hold)
    if not isinstance(outcome, OrderView | FailedOrder):
        raise problem_of(outcome, show)
    return tell_order(outcome, runtime_of(request).ids)


@post(
    "/v1/orders/{order:str}/return",
    summary="Return an order",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.ORDERS_RETURN,
        problems=(
            *(ProblemKind.ORDER_NOT_FOUND, ProblemKind.ORDER_NOT_CONFIRMED),
            ProblemKind.ORDER_COMPENSATED,
        ),
    ),
)
async def return_order(request: ApiRequest, order: FromPath[str]) -> OrderAnswer:
    """Take a confirmed order back: all of it, for good. Its places go on sale again.

    The order says `returned` and has no tickets any more, and its buyer is to be paid back. No key
    is needed: an order is returned once, and who asks again gets the same answer. The places are
    on sale again at once; a show's first return takes some seconds.
    """
    check_query(request)
    show, hold = await _find_order(request, order)
    outcome = await runtime_of(request).returns_office.take_back(show, hold)
    if not isinstance(outcome, OrderView):
        raise problem_of(outcome, show)
    return tell_order(outcome, runtime_of(request).ids)


async def _find_order(request: ApiRequest, order: str) -> tuple[Show, HoldId]:
    """Return which show and hold an order's id names: sold by the reseller, or for it.

    Raises:
        ProblemError: `order-not-found`, also for other people's orders.
    """
    runtime = runtime_of(request)
    try:
        show, hold = runtime.ids.read_order(order)
        found = await runtime.box_office.show_to_sell(request.user, show)
    except (IdError, UnknownShowError):
        raise order_not_found() from None
    if not await is_order_of(runtime, found, hold):
        raise order_not_found()
    return found, hold


router = Router(
    path="/", tags=["orders"], route_handlers=[purchase_hold, look_at_order, return_order]
)
