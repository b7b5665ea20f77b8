"""OAuth 2.1 over HTTP: who gets which tokens, what they open, and when they end."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ops.stack import Stack
from tests.api.oauth_desk import Client, OAuthDesk, bearer, open_desk

_NONSENSE = {"token": "nonsense"}


@pytest.fixture(scope="module")
async def desk(stack: Stack) -> AsyncIterator[OAuthDesk]:
    """An approved account."""
    async with open_desk(stack) as desk:
        yield desk


@pytest.fixture(scope="module")
async def rival(stack: Stack) -> AsyncIterator[OAuthDesk]:
    """Another."""
    async with open_desk(stack) as desk:
        yield desk


@pytest.fixture(scope="module")
async def client(desk: OAuthDesk) -> Client:
    """A confidential client."""
    return await desk.register()


async def own_token(desk: OAuthDesk, client: Client, **more: str) -> dict[str, Any]:
    """Return what a client gets by itself."""
    return await desk.tokens(grant_type="client_credentials", **client.log_in(), **more)


async def test_a_client_acts_for_its_reseller(desk: OAuthDesk, client: Client) -> None:
    """With its scopes, for ten minutes, without a refresh token."""
    given = await own_token(desk, client)
    assert given["token_type"] == "Bearer"  # noqa: S105 - its kind
    assert given["expires_in"] == 600
    assert given["scope"] == "holds:write orders:read shows:read"
    assert "refresh_token" not in given
    token = given["access_token"]
    assert await desk.call(token) == 200
    assert await desk.call(token, "/v1/keys") == 403
    narrow = await own_token(desk, client, scope="orders:read")
    assert narrow["scope"] == "orders:read"
    assert await desk.call(narrow["access_token"]) == 403


async def test_a_client_gets_no_more_than_its_scopes(desk: OAuthDesk, client: Client) -> None:
    """Nor a scope that there is not."""
    for scope in ("shows:read keys:manage", "everything", "shows:read  orders:read", "SHOWS:READ"):
        refused = await desk.ask(
            "/oauth/token", grant_type="client_credentials", scope=scope, **client.log_in()
        )
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize("by_header", [False, True])
async def test_who_has_not_its_secret_is_no_client(
    desk: OAuthDesk, rival: OAuthDesk, *, by_header: bool
) -> None:
    """401, with a challenge for who came by the header; none is told from another."""
    client = await desk.register()
    other = await rival.register()
    assert client.secret is not None
    for name, secret in (
        (client.id, other.secret),
        (client.id, client.secret[:-1] + "0"),
        (client.id, ""),
        ("oac_dev_0123456789abcdef", client.secret),
        ("oac_us_0123456789abcdef", client.secret),
        ("nobody", client.secret),
        (client.id, desk.key),
    ):
        told = base64.b64encode(f"{name}:{secret}".encode()).decode()
        form = {"grant_type": "client_credentials"}
        if not by_header:
            form |= {"client_id": name, "client_secret": secret or ""}
        refused = await desk.http.post(
            "/oauth/token",
            data=form,
            headers={"Authorization": f"Basic {told}"} if by_header else {},
        )
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        assert ("www-authenticate" in refused.headers) == by_header


async def test_wrong_secrets_are_slowed_down(desk: OAuthDesk) -> None:
    """For one client, from one address; another client goes on."""
    client, other = await desk.register(), await desk.register()
    wrong = {"client_id": client.id, "client_secret": f"{other.secret}"}
    statuses = [
        (await desk.ask("/oauth/token", grant_type="client_credentials", **wrong)).status_code
        for _ in range(11)
    ]
    assert statuses == [401] * 10 + [429]
    right = await desk.ask("/oauth/token", grant_type="client_credentials", **client.log_in())
    assert right.status_code == 429
    assert int(right.headers["retry-after"]) > 0
    assert await own_token(desk, other)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
    ],
)
async def test_what_is_not_a_request_for_tokens_is_refused(
    desk: OAuthDesk, client: Client, form: dict[str, str], error: str
) -> None:
    """In the words of RFC 6749."""
    refused = await desk.ask("/oauth/token", **client.log_in(), **form)
    assert (refused.status_code, refused.json()["error"]) == (400, error)
    assert refused.headers["cache-control"] == "no-store"


async def test_a_form_is_read_in_one_way(desk: OAuthDesk, client: Client) -> None:
    """No parameter twice, no two log-ins, nothing but a form."""
    form = f"grant_type=client_credentials&client_id={client.id}&client_secret={client.secret}"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    told = base64.b64encode(f"{client.id}:{client.secret}".encode()).decode()
    for body, headers in (
        (form + "&scope=a&scope=b", kind),
        (form, kind | {"Authorization": f"Basic {told}"}),
        (form, {"Content-Type": "application/json"}),
        ("{}", {"Content-Type": "application/json"}),
        (form + "&x=%ff", kind),
        (form + "&x=" + "y" * 5000, kind),
        ("&".join(f"a{n}=b" for n in range(60)), kind),
    ):
        refused = await desk.http.post("/oauth/token", content=body, headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    large = await desk.http.post("/oauth/token", content=form + "&x=" + "y" * 70_000, headers=kind)
    assert large.status_code == 413
    right = await desk.http.post("/oauth/token", content=form, headers=kind)
    assert right.status_code == 200


async def test_a_public_client_can_not_act_by_itself(desk: OAuthDesk) -> None:
    """Nor introspect; and it has no secret."""
    public = await desk.register(kind="public")
    assert public.secret is None
    refused = await desk.ask("/oauth/token", grant_type="client_credentials", client_id=public.id)
    assert refused.json()["error"] == "unauthorized_client"
    refused = await desk.ask("/oauth/introspect", **_NONSENSE, client_id=public.id)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


async def test_a_confidential_client_has_to_show_its_secret(
    desk: OAuthDesk, client: Client
) -> None:
    """Its name alone is not enough, for anything."""
    for path in ("/oauth/token", "/oauth/revoke", "/oauth/introspect"):
        refused = await desk.ask(
            path, grant_type="client_credentials", client_id=client.id, **_NONSENSE
        )
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), path


async def test_a_client_gets_only_the_grants_that_it_is_registered_for(desk: OAuthDesk) -> None:
    """An app that people consent to does not act by itself."""
    app = await desk.register(grant_types=("authorization_code",))
    refused = await desk.ask("/oauth/token", grant_type="client_credentials", **app.log_in())
    assert refused.json()["error"] == "unauthorized_client"


async def test_a_revoked_access_token_is_refused(desk: OAuthDesk, client: Client) -> None:
    """By who had it, and nobody else's revocation touches it."""
    token = (await own_token(desk, client))["access_token"]
    other = await desk.register()
    ended = await desk.ask("/oauth/revoke", token=token, **other.log_in())
    assert ended.status_code == 200
    looked = await desk.ask("/oauth/introspect", token=token, **client.log_in())
    assert looked.json()["active"]
    for _ in range(2):
        ended = await desk.ask("/oauth/revoke", token=token, **client.log_in())
        assert (ended.status_code, ended.json()) == (200, {})
    nonsense = await desk.ask("/oauth/revoke", **_NONSENSE, **client.log_in())
    assert nonsense.status_code == 200


