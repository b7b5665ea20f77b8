"""Authorization code with PKCE: consent, codes that are good once, refresh tokens that rotate."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from engine.platform.ids import Prefix
from engine.tenancy.principals import EVERY_SCOPE, Role, Scope
from engine.tenancy.sessions import log_out_everywhere
from engine.tenancy.users import change_role, remove_user
from ops.stack import Stack
from tests.api.oauth_desk import (
    CALLBACK,
    Client,
    OAuthDesk,
    authorize_address,
    bearer,
    decide,
    key_of,
    new_verifier,
    open_desk,
    sent_back,
    set_status,
)
from web.scope_words import SCOPE_WORDS


@pytest.fixture(scope="module")
async def desk(stack: Stack) -> AsyncIterator[OAuthDesk]:
    """An approved account."""
    async with open_desk(stack) as desk:
        yield desk


@pytest.fixture(scope="module")
async def client(desk: OAuthDesk) -> Client:
    """A public client."""
    return await desk.register(kind="public")


@pytest.fixture
async def browser(desk: OAuthDesk) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which the account's owner is signed in."""
    async with await desk.browser() as browser:
        yield browser


async def consented(
    browser: httpx.AsyncClient, client: Client, **changes: str | None
) -> dict[str, str]:
    """Return what a client redeems after somebody has let it in."""
    verifier, challenge = new_verifier()
    back = sent_back(await decide(browser, authorize_address(client.id, challenge, **changes)))
    return {
        "grant_type": "authorization_code",
        "code": back["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": verifier,
        **client.log_in(),
    }


async def refused(desk: OAuthDesk, form: dict[str, str]) -> str:
    """Return with which error a request for tokens is refused."""
    answer = await desk.ask("/oauth/token", **form)
    assert answer.status_code in {400, 401}, answer.text
    return answer.json()["error"]


def refreshing(client: Client, tokens: dict[str, Any], **more: str) -> dict[str, str]:
    """Return the request for the next tokens."""
    refresh_token = tokens["refresh_token"]
    return {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        **client.log_in(),
        **more,
    }


async def test_a_person_lets_an_app_in(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """Told who asks, for whom and for what; the app gets a code, its state, the issuer."""
    verifier, challenge = new_verifier()
    address = authorize_address(client.id, challenge, scope="shows:read orders:read")
    page = await browser.get(address)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example" in policy
    for shown in ("Till app", "Erfurt Tickets GmbH", "See orders", "https://app.example"):
        assert shown in page.text
    assert SCOPE_WORDS[Scope.HOLDS_WRITE] not in page.text
    answer = await decide(browser, address)
    assert answer.status_code == 303
    assert answer.headers["referrer-policy"] == "no-referrer"
    back = sent_back(answer)
    assert back["state"] == "my state&more=1"
    assert back["iss"] == desk.stack.base_url
    tokens = await desk.tokens(
        grant_type="authorization_code",
        code=back["code"],
        redirect_uri=CALLBACK,
        code_verifier=verifier,
        **client.log_in(),
    )
    assert tokens["scope"] == "orders:read shows:read"
    assert await desk.call(tokens["access_token"]) == 200


async def test_a_person_says_no(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """The app is told so, with its state."""
    _, challenge = new_verifier()
    back = sent_back(await decide(browser, authorize_address(client.id, challenge), "deny"))
    assert back["error"] == "access_denied"
    assert back["state"] == "my state&more=1"
    assert "code" not in back
    assert back["iss"] == desk.stack.base_url


async def test_who_is_not_signed_in_signs_in_first(desk: OAuthDesk, client: Client) -> None:
    """And comes back to the same request."""
    _, challenge = new_verifier()
    answer = await desk.http.get(authorize_address(client.id, challenge))
    assert answer.status_code == 303
    parts = urlsplit(answer.headers["location"])
    assert parts.path == "/sign-in"
    [onward] = parse_qs(parts.query)["next"]
    assert parse_qs(urlsplit(onward).query)["code_challenge"] == [challenge]
    assert parse_qs(urlsplit(onward).query)["state"] == ["my state&more=1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "oac_dev_0123456789abcdef"},
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": CALLBACK + "&more=1"},
        {"redirect_uri": CALLBACK.replace("?from=onsale", "")},
        {"redirect_uri": CALLBACK.upper()},
        {"redirect_uri": CALLBACK + "/.."},
        {"redirect_uri": CALLBACK.replace("https", "http")},
        {"redirect_uri": CALLBACK.replace("app.example", "app.example@evil.example")},
    ],
)
async def test_nobody_is_sent_to_an_address_that_is_not_registered(
    client: Client, browser: httpx.AsyncClient, changes: dict[str, str | None]
) -> None:
    """Whatever else is wrong: the person is told, and stays."""
    _, challenge = new_verifier()
    for more in ({}, {"response_type": "token"}):
        page = await browser.get(authorize_address(client.id, challenge, **changes | more))
        assert page.status_code == 400
        assert "location" not in page.headers
        assert "evil.example" not in page.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": None}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
        ({"scope": "keys:manage"}, "invalid_scope"),
        ({"mode": "both"}, "invalid_request"),
        ({"request": "eyJ"}, "invalid_request"),
        ({"state": "x" * 501}, "invalid_request"),
    ],
)
async def test_a_request_that_does_not_fit_is_told_to_the_app(
    client: Client, browser: httpx.AsyncClient, changes: dict[str, str | None], error: str
) -> None:
    """PKCE is asked of everybody, by S256."""
    _, challenge = new_verifier()
    back = sent_back(await browser.get(authorize_address(client.id, challenge, **changes)))
    assert back["error"] == error
    assert "code" not in back


