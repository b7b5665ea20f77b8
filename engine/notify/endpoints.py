"""Endpoints: where a reseller is told of facts. All of it in the reseller's own transactions."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import case, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.facts.log import current_cursor
from engine.notify.addresses import find_url_fault
from engine.notify.judging import EndpointStatus, Reason, Standing
from engine.notify.secrets import open_secrets, seal_secrets
from engine.notify.signing import Secrets, SigningSecret, in_force, rotate
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.sealing import Sealer
from engine.platform.tables import webhook_deliveries, webhook_endpoints

ENDPOINTS_MAX: Final = 20
"""Of one reseller."""
OVERLAP_MAX: Final = timedelta(days=7)

_one = webhook_endpoints.c
_delivery = webhook_deliveries.c
# So that two requests at once don't both make the last one.
_ONE_AT_A_TIME: Final = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('webhook endpoints', :reseller))"
)


class Endpoint(Struct, frozen=True):
    """Where facts go. `types` is None where all of them do."""

    id: EntityId
    url: str
    description: str
    types: tuple[str, ...] | None
    standing: Standing
    created_at: datetime
    changed_at: datetime


class NewEndpoint(Struct, frozen=True):
    """What a reseller says of one."""

    url: str
    description: str
    types: tuple[str, ...] | None


class Changes(Struct, frozen=True):
    """What is to be changed; UNSET stays as it is."""

    url: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    types: tuple[str, ...] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class TooManyEndpoints(Struct, frozen=True):
    """The reseller has as many as they may."""


class UnknownEndpoint(Struct, frozen=True):
    """There is no such endpoint of this reseller."""


class UrlRefused(Struct, frozen=True):
    """The URL may not be told; why."""

    reason: str


class Endpoints:
    """Makes, lists and changes them."""

    def __init__(self, app: AsyncEngine, sealer: Sealer, *, private: bool) -> None:
        """Take the API's engine, what seals secrets, and whether loopback may be told."""
        self._app = app
        self._sealer = sealer
        self._private = private

    async def make(
        self, reseller: EntityId, new: NewEndpoint, now: datetime
    ) -> Endpoint | TooManyEndpoints | UrlRefused:
        """Make one, with fresh secrets. It is told of what is committed from now on."""
        if refused := self._refused(new.url):
            return refused
        async with tenant_transaction(self._app, reseller) as connection:
            await connection.execute(_ONE_AT_A_TIME, {"reseller": reseller})
            there = select(func.count()).where(_one.status != EndpointStatus.DELETED)
            if (await connection.execute(there)).scalar_one() >= ENDPOINTS_MAX:
                return TooManyEndpoints()
            sealed = await seal_secrets(connection, self._sealer, reseller, [SigningSecret.make()])
            made = insert(webhook_endpoints).values(
                id=new_entity_id(),
                reseller_id=reseller,
                url=new.url,
                description=new.description,
                types=None if new.types is None else list(new.types),
                status=EndpointStatus.ENABLED,
                secrets_sealed=sealed,
                since=(await current_cursor(connection)).xid,
                created_at=now,
                changed_at=now,
            )
            return _read((await connection.execute(made.returning(*_COLUMNS))).one())

    async def list_all(self, reseller: EntityId) -> list[Endpoint]:
        """Return a reseller's endpoints, the oldest first: a few at most."""
        query = (
            select(*_COLUMNS)
            .where(_one.status != EndpointStatus.DELETED)
            .order_by(_one.created_at, _one.id)
        )
        async with tenant_transaction(self._app, reseller) as connection:
            return [_read(row) for row in await connection.execute(query)]

    async def find(self, reseller: EntityId, endpoint: EntityId) -> Endpoint | UnknownEndpoint:
        """Return one."""
        async with tenant_transaction(self._app, reseller) as connection:
            row = (await connection.execute(_named(endpoint, *_COLUMNS))).one_or_none()
        return UnknownEndpoint() if row is None else _read(row)

    async def change(
        self, reseller: EntityId, endpoint: EntityId, changes: Changes, now: datetime
    ) -> Endpoint | UnknownEndpoint | UrlRefused:
        """Change one. Enabling it closes its breaker; what it missed meanwhile can be replayed."""
        if changes.url is not UNSET and (refused := self._refused(changes.url)):
            return refused
        values: dict[str, Any] = {"changed_at": now}
        if changes.url is not UNSET:
            values["url"] = changes.url
        if changes.description is not UNSET:
            values["description"] = changes.description
        if changes.types is not UNSET:
            values["types"] = None if changes.types is None else list(changes.types)
        async with tenant_transaction(self._app, reseller) as connection:
            locked = _named(endpoint, _one.status).with_for_update()
            status = (await connection.execute(locked)).scalar_one_or_none()
            if status is None:
                return UnknownEndpoint()
            if changes.enabled is True and status != EndpointStatus.ENABLED:
                values |= await _enabled(connection, endpoint, now)
            elif changes.enabled is False and status == EndpointStatus.ENABLED:
                values |= {"status": EndpointStatus.DISABLED, "reason": Reason.ASKED}
            elif "url" in values:
                # Another address: what is known of the one before is of no use.
                values |= await _afresh(connection, endpoint, now)
            changed = (
                update(webhook_endpoints)
                .where(_one.id == endpoint)
                .values(values)
                .returning(*_COLUMNS)
            )
            return _read((await connection.execute(changed)).one())

    async def delete(self, reseller: EntityId, endpoint: EntityId, now: datetime) -> bool:
        """Tell it nothing any more, and forget its secrets; False: there is none.

        Its deliveries are forgotten a little later, in no request's time.
        """
        gone = (
            update(webhook_endpoints)
            .where(_one.id == endpoint, _one.status != EndpointStatus.DELETED)
            .values(status=EndpointStatus.DELETED, secrets_sealed=b"", due_at=None, changed_at=now)
        )
        async with tenant_transaction(self._app, reseller) as connection:
            return bool((await connection.execute(gone)).rowcount)

    async def secrets(
        self, reseller: EntityId, endpoint: EntityId, now: datetime
    ) -> Secrets | UnknownEndpoint:
        """Return the secrets that sign at present, the newest first."""
        async with tenant_transaction(self._app, reseller) as connection:
            row = (await connection.execute(_named(endpoint, _one.secrets_sealed))).one_or_none()
            if row is None:
                return UnknownEndpoint()
            sealed: bytes = row.secrets_sealed
            return in_force(await open_secrets(connection, self._sealer, reseller, sealed), now)

    async def rotate_secrets(
        self, reseller: EntityId, endpoint: EntityId, now: datetime, overlap: timedelta
    ) -> Secrets | UnknownEndpoint:
        """Make fresh secrets; those in force sign too until the overlap is over."""
        async with tenant_transaction(self._app, reseller) as connection:
            locked = _named(endpoint, _one.secrets_sealed).with_for_update()
            row = (await connection.execute(locked)).one_or_none()
            if row is None:
                return UnknownEndpoint()
            before = await open_secrets(connection, self._sealer, reseller, row.secrets_sealed)
            secrets = rotate(before, now, overlap)
            sealed = await seal_secrets(connection, self._sealer, reseller, secrets)
            await connection.execute(
                update(webhook_endpoints)
                .where(_one.id == endpoint)
                .values(secrets_sealed=sealed, changed_at=now)
            )
        return secrets

    def _refused(self, url: str) -> UrlRefused | None:
        fault = find_url_fault(url, private=self._private)
        return None if fault is None else UrlRefused(fault)