async def test_introspection_tells_own_tokens_and_no_others(
    desk: OAuthDesk, rival: OAuthDesk, client: Client
) -> None:
    """Of others' that they are not good, and no more."""
    token = (await own_token(desk, client))["access_token"]
    looked = (await desk.ask("/oauth/introspect", token=token, **client.log_in())).json()
    assert looked["active"] is True
    assert looked["client_id"] == looked["sub"] == client.id
    assert looked["reseller"] == desk.reseller
    assert looked["iss"] == looked["aud"] == desk.stack.base_url
    assert looked["exp"] - looked["iat"] == 600
    stranger = await rival.register()
    for told in (token, "x", token + "x", desk.key):
        hidden = await rival.ask("/oauth/introspect", token=told, **stranger.log_in())
        assert hidden.json() == {"active": False}


async def test_a_secret_is_rotated_with_overlap(desk: OAuthDesk) -> None:
    """Both are taken for as long as was said; without an overlap the old one ends at once."""
    client = await desk.register()
    path = f"/v1/oauth-clients/{client.id}/rotate-secret"
    rotated = await desk.http.post(path, json={"overlap_s": 600}, headers=bearer(desk.key))
    assert rotated.status_code == 200
    second = Client(client.id, rotated.json()["secret"])
    assert await own_token(desk, client)
    assert await own_token(desk, second)
    rotated = await desk.http.post(path, json={"overlap_s": 0}, headers=bearer(desk.key))
    third = Client(client.id, rotated.json()["secret"])
    assert await own_token(desk, third)
    for gone in (client, second):
        refused = await desk.ask("/oauth/token", grant_type="client_credentials", **gone.log_in())
        assert refused.status_code == 401


async def test_no_client_is_renamed_to_what_reads_as_another(desk: OAuthDesk) -> None:
    """People go by the name that the consent page shows."""
    path = f"/v1/oauth-clients/{(await desk.register()).id}"
    for name, status in (("Till 4", 200), ("\u202eelgooG", 422), ("Goo\u200bgle", 422)):
        answer = await desk.http.patch(path, json={"name": name}, headers=bearer(desk.key))
        assert answer.status_code == status
    assert (await desk.http.get(path, headers=bearer(desk.key))).json()["name"] == "Till 4"


