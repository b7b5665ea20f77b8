"""The OAuth flows with another's client: authlib's, and joserfc for the tokens."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from joserfc import jwt
from joserfc.jwk import KeySet

from ops.stack import Stack
from tests.api.oauth_desk import CALLBACK, Client, OAuthDesk, decide, open_desk


@pytest.fixture(scope="module")
async def desk(stack: Stack) -> AsyncIterator[OAuthDesk]:
    """An approved account."""
    async with open_desk(stack) as desk:
        yield desk


@pytest.fixture
async def metadata(desk: OAuthDesk) -> dict[str, Any]:
    """What the server tells of itself, as RFC 8414 has it."""
    answer = await desk.http.get("/.well-known/oauth-authorization-server")
    told: dict[str, Any] = answer.json()
    # authlib wants TLS of every address, which loopback has none of.
    with_tls = {
        name: value.replace("http://", "https://") if isinstance(value, str) else value
        for name, value in told.items()
    }
    AuthorizationServerMetadata(with_tls).validate()
    return told


def peer(client: Client, method: str | None = None, **more: Any) -> Any:  # noqa: ANN401 - untyped
    """Return authlib's client."""
    usual = "none" if client.secret is None else "client_secret_basic"
    return AsyncOAuth2Client(
        client_id=client.id,
        client_secret=client.secret,
        token_endpoint_auth_method=method or usual,
        **more,
    )


async def read_token(desk: OAuthDesk, metadata: dict[str, Any], token: str) -> jwt.Token:
    """Verify an access token by what is published, as a resource server does (RFC 9068, 4)."""
    keys = KeySet.import_key_set((await desk.http.get(metadata["jwks_uri"])).json())
    decoded = jwt.decode(token, keys, algorithms=["ES256"])
    assert decoded.header["typ"] == "at+jwt"
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": metadata["issuer"]},
        aud={"essential": True, "value": metadata["issuer"]},
        exp={"essential": True},
        iat={"essential": True},
        sub={"essential": True},
        jti={"essential": True},
        client_id={"essential": True},
        scope={"essential": True},
    ).validate(decoded.claims)
    return decoded


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_client_credentials(desk: OAuthDesk, metadata: dict[str, Any], method: str) -> None:
    """Either way to log in; the token is one that its key set verifies."""
    client = await desk.register()
    assert method in metadata["token_endpoint_auth_methods_supported"]
    async with peer(client, method) as oauth:
        token = await oauth.fetch_token(
            metadata["token_endpoint"], grant_type="client_credentials", scope="shows:read"
        )
        assert "refresh_token" not in token
        answer = await oauth.get(f"{desk.stack.base_url}/v1/shows")
        assert answer.status_code == 200
    decoded = await read_token(desk, metadata, token["access_token"])
    assert decoded.claims["sub"] == decoded.claims["client_id"] == client.id
    assert decoded.claims["reseller"] == desk.reseller
    assert decoded.claims["exp"] - decoded.claims["iat"] == 600


@pytest.mark.parametrize("kind", ["public", "confidential"])
async def test_a_code_with_pkce_refresh_introspection_and_revocation(
    desk: OAuthDesk, metadata: dict[str, Any], kind: str
) -> None:
    """From a person's consent to the end of it."""
    client = await desk.register(kind=kind)
    verifier = "a-verifier-of-more-than-forty-three-characters-0123456789"
    async with (
        peer(client, redirect_uri=CALLBACK, code_challenge_method="S256") as oauth,
        await desk.browser() as browser,
    ):
        address, state = oauth.create_authorization_url(
            metadata["authorization_endpoint"],
            code_verifier=verifier,
            scope="shows:read orders:read",
        )
        assert "code_challenge_method=S256" in address
        answer = await decide(browser, address)
        token = await oauth.fetch_token(
            metadata["token_endpoint"],
            authorization_response=answer.headers["location"],
            code_verifier=verifier,
            state=state,
        )
        assert (await oauth.get(f"{desk.stack.base_url}/v1/shows")).status_code == 200
        decoded = await read_token(desk, metadata, token["access_token"])
        assert decoded.claims["sub"].startswith("usr_dev_")
        renewed = await oauth.refresh_token(metadata["token_endpoint"])
        assert renewed["refresh_token"] != token["refresh_token"]
        if kind == "confidential":
            looked = await oauth.introspect_token(
                metadata["introspection_endpoint"], token=renewed["access_token"]
            )
            assert looked.json()["active"] is True
        ended = await oauth.revoke_token(
            metadata["revocation_endpoint"],
            token=renewed["refresh_token"],
            token_type_hint="refresh_token",  # noqa: S106 - its kind
        )
        assert ended.status_code == 200
        with pytest.raises(OAuthError, match="invalid_grant"):
            await oauth.refresh_token(
                metadata["token_endpoint"], refresh_token=renewed["refresh_token"]
            )


async def test_a_wrong_verifier_is_refused(desk: OAuthDesk, metadata: dict[str, Any]) -> None:
    """By the error that the peer knows."""
    client = await desk.register(kind="public")
    async with (
        peer(client, redirect_uri=CALLBACK, code_challenge_method="S256") as oauth,
        await desk.browser() as browser,
    ):
        address, state = oauth.create_authorization_url(
            metadata["authorization_endpoint"], code_verifier="x" * 50
        )
        answer = await decide(browser, address)
        with pytest.raises(OAuthError, match="invalid_grant"):
            await oauth.fetch_token(
                metadata["token_endpoint"],
                authorization_response=answer.headers["location"],
                code_verifier="y" * 50,
                state=state,
            )
