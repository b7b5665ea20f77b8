"""OAuth clients: systems and apps that get tokens to act for a reseller, or for their people.

A client belongs to the reseller that registered it and acts for nobody else, so that an app of
others is let in by each reseller for themselves.
"""

import hmac
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import func, insert, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import (
    OAUTH_CLIENT_SETTING,
    RESELLER_SETTING,
    local_transaction,
    tenant_transaction,
)
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import oauth_clients
from engine.tenancy.key_text import SecretKind, new_secret, parse
from engine.tenancy.keys import NotApproved, ScopesExceeded, hash_secret, known_scopes, standing
from engine.tenancy.principals import Scope

CLIENTS_MAX: Final = 100
"""Clients that a reseller has at a time and that are not revoked."""

_client = oauth_clients.c
_SET: Final = text("SELECT set_config(:name, :value, true)")


class GrantType(StrEnum):
    """How a client may get tokens."""

    CLIENT_CREDENTIALS = "client_credentials"
    """By itself, to act for its reseller."""
    AUTHORIZATION_CODE = "authorization_code"
    """By a person's consent, to act as they could."""


class Client(Struct, frozen=True, kw_only=True):
    """What is known of a client."""

    id: EntityId
    reseller_id: EntityId
    name: str
    grant_types: tuple[GrantType, ...]
    redirect_uris: tuple[str, ...]
    scopes: frozenset[Scope]
    is_public: bool
    created_at: datetime
    revoked_at: datetime | None
    old_secret_until: datetime | None


class NewClient(Struct, frozen=True, kw_only=True):
    """A client to be registered; a public one has no secret."""

    name: str
    grant_types: tuple[GrantType, ...]
    redirect_uris: tuple[str, ...] = ()
    scopes: frozenset[Scope]
    is_public: bool = False


class ClientChange(Struct, frozen=True, kw_only=True):
    """What is to be another; UNSET stays as it is."""

    name: str | UnsetType = UNSET
    redirect_uris: tuple[str, ...] | UnsetType = UNSET
    scopes: frozenset[Scope] | UnsetType = UNSET


class Registered(Struct, frozen=True):
    """A client, and its secret if it has a new one: shown once, stored nowhere."""

    client: Client
    secret: str | None


class TooManyClients(Struct, frozen=True):
    """The reseller has `CLIENTS_MAX`."""


class UnknownClient(Struct, frozen=True):
    """The reseller has no such client."""


class ClientEnded(Struct, frozen=True):
    """It was revoked."""


class NoSecret(Struct, frozen=True):
    """It is a public client: there is no secret to rotate."""


class NoRedirect(Struct, frozen=True):
    """A client that people consent to needs an address to send them back to."""


async def register_client(
    app: AsyncEngine,
    reseller: EntityId,
    region: str,
    new: NewClient,
    *,
    granted_by: AbstractSet[Scope],
) -> Registered | ScopesExceeded | NotApproved | TooManyClients:
    """Register a client; nobody hands out scopes that they lack."""
    if beyond := new.scopes - granted_by:
        return ScopesExceeded(beyond)
    secret = None if new.is_public else new_secret(region, SecretKind.CLIENT).text
    async with tenant_transaction(app, reseller) as connection:
        if await standing(connection, reseller) is None:
            return NotApproved()
        count = select(func.count()).select_from(oauth_clients)
        query = count.where(_client.reseller_id == reseller, _client.revoked_at.is_(None))
        if (await connection.execute(query)).scalar_one() >= CLIENTS_MAX:
            return TooManyClients()
        client = new_entity_id()
        await connection.execute(
            insert(oauth_clients).values(
                id=client,
                reseller_id=reseller,
                name=new.name,
                grant_types=list(new.grant_types),
                redirect_uris=list(new.redirect_uris),
                scopes=sorted(new.scopes),
                secret_hash=None if secret is None else hash_secret(secret),
            )
        )
        return Registered(await _read(connection, client), secret)


async def list_clients(
    app: AsyncEngine, reseller: EntityId, *, after: EntityId | None, limit: int
) -> list[Client]:
    """Return a reseller's clients, the newest first, from behind the client `after`."""
    query = _SELECT.order_by(_client.created_at.desc(), _client.id.desc()).limit(limit)
    if after is not None:
        place = select(_client.created_at, _client.id).where(_client.id == after).subquery()
        query = query.where(
            tuple_(_client.created_at, _client.id)
            < select(place.c.created_at, place.c.id).scalar_subquery()
        )
    async with tenant_transaction(app, reseller) as connection:
        return [_tell(row) for row in (await connection.execute(query)).mappings()]


async def find_client(
    app: AsyncEngine, reseller: EntityId, client: EntityId
) -> Client | UnknownClient:
    """Return one of a reseller's clients."""
    async with tenant_transaction(app, reseller) as connection:
        return await _find(connection, client)


