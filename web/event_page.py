"""An event's page, `/events/{event}`: what is public of it, for people and for who shows links."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar import Response, Router, get
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from api.context import runtime_of
from api.kept_answers import ForAll, answer_for_all
from api.problems import ProblemError
from api.regions import misdirected
from api.written_once import FOR_ALL
from engine.catalog.finder import TooBusyError
from engine.catalog.interchange.reading import PublicReads
from engine.catalog.pages import EventPage
from engine.platform.errors import StoreUnavailableError, is_outage, store_failures
from engine.platform.ids import ForeignIdError, IdError, Prefix
from web.browser import PageRequest
from web.event_view import view_event
from web.rendering import message, see_other, written

_FRESH_S: Final = 30
_STALE_S: Final = 30
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' https:; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'"
)
_HEADERS: Final = (
    ("Content-Security-Policy", _POLICY),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
)
_NO_EVENT: Final = (
    "There is no such event, or it is not public. Check the address, or go back to the page that "
    "sent you here."
)

_log = structlog.stdlib.get_logger(__name__)

Page = Response[Any]


@get("/{event:str}")
async def look(request: PageRequest, event: FromPath[str]) -> Page:
    """Show an event and its dates."""
    runtime = runtime_of(request)
    try:
        named = runtime.ids.parse_entity(Prefix.EVENT, event)
    except IdError:
        return _no_event()
    reads = PublicReads(runtime.app_engine, runtime.finder, runtime.ids)
    with store_failures():
        subject = await reads.subject("event", named)
    if subject is None or not isinstance(subject.page, EventPage):
        return _no_event()
    page, shown, site = subject.page, subject.shown, runtime.settings.site_address()
    # What is on sale, and over, is so by the second.
    now = datetime.now(UTC).replace(microsecond=0)
    content = await FOR_ALL.get(
        ("page", page, shown, now),
        lambda: written("event.html", event=view_event(page, shown, site, now)),
    )
    answer = ForAll(
        content=content,
        media_type="text/html",
        fresh_s=_FRESH_S,
        stale_s=_STALE_S,
        headers=_HEADERS,
    )
    return answer_for_all(request, answer)


def _no_event() -> Page:
    return message(HTTPStatus.NOT_FOUND, "No such event", _NO_EVENT)


def _tell_elsewhere(request: PageRequest, foreign: ForeignIdError) -> Page:
    """Send people to the cell that has the event."""
    problem = misdirected(runtime_of(request).cells, foreign, request.scope["path"])
    address = problem.headers.get("Location")
    return _no_event() if address is None else see_other(address)


def _tell_unavailable(request: PageRequest, _: Exception) -> Page:
    return message(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "One moment, please",
        "We can't look that up right now; this page tries again by itself.",
        here=request.scope["path"],
    )


def _tell_status(request: PageRequest, error: ProblemError | HTTPException) -> Page:
    status = error.kind.status if isinstance(error, ProblemError) else error.status_code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _tell_unavailable(request, error)
    return message(status, "That did not work", "Go back to the page that you came from.")


def _tell_error(request: PageRequest, error: Exception) -> Page:
    if is_outage(error):
        return _tell_unavailable(request, error)
    _log.error("page failed", method=request.method, exc_info=error)
    return message(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here", "It was logged.")


_HANDLERS: Final[dict[Any, Any]] = {
    StoreUnavailableError: _tell_unavailable,
    TooBusyError: _tell_unavailable,
    ForeignIdError: _tell_elsewhere,
    ProblemError: _tell_status,
    HTTPException: _tell_status,
    Exception: _tell_error,
}


def event_router() -> Router:
    """Return the page's route: each application has a router of its own."""
    return Router(
        path="/events",
        route_handlers=[look],
        exception_handlers=_HANDLERS,
        include_in_schema=False,
    )
