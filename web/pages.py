"""Pages for people who sign in: their forms, their cookies, and whose session it is.

A form counts only if it was sent from a page of ours: browsers say so (`Sec-Fetch-Site`, `Origin`),
keep the cookies to themselves (`SameSite=Lax`), and the form repeats what is in a cookie.
"""

import re
import secrets
from http import HTTPStatus
from math import ceil
from typing import Any, Final
from urllib.parse import quote

from litestar import Response
from litestar.datastructures import Cookie

from api.acting import note_user
from api.context import runtime_of
from api.sources import source_of_request
from engine.tenancy.door import Door
from engine.tenancy.sessions import COOKIE, SESSION_AGE_MAX, SignedIn, Throttled, find_session
from web.browser import Browser, PageRequest
from web.rendering import render

FORM_BYTES_MAX: Final = 16 * 1024

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{20,64}")
_TICKET: Final = re.compile(r"[0-9a-f]{20,600}")
_FORM: Final = "onsale_form"
_LOG_IN: Final = "onsale_log_in"
_TICKET_AGE_S: Final = 300
_NEXT_CHARACTERS_MAX: Final = 2000
_NEXT: Final = re.compile(r"/(?:[^/\\\x00-\x20\x7f-\uffff][^\\\x00-\x20\x7f-\uffff]*)?")

Page = Response[bytes]


class PageVisit(Browser):
    """One visit to one of these pages."""

    def __init__(self, request: PageRequest, form: bytes = b"") -> None:
        """Take the request, and the form that came with it."""
        super().__init__(request, form)
        self.request = request
        self.door: Door = runtime_of(request).door
        self._secure = self.door.site.startswith("https:")
        kept = self.cookie(self._name(_FORM), _SECRET)
        self._form_token = kept or secrets.token_urlsafe(32)
        self._cookies = [] if kept else [self._cookie(_FORM, self._form_token, None)]

    @property
    def source(self) -> bytes:
        """What this visitor's address is counted by."""
        return source_of_request(self.request)

    @property
    def session_token(self) -> str | None:
        """The secret of the session that the browser kept."""
        return self.cookie(self._name(COOKIE), _SECRET)

    @property
    def ticket(self) -> str:
        """What says that the password was right, while the code is still asked for."""
        return self.cookie(self._name(_LOG_IN), _TICKET) or ""

    @property
    def next(self) -> str:
        """Where to go on to: a path of this site, or nowhere."""
        given = self.form.get("next") or self.query.get("next", "")
        return given if len(given) <= _NEXT_CHARACTERS_MAX and _NEXT.fullmatch(given) else ""

    @property
    def is_own_form(self) -> bool:
        """Whether the form was sent from a page that this browser got from us."""
        given = self.form.get("form", "")
        return not self.comes_from_elsewhere and secrets.compare_digest(
            given.encode(), self._form_token.encode()
        )

    async def signed_in(self) -> SignedIn | None:
        """Return whose session it is; from here on it is they who act."""
        token = self.session_token
        found = None if token is None else await find_session(self.door.app, token)
        if found is not None:
            note_user(self.request, found.user)
        return found

    def keep_session(self, token: str) -> None:
        """Have the browser keep a session, and forget how it came about."""
        self._cookies.append(self._cookie(COOKIE, token, int(SESSION_AGE_MAX.total_seconds())))
        self._cookies.append(self._cookie(_LOG_IN, "", 0))

    def keep_ticket(self, ticket: str) -> None:
        """Have the browser keep what says that the password was right."""
        self._cookies.append(self._cookie(_LOG_IN, ticket, _TICKET_AGE_S))

    def forget_session(self) -> None:
        """Have the browser forget its session."""
        self._cookies.append(self._cookie(COOKIE, "", 0))

    def show(
        self,
        template: str,
        status: int = HTTPStatus.OK,
        *,
        headers: dict[str, str] | None = None,
        **given: Any,  # noqa: ANN401 - whatever the template shows
    ) -> Page:
        """Return a page."""
        policy = {"Content-Security-Policy": _POLICY, **(headers or {})}
        page = render(template, status, headers=policy, form_token=self._form_token, **given)
        return self._with_cookies(page)

    def go(self, path: str, **parameters: str) -> Page:
        """Send the browser on to a path of this site, by GET."""
        query = "&".join(f"{name}={quote(text, safe='')}" for name, text in parameters.items())
        address = f"{path}?{query}" if query else path
        headers = {"Location": address, "Referrer-Policy": "same-origin"}
        page = Response(
            b"", status_code=HTTPStatus.SEE_OTHER, media_type="text/plain", headers=headers
        )
        return self._with_cookies(page)

    def say(
        self, status: int, heading: str, text: str, *, onward: str = "", words: str = ""
    ) -> Page:
        """Return a page that says one thing, with a link to what comes next."""
        return self.show(
            "said.html", status, heading=heading, text=text, onward=onward, words=words
        )

    def _with_cookies(self, page: Page) -> Page:
        for cookie in self._cookies:
            page.set_cookie(cookie)
        return page

    def _cookie(self, name: str, value: str, age_s: int | None) -> Cookie:
        return Cookie(
            key=self._name(name),
            value=value,
            max_age=age_s,
            path="/",
            httponly=True,
            samesite="lax",
            secure=self._secure,
        )

    def _name(self, name: str) -> str:
        return f"__Host-{name}" if self._secure else name


async def read_visit(request: PageRequest) -> PageVisit:
    """Return a visit with the form that came with it."""
    return PageVisit(request, await request.body())


def retry_after(throttled: Throttled) -> dict[str, str]:
    """Return the header that says when to come again."""
    return {"Retry-After": str(ceil(throttled.retry_after_s))}


def wait_words(throttled: Throttled) -> str:
    """Say how long to wait."""
    minutes = ceil(throttled.retry_after_s / 60)
    return "Wait a minute, then try again." if minutes <= 1 else f"Try again in {minutes} minutes."


BUSY: Final = "Very many people sign in at this moment. Try again in a few seconds."


def from_elsewhere(visit: PageVisit, here: str) -> Page:
    """Say that a form was not sent from our own page."""
    return visit.say(
        HTTPStatus.FORBIDDEN,
        "That came from another page",
        "This form works only from its own page, in the browser that opened it, with cookies on.",
        onward=here,
        words="Open that page",
    )
