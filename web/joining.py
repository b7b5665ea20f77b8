"""Pages that links in mails lead to: `/confirm`, `/invitation`, `/reset-password`.

Opening one does nothing: programs that look at mails open links too.
"""

from http import HTTPStatus
from typing import assert_never

from litestar import get, post

from engine.tenancy.invitations import (
    OpenInvitation,
    PersonUnfit,
    accept_invitation,
    look_at_invitation,
)
from engine.tenancy.mailed import TokenUnknown
from engine.tenancy.resets import (
    Asked,
    PasswordSet,
    PasswordUnfit,
    ask_for_reset,
    look_at_reset,
    reset_password,
)
from engine.tenancy.sessions import Busy, Throttled
from engine.tenancy.sign_up import AddressTaken, Confirmed, confirm
from engine.tenancy.users import User
from web.browser import PageRequest
from web.pages import BUSY, Page, PageVisit, from_elsewhere, read_visit, retry_after, wait_words

_LATER = {"Retry-After": "5"}


@get("/confirm")
async def ask_confirm(request: PageRequest) -> Page:
    """Ask for the click that confirms an address."""
    visit = PageVisit(request)
    return visit.show("confirm.html", token=visit.query.get("token", ""))


@post("/confirm")
async def confirm_address(request: PageRequest) -> Page:
    """Let somebody sign in who reads the mail of their address."""
    visit = await read_visit(request)
    if not visit.is_own_form:
        return from_elsewhere(visit, "/sign-in")
    outcome = await confirm(visit.door, visit.form.get("token", ""))
    match outcome:
        case Confirmed():
            return visit.say(
                HTTPStatus.OK,
                "Your address is confirmed",
                "You can sign in now.",
                onward="/sign-in",
                words="Sign in",
            )
        case AddressTaken():
            return _taken(visit)
        case TokenUnknown():
            return _over(visit)
        case _:
            assert_never(outcome)


@get("/invitation")
async def ask_invited(request: PageRequest) -> Page:
    """Show who invites, and ask for a name and a password."""
    visit = PageVisit(request)
    return await _invitation(visit, visit.query.get("token", ""))


@post("/invitation")
async def accept(request: PageRequest) -> Page:
    """Make a user of who was invited."""
    visit = await read_visit(request)
    if not visit.is_own_form:
        return from_elsewhere(visit, "/sign-in")
    token, name = visit.form.get("token", ""), visit.form.get("name", "")
    outcome = await accept_invitation(visit.door, token, name, visit.form.get("password", ""))
    match outcome:
        case User():
            return visit.say(
                HTTPStatus.OK,
                "Welcome",
                "Your log-in is ready.",
                onward="/sign-in",
                words="Sign in",
            )
        case PersonUnfit(faults):
            return await _invitation(visit, token, HTTPStatus.BAD_REQUEST, faults=faults)
        case Busy():
            return await _invitation(visit, token, HTTPStatus.SERVICE_UNAVAILABLE, notice=BUSY)
        case AddressTaken():
            return _taken(visit)
        case TokenUnknown():
            return _over(visit)
        case _:
            assert_never(outcome)


@get("/reset-password")
async def ask_reset(request: PageRequest) -> Page:
    """Ask for the address, or with a mailed secret for the new password."""
    visit = PageVisit(request)
    token = visit.query.get("token", "")
    if not token:
        return visit.show("reset_ask.html", notice="", asked=False)
    return await _new_password(visit, token)


@post("/reset-password")
async def reset(request: PageRequest) -> Page:
    """Have a mail sent, or set the new password."""
    visit = await read_visit(request)
    if not visit.is_own_form:
        return from_elsewhere(visit, "/reset-password")
    token = visit.form.get("token", "")
    if not token:
        return await _send(visit)
    outcome = await reset_password(visit.door, token, visit.form.get("password", ""))
    match outcome:
        case PasswordSet():
            return visit.say(
                HTTPStatus.OK,
                "Your password is changed",
                "You were signed out everywhere. Sign in with the new one.",
                onward="/sign-in",
                words="Sign in",
            )
        case PasswordUnfit(reason):
            fault = f"The password {reason}."
            return await _new_password(visit, token, HTTPStatus.BAD_REQUEST, fault=fault)
        case Busy():
            return await _new_password(visit, token, HTTPStatus.SERVICE_UNAVAILABLE, fault=BUSY)
        case TokenUnknown():
            return _over(visit)
        case _:
            assert_never(outcome)


async def _send(visit: PageVisit) -> Page:
    outcome = await ask_for_reset(visit.door, visit.form.get("email", ""), visit.source)
    match outcome:
        case Asked():
            return visit.show("reset_ask.html", notice="", asked=True)
        case Throttled():
            notice = f"There were too many requests. {wait_words(outcome)}"
            return visit.show(
                "reset_ask.html",
                HTTPStatus.TOO_MANY_REQUESTS,
                headers=retry_after(outcome),
                notice=notice,
                asked=False,
            )
        case Busy():
            status = HTTPStatus.SERVICE_UNAVAILABLE
            return visit.show("reset_ask.html", status, headers=_LATER, notice=BUSY, asked=False)
        case _:
            assert_never(outcome)


async def _new_password(
    visit: PageVisit, token: str, status: int = HTTPStatus.OK, *, fault: str = ""
) -> Page:
    if not await look_at_reset(visit.door, token):
        return _over(visit)
    return visit.show("reset_set.html", status, token=token, fault=fault)


async def _invitation(
    visit: PageVisit,
    token: str,
    status: int = HTTPStatus.OK,
    *,
    notice: str = "",
    faults: dict[str, str] | None = None,
) -> Page:
    found = await look_at_invitation(visit.door, token)
    if not isinstance(found, OpenInvitation):
        return _over(visit)
    return visit.show(
        "invitation.html",
        status,
        token=token,
        invitation=found,
        name=visit.form.get("name", ""),
        notice=notice,
        faults=faults or {},
    )


def _taken(visit: PageVisit) -> Page:
    return visit.say(
        HTTPStatus.CONFLICT,
        "This address has a log-in already",
        "An address can have one log-in. Sign in with it, or use another address.",
        onward="/sign-in",
        words="Sign in",
    )


def _over(visit: PageVisit) -> Page:
    return visit.say(
        HTTPStatus.NOT_FOUND,
        "This link is over",
        "It was used already, is too old, or was replaced by a newer one.",
        onward="/sign-in",
        words="Sign in",
    )
