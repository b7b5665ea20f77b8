"""What every route has at hand: the runtime, the reseller who asks, the show that is named."""

from functools import lru_cache
from typing import Any, Final, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State

from api.outcomes import hold_not_found, show_not_found
from api.problems import ProblemError, ProblemKind
from engine.catalog.life import Stores
from engine.catalog.released import read_sellers
from engine.inventory.shows import Show, UnknownShowError
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, HoldId, IdError, Ids, Prefix
from engine.runtime import Serving
from engine.tenancy.principals import Principal

ApiRequest = Request[EntityId, Principal, State]
"""A request whose `user` is the reseller, and whose `auth` says who asks for them."""

RUNTIME: Final = "runtime"


def runtime_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Serving:
    """Return the runtime that this application opened when it started."""
    return cast("Serving", connection.app.state[RUNTIME])


def is_anonymous(request: ApiRequest) -> bool:
    """Tell whether who asks shows no credential, as a route that serves anybody lets them."""
    return request.scope["auth"] is None


def stores_of(runtime: Serving) -> Stores:
    """Return what changes of shows go to."""
    settings = runtime.settings
    after_s, lasts_s = settings.archive_after_s, settings.show_lasts_s
    return Stores(runtime.app_engine, runtime.redis, runtime.ids, after_s, lasts_s)


async def find_show(request: ApiRequest, text: str) -> Show:
    """Return the asking reseller's show. Raises as `show_of`."""
    return await show_of(runtime_of(request), request.user, text)


async def find_show_to_sell(request: ApiRequest, text: str) -> Show:
    """Return a show that the asking reseller sells of. Raises as `show_of`."""
    return await show_to_sell(runtime_of(request), request.user, text)


async def show_to_sell(runtime: Serving, asker: EntityId, text: str) -> Show:
    """Return a reseller's show, or one of which places were released to them. Raises as `show_of`.

    For routes alone that tell or touch nothing of it but what was released.
    """
    try:
        return await runtime.box_office.show_to_sell(asker, parse_show(runtime.ids, text))
    except (IdError, UnknownShowError):
        raise show_not_found() from None


async def show_of(runtime: Serving, reseller: EntityId, text: str) -> Show:
    """Return a reseller's show.

    Raises:
        ProblemError: `show-not-found`, also for other people's shows.
    """
    try:
        return await runtime.box_office.show(reseller, parse_show(runtime.ids, text))
    except (IdError, UnknownShowError):
        raise show_not_found() from None


@lru_cache(maxsize=4096)
def parse_show(ids: Ids, text: str) -> EntityId:
    """Read a show's id.

    Raises:
        IdError: it is none.
        ForeignIdError: it is another cell's.
    """
    return ids.parse_entity(Prefix.SHOW, text)


def hold_of(runtime: Serving, show: Show, text: str) -> HoldId:
    """Read a hold's id.

    Raises:
        ProblemError: `hold-not-found`, for whatever was never handed out.
    """
    try:
        return runtime.ids.parse_hold(show.asker, show.id, text)
    except IdError:
        raise hold_not_found() from None


async def is_order_of(runtime: Serving, show: Show, order: HoldId) -> bool:
    """Tell whether an order of a show is one that who asks has sold, or others for them.

    An id that was never handed out here is none.
    """
    ids = runtime.ids
    if ids.is_own(show.asker, show.id, order):
        return True
    if show.seller is not None:
        return False
    with store_failures():
        sellers = await read_sellers(runtime.app_engine, show)
    return any(ids.is_own(seller, show.id, order) for seller in sellers)


def served_in_front(*named: str) -> ProblemError:
    """Return what Litestar's route says of a call that the fast lane serves.

    It gets here only by an address that is not quite the documented one.
    """
    return ProblemError(
        ProblemKind.NOT_FOUND,
        f"There is nothing at this address; {' '.join(named)} is reached without a trailing slash.",
    )
