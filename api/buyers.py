"""Buyers: what a reseller keeps of them, finds them by, exports and forgets."""

import re
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import Router, delete, get, put
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta, Struct

from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.inputs import Body, Name, too_many_bytes
from api.paging import no_cursor
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.reading import check_query, read_body
from api.times import utc
from engine.platform.errors import store_failures
from engine.platform.ids import Ids, Prefix
from engine.platform.legible import BUYER_BYTES_MAX, is_buyer
from engine.sales.buyers import (
    PAGE_MAX,
    BuyersHold,
    BuyersOrder,
    Contact,
    KnownBuyer,
)
from engine.tenancy.door import read_email
from engine.tenancy.principals import Scope

_PAGE_DEFAULT: Final = 50
_ORDERS_MAX: Final = 500
_DIGEST: Final = re.compile(r"[0-9a-f]{32}")

Email = Annotated[str, Meta(min_length=3, max_length=254, examples=["ada@example.org"])]
Phone = Annotated[str, Meta(pattern=r"^\+?[0-9 ()./-]{3,40}$(?!\n)", examples=["+49 361 1234567"])]


class BuyerBody(Body, frozen=True, kw_only=True):
    """Who a buyer is. What is left out or null is not held any more."""

    name: Name | None = None
    email: Email | None = None
    phone: Phone | None = None

    def faults(self) -> list[Fault]:
        """List what no pattern shows."""
        if self.email is not None and read_email(self.email) is None:
            return [Fault("is no mail address", pointer="/email")]
        if self.name is not None:
            return too_many_bytes("/name", self.name, 4 * BUYER_BYTES_MAX)
        return []

    def contact(self) -> Contact:
        """Return it in the engine's words."""
        email = None if self.email is None else read_email(self.email)
        return Contact(name=self.name, email=email, phone=self.phone)


class BuyerAnswer(Struct, frozen=True, kw_only=True):
    """A buyer, and who that is."""

    buyer: str
    name: str | None
    email: str | None
    phone: str | None
    created_at: datetime
    changed_at: datetime


class BuyerPage(Struct, frozen=True):
    """Buyers with a mail address. `next_cursor` is null on the last page."""

    buyers: list[BuyerAnswer]
    next_cursor: str | None


class HeldTicket(Struct, frozen=True):
    """A ticket of theirs."""

    ticket: str
    label: str
    status: str


class HeldOrder(Struct, frozen=True, kw_only=True):
    """An order of theirs; money in minor units."""

    order: str
    show: str
    status: str
    currency: str
    total: int
    payment_reference: str
    sold_at: datetime
    tickets: list[HeldTicket]


class HeldPlaces(Struct, frozen=True):
    """How many tickets of a show are held for them, and until when."""

    show: str
    tickets: int
    until: datetime


class BuyerExportAnswer(Struct, frozen=True, kw_only=True):
    """All that is held of a buyer here. `next_cursor` is null when there are no more orders."""

    buyer: str
    contact: BuyerAnswer | None
    asked_to_forget_at: datetime | None
    """Since when they are to be forgotten, once their last show is over."""
    orders: list[HeldOrder]
    holds: list[HeldPlaces]
    next_cursor: str | None


class ForgottenAnswer(Struct, frozen=True, kw_only=True):
    """What was forgotten, and what will be."""

    buyer: str
    had_contact: bool
    orders_changed: int
    """Orders of shows that are over, which don't name them any more."""
    orders_left: int
    """Orders of shows that are not: they follow a day after each show, by themselves."""


@put(
    "/{buyer:str}",
    summary="Keep a buyer's contact data",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.BUYERS_MANAGE, body=BuyerBody, problems=(ProblemKind.BUYER_NOT_FOUND,)
    ),
)
async def keep_buyer(request: ApiRequest, buyer: FromPath[str]) -> BuyerAnswer:
    """Keep who a buyer is: name, mail address, phone. It is stored encrypted.

    `buyer` is your own name for them, as holds and orders have it. What is left out is dropped.
    """
    check_query(request)
    named = _check_buyer(buyer)
    body = await read_body(request, BuyerBody)
    office = runtime_of(request).buyers_office
    with store_failures():
        return _tell(await office.keep(request.user, named, body.contact()))


@get(
    "/{buyer:str}",
    summary="Look at a buyer",
    operation_class=describe(scope=Scope.BUYERS_READ, problems=(ProblemKind.BUYER_NOT_FOUND,)),
)
async def look_at_buyer(request: ApiRequest, buyer: FromPath[str]) -> BuyerAnswer:
    """Tell who a buyer is."""
    check_query(request)
    office = runtime_of(request).buyers_office
    with store_failures():
        known = await office.find(request.user, _check_buyer(buyer))
    if known is None:
        raise _not_found()
    return _tell(known)