async def test_a_confidential_client_needs_pkce_too(
    desk: OAuthDesk, browser: httpx.AsyncClient
) -> None:
    """Without a challenge there is no code."""
    client = await desk.register()
    back = sent_back(await browser.get(authorize_address(client.id, "", code_challenge=None)))
    assert back["error"] == "invalid_request"


async def test_the_decision_counts_only_from_our_own_page(
    client: Client, browser: httpx.AsyncClient
) -> None:
    """Neither a form of another site's nor one without the page's own token is one."""
    _, challenge = new_verifier()
    address = authorize_address(client.id, challenge)
    fields = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    await browser.get(address)
    forged = await browser.post("/oauth/authorize", data=fields | {"decision": "approve"})
    assert forged.status_code == 403
    forged = await browser.post(
        "/oauth/authorize",
        data=fields | {"decision": "approve", "form": browser.cookies["onsale_form"]},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert forged.status_code == 403
    right = await browser.post(
        "/oauth/authorize",
        data=fields | {"decision": "approve", "form": browser.cookies["onsale_form"]},
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert "code" in sent_back(right)


async def test_a_code_is_good_once_and_a_second_use_ends_what_it_gave(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """Whoever it was that used it first."""
    form = await consented(browser, client)
    tokens = await desk.tokens(**form)
    assert await refused(desk, form) == "invalid_grant"
    assert await refused(desk, refreshing(client, tokens)) == "invalid_grant"


@pytest.mark.parametrize(
    "change",
    [
        {"code_verifier": "x" * 43},
        {"redirect_uri": "https://app.example/callback"},
    ],
)
async def test_a_code_is_bound_to_what_it_was_asked_with(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient, change: dict[str, str]
) -> None:
    """One guess: afterwards it is over."""
    form = await consented(browser, client)
    assert await refused(desk, form | change) == "invalid_grant"
    assert await refused(desk, form) == "invalid_grant"


@pytest.mark.parametrize("verifier", ["", "short", "x" * 129, "é" * 50])
async def test_a_verifier_that_is_none_is_refused(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient, verifier: str
) -> None:
    """Before the code is looked at."""
    form = await consented(browser, client)
    assert await refused(desk, form | {"code_verifier": verifier}) == "invalid_request"
    assert await desk.tokens(**form)


async def test_a_code_is_no_other_clients(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """Who tries does not use it up."""
    other = await desk.register(kind="public")
    form = await consented(browser, client)
    assert await refused(desk, form | other.log_in()) == "invalid_grant"
    assert await desk.tokens(**form)


async def test_of_many_who_redeem_a_code_at_once_one_gets_tokens(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """And what they get ends, since it was used again."""
    form = await consented(browser, client)
    answers = await asyncio.gather(*(desk.ask("/oauth/token", **form) for _ in range(8)))
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert await refused(desk, refreshing(client, good[0])) == "invalid_grant"


async def test_refresh_tokens_rotate(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """Each gives the next; scopes can be fewer, and are all again the next time."""
    tokens = await desk.tokens(**await consented(browser, client))
    narrow = await desk.tokens(**refreshing(client, tokens, scope="shows:read"))
    assert narrow["scope"] == "shows:read"
    assert narrow["refresh_token"] != tokens["refresh_token"]
    whole = await desk.tokens(**refreshing(client, narrow))
    assert whole["scope"] == tokens["scope"]
    assert await refused(desk, refreshing(client, whole, scope="keys:manage")) == "invalid_scope"
    assert await desk.tokens(**refreshing(client, whole)), "a wrong scope did not use it up"


async def test_a_refresh_token_that_comes_again_ends_its_family(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """The newest of them too: nobody knows which of the two users is the thief."""
    first = await desk.tokens(**await consented(browser, client))
    second = await desk.tokens(**refreshing(client, first))
    third = await desk.tokens(**refreshing(client, second))
    assert await refused(desk, refreshing(client, first)) == "invalid_grant"
    assert await refused(desk, refreshing(client, third)) == "invalid_grant"


async def test_of_many_who_refresh_at_once_one_goes_on_for_a_moment(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """Then the family ends."""
    tokens = await desk.tokens(**await consented(browser, client))
    form = refreshing(client, tokens)
    answers = await asyncio.gather(*(desk.ask("/oauth/token", **form) for _ in range(8)))
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert await refused(desk, refreshing(client, good[0])) == "invalid_grant"


async def test_a_refresh_token_is_no_other_clients(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """Nor can another end it, and nobody of another account sees it."""
    other = await desk.register()
    tokens = await desk.tokens(**await consented(browser, client))
    form = refreshing(client, tokens)
    assert await refused(desk, form | other.log_in()) == "invalid_grant"
    refresh_token = tokens["refresh_token"]
    ended = await desk.ask("/oauth/revoke", token=refresh_token, **other.log_in())
    assert ended.status_code == 200
    looked = await desk.ask("/oauth/introspect", token=refresh_token, **other.log_in())
    assert looked.json()["active"] is True
    assert looked.json()["client_id"] == client.id
    assert await desk.tokens(**form)


async def test_a_revoked_refresh_token_ends_its_grant(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """At once."""
    other = await desk.register()
    tokens = await desk.tokens(**await consented(browser, client))
    refresh_token = tokens["refresh_token"]
    ended = await desk.ask("/oauth/revoke", token=refresh_token, **client.log_in())
    assert ended.status_code == 200
    assert await refused(desk, refreshing(client, tokens)) == "invalid_grant"
    looked = await desk.ask("/oauth/introspect", token=refresh_token, **other.log_in())
    assert looked.json() == {"active": False}


async def test_a_person_gives_no_more_than_their_role(desk: OAuthDesk) -> None:
    """Whatever the app asks for, and whatever it is registered for."""
    app = await desk.register("shows:read", "buyers:manage", "keys:manage")
    _, email = await desk.ground.colleague(desk.account.reseller, Role.READ_ONLY)
    async with await desk.browser(email) as browser:
        _, challenge = new_verifier()
        page = await browser.get(authorize_address(app.id, challenge))
        assert "more than your role allows" in page.text
        assert SCOPE_WORDS[Scope.BUYERS_MANAGE] not in page.text
        tokens = await desk.tokens(**await consented(browser, app))
        assert tokens["scope"] == "shows:read"
        none = sent_back(
            await browser.get(authorize_address(app.id, "x" * 43, scope="keys:manage"))
        )
        assert none["error"] == "access_denied"


async def test_a_lesser_role_means_lesser_tokens(desk: OAuthDesk, client: Client) -> None:
    """What was given before is over."""
    user, email = await desk.ground.colleague(desk.account.reseller, Role.MANAGER)
    async with await desk.browser(email) as browser:
        tokens = await desk.tokens(**await consented(browser, client))
        door, reseller = desk.ground.door, desk.account.reseller
        await change_role(door, reseller, user.id, Role.READ_ONLY, held=EVERY_SCOPE)
        assert await refused(desk, refreshing(client, tokens)) == "invalid_grant"
    async with await desk.browser(email) as browser:
        tokens = await desk.tokens(**await consented(browser, client))
        assert tokens["scope"] == "orders:read shows:read"


async def test_logging_out_everywhere_ends_what_was_granted(
    desk: OAuthDesk, client: Client
) -> None:
    """And what somebody grants after logging in again goes on."""
    _, email = await desk.ground.colleague(desk.account.reseller, Role.MANAGER)
    async with await desk.browser(email) as browser:
        tokens = await desk.tokens(**await consented(browser, client))
        code = await consented(browser, client)
    await log_out_everywhere(desk.ground.door.app, await desk.ground.signed_in(email))
    assert await refused(desk, code) == "invalid_grant"
    assert await refused(desk, refreshing(client, tokens)) == "invalid_grant"
    async with await desk.browser(email) as browser:
        tokens = await desk.tokens(**await consented(browser, client))
    assert await desk.tokens(**refreshing(client, tokens))


async def test_what_a_removed_user_granted_ends(desk: OAuthDesk, client: Client) -> None:
    """With their sessions."""
    user, email = await desk.ground.colleague(desk.account.reseller, Role.MANAGER)
    async with await desk.browser(email) as browser:
        tokens = await desk.tokens(**await consented(browser, client))
        await remove_user(desk.ground.door, desk.account.reseller, user.id, held=EVERY_SCOPE)
        assert await refused(desk, refreshing(client, tokens)) == "invalid_grant"
        answer = await browser.get(authorize_address(client.id, "x" * 43))
        assert answer.headers["location"].startswith("/sign-in?")


async def test_a_suspended_reseller_has_no_tokens(stack: Stack) -> None:
    """Neither those that there are nor new ones."""
    async with open_desk(stack) as desk:
        app = await desk.register()
        async with await desk.browser() as browser:
            tokens = await desk.tokens(**await consented(browser, app))
            code = await consented(browser, app)
        await set_status(stack, desk.account, "suspended")
        for form in (refreshing(app, tokens), code):
            assert await refused(desk, form) == "invalid_client"
        own = {"grant_type": "client_credentials", **app.log_in()}
        assert await refused(desk, own) == "invalid_client"
        await set_status(stack, desk.account, "approved")
        assert await desk.tokens(**own)


async def test_an_app_can_be_let_into_the_sandbox_alone(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """With `mode=sandbox` of the live reseller's client; a sandbox's client gets nothing else."""
    ids, account = desk.ground.ids, desk.account
    key = await key_of(desk.ground, account.sandbox)
    of_sandbox = await desk.register(key=key.text)
    for app, changes in (
        (client, {"mode": "sandbox"}),
        (of_sandbox, {}),
        (of_sandbox, {"mode": "live"}),
    ):
        page = await browser.get(authorize_address(app.id, "x" * 43, **changes))
        assert "in the sandbox only" in page.text
        tokens = await desk.tokens(**await consented(browser, app, **changes))
        told = await desk.ask(
            "/oauth/introspect", token=tokens["access_token"], **of_sandbox.log_in()
        )
        assert told.json()["reseller"] == ids.entity(Prefix.RESELLER, account.sandbox)


async def test_an_app_of_another_account_is_not_let_in(stack: Stack, client: Client) -> None:
    """People of one account let nobody into another's."""
    async with open_desk(stack) as other, await other.browser() as browser:
        page = await browser.get(authorize_address(client.id, "x" * 43))
        assert page.status_code == 400
        assert "another account" in page.text
        assert "Till app" not in page.text


async def test_a_token_of_a_person_says_so(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """To who may look, and opens what the API has for their account."""
    tokens = await desk.tokens(**await consented(browser, client))
    other = await desk.register()
    told = (
        await desk.ask("/oauth/introspect", token=tokens["access_token"], **other.log_in())
    ).json()
    assert told["sub"].startswith("usr_dev_")
    assert told["reseller"] == desk.reseller
    forbidden = await desk.http.get("/v1/keys", headers=bearer(tokens["access_token"]))
    assert forbidden.status_code == 403


def test_every_scope_has_words() -> None:
    """None is granted that nobody could read."""
    assert SCOPE_WORDS.keys() == set(Scope)


async def test_the_trail_tells_which_person_did_what_on_a_page(
    desk: OAuthDesk, client: Client, browser: httpx.AsyncClient
) -> None:
    """Not just any visitor: they are signed in."""
    form = await consented(browser, client)
    assert await refused(desk, form | {"code_verifier": new_verifier()[0]}) == "invalid_grant"
    page = await browser.get("/security")
    token = page.text.partition('name="form" value="')[2].partition('"')[0]
    enrolled = await browser.post("/security/second-factor", data={"form": token})
    assert enrolled.status_code == 200, enrolled.text
    answer = await desk.http.get("/v1/trail", headers=bearer(desk.key))
    entries = answer.json()["entries"]
    told = [entry for entry in entries if entry["table"] in {"oauth_grants", "users"}][:2]
    assert [entry["table"] for entry in told] == ["users", "oauth_grants"]
    user = told[0]["object"]
    assert [entry["actor"] for entry in told] == [f"user:{user}", f"user:{user}"]
    assert [entry["address"] for entry in told] == ["127.0.0.1", "127.0.0.1"]


async def test_the_trail_tells_which_client_ended_a_grant(
    desk: OAuthDesk, browser: httpx.AsyncClient
) -> None:
    """It has shown its secret: it is no visitor either."""
    client = await desk.register()
    tokens = await desk.tokens(**await consented(browser, client))
    ended = await desk.ask("/oauth/revoke", token=tokens["refresh_token"], **client.log_in())
    assert ended.status_code == 200
    answer = await desk.http.get("/v1/trail", headers=bearer(desk.key))
    newest = answer.json()["entries"][0]
    assert (newest["table"], newest["action"]) == ("oauth_grants", "changed")
    assert newest["actor"] == f"token:{client.id}"