async def test_a_revoked_client_gets_nothing(desk: OAuthDesk) -> None:
    """And its tokens end."""
    client = await desk.register()
    token = (await own_token(desk, client))["access_token"]
    path = f"/v1/oauth-clients/{client.id}"
    for _ in range(2):
        ended = await desk.http.delete(path, headers=bearer(desk.key))
        assert ended.status_code == 204
    refused = await desk.ask("/oauth/token", grant_type="client_credentials", **client.log_in())
    assert refused.status_code == 401
    assert token


async def test_nobody_registers_clients_that_may_do_more_than_they(desk: OAuthDesk) -> None:
    """Nor gets at the secret or the addresses of one."""
    wide = await desk.register("shows:read", "buyers:read")
    manager = await desk.register("keys:manage", "shows:read")
    token = (await own_token(desk, manager))["access_token"]
    path = f"/v1/oauth-clients/{wide.id}"
    body = {"name": "x", "kind": "confidential", "grant_types": ["client_credentials"]}
    for refused in (
        await desk.http.post(
            "/v1/oauth-clients", json=body | {"scopes": ["buyers:read"]}, headers=bearer(token)
        ),
        await desk.http.post(f"{path}/rotate-secret", json={}, headers=bearer(token)),
        await desk.http.patch(
            path, json={"redirect_uris": ["https://evil.example/"]}, headers=bearer(token)
        ),
        await desk.http.patch(path, json={"scopes": ["shows:read"]}, headers=bearer(token)),
        await desk.http.post(
            "/v1/keys", json={"name": "x", "scopes": ["buyers:read"]}, headers=bearer(token)
        ),
    ):
        assert (refused.status_code, refused.json()["scope"]) == (403, "buyers:read")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        *(({"name": name}, "/name") for name in ("\u202eelgooG", "Goo\u200bgle", "Goo\x07gle")),
        ({"redirect_uris": ["http://app.example/"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://app.example/#x"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://user@app.example/"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["//app.example/"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://app.example/*"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://äpp.example/"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://a.example/ b"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["http://127.0.0.1.evil.example/"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://a.example:99999/"]}, "/redirect_uris/0"),
        ({"redirect_uris": ["https://a.example/"] * 2}, "/redirect_uris/1"),
        ({"redirect_uris": []}, "/redirect_uris"),
        ({"kind": "public", "grant_types": ["client_credentials"]}, "/grant_types"),
        ({"grant_types": ["implicit"]}, "/grant_types/0"),
        ({"grant_types": []}, "/grant_types"),
        ({"scopes": []}, "/scopes"),
    ],
)
async def test_what_no_client_can_be_is_refused(
    desk: OAuthDesk, change: dict[str, Any], pointer: str
) -> None:
    """With the place of the fault."""
    body = {
        "name": "app",
        "kind": "confidential",
        "grant_types": ["authorization_code"],
        "redirect_uris": ["https://app.example/"],
        "scopes": ["shows:read"],
    }
    refused = await desk.http.post(
        "/v1/oauth-clients", json=body | change, headers=bearer(desk.key)
    )
    assert refused.status_code == 422
    assert [fault["pointer"] for fault in refused.json()["errors"]] == [pointer]


async def test_loopback_addresses_may_go_without_tls(desk: OAuthDesk) -> None:
    """An app on somebody's own machine has no certificate."""
    uris = ("http://127.0.0.1:7777/cb", "http://[::1]:7777/cb", "http://localhost/cb")
    assert await desk.register(redirect_uris=uris)


async def test_other_resellers_clients_are_unknown(rival: OAuthDesk, client: Client) -> None:
    """In the same words as clients that never were."""
    headers = bearer(rival.key)
    never = await rival.http.get("/v1/oauth-clients/oac_dev_0123456789abcdef", headers=headers)
    path = f"/v1/oauth-clients/{client.id}"
    for refused in (
        await rival.http.get(path, headers=headers),
        await rival.http.patch(path, json={"name": "mine"}, headers=headers),
        await rival.http.post(f"{path}/rotate-secret", json={}, headers=headers),
        await rival.http.delete(path, headers=headers),
    ):
        assert (refused.status_code, refused.content) == (404, never.content)
    listed = await rival.http.get("/v1/oauth-clients", headers=headers)
    assert client.id not in listed.text


async def test_the_metadata_names_what_there_is(desk: OAuthDesk) -> None:
    """Each endpoint answers, and the issuer is the address that it was asked at."""
    told = (await desk.http.get("/.well-known/oauth-authorization-server")).json()
    assert told["issuer"] == desk.stack.base_url
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert told["response_types_supported"] == ["code"]
    for endpoint in ("token_endpoint", "revocation_endpoint", "introspection_endpoint"):
        answer = await desk.http.post(told[endpoint], data={})
        assert answer.status_code in {400, 401}, endpoint
    keys = (await desk.http.get(told["jwks_uri"])).json()["keys"]
    assert keys
    for key in keys:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}, "no private part"
        assert (key["alg"], key["use"]) == ("ES256", "sig")