@get(
    "/",
    summary="Find buyers by mail address",
    operation_class=describe(scope=Scope.BUYERS_READ),
)
async def find_buyers(
    request: ApiRequest,
    email: Annotated[
        str,
        QueryParameter(
            min_length=3, max_length=254, description="The whole address, in any letter case."
        ),
    ],
    cursor: Annotated[
        str | None, QueryParameter(max_length=32, description="A page's `next_cursor`.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = _PAGE_DEFAULT,
) -> BuyerPage:
    """List the buyers who have this mail address."""
    check_query(request, "email", "cursor", "limit")
    address = read_email(email)
    if address is None:
        raise invalid(Fault("is no mail address", parameter="email"))
    if cursor is not None and not _DIGEST.fullmatch(cursor):
        raise no_cursor()
    office = runtime_of(request).buyers_office
    with store_failures():
        found, after = await office.find_by_email(
            request.user, address, bytes.fromhex(cursor or ""), limit
        )
    return BuyerPage([_tell(known) for known in found], None if after is None else after.hex())


@get(
    "/{buyer:str}/export",
    summary="Export what is held of a buyer",
    operation_class=describe(scope=Scope.BUYERS_MANAGE, problems=(ProblemKind.BUYER_NOT_FOUND,)),
)
async def export_buyer(
    request: ApiRequest,
    buyer: FromPath[str],
    cursor: Annotated[
        str | None, QueryParameter(max_length=32, description="A page's `next_cursor`.")
    ] = None,
) -> BuyerExportAnswer:
    """Give all that is held of a person here: contact data, orders with tickets, what is on hold.

    Of many orders it gives some hundreds at a time: ask on with `cursor`.
    """
    check_query(request, "cursor")
    runtime = runtime_of(request)
    named = _check_buyer(buyer)
    if cursor is not None and not _DIGEST.fullmatch(cursor):
        raise no_cursor()
    after = None if cursor is None else UUID(cursor)
    with store_failures():
        held = await runtime.buyers_office.export(request.user, named, after, _ORDERS_MAX + 1)
    if not (held.known or held.orders or held.holds or held.asked_to_forget_at or cursor):
        raise _not_found()
    page = held.orders[:_ORDERS_MAX]
    return BuyerExportAnswer(
        buyer=named,
        contact=None if held.known is None else _tell(held.known),
        asked_to_forget_at=held.asked_to_forget_at,
        orders=[_tell_order(order, runtime.ids) for order in page],
        holds=[_tell_hold(hold, runtime.ids) for hold in held.holds],
        next_cursor=page[-1].id.hex if len(held.orders) > _ORDERS_MAX else None,
    )


@delete(
    "/{buyer:str}",
    summary="Forget a buyer",
    status_code=HTTP_200_OK,
    operation_class=describe(scope=Scope.BUYERS_MANAGE, problems=(ProblemKind.BUYER_NOT_FOUND,)),
)
async def forget_buyer(request: ApiRequest, buyer: FromPath[str]) -> ForgottenAnswer:
    """Drop a buyer's contact data, and your name for them from orders of shows that are over.

    Orders, tickets and the books stay, of nobody in particular. What shows need that are still to
    come stays until a day after each. It may be repeated; somebody unknown is forgotten already.
    """
    check_query(request)
    named = _check_buyer(buyer)
    with store_failures():
        done = await runtime_of(request).buyers_office.forget(request.user, named)
    return ForgottenAnswer(
        buyer=named,
        had_contact=done.had_contact,
        orders_changed=done.orders_changed,
        orders_left=done.orders_left,
    )


def _check_buyer(buyer: str) -> str:
    """Return a buyer's name that orders could have.

    Raises:
        ProblemError: `buyer-not-found`: it can't be one.
    """
    if not is_buyer(buyer):
        raise _not_found()
    return buyer


def _not_found() -> ProblemError:
    return ProblemError(ProblemKind.BUYER_NOT_FOUND, "You hold nothing of a buyer of this name.")


def _tell(known: KnownBuyer) -> BuyerAnswer:
    contact = msgspec.structs.asdict(known.contact)
    return BuyerAnswer(
        buyer=known.buyer, created_at=known.created_at, changed_at=known.changed_at, **contact
    )


def _tell_order(order: BuyersOrder, ids: Ids) -> HeldOrder:
    return HeldOrder(
        order=ids.order(order.show, order.id.bytes),
        show=ids.entity(Prefix.SHOW, order.show),
        status=order.status,
        currency=order.currency,
        total=order.total,
        payment_reference=order.payment_reference,
        sold_at=order.sold_at,
        tickets=[
            HeldTicket(ids.ticket(ticket.bytes), label, status)
            for ticket, label, status in order.tickets
        ],
    )


def _tell_hold(hold: BuyersHold, ids: Ids) -> HeldPlaces:
    return HeldPlaces(ids.entity(Prefix.SHOW, hold.show), hold.tickets, utc(hold.until_ms))


router = Router(
    path="/v1/buyers",
    tags=["buyers"],
    route_handlers=[find_buyers, keep_buyer, look_at_buyer, export_buyer, forget_buyer],
)
