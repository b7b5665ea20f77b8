"""What the tests of OAuth share: accounts with people, clients, and how a browser consents."""

import base64
import hashlib
import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from msgspec import Struct
from sqlalchemy import update

from engine.platform.database import create_engine
from engine.platform.ids import EntityId, Prefix
from engine.platform.settings import OWNER_ROLE
from engine.platform.tables import resellers
from engine.tenancy.keys import IssuedKey, NewKey, issue_key
from engine.tenancy.principals import EVERY_SCOPE, Scope
from engine.tenancy.sessions import LoggedIn, log_in
from engine.tenancy.sign_up import SignedUp
from ops.stack import Stack
from tests.engine.account_ground import HERE, PASSWORD, AccountGround, open_account_ground
from tests.plain_http import NO_CERTIFICATES

CALLBACK = "https://app.example/callback?from=onsale"
BOTH = ("client_credentials", "authorization_code")


class Client(Struct, frozen=True):
    """A registered client."""

    id: str
    secret: str | None

    def log_in(self) -> dict[str, str]:
        """Return what it puts into forms to log in."""
        told = {"client_id": self.id}
        return told if self.secret is None else told | {"client_secret": self.secret}


class OAuthDesk:
    """An account with an owner, over HTTP and beside it."""

    def __init__(
        self, stack: Stack, ground: AccountGround, account: SignedUp, email: str, key: str
    ) -> None:
        """Take the account, and a key of its live reseller."""
        self.stack = stack
        self.ground = ground
        self.account = account
        self.email = email
        self.key = key
        self.http = httpx.AsyncClient(base_url=stack.base_url, timeout=30, verify=NO_CERTIFICATES)

    @property
    def reseller(self) -> str:
        """The live reseller, as it is named outside."""
        return self.ground.ids.entity(Prefix.RESELLER, self.account.reseller)

    async def register(
        self,
        *scopes: str,
        kind: str = "confidential",
        grant_types: tuple[str, ...] | None = None,
        redirect_uris: tuple[str, ...] = (CALLBACK,),
        key: str | None = None,
    ) -> Client:
        """Register a client."""
        usual = BOTH if kind == "confidential" else BOTH[1:]
        body = {
            "name": "Till app",
            "kind": kind,
            "grant_types": grant_types or usual,
            "redirect_uris": redirect_uris,
            "scopes": scopes or ["shows:read", "holds:write", "orders:read"],
        }
        made = await self.http.post("/v1/oauth-clients", json=body, headers=bearer(key or self.key))
        assert made.status_code == 201, made.text
        return Client(made.json()["client"], made.json()["secret"])

    async def ask(self, path: str, **fields: str) -> httpx.Response:
        """Send a form."""
        return await self.http.post(path, data=fields)

    async def tokens(self, **fields: str) -> dict[str, Any]:
        """Ask for tokens, and get them."""
        answer = await self.ask("/oauth/token", **fields)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.json()

    async def call(self, token: str, path: str = "/v1/shows") -> int:
        """Return the status of a call with a token."""
        return (await self.http.get(path, headers=bearer(token))).status_code

    async def browser(self, email: str | None = None) -> httpx.AsyncClient:
        """Return a browser in which somebody is signed in."""
        outcome = await log_in(self.ground.door, email or self.email, PASSWORD, HERE)
        assert isinstance(outcome, LoggedIn), outcome
        return httpx.AsyncClient(
            base_url=self.stack.base_url,
            cookies={"onsale_session": outcome.token},
            timeout=30,
            verify=NO_CERTIFICATES,
        )


def bearer(token: str) -> dict[str, str]:
    """Return the header of who has a credential."""
    return {"Authorization": f"Bearer {token}"}


def new_verifier() -> tuple[str, str]:
    """Return a PKCE verifier and its challenge."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).decode().rstrip("=")


def authorize_address(client: str, challenge: str, **changes: str | None) -> str:
    """Return what an app sends a browser to."""
    parameters = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": CALLBACK,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "state": "my state&more=1",
    } | changes
    told = {name: value for name, value in parameters.items() if value is not None}
    return f"/oauth/authorize?{urlencode(told)}"


async def decide(
    browser: httpx.AsyncClient, address: str, answer: str = "approve"
) -> httpx.Response:
    """Open the consent page, and press one of its buttons."""
    page = await browser.get(address)
    assert page.status_code == 200, (page.status_code, page.headers, page.text)
    fields = dict(re.findall(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">', page.text))
    fields = {name: _plain(value) for name, value in fields.items()}
    return await browser.post("/oauth/authorize", data=fields | {"decision": answer})


def sent_back(response: httpx.Response, to: str = CALLBACK) -> dict[str, str]:
    """Return what a browser is sent back to an app with."""
    assert response.status_code == 303, response.text
    location = response.headers["location"]
    assert location.startswith(to + ("&" if "?" in to else "?")), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@asynccontextmanager
async def open_desk(stack: Stack) -> AsyncGenerator[OAuthDesk]:
    """Make an account that an operator has approved."""
    owner = create_engine(stack.settings, OWNER_ROLE)
    async with open_account_ground(stack.settings) as ground:
        account, email = await ground.account()
        await set_status(stack, account, "approved")
        key = await key_of(ground, account.reseller)
        desk = OAuthDesk(stack, ground, account, email, key.text)
        try:
            yield desk
        finally:
            await desk.http.aclose()
            await owner.dispose()


async def key_of(
    ground: AccountGround, reseller: EntityId, scopes: frozenset[Scope] = EVERY_SCOPE
) -> IssuedKey:
    """Return a key of a reseller."""
    new = NewKey(name="test", scopes=scopes)
    made = await issue_key(ground.door.app, reseller, ground.door.region, new)
    assert isinstance(made, tuple), made
    return made[0]


async def set_status(stack: Stack, account: SignedUp, status: str) -> None:
    """Approve or suspend an account, as an operator does."""
    owner = create_engine(stack.settings, OWNER_ROLE)
    try:
        async with owner.begin() as connection:
            named = resellers.c.id.in_([account.reseller, account.sandbox])
            await connection.execute(update(resellers).where(named).values(status=status))
    finally:
        await owner.dispose()


def _plain(value: str) -> str:
    for entity, text in (("&#34;", '"'), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">")):
        value = value.replace(entity, text)
    return value.replace("&amp;", "&")
