"""The API: Litestar, and the fast lane in front of it. `web.app` serves it with the pages."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast

import msgspec
import structlog
from litestar import Litestar, Request, Response, Router
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ASGIApp
from msgspec import Struct

from api import (
    accounts,
    allotments,
    availability,
    batches,
    bundles,
    buyers,
    choices,
    configurations,
    edits,
    events,
    facts,
    health,
    holds,
    house,
    interchange,
    invitations,
    keys,
    live,
    oauth,
    oauth_clients,
    orders,
    performers,
    prices,
    purchases,
    queues,
    regions,
    search,
    seats,
    sheets,
    show_life,
    shows,
    sign_up,
    trail,
    upheavals,
    users,
    venues,
    webhooks,
)
from api.acting import note_visitor
from api.context import RUNTIME, runtime_of
from api.contract import notices_of, openapi_config
from api.credentials import CREDENTIALS, Credentials, require_scope
from api.door import Door
from api.edge import Edge
from api.fastlane.app import FastLane
from api.limits import LIMITS, Limits
from api.outcomes import unavailable
from api.problems import MEDIA_TYPE, Fault, ProblemError, ProblemKind, invalid
from api.reading import BODY_BYTES_MAX, require_json_accepted
from api.server import Behind
from api.versions import Versions
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import ForeignIdError
from engine.platform.logs import configure_logs
from engine.platform.settings import Settings, load_settings
from engine.runtime import open_serving
from engine.tenancy.keys import authenticate

_KINDS: Final = {
    400: ProblemKind.MALFORMED_REQUEST,
    401: ProblemKind.UNAUTHORIZED,
    404: ProblemKind.NOT_FOUND,
    405: ProblemKind.METHOD_NOT_ALLOWED,
    413: ProblemKind.BODY_TOO_LARGE,
}

_log = structlog.stdlib.get_logger(__name__)


def create_app(settings: Settings | None = None) -> Litestar:
    """Return the application; without settings it reads them from the environment at its start.

    Raises, when it starts:
        SettingsError: a setting is missing or does not fit.
    """

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        given = settings or load_settings(os.environ)
        configure_logs(given.log_level)
        async with open_serving(given) as runtime:
            app.state[RUNTIME] = runtime
            app.state[CREDENTIALS] = Credentials(
                partial(authenticate, runtime.app_engine),
                region=given.region,
                other_regions=runtime.cells.others,
                recognise=runtime.access_tokens.recognise,
            )
            app.state[LIMITS] = Limits(given.key_rate_max, given.address_rate_max)
            yield

    guarded = Router(
        path="/",
        guards=[require_scope, require_json_accepted],
        route_handlers=[
            shows.router,
            allotments.router,
            prices.router,
            show_life.router,
            upheavals.router,
            choices.router,
            sheets.router,
            seats.router,
            availability.router,
            house.router,
            edits.router,
            holds.router,
            purchases.router,
            orders.router,
            bundles.router,
            batches.router,
            keys.router,
            oauth_clients.router,
            buyers.router,
            trail.router,
            live.router,
            accounts.router,
            users.router,
            webhooks.router,
            facts.router,
            venues.router,
            configurations.of_venue,
            configurations.router,
            events.router,
            performers.router,
            search.router,
        ],
    )
    return Litestar(
        route_handlers=[
            health.router,
            regions.router,
            queues.router,
            oauth.router,
            sign_up.router,
            invitations.router,
            interchange.router,
            guarded,
        ],
        guards=[note_visitor],
        lifespan=[lifespan],
        exception_handlers={
            ProblemError: _tell_problem,
            StoreUnavailableError: _tell_unavailable,
            ForeignIdError: _tell_misdirected,
            HTTPException: _tell_http,
            Exception: _tell_error,
        },
        openapi_config=openapi_config(),
        request_max_body_size=BODY_BYTES_MAX,
        logging_config=None,
        debug=False,
    )


def _tell_problem(_: Request[Any, Any, Any], problem: ProblemError) -> Response[bytes]:
    return Response(
        problem.body(),
        status_code=problem.kind.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


def _tell_unavailable(
    request: Request[Any, Any, Any], error: StoreUnavailableError
) -> Response[bytes]:
    return _tell_problem(request, unavailable(error))


def _tell_misdirected(request: Request[Any, Any, Any], foreign: ForeignIdError) -> Response[bytes]:
    query = request.scope["query_string"].decode("latin-1")
    cells = runtime_of(request).cells
    return _tell_problem(request, regions.misdirected(cells, foreign, request.scope["path"], query))


def _tell_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Tell what Litestar refuses by itself: unknown paths, methods, sizes, query parameters."""
    if isinstance(error, ValidationException):
        return _tell_problem(request, invalid(*_parameter_faults(error)))
    kind = _KINDS.get(error.status_code)
    if kind is None:
        return _tell_error(request, error)
    details = {
        ProblemKind.NOT_FOUND: "There is nothing at this address; /schema lists what there is.",
        ProblemKind.METHOD_NOT_ALLOWED: "This address takes other methods; see Allow.",
        ProblemKind.BODY_TOO_LARGE: "The body has more bytes than this address takes.",
    }
    headers = {name.title(): value for name, value in (error.headers or {}).items()}
    if "Allow" in headers and "GET" in headers["Allow"]:
        headers["Allow"] += ", HEAD"
    return _tell_problem(
        request, ProblemError(kind, details.get(kind, error.detail), headers=headers)
    )


def _tell_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    _log.error("request failed", method=request.method, exc_info=error)
    return _tell_problem(request, ProblemError(ProblemKind.INTERNAL_ERROR, "It was logged here."))


def _parameter_faults(error: ValidationException) -> list[Fault]:
    """Read Litestar's list of `{"message", "key", "source"}`."""
    try:
        listed = msgspec.convert(error.extra, list[_BadParameter])
    except msgspec.ValidationError:
        return [Fault(error.detail)]
    return [Fault(bad.message, parameter=bad.key) for bad in listed]


class _BadParameter(Struct):
    message: str
    key: str = ""


def in_front(litestar: Litestar, versions: Versions | None = None) -> FastLane:
    """Return the whole application: the fast lane, and behind the edge everything else."""
    door = Door(cast("ASGIApp", litestar), litestar.state)
    edge = cast("ASGIApp", Edge(cast("ASGIApp", door)))
    return FastLane(
        litestar.state,
        Behind(litestar, edge),
        versions=versions or Versions(),
        notices=notices_of(litestar),
    )
