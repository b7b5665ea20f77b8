"""What an app asks for when it sends somebody to the consent page, checked in a safe order.

Until the client and its address are known to belong together nobody is sent anywhere (RFC 6749,
4.1.2.1); afterwards faults are told to the app.
"""

import re
from typing import Final
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from api.oauth import read_scopes
from api.oauth_forms import ErrorCode, OAuthError, read_fields
from engine.platform.ids import IdError, Ids, Prefix
from engine.runtime import Serving
from engine.tenancy.oauth_clients import Client, GrantType, named_client
from engine.tenancy.principals import Mode, Scope

PARAMETERS: Final = (
    *("response_type", "client_id", "redirect_uri", "scope", "state"),
    *("code_challenge", "code_challenge_method", "mode"),
)
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_STATE_CHARACTERS_MAX: Final = 500


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked for, and fits together."""

    client: Client
    redirect_uri: str
    scopes: frozenset[Scope]
    challenge: str
    state: str | None
    mode: Mode
    fields: dict[str, str]

    @property
    def query(self) -> str:
        """The same request again."""
        return urlencode(self.fields)

    @property
    def origin(self) -> str:
        """Where the app is, for people to read."""
        parts = urlsplit(self.redirect_uri)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def form_action(self) -> str:
        """The same as a content security policy has it, which knows no IPv6 addresses."""
        return "http:" if "[" in self.origin else self.origin


class Unfit(Exception):  # noqa: N818 - ends the request, and is told
    """Nobody is sent anywhere: the message is for the person."""


class SentBack(Exception):  # noqa: N818 - as above
    """The app is told what does not fit."""

    def __init__(self, address: str) -> None:
        """Take where to send the browser."""
        super().__init__(address)
        self.address = address


async def read_asked(runtime: Serving, encoded: str) -> Asked:
    """Return what is asked for.

    Raises:
        Unfit: it is not certain who asks.
        SentBack: it does not fit.
        StoreUnavailableError: PostgreSQL can't be asked.
    """
    try:
        fields = read_fields(encoded)
    except OAuthError as error:
        raise Unfit(error.description) from None
    client = await _find(runtime, fields.get("client_id", ""))
    uri = fields.get("redirect_uri", "")
    if uri not in client.redirect_uris:
        msg = "The app sent an address that it is not registered with."
        raise Unfit(msg)
    fields = {name: fields[name] for name in PARAMETERS if name in fields} | {
        name: "given" for name in ("request", "request_uri") if name in fields
    }
    issuer = runtime.access_tokens.issuer
    try:
        return _check(client, uri, fields)
    except OAuthError as error:
        state = _state_of(fields)
        address = address_of(uri, issuer, state, error=error.error, about=error.description)
        raise SentBack(address) from None


def address_of(  # noqa: PLR0913 - what may be in it
    uri: str,
    issuer: str,
    state: str | None,
    *,
    code: str = "",
    error: str = "",
    about: str = "",
) -> str:
    """Return where a browser is sent back to, with who answers (RFC 9207)."""
    told = {"code": code, "error": error, "error_description": about, "state": state, "iss": issuer}
    query = urlencode({name: value for name, value in told.items() if value})
    return f"{uri}{'&' if '?' in uri else '?'}{query}"


async def _find(runtime: Serving, text: str) -> Client:
    msg = "The app that sent you here is not known, or was revoked."
    ids: Ids = runtime.ids
    try:
        named = ids.parse_entity(Prefix.OAUTH_CLIENT, text)
    except IdError:
        raise Unfit(msg) from None
    client = await named_client(runtime.app_engine, named)
    if client is None:
        raise Unfit(msg)
    return client


def _check(client: Client, uri: str, fields: dict[str, str]) -> Asked:
    if GrantType.AUTHORIZATION_CODE not in client.grant_types:
        raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT)
    if "request" in fields or "request_uri" in fields:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "Request objects are not supported.")
    if fields.get("response_type") != "code":
        raise OAuthError(ErrorCode.UNSUPPORTED_RESPONSE_TYPE, "response_type has to be code.")
    challenge = fields.get("code_challenge", "")
    if fields.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
        reason = "code_challenge is missing or not one by S256 (RFC 7636)."
        raise OAuthError(ErrorCode.INVALID_REQUEST, reason)
    if len(fields.get("state", "")) > _STATE_CHARACTERS_MAX:
        reason = f"state has more than {_STATE_CHARACTERS_MAX} characters."
        raise OAuthError(ErrorCode.INVALID_REQUEST, reason)
    try:
        mode = Mode(fields.get("mode", Mode.LIVE))
    except ValueError:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "mode is live or sandbox.") from None
    scopes = read_scopes(fields.get("scope", "")) or client.scopes
    if scopes - client.scopes:
        raise OAuthError(ErrorCode.INVALID_SCOPE, "The client is not registered for a scope.")
    return Asked(
        client=client,
        redirect_uri=uri,
        scopes=scopes,
        challenge=challenge,
        state=fields.get("state"),
        mode=mode,
        fields=fields,
    )


def _state_of(fields: dict[str, str]) -> str | None:
    state = fields.get("state")
    return state if state is not None and len(state) <= _STATE_CHARACTERS_MAX else None
