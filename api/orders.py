"""The orders of a show."""

from datetime import UTC, datetime
from typing import Annotated, Final

from litestar import Router, get
from litestar.params import FromPath, QueryParameter
from msgspec import Meta, Struct

from api.context import ApiRequest, find_show_to_sell, runtime_of
from api.documents import describe
from api.paging import PAGE_DEFAULT, Cursor, Limit, read_order_cursor
from api.problems import Fault, ProblemKind, invalid
from api.reading import check_query, read_moment
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, Ids, Prefix
from engine.sales.order_list import ListedOrder, OrdersWanted, list_orders
from engine.sales.orders import RECORDED_AS, OrderState
from engine.tenancy.principals import Scope

_STATES: Final = {state.value: state for state in RECORDED_AS.values()}

_State = Annotated[
    str | None,
    QueryParameter(
        name="state", schema_extra={"enum": list(_STATES)}, description="How the order stands."
    ),
]
_Since = Annotated[
    str | None,
    QueryParameter(name="from", description="Not sold before this moment.", format="date-time"),
]
_Until = Annotated[
    str | None,
    QueryParameter(name="to", description="Sold before this moment.", format="date-time"),
]


class OrderInList(Struct, frozen=True, kw_only=True):
    """An order in short, in minor units of its currency; `GET /v1/orders/{order}` tells the rest.

    Once its buyer was forgotten it has a stand-in for them.
    """

    order: str
    status: Annotated[
        str,
        Meta(
            description="`confirmed`, `returned`, `refunded` or `failed`.", examples=["confirmed"]
        ),
    ]
    buyer: str
    sold_at: datetime
    payment_reference: str
    tickets: Annotated[int, Meta(description="That were sold, also if it was given back.")]
    currency: str
    face_value: int
    fee: int
    tax: int
    discount: int
    total: int
    sold_by: Annotated[
        str | None,
        Meta(description="The other reseller that sold it, of places that were released to it."),
    ]


class OrderPage(Struct, frozen=True):
    """A show's orders, those sold last first. `next_cursor` is null on the last page."""

    orders: list[OrderInList]
    next_cursor: str | None


@get(
    "/{show:str}/orders",
    summary="List a show's orders",
    operation_class=describe(scope=Scope.ORDERS_READ, problems=(ProblemKind.SHOW_NOT_FOUND,)),
)
async def orders_of_show(  # noqa: PLR0913, PLR0917 - each is a query parameter
    request: ApiRequest,
    show: FromPath[str],
    status: _State = None,
    since: _Since = None,
    until: _Until = None,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> OrderPage:
    """List the orders of a show that are recorded, those sold last first.

    Of a show of which places were released to you, these are the orders that you sold.

    One that is still `recording` comes a moment later; who pages on does not miss it, for it is in
    front.
    """
    check_query(request, "state", "from", "to", "cursor", "limit")
    found = await find_show_to_sell(request, show)
    wanted = OrdersWanted(
        state=None if status is None else _state(status),
        sold_by=found.seller,
        since=read_moment("from", since),
        until=read_moment("to", until),
    )
    runtime = runtime_of(request)
    after = await read_order_cursor(runtime, found, cursor)
    # One more than asked for tells whether there is a next page.
    with store_failures():
        listed = await list_orders(
            runtime.app_engine, found.reseller, found.id, wanted, after=after, limit=limit + 1
        )
    page = [_tell(one, found.id, runtime.ids) for one in listed[:limit]]
    return OrderPage(page, page[-1].order if len(listed) > limit else None)


def _state(text: str) -> OrderState:
    if text not in _STATES:
        raise invalid(Fault(f"is not one of: {', '.join(_STATES)}", parameter="state"))
    return _STATES[text]


def _tell(one: ListedOrder, show: EntityId, ids: Ids) -> OrderInList:
    charge = one.charge
    return OrderInList(
        order=ids.order(show, one.order),
        status=one.state,
        buyer=one.buyer,
        sold_at=one.sold_at.astimezone(UTC),
        payment_reference=one.payment_reference,
        tickets=one.tickets,
        currency=one.currency,
        face_value=charge.face_value,
        fee=charge.fee,
        tax=charge.tax,
        discount=charge.discount,
        total=charge.total,
        sold_by=None if one.sold_by is None else ids.entity(Prefix.RESELLER, one.sold_by),
    )


router = Router(path="/v1/shows", tags=["orders"], route_handlers=[orders_of_show])
