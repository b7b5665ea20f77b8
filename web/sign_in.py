"""Signing in and out: `/sign-in`, `/sign-in/code`, `/sign-out`."""

from http import HTTPStatus
from typing import Final, assert_never

from litestar import get, post

from engine.tenancy.sessions import (
    Busy,
    LoggedIn,
    Refused,
    SecondFactorRequired,
    Throttled,
    finish_log_in,
    log_in,
    log_out,
    log_out_everywhere,
)
from web.browser import PageRequest
from web.pages import (
    BUSY,
    Page,
    PageVisit,
    from_elsewhere,
    read_visit,
    retry_after,
    wait_words,
)

HOME: Final = "/security"
"""Where who signs in goes on to, unless they came from somewhere."""

_REFUSED: Final = "That address and password do not belong together."
_CODE_REFUSED: Final = "That code is not right, was used already, or came too late."


@get("/sign-in")
async def ask(request: PageRequest) -> Page:
    """Ask for address and password; who is signed in goes on."""
    visit = PageVisit(request)
    if await visit.signed_in() is not None:
        return visit.go(visit.next or HOME)
    return _form(visit)


@post("/sign-in")
async def sign_in(request: PageRequest) -> Page:
    """Sign somebody in, or ask them for a code."""
    visit = await read_visit(request)
    if not visit.is_own_form:
        return from_elsewhere(visit, "/sign-in")
    email, password = visit.form.get("email", ""), visit.form.get("password", "")
    outcome = await log_in(visit.door, email, password, visit.source)
    match outcome:
        case LoggedIn():
            visit.keep_session(outcome.token)
            return visit.go(visit.next or HOME)
        case SecondFactorRequired():
            visit.keep_ticket(outcome.ticket)
            return visit.go("/sign-in/code", **({"next": visit.next} if visit.next else {}))
        case Refused():
            return _form(visit, HTTPStatus.FORBIDDEN, notice=_REFUSED)
        case Throttled() | Busy():
            return _later(visit, outcome)
        case _:
            assert_never(outcome)


@get("/sign-in/code")
async def ask_code(request: PageRequest) -> Page:
    """Ask for a code of the second factor."""
    visit = PageVisit(request)
    if not visit.ticket:
        return visit.go("/sign-in", **({"next": visit.next} if visit.next else {}))
    return _code_form(visit)


@post("/sign-in/code")
async def sign_in_by_code(request: PageRequest) -> Page:
    """Sign somebody in whose password was right."""
    visit = await read_visit(request)
    if not visit.is_own_form:
        return from_elsewhere(visit, "/sign-in")
    outcome = await finish_log_in(
        visit.door, visit.ticket, visit.form.get("code", ""), visit.source
    )
    match outcome:
        case LoggedIn():
            visit.keep_session(outcome.token)
            return visit.go(visit.next or HOME)
        case Refused():
            return _code_form(visit, HTTPStatus.FORBIDDEN, notice=_CODE_REFUSED)
        case Throttled():
            return _code_form(
                visit,
                HTTPStatus.TOO_MANY_REQUESTS,
                notice=f"Too many codes were wrong. {wait_words(outcome)}",
                headers=retry_after(outcome),
            )
        case _:
            assert_never(outcome)


@get("/sign-out")
async def ask_sign_out(request: PageRequest) -> Page:
    """Ask whether to sign out, here or everywhere."""
    visit = PageVisit(request)
    if await visit.signed_in() is None:
        return visit.go("/sign-in")
    return visit.show("sign_out.html")


@post("/sign-out")
async def sign_out(request: PageRequest) -> Page:
    """End this session, or all of this person's."""
    visit = await read_visit(request)
    if not visit.is_own_form:
        return from_elsewhere(visit, "/sign-out")
    signed_in = await visit.signed_in()
    if signed_in is not None:
        everywhere = visit.form.get("everywhere") == "1"
        await (log_out_everywhere if everywhere else log_out)(visit.door.app, signed_in)
    visit.forget_session()
    return visit.go("/sign-in", out="1")


def _form(
    visit: PageVisit,
    status: int = HTTPStatus.OK,
    *,
    notice: str = "",
    headers: dict[str, str] | None = None,
) -> Page:
    said = "You are signed out." if visit.query.get("out") == "1" else ""
    return visit.show(
        "sign_in.html",
        status,
        headers=headers,
        notice=notice,
        said="" if notice else said,
        next=visit.next,
        email=visit.form.get("email", ""),
    )


def _code_form(
    visit: PageVisit,
    status: int = HTTPStatus.OK,
    *,
    notice: str = "",
    headers: dict[str, str] | None = None,
) -> Page:
    return visit.show("sign_in_code.html", status, headers=headers, notice=notice, next=visit.next)


def _later(visit: PageVisit, outcome: Throttled | Busy) -> Page:
    if isinstance(outcome, Busy):
        after = {"Retry-After": "5"}
        return _form(visit, HTTPStatus.SERVICE_UNAVAILABLE, notice=BUSY, headers=after)
    return _form(
        visit,
        HTTPStatus.TOO_MANY_REQUESTS,
        notice=f"There were too many attempts. {wait_words(outcome)}",
        headers=retry_after(outcome),
    )
