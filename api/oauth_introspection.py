"""What a token is, for who may know (RFC 7662)."""

from msgspec import Struct

from engine.platform.errors import store_failures
from engine.platform.ids import Prefix
from engine.runtime import Serving
from engine.tenancy import oauth_grants
from engine.tenancy.key_text import SecretKind, parse
from engine.tenancy.oauth_clients import Client


class Introspection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token is (RFC 7662, 2.2); of one that is not good, only that."""

    active: bool
    scope: str = ""
    client_id: str = ""
    token_type: str = ""
    exp: int = 0
    iat: int = 0
    sub: str = ""
    aud: str = ""
    iss: str = ""
    jti: str = ""
    reseller: str = ""
    region: str = ""


def is_refresh_token(text: str) -> bool:
    """Tell whether a text is a refresh token, of any region and good or not."""
    parsed = parse(text)
    return parsed is not None and parsed.kind is SecretKind.REFRESH


async def look_at_token(runtime: Serving, client: Client, token: str) -> Introspection:
    """Return what a token of a client's reseller is.

    Raises:
        StoreUnavailableError: PostgreSQL can't be asked.
    """
    look = _look_at_refresh_token if is_refresh_token(token) else _look_at_access_token
    return await look(runtime, client, token) or Introspection(active=False)


async def _look_at_access_token(
    runtime: Serving, client: Client, token: str
) -> Introspection | None:
    claims = await runtime.access_tokens.read(token)
    if claims is None:
        return None
    ids = runtime.ids
    own = ids.entity(Prefix.RESELLER, client.reseller_id)
    if claims.client_id != ids.entity(Prefix.OAUTH_CLIENT, client.id) and claims.reseller != own:
        return None
    return Introspection(
        active=True,
        scope=claims.scope,
        client_id=claims.client_id,
        token_type="Bearer",  # noqa: S106 - none
        exp=claims.exp,
        iat=claims.iat,
        sub=claims.sub,
        aud=claims.aud,
        iss=claims.iss,
        jti=claims.jti,
        reseller=claims.reseller,
        region=claims.region,
    )


async def _look_at_refresh_token(
    runtime: Serving, client: Client, token: str
) -> Introspection | None:
    with store_failures():
        found = await oauth_grants.look_at_refresh_token(
            runtime.app_engine, client.reseller_id, token
        )
    if found is None:
        return None
    ids = runtime.ids
    return Introspection(
        active=True,
        scope=" ".join(sorted(found.scopes)),
        client_id=ids.entity(Prefix.OAUTH_CLIENT, found.client),
        exp=int(found.expires_at.timestamp()),
        iat=int(found.created_at.timestamp()),
        sub=ids.entity(Prefix.USER, found.user),
        iss=runtime.access_tokens.issuer,
        reseller=ids.entity(Prefix.RESELLER, found.acts_for),
        region=ids.region,
    )
