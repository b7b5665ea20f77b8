"""The routes of the pages that people sign in by, and what they say when something fails."""

from http import HTTPStatus
from typing import Any, Final

import structlog
from litestar import Router
from litestar.exceptions import HTTPException

from api.problems import ProblemError
from engine.platform.errors import StoreUnavailableError, is_outage
from web import consent, joining, security, sign_in
from web.browser import PageRequest
from web.pages import FORM_BYTES_MAX, Page, PageVisit

_log = structlog.stdlib.get_logger(__name__)


def _tell_problem(request: PageRequest, problem: ProblemError) -> Page:
    return _tell_status(request, problem.kind.status)


def _tell_http(request: PageRequest, error: HTTPException) -> Page:
    return _tell_status(request, error.status_code)


def _tell_unavailable(request: PageRequest, _: Exception) -> Page:
    return PageVisit(request).say(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "One moment, please",
        "We can't look that up right now. Try again in a few seconds.",
        onward="/sign-in",
        words="Try again",
    )


def _tell_status(request: PageRequest, status: int) -> Page:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _tell_unavailable(request, StoreUnavailableError())
    return PageVisit(request).say(
        status,
        "That did not work",
        "Go back to the page that you came from, and try again.",
        onward="/sign-in",
        words="Sign in",
    )


def _tell_error(request: PageRequest, error: Exception) -> Page:
    if is_outage(error):
        return _tell_unavailable(request, error)
    _log.error("page failed", method=request.method, exc_info=error)
    return PageVisit(request).say(
        HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here", "It was logged."
    )


_HANDLERS: Final[dict[Any, Any]] = {
    StoreUnavailableError: _tell_unavailable,
    ProblemError: _tell_problem,
    HTTPException: _tell_http,
    Exception: _tell_error,
}


def people_router() -> Router:
    """Return the pages' routes: each application has a router of its own."""
    return Router(
        path="/",
        route_handlers=[
            sign_in.ask,
            sign_in.sign_in,
            sign_in.ask_code,
            sign_in.sign_in_by_code,
            sign_in.ask_sign_out,
            sign_in.sign_out,
            joining.ask_confirm,
            joining.confirm_address,
            joining.ask_invited,
            joining.accept,
            joining.ask_reset,
            joining.reset,
            consent.ask,
            consent.decide,
            security.look,
            security.set_password,
            security.begin,
            security.confirm,
            security.turn_off,
        ],
        exception_handlers=_HANDLERS,
        request_max_body_size=FORM_BYTES_MAX,
        include_in_schema=False,
    )
