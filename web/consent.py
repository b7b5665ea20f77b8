"""The consent page, `/oauth/authorize`: a person lets an app act in their name, or does not."""

from http import HTTPStatus
from typing import Final

from litestar import Response, get, post

from api.context import runtime_of
from api.oauth_forms import ErrorCode
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, Prefix
from engine.runtime import Serving
from engine.tenancy.accounts import Account, find_account
from engine.tenancy.keys import standing_of
from engine.tenancy.oauth_grants import Consent, account_of, give_consent
from engine.tenancy.principals import SCOPES_OF_ROLE, Scope
from engine.tenancy.sessions import SignedIn
from web.authorizing import Asked, SentBack, Unfit, address_of, read_asked
from web.browser import PageRequest
from web.pages import Page, PageVisit, from_elsewhere
from web.scope_words import SCOPE_WORDS

_HERE: Final = "/oauth/authorize"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_OTHER_ACCOUNT: Final = (
    "The app is registered by another account than the one that you are signed in to. Sign out, "
    "and in again as somebody of that account."
)
_NOT_APPROVED: Final = "The account is not approved yet: for now apps can use its sandbox."


class _Answerable(Exception):  # noqa: N818 - ends the request, and is told
    """The request ends with a page."""

    def __init__(self, page: Page) -> None:
        """Take the page."""
        super().__init__()
        self.page = page


@get(_HERE)
async def ask(request: PageRequest) -> Page:
    """Say who asks for what, and let the person decide."""
    visit = PageVisit(request)
    try:
        asked = await _asked(visit, request.scope["query_string"].decode("latin-1"))
        signed_in, acts_for = await _signed_in(visit, asked)
    except _Answerable as answer:
        return answer.page
    runtime = runtime_of(request)
    scopes = _allowed(asked, signed_in)
    with store_failures():
        account = await find_account(runtime.door, signed_in.reseller)
    named = runtime.ids.entity(Prefix.RESELLER, signed_in.reseller)
    return visit.show(
        "consent.html",
        headers={**_NO_STORE, "Content-Security-Policy": _policy(asked)},
        client=asked.client.name,
        account=account.legal.legal_name if isinstance(account, Account) else named,
        is_sandbox=acts_for == signed_in.sandbox,
        scopes=[SCOPE_WORDS[scope] for scope in Scope if scope in scopes],
        left_out=scopes != asked.scopes,
        goes_to=asked.origin,
        asked=asked.fields,
    )


@post(_HERE)
async def decide(request: PageRequest) -> Page:
    """Send the person back to the app: with a code, or with their no."""
    form = await request.body()
    visit = PageVisit(request, form)
    if not visit.is_own_form:
        return from_elsewhere(visit, "/sign-in")
    try:
        asked = await _asked(visit, form.decode("latin-1"))
        signed_in, acts_for = await _signed_in(visit, asked)
    except _Answerable as answer:
        return answer.page
    runtime = runtime_of(request)
    if visit.form.get("decision") != "approve":
        return _refuse(runtime, asked, "The person said no.")
    consent = Consent(
        client=asked.client,
        signed_in=signed_in,
        acts_for=acts_for,
        scopes=_allowed(asked, signed_in),
        redirect_uri=asked.redirect_uri,
        challenge=asked.challenge,
    )
    with store_failures():
        code = await give_consent(runtime.app_engine, consent)
    issuer = runtime.access_tokens.issuer
    return _go(address_of(asked.redirect_uri, issuer, asked.state, code=code))


async def _asked(visit: PageVisit, encoded: str) -> Asked:
    try:
        with store_failures():
            return await read_asked(runtime_of(visit.request), encoded)
    except Unfit as unfit:
        raise _Answerable(_say(visit, "This link does not work", str(unfit))) from None
    except SentBack as back:
        raise _Answerable(_go(back.address)) from None


async def _signed_in(visit: PageVisit, asked: Asked) -> tuple[SignedIn, EntityId]:
    """Return who is signed in and for whom the app would act, if they may let it."""
    runtime = runtime_of(visit.request)
    with store_failures():
        signed_in = await visit.signed_in()
    if signed_in is None:
        raise _Answerable(visit.go("/sign-in", next=f"{_HERE}?{asked.query}"))
    acts_for = account_of(asked.client, signed_in, asked.mode)
    if acts_for is None:
        raise _Answerable(_say(visit, "That is another account's app", _OTHER_ACCOUNT))
    with store_failures():
        mode = await standing_of(runtime.app_engine, acts_for)
    if mode is None:
        raise _Answerable(_refuse(runtime, asked, _NOT_APPROVED))
    if not _allowed(asked, signed_in):
        raise _Answerable(_refuse(runtime, asked, "The person's role allows none of the scopes."))
    return signed_in, acts_for


def _allowed(asked: Asked, signed_in: SignedIn) -> frozenset[Scope]:
    return asked.scopes & SCOPES_OF_ROLE[signed_in.role]


def _refuse(runtime: Serving, asked: Asked, about: str) -> Page:
    issuer = runtime.access_tokens.issuer
    error = ErrorCode.ACCESS_DENIED
    return _go(address_of(asked.redirect_uri, issuer, asked.state, error=error, about=about))


def _say(visit: PageVisit, heading: str, text: str) -> Page:
    return visit.say(HTTPStatus.BAD_REQUEST, heading, text, onward="/sign-out", words="Sign out")


def _go(address: str) -> Page:
    """Send the browser away from here: nobody there learns where it has been."""
    headers = {"Location": address, "Referrer-Policy": "no-referrer", **_NO_STORE}
    return Response(b"", status_code=HTTPStatus.SEE_OTHER, media_type="text/plain", headers=headers)


def _policy(asked: Asked) -> str:
    return (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action 'self' {asked.form_action}"
    )
