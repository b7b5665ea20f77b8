"""What people grant to clients: by a code, once, and by refresh tokens, each once.

A code or refresh token that is used again has been stolen, or its answer was lost: whichever it
is, the grant ends, and with it every token that came of it (RFC 9700, 4.14.2). Only digests are
stored.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Table, delete, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import RESELLER_SETTING, tenant_transaction
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import (
    oauth_clients,
    oauth_codes,
    oauth_grants,
    refresh_tokens,
    users,
)
from engine.tenancy.key_text import SecretKind, new_secret
from engine.tenancy.keys import hash_secret, known_scopes, standing
from engine.tenancy.oauth_clients import Client
from engine.tenancy.oauth_tokens import Bearer
from engine.tenancy.principals import SCOPES_OF_ROLE, Mode, Role, Scope
from engine.tenancy.sessions import SignedIn

CODE_LASTS: Final = timedelta(seconds=60)
REFRESH_LASTS: Final = timedelta(days=30)
GRANT_LASTS: Final = timedelta(days=365)

_CODE_BYTES: Final = 32
_FORGOTTEN_AT_ONCE: Final = 100

_grant = oauth_grants.c
_code = oauth_codes.c
_refresh = refresh_tokens.c
_SET: Final = text("SELECT set_config(:name, :value, true)")
_NOW_S: Final = func.extract("epoch", func.clock_timestamp()).label("now_s")


class Consent(Struct, frozen=True, kw_only=True):
    """What a person has agreed to."""

    client: Client
    signed_in: SignedIn
    acts_for: EntityId
    scopes: frozenset[Scope]
    redirect_uri: str
    challenge: str


class Redeemed(Struct, frozen=True):
    """A code, as a client hands it in."""

    code: str
    redirect_uri: str
    verifier: str


class Given(Struct, frozen=True, kw_only=True):
    """Tokens to make: for whom, from which moment of the database's clock on."""

    bearer: Bearer
    at_s: float
    refresh_token: str | None


class InvalidGrant(Struct, frozen=True):
    """The code or token is none of this client's, was used, or is over."""


class InvalidScope(Struct, frozen=True):
    """More was asked for than was granted."""


class Refreshable(Struct, frozen=True, kw_only=True):
    """What is known of a refresh token that is good."""

    client: EntityId
    user: EntityId
    acts_for: EntityId
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime


def account_of(client: Client, signed_in: SignedIn, mode: Mode) -> EntityId | None:
    """Return for whom a client of an account may act; None: it is of another account's."""
    if client.reseller_id == signed_in.sandbox:
        return signed_in.sandbox
    if client.reseller_id != signed_in.reseller:
        return None
    return signed_in.sandbox if mode is Mode.SANDBOX else signed_in.reseller


async def give_consent(app: AsyncEngine, consent: Consent) -> str:
    """Note what a person has agreed to, and return the code that the client gets tokens for."""
    code = secrets.token_urlsafe(_CODE_BYTES)
    client, signed_in = consent.client, consent.signed_in
    async with tenant_transaction(app, client.reseller_id) as connection:
        await _forget_old(connection, oauth_codes)
        grant = new_entity_id()
        await connection.execute(
            insert(oauth_grants).values(
                id=grant,
                reseller_id=client.reseller_id,
                client_id=client.id,
                user_id=signed_in.user,
                account_id=signed_in.reseller,
                acts_for=consent.acts_for,
                scopes=sorted(consent.scopes),
                signed_in_at=signed_in.signed_in_at,
            )
        )
        await connection.execute(
            insert(oauth_codes).values(
                code_hash=hash_secret(code),
                reseller_id=client.reseller_id,
                grant_id=grant,
                redirect_uri=consent.redirect_uri,
                challenge=consent.challenge,
                expires_at=func.now() + CODE_LASTS,
            )
        )
    return code


async def give_to_client(
    app: AsyncEngine, client: Client, scopes: AbstractSet[Scope]
) -> Given | InvalidGrant | InvalidScope:
    """Let a client act by itself, with no more than its own scopes; none asked: with all."""
    async with tenant_transaction(app, client.reseller_id) as connection:
        own = await _scopes_of(connection, client)
        if own is None:
            return InvalidGrant()
        if scopes - own:
            return InvalidScope()
        at_s = (await connection.execute(select(_NOW_S))).scalar_one()
    bearer = Bearer(client=client.id, acts_for=client.reseller_id, scopes=frozenset(scopes or own))
    return Given(bearer=bearer, at_s=float(at_s), refresh_token=None)


