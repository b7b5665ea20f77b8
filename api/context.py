"""What every route has at hand: the runtime, the reseller who asks, the show that is named."""

from typing import Any, Final, cast

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State

from api.outcomes import hold_not_found, show_not_found
from engine.inventory.shows import Show, UnknownShowError
from engine.platform.ids import EntityId, HoldId, IdError, Prefix
from engine.runtime import Serving

ApiRequest = Request[EntityId, Any, State]
"""A request whose `user` is the reseller."""

RUNTIME: Final = "runtime"


def runtime_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Serving:
    """Return the runtime that this application opened when it started."""
    return cast("Serving", connection.app.state[RUNTIME])


async def find_show(request: ApiRequest, text: str) -> Show:
    """Return the asking reseller's show.

    Raises:
        ProblemError: `show-not-found`, also for other people's shows.
    """
    runtime = runtime_of(request)
    try:
        show = runtime.ids.parse_entity(Prefix.SHOW, text)
        return await runtime.box_office.show(request.user, show)
    except (IdError, UnknownShowError):
        raise show_not_found() from None


def parse_hold(request: ApiRequest, show: Show, text: str) -> HoldId:
    """Read a hold's id.

    Raises:
        ProblemError: `hold-not-found`, for whatever was never handed out.
    """
    try:
        return runtime_of(request).ids.parse_hold(request.user, show.id, text)
    except IdError:
        raise hold_not_found() from None
