"""The waiting room's page, `/queue/{show}`: it works by links and forms."""

from http import HTTPStatus
from typing import Any, Final, cast

import structlog
from litestar import Response, Router, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from api.compressing import accepts_gzip
from api.context import runtime_of
from api.problems import ProblemError
from api.regions import misdirected
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import ForeignIdError
from web.assets import ASSETS
from web.queue_face import Refusal, address_with, find_standing, return_of, show_face
from web.rendering import html, message, see_other
from web.room import (
    IdentityRefused,
    Joined,
    NotYourTurn,
    OtherCheck,
    Pass,
    PassEnded,
    PassState,
    ProofRequired,
    QueueShut,
    Room,
    TokenRefused,
    TooManyJoins,
)
from web.visit import PageRequest, Visit

ROOM: Final = "waiting_room"
"""Where the application keeps its Room."""

_FORM_BYTES_MAX: Final = 16 * 1024
_FOREVER: Final = "public, max-age=31536000, immutable"
_REFUSALS: Final[dict[type, str]] = {
    IdentityRefused: "The link that brought you here is not valid any more. Go back to the shop.",
    OtherCheck: "This sale asks for a check that this page does not have. Join from the shop.",
}
_A_WHILE: Final = "public, max-age=300"

_log = structlog.stdlib.get_logger(__name__)

Page = Response[bytes]


@get("/{show:str}")
async def look(request: PageRequest, show: FromPath[str]) -> Page:
    """Show where somebody stands, or let them join."""
    visit, room = Visit(request, show), _room(request)
    queue = await room.queue(show)
    return _no_queue() if queue is None else await show_face(visit, room, queue)


@post("/{show:str}")
async def join(request: PageRequest, show: FromPath[str]) -> Page:
    """Give a number to who has none, and send the browser back to the page."""
    visit, room = Visit(request, show, await request.body()), _room(request)
    queue = await room.queue(show)
    if queue is None or visit.comes_from_elsewhere:
        return _no_queue() if queue is None else _from_elsewhere()
    if await _keeps_place(visit, room):
        return see_other(visit.here())
    outcome = await room.join(
        show, visit.came_from, identity=visit.identity, proof=visit.form.get("proof")
    )
    match outcome:
        case Joined():
            return see_other(visit.here(), visit.keep(outcome.token))
        case ProofRequired():
            refusal = Refusal(proof=outcome)
        case OtherCheck() | IdentityRefused():
            refusal = Refusal(notice=_REFUSALS[type(outcome)])
        case TooManyJoins():
            return _too_many(visit, outcome)
        case QueueShut():
            return see_other(visit.here())
    return await show_face(visit, room, queue, refusal)


@post("/{show:str}/pass")
async def claim(request: PageRequest, show: FromPath[str]) -> Page:
    """Take the pass of who is admitted, and send the browser on to the shop with it."""
    visit, room = Visit(request, show, await request.body()), _room(request)
    queue = await room.queue(show)
    if queue is None or visit.comes_from_elsewhere:
        return _no_queue() if queue is None else _from_elsewhere()
    if visit.token is None:
        return see_other(visit.here())
    outcome = await room.claim(show, visit.token)
    match outcome:
        case Pass():
            onward = return_of(visit, queue)
            return see_other(address_with(outcome, onward, show) if onward else visit.here())
        case NotYourTurn():
            return see_other(visit.here(retry=str(outcome.retry_after_s)))
        case PassEnded() | TokenRefused():
            return see_other(visit.here())


@post("/{show:str}/leave")
async def leave(request: PageRequest, show: FromPath[str]) -> Page:
    """Give the place up for good."""
    visit, room = Visit(request, show, await request.body()), _room(request)
    if visit.comes_from_elsewhere:
        return _from_elsewhere()
    if visit.token is not None:
        await room.leave(show, visit.token)
    return see_other(visit.here(), visit.forget())


@get("/{show:str}/verify")
async def verify(request: PageRequest, show: FromPath[str]) -> Page:
    """Let anyone recompute the draw in their own browser."""
    if await _room(request).queue(show) is None:
        return _no_queue()
    return html(ASSETS["verify-draw.html"].content)