async def redeem_code(
    app: AsyncEngine, client: Client, region: str, redeemed: Redeemed
) -> Given | InvalidGrant:
    """Give tokens for a code: once, to the client that it was made for, who sent for it."""
    code_hash = hash_secret(redeemed.code)
    query = (
        select(*_OF_GRANT, _code.redirect_uri, _code.challenge, _code.used_at)
        .join(oauth_grants, _grant.id == _code.grant_id)
        .add_columns((_code.expires_at > func.now()).label("is_fresh"))
        .where(_code.code_hash == code_hash, _grant.client_id == client.id)
        .with_for_update(of=(oauth_codes, oauth_grants))
    )
    async with tenant_transaction(app, client.reseller_id) as connection:
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return InvalidGrant()
        if row.used_at is not None:
            await _end(connection, row.id)
            return InvalidGrant()
        used = update(oauth_codes).where(_code.code_hash == code_hash)
        await connection.execute(used.values(used_at=func.now()))
        is_theirs = row.redirect_uri == redeemed.redirect_uri and hmac.compare_digest(
            challenge_of(redeemed.verifier), row.challenge
        )
        if not row.is_fresh or not is_theirs:
            return InvalidGrant()
        return await _give(connection, client, region, row, frozenset())


async def redeem_refresh_token(
    app: AsyncEngine, client: Client, region: str, token: str, scopes: AbstractSet[Scope]
) -> Given | InvalidGrant | InvalidScope:
    """Give tokens for a refresh token: once; the next is among them."""
    token_hash = hash_secret(token)
    query = _WITH_GRANT.where(
        _refresh.token_hash == token_hash, _grant.client_id == client.id
    ).with_for_update(of=(refresh_tokens, oauth_grants))
    async with tenant_transaction(app, client.reseller_id) as connection:
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return InvalidGrant()
        if row.used_at is not None:
            await _end(connection, row.id)
            return InvalidGrant()
        if not row.is_fresh:
            return InvalidGrant()
        if scopes - known_scopes(row.scopes):
            return InvalidScope()
        used = update(refresh_tokens).where(_refresh.token_hash == token_hash)
        await connection.execute(used.values(used_at=func.now()))
        return await _give(connection, client, region, row, scopes)


async def end_by_refresh_token(app: AsyncEngine, client: Client, token: str) -> bool:
    """End the grant that one of a client's refresh tokens is of; False: it is none."""
    query = (
        select(_grant.id)
        .join(refresh_tokens, _refresh.grant_id == _grant.id)
        .where(_refresh.token_hash == hash_secret(token), _grant.client_id == client.id)
    )
    async with tenant_transaction(app, client.reseller_id) as connection:
        grant = (await connection.execute(query)).scalar_one_or_none()
        if grant is not None:
            await _end(connection, grant)
    return grant is not None


async def look_at_refresh_token(
    app: AsyncEngine, reseller: EntityId, token: str
) -> Refreshable | None:
    """Return what is known of a refresh token of a reseller's clients; None: it is not good."""
    query = _WITH_GRANT.where(_refresh.token_hash == hash_secret(token))
    async with tenant_transaction(app, reseller) as connection:
        row = (await connection.execute(query)).one_or_none()
        if row is None or row.used_at is not None or not row.is_fresh or row.ended_at is not None:
            return None
        allowed = await _scopes_of_user(connection, row)
    if allowed is None:
        return None
    return Refreshable(
        client=row.client_id,
        user=row.user_id,
        acts_for=row.acts_for,
        scopes=known_scopes(row.scopes) & allowed,
        created_at=row.issued_at,
        expires_at=row.expires_at,
    )


def challenge_of(verifier: str) -> str:
    """Return PKCE's challenge by S256 (RFC 7636, 4.2)."""
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