async def change_client(
    app: AsyncEngine,
    reseller: EntityId,
    client: EntityId,
    change: ClientChange,
    *,
    granted_by: AbstractSet[Scope],
) -> Client | UnknownClient | ClientEnded | NoRedirect | ScopesExceeded:
    """Change a client. Other scopes end the tokens that it has."""
    async with tenant_transaction(app, reseller) as connection:
        found = await _lock(connection, client)
        if not isinstance(found, Client):
            return found
        scopes = found.scopes if change.scopes is UNSET else change.scopes
        # Its tokens go to whoever is behind its addresses: these are no lesser matter than scopes.
        if beyond := (scopes | found.scopes) - granted_by:
            return ScopesExceeded(beyond)
        uris = found.redirect_uris if change.redirect_uris is UNSET else change.redirect_uris
        if not uris and GrantType.AUTHORIZATION_CODE in found.grant_types:
            return NoRedirect()
        await connection.execute(
            update(oauth_clients)
            .where(_client.id == client)
            .values(
                name=found.name if change.name is UNSET else change.name,
                redirect_uris=list(uris),
                scopes=sorted(scopes),
            )
        )
        return await _read(connection, client)


async def rotate_secret(  # noqa: PLR0913 - who, whose, which, and until when
    app: AsyncEngine,
    reseller: EntityId,
    region: str,
    client: EntityId,
    *,
    overlap: timedelta,
    granted_by: AbstractSet[Scope],
) -> Registered | UnknownClient | ClientEnded | NoSecret | ScopesExceeded:
    """Give a client another secret; the one that it had is taken for a while."""
    async with tenant_transaction(app, reseller) as connection:
        found = await _lock(connection, client)
        if not isinstance(found, Client):
            return found
        if found.is_public:
            return NoSecret()
        if beyond := found.scopes - granted_by:
            return ScopesExceeded(beyond)
        secret = new_secret(region, SecretKind.CLIENT).text
        await connection.execute(
            update(oauth_clients)
            .where(_client.id == client)
            .values(
                secret_hash=hash_secret(secret),
                old_secret_hash=_client.secret_hash,
                old_secret_until=func.now() + overlap,
            )
        )
        return Registered(await _read(connection, client), secret)


async def revoke_client(
    app: AsyncEngine, reseller: EntityId, client: EntityId
) -> Client | UnknownClient:
    """End a client for good, and the tokens that it has; once more changes nothing."""
    async with tenant_transaction(app, reseller) as connection:
        await connection.execute(
            update(oauth_clients)
            .where(_client.id == client, _client.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
        return await _find(connection, client)


async def named_client(app: AsyncEngine, client: EntityId) -> Client | None:
    """Return a client that says who it is; None: there is none, it was revoked, or is not approved.

    Whether it is the client, its secret or its code has to show.
    """
    found = await _named(app, client)
    return None if found is None else found[0]


async def authenticate_client(app: AsyncEngine, client: EntityId, secret: str) -> Client | None:
    """Return a client that knows its secret; None: it is none, or that is not its secret."""
    found = await _named(app, client)
    parsed = parse(secret)
    if found is None or parsed is None or parsed.kind is not SecretKind.CLIENT:
        return None
    given = hash_secret(secret)
    # All are compared, in constant time each.
    right = [hmac.compare_digest(given, one) for one in found[1]]
    return found[0] if any(right) else None


async def _named(app: AsyncEngine, client: EntityId) -> tuple[Client, list[bytes]] | None:
    old_lives = (_client.old_secret_until > func.now()).label("old_lives")
    query = select(
        *_SELECT.selected_columns, _client.secret_hash, _client.old_secret_hash, old_lives
    ).where(_client.id == client, _client.revoked_at.is_(None))
    async with local_transaction(app, OAUTH_CLIENT_SETTING, str(client)) as connection:
        row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        of_reseller = {"name": RESELLER_SETTING, "value": str(row["reseller_id"])}
        await connection.execute(_SET, of_reseller)
        if await standing(connection, row["reseller_id"]) is None:
            return None
    hashes = [row["secret_hash"], row["old_secret_hash"] if row["old_lives"] else None]
    columns = {name: row[name] for name in Client.__struct_fields__}
    return _tell(columns), [one for one in hashes if one is not None]


_SELECT: Final = select(
    *(_client[name] for name in Client.__struct_fields__ if name != "is_public"),
    _client.secret_hash.is_(None).label("is_public"),
)


async def _lock(
    connection: AsyncConnection, client: EntityId
) -> Client | UnknownClient | ClientEnded:
    query = _SELECT.where(_client.id == client).with_for_update()
    row = (await connection.execute(query)).mappings().one_or_none()
    if row is None:
        return UnknownClient()
    return ClientEnded() if row["revoked_at"] is not None else _tell(row)


async def _find(connection: AsyncConnection, client: EntityId) -> Client | UnknownClient:
    row = (await connection.execute(_SELECT.where(_client.id == client))).mappings().one_or_none()
    return UnknownClient() if row is None else _tell(row)


async def _read(connection: AsyncConnection, client: EntityId) -> Client:
    return _tell((await connection.execute(_SELECT.where(_client.id == client))).mappings().one())


def _tell(row: Any) -> Client:  # noqa: ANN401 - a row's columns
    told: dict[str, Any] = {
        **row,
        "grant_types": tuple(GrantType(one) for one in row["grant_types"]),
        "redirect_uris": tuple(row["redirect_uris"]),
        "scopes": known_scopes(row["scopes"]),
    }
    return Client(**told)