@get("/static/{name:str}")
async def static(request: PageRequest, name: FromPath[str]) -> Page:
    """Send a file of the page."""
    asset = ASSETS.get(name)
    if asset is None:
        return message(HTTPStatus.NOT_FOUND, "Nothing here", "There is nothing at this address.")
    is_versioned = request.scope["query_string"] == f"v={asset.version}".encode()
    headers = {
        "Cache-Control": _FOREVER if is_versioned else _A_WHILE,
        "ETag": f'"{asset.version}"',
        "Vary": "Accept-Encoding",
    }
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        content, headers["Content-Encoding"] = asset.gzipped, "gzip"
    else:
        content = asset.content
    return Response(content, media_type=asset.kind, headers=headers)


async def _keeps_place(visit: Visit, room: Room) -> bool:
    """Tell whether who asks to join has joined: a second tab, a second click, a page sent again."""
    standing = await find_standing(visit, room)
    return standing is not None and not (visit.wants_another and standing.passed is PassState.ENDED)


def _no_queue() -> Page:
    return message(
        HTTPStatus.NOT_FOUND,
        "No waiting room here",
        "There is no such show, or it has no waiting room. Check the address, or go back to the "
        "shop that sent you here.",
    )


def _from_elsewhere() -> Page:
    return message(
        HTTPStatus.FORBIDDEN,
        "That came from another page",
        "This form works only from the waiting room's own page: open it, and try there.",
    )


def _too_many(visit: Visit, outcome: TooManyJoins) -> Page:
    return message(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many at once",
        "Very many people join from your network at the moment. Wait a little, then try again.",
        here=visit.here(),
        again_after_s=outcome.retry_after_s,
    )


def _tell_unavailable(request: PageRequest, _: StoreUnavailableError) -> Page:
    show = str(request.path_params.get("show", ""))
    return message(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "One moment, please",
        "The waiting room can't be reached right now. If you are in line, your place is kept; "
        "this page tries again by itself.",
        here=Visit(request, show).here(),
    )


def _tell_problem(request: PageRequest, problem: ProblemError) -> Page:
    return _tell_status(request, problem.kind.status)


def _tell_http(request: PageRequest, error: HTTPException) -> Page:
    return _tell_status(request, error.status_code)


def _tell_status(request: PageRequest, status: int) -> Page:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _tell_unavailable(request, StoreUnavailableError())
    return message(status, "That did not work", "Go back to the waiting room's page and try again.")


def _tell_elsewhere(request: PageRequest, foreign: ForeignIdError) -> Page:
    """Show people the way to the cell that has their waiting room."""
    path = request.scope["path"].partition("/pass")[0].partition("/leave")[0]
    query = request.scope["query_string"].decode("latin-1")
    problem = misdirected(runtime_of(request).cells, foreign, path, query)
    address = problem.headers.get("Location")
    text = (
        "The waiting room of this show is at another address: use the button below."
        if address
        else "The waiting room of this show is at another address. Go back to the shop."
    )
    return message(problem.kind.status, "This show waits elsewhere", text, elsewhere=address)


def _tell_error(request: PageRequest, error: Exception) -> Page:
    _log.error("page failed", method=request.method, exc_info=error)
    return message(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong here",
        "It was logged. If you are in line, your place is kept: load the page again.",
    )


def _room(request: PageRequest) -> Room:
    return cast("Room", request.app.state[ROOM])


_HANDLERS: Final[dict[Any, Any]] = {
    StoreUnavailableError: _tell_unavailable,
    ProblemError: _tell_problem,
    ForeignIdError: _tell_elsewhere,
    HTTPException: _tell_http,
    Exception: _tell_error,
}


def queue_router() -> Router:
    """Return the page's routes: each application has a router of its own."""
    return Router(
        path="/queue",
        route_handlers=[look, join, claim, leave, verify, static],
        exception_handlers=_HANDLERS,
        request_max_body_size=_FORM_BYTES_MAX,
        include_in_schema=False,
    )