_OF_GRANT: Final = (
    *(_grant.id, _grant.client_id, _grant.user_id, _grant.account_id, _grant.acts_for),
    *(_grant.scopes, _grant.signed_in_at, _grant.created_at, _grant.ended_at),
)
_WITH_GRANT: Final = (
    select(*_OF_GRANT, _refresh.used_at, _refresh.expires_at)
    .add_columns(
        _refresh.created_at.label("issued_at"),
        (_refresh.expires_at > func.now()).label("is_fresh"),
    )
    .join(oauth_grants, _grant.id == _refresh.grant_id)
)


async def _give(
    connection: AsyncConnection,
    client: Client,
    region: str,
    row: Any,  # noqa: ANN401 - the grant's row, locked
    scopes: AbstractSet[Scope],
) -> Given | InvalidGrant:
    """Give tokens to a client that has shown what it was given."""
    if row.ended_at is not None:
        return InvalidGrant()
    of_client = await _scopes_of(connection, client)
    of_user = await _scopes_of_user(connection, row)
    if of_client is None or of_user is None:
        await _end(connection, row.id)
        return InvalidGrant()
    allowed = known_scopes(row.scopes) & of_client & of_user
    if scopes:
        allowed &= scopes
    if not allowed:
        return InvalidGrant()
    await _forget_old(connection, refresh_tokens)
    token = new_secret(region, SecretKind.REFRESH).text
    await connection.execute(
        insert(refresh_tokens).values(
            token_hash=hash_secret(token),
            reseller_id=client.reseller_id,
            grant_id=row.id,
            expires_at=func.least(func.now() + REFRESH_LASTS, row.created_at + GRANT_LASTS),
        )
    )
    at_s = (await connection.execute(select(_NOW_S))).scalar_one()
    bearer = Bearer(
        client=client.id,
        acts_for=row.acts_for,
        scopes=allowed,
        user=row.user_id,
        grant=row.id,
    )
    return Given(bearer=bearer, at_s=float(at_s), refresh_token=token)


async def _scopes_of(connection: AsyncConnection, client: Client) -> frozenset[Scope] | None:
    """Return a client's scopes as they are now; None: it was revoked.

    Locked, so that whoever revokes it at the same time does so after the token has begun.
    """
    query = (
        select(oauth_clients.c.scopes)
        .where(oauth_clients.c.id == client.id, oauth_clients.c.revoked_at.is_(None))
        .with_for_update(read=True)
    )
    found = (await connection.execute(query)).scalar_one_or_none()
    return None if found is None else known_scopes(found)


async def _scopes_of_user(
    connection: AsyncConnection,
    row: Any,  # noqa: ANN401 - a grant's
) -> frozenset[Scope] | None:
    """Return what a grant's user may do now; None: nothing any more.

    They may be removed or logged out, or the account suspended. Leaves the transaction with the
    client's reseller, as it found it.
    """
    query = (
        select(users.c.role)
        .where(
            users.c.id == row.user_id,
            users.c.removed_at.is_(None),
            users.c.confirmed_at.is_not(None),
            or_(users.c.logged_out_at.is_(None), users.c.logged_out_at < row.signed_in_at),
        )
        .with_for_update(read=True)
    )
    before = (await connection.execute(_CURRENT)).scalar_one()
    await _act_for(connection, row.account_id)
    role = (await connection.execute(query)).scalar_one_or_none()
    await _act_for(connection, row.acts_for)
    mode = await standing(connection, row.acts_for)
    await _act_for(connection, before)
    return None if role is None or mode is None else SCOPES_OF_ROLE[Role(role)]


_CURRENT: Final = text(f"SELECT current_setting('{RESELLER_SETTING}')")


async def _act_for(connection: AsyncConnection, reseller: int | str) -> None:
    await connection.execute(_SET, {"name": RESELLER_SETTING, "value": str(reseller)})


async def _end(connection: AsyncConnection, grant: int) -> None:
    await connection.execute(
        update(oauth_grants)
        .where(_grant.id == grant, _grant.ended_at.is_(None))
        .values(ended_at=func.now())
    )


async def _forget_old(connection: AsyncConnection, table: Table) -> None:
    """Forget what has been over for a day; until then a second use is noticed."""
    key = next(iter(table.primary_key))
    long_over = table.c.expires_at < func.now() - text("interval '1 day'")
    old = select(key).where(long_over).limit(_FORGOTTEN_AT_ONCE)
    await connection.execute(delete(table).where(key.in_(old)))
