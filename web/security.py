"""How somebody signs in: `/security`, with password, second factor and sessions."""

from http import HTTPStatus
from typing import Final, assert_never

from litestar import get, post

from engine.tenancy.enrolment import (
    Dropped,
    Enrolled,
    Enrolment,
    SecondFactorIsOn,
    confirm_enrolment,
    drop_second_factor,
    enrol,
)
from engine.tenancy.resets import PasswordUnfit, change_password
from engine.tenancy.sessions import Busy, LoggedIn, Refused, SignedIn, Throttled
from engine.tenancy.users import UnknownUser, find_user
from web.browser import PageRequest
from web.pages import BUSY, Page, PageVisit, from_elsewhere, read_visit, retry_after, wait_words

_HERE: Final = "/security"
_SAID: Final = {
    "password": "Your password is changed. You were signed out everywhere else.",
    "off": "The second factor is off: the password alone counts.",
}


@get("/security")
async def look(request: PageRequest) -> Page:
    """Show how somebody signs in."""
    visit = PageVisit(request)
    signed_in = await visit.signed_in()
    if signed_in is None:
        return visit.go("/sign-in", next=_HERE)
    return await _page(visit, signed_in, said=_SAID.get(visit.query.get("done", ""), ""))


@post("/security/password")
async def set_password(request: PageRequest) -> Page:
    """Set a new password by the old one."""
    visit = await read_visit(request)
    signed_in = await visit.signed_in()
    if signed_in is None or not visit.is_own_form:
        return from_elsewhere(visit, _HERE)
    old, new = visit.form.get("old", ""), visit.form.get("password", "")
    outcome = await change_password(visit.door, signed_in, old, new)
    match outcome:
        case LoggedIn():
            visit.keep_session(outcome.token)
            return visit.go(_HERE, done="password")
        case Refused():
            return await _page(visit, signed_in, notice="The old password is not right.")
        case PasswordUnfit(reason):
            return await _page(visit, signed_in, notice=f"The new password {reason}.")
        case Throttled() | Busy():
            return await _later(visit, signed_in, outcome)
        case _:
            assert_never(outcome)


@post("/security/second-factor")
async def begin(request: PageRequest) -> Page:
    """Give somebody a secret for their app."""
    visit = await read_visit(request)
    signed_in = await visit.signed_in()
    if signed_in is None or not visit.is_own_form:
        return from_elsewhere(visit, _HERE)
    outcome = await enrol(visit.door, signed_in)
    match outcome:
        case Enrolment():
            return visit.show("second_factor.html", enrolment=outcome)
        case SecondFactorIsOn() | Refused():
            return visit.go(_HERE)
        case _:
            assert_never(outcome)


@post("/security/second-factor/confirm")
async def confirm(request: PageRequest) -> Page:
    """Let the second factor count from now on, and show the recovery codes."""
    visit = await read_visit(request)
    signed_in = await visit.signed_in()
    if signed_in is None or not visit.is_own_form:
        return from_elsewhere(visit, _HERE)
    outcome = await confirm_enrolment(visit.door, signed_in, visit.form.get("code", ""))
    match outcome:
        case Enrolled(codes):
            return visit.show("recovery_codes.html", codes=codes)
        case Refused():
            notice = "That code is not right: the second factor is not on yet. Begin again."
            return await _page(visit, signed_in, notice=notice)
        case SecondFactorIsOn():
            return visit.go(_HERE)
        case Throttled():
            return await _later(visit, signed_in, outcome)
        case _:
            assert_never(outcome)


@post("/security/second-factor/off")
async def turn_off(request: PageRequest) -> Page:
    """Take the second factor away, by a code of it."""
    visit = await read_visit(request)
    signed_in = await visit.signed_in()
    if signed_in is None or not visit.is_own_form:
        return from_elsewhere(visit, _HERE)
    outcome = await drop_second_factor(visit.door, signed_in, visit.form.get("code", ""))
    match outcome:
        case Dropped():
            return visit.go(_HERE, done="off")
        case Refused():
            return await _page(visit, signed_in, notice="That code is not right.")
        case Throttled():
            return await _later(visit, signed_in, outcome)
        case _:
            assert_never(outcome)


async def _later(visit: PageVisit, signed_in: SignedIn, outcome: Throttled | Busy) -> Page:
    if isinstance(outcome, Busy):
        status, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "5"}
        return await _page(visit, signed_in, status, notice=BUSY, headers=headers)
    return await _page(
        visit,
        signed_in,
        HTTPStatus.TOO_MANY_REQUESTS,
        notice=f"There were too many attempts. {wait_words(outcome)}",
        headers=retry_after(outcome),
    )


async def _page(  # noqa: PLR0913 - what the page says
    visit: PageVisit,
    signed_in: SignedIn,
    status: int | None = None,
    *,
    notice: str = "",
    said: str = "",
    headers: dict[str, str] | None = None,
) -> Page:
    user = await find_user(visit.door, signed_in.reseller, signed_in.user)
    if isinstance(user, UnknownUser):
        return visit.go("/sign-in")
    if status is None:
        status = HTTPStatus.FORBIDDEN if notice else HTTPStatus.OK
    return visit.show("security.html", status, headers=headers, notice=notice, said=said, user=user)