_COLUMNS: Final = (
    *(_one.id, _one.url, _one.description, _one.types, _one.created_at, _one.changed_at),
    *(_one.status, _one.reason, _one.failures, _one.failing_since, _one.rests_until),
    _one.delivered_at,
)


def _named(endpoint: int, *columns: Any) -> Any:  # noqa: ANN401 - SQLAlchemy's
    return select(*columns).where(_one.id == endpoint, _one.status != EndpointStatus.DELETED)


async def _enabled(
    connection: AsyncConnection, endpoint: EntityId, now: datetime
) -> dict[str, Any]:
    """Return what enabling changes: facts of the time between are not told by themselves."""
    return {
        "status": EndpointStatus.ENABLED,
        "reason": None,
        "since": (await current_cursor(connection)).xid,
        **await _afresh(connection, endpoint, now),
    }


async def _afresh(connection: AsyncConnection, endpoint: EntityId, now: datetime) -> dict[str, Any]:
    # No earlier than now: it comes behind all that are due already. NULL stays NULL.
    earliest = func.min(_delivery.next_at)
    waits = select(case((earliest < now, now), else_=earliest)).where(
        _delivery.endpoint_id == endpoint, _delivery.state == "pending"
    )
    due_at = (await connection.execute(waits)).scalar_one()
    return {"failures": 0, "failing_since": None, "rests_until": None, "due_at": due_at}


def _read(row: Any) -> Endpoint:  # noqa: ANN401 - a row
    types: Sequence[str] | None = row.types
    return Endpoint(
        id=EntityId(row.id),
        url=row.url,
        description=row.description,
        types=None if types is None else tuple(types),
        standing=Standing(
            status=EndpointStatus(row.status),
            reason=None if row.reason is None else Reason(row.reason),
            failures=row.failures,
            failing_since=row.failing_since,
            rests_until=row.rests_until,
            delivered_at=row.delivered_at,
        ),
        created_at=row.created_at,
        changed_at=row.changed_at,
    )
