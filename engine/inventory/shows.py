"""What a process knows of a show: its manifest, prices and rules, as PostgreSQL has them.

It is only a cache: every batch carries the epoch and the inventory version that it was made with,
and the script answers `stale` when they are no longer the show's.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.keys import ShowKeys, show_keys
from engine.inventory.manifest import Manifest
from engine.inventory.seating_plan_format import SeatingPlan
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.sharing import SharedReads
from engine.platform.tables import fee_schedules, manifests, price_versions, queues, shows

_SEATS_CACHED_MAX: Final = 2_000_000
_SEATS_A_MANIFEST_COUNTS: Final = 500
_PRICE_VERSIONS_CACHED_MAX: Final = 4096
_NO_QUEUE: Final = "off"
DRAFT: Final = "draft"
"""The state of a show whose inventory was never opened."""

_SHOW: Final = (
    select(
        shows,
        fee_schedules.c.fee_bps,
        fee_schedules.c.fee_fixed,
        func.coalesce(queues.c.mode, _NO_QUEUE).label("queue_mode"),
    )
    .join(fee_schedules, fee_schedules.c.version == shows.c.fee_schedule_version)
    .outerjoin(queues, queues.c.show_id == shows.c.id)
    .where(shows.c.id == bindparam("show"))
)


class Show(Struct, frozen=True, kw_only=True):
    """One show, as of an epoch and an inventory version. Times are ms since 1970, UTC."""

    id: EntityId
    reseller: EntityId
    manifest_id: int
    name: str
    venue: str
    starts_at_ms: int
    opens_at_ms: int
    closes_at_ms: int | None
    state: str
    currency: str
    tax_bps: int
    fee_bps: int
    fee_fixed: int
    max_per_hold: int
    max_per_buyer: int
    epoch: int
    inventory_version: int
    price_version: int
    hold_ttl_s: int = 600
    """For how long a hold is that does not say."""
    is_archived: bool = False
    """Whether the inventory store has nothing of it any more."""
    return_no: int = 0
    """The last of its returns that the ledger had."""
    has_queue: bool = False
    """Whether holds need a pass of its waiting room; a change of it makes an inventory version."""
    manifest: Manifest
    keys: ShowKeys

    @property
    def is_stored(self) -> bool:
        """Whether the inventory store is to have it: see the function of that name."""
        return self.state != DRAFT and not self.is_archived

    def rules(self) -> list[str]:
        """Return what the scripts read of it from `meta`: field, value, field, value, ..."""
        return [
            *("version", str(self.inventory_version)),
            *("return_no", str(self.return_no)),
            *_rules(self.state, self.opens_at_ms, self.closes_at_ms),
            *("max_per_hold", str(self.max_per_hold)),
            *("max_per_buyer", str(self.max_per_buyer)),
        ]


def is_stored(row: Mapping[Any, Any]) -> bool:
    """Whether the inventory store is to have a show: no draft, and none that was archived."""
    return row["state"] != DRAFT and row["archived_at"] is None


def sale_rules(row: Mapping[Any, Any]) -> tuple[str, ...]:
    """Return what a change of a show's row changes in `meta`: field, value, field, value, ..."""
    closes_at = row["closes_at"]
    return (
        *_rules(row["state"], _ms(row["opens_at"]), None if closes_at is None else _ms(closes_at)),
        *("max_per_hold", str(row["max_per_hold"])),
        *("max_per_buyer", str(row["max_per_buyer"])),
    )


def _rules(state: str, opens_at_ms: int, closes_at_ms: int | None) -> tuple[str, ...]:
    return (
        *("sale_state", state),
        *("opens_at", str(opens_at_ms)),
        *("closes_at", str(closes_at_ms or 0)),
    )


class Prices(Struct, frozen=True):
    """Face values of one price version: minor units of the show's currency, by level slug."""

    version: int
    face_values: dict[str, int]


class UnknownShowError(LookupError):
    """No such show, or not one that the caller may see."""


class ShowBook:
    """Shows by id, loaded from PostgreSQL when first asked for, the least used forgotten first."""

    def __init__(self, *, seats_cached_max: int = _SEATS_CACHED_MAX) -> None:
        """Take the bound on the cached manifests' seats, summed."""
        self._shows: dict[int, Show] = {}
        self._manifests: OrderedDict[int, Manifest] = OrderedDict()
        self._prices: OrderedDict[tuple[int, int], Prices] = OrderedDict()
        self._reloads: SharedReads[tuple[int, int], Show] = SharedReads()
        self._seats_cached_max = seats_cached_max

    def known(self, reseller: EntityId, show: EntityId) -> Show | None:
        """Return a reseller's show if it is in memory; None also for other people's shows."""
        known = self._shows.get(show)
        if known is None or known.reseller != reseller:
            return None
        self._manifests.move_to_end(known.manifest_id)
        return known

    async def get(self, app: AsyncEngine, reseller: EntityId, show: EntityId) -> Show:
        """Return a reseller's show, from memory where it is there.

        Raises:
            UnknownShowError: the reseller has no such show.
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
        """
        known = self._shows.get(show)
        if known is None:
            return await self.reload(app, reseller, show)
        if known.reseller != reseller:
            raise UnknownShowError(show)
        self._manifests.move_to_end(known.manifest_id)
        return known

    async def reload(self, app: AsyncEngine, reseller: EntityId, show: EntityId) -> Show:
        """Read a reseller's show again, together with all who ask. Raises as `get`."""
        return await self._reloads.get((reseller, show), partial(self._reload, app, reseller, show))

    async def _reload(self, app: AsyncEngine, reseller: EntityId, show: EntityId) -> Show:
        async with tenant_transaction(app, reseller) as connection:
            found = self._shows[show] = await self.read(connection, show)
            return found

    async def read(self, connection: AsyncConnection, show: int) -> Show:
        """Read a show through the caller's connection, and compile its manifest if need be.

        Raises:
            UnknownShowError: the connection sees no such show.
        """
        row = (await connection.execute(_SHOW, {"show": show})).mappings().one_or_none()
        if row is None:
            raise UnknownShowError(show)
        manifest = await self._manifest(connection, row["manifest_id"])
        return _show(row, manifest)

    async def prices(self, connection: AsyncConnection, show: int, version: int) -> Prices:
        """Read a price version, which never changes, or return it from memory.

        Raises:
            LookupError: the connection sees no such version.
        """
        known = self._prices.get((show, version))
        if known is None:
            query = select(price_versions.c.prices).where(
                price_versions.c.show_id == show, price_versions.c.version == version
            )
            face_values = (await connection.execute(query)).scalar_one_or_none()
            if face_values is None:
                msg = f"price version {version}"
                raise LookupError(msg)
            known = Prices(version, face_values)
            self._prices[show, version] = known
            if len(self._prices) > _PRICE_VERSIONS_CACHED_MAX:
                self._prices.popitem(last=False)
        return known

    def known_prices(self, show: int, version: int) -> Prices | None:
        """Return a price version if it is in memory."""
        return self._prices.get((show, version))

    async def _manifest(self, connection: AsyncConnection, manifest_id: int) -> Manifest:
        known = self._manifests.get(manifest_id)
        if known is None:
            query = select(manifests.c.plan).where(manifests.c.id == manifest_id)
            plan: Any = (await connection.execute(query)).scalar_one()
            # Seconds of work for the largest halls: beside the event loop, not on it.
            known = await asyncio.to_thread(_compile, plan)
            self._manifests[manifest_id] = known
            self._forget_the_least_used()
        self._manifests.move_to_end(manifest_id)
        return known

    def _forget_the_least_used(self) -> None:
        """Keep within the bound: a manifest goes, and the shows that sell from it."""
        weight = sum(_weight(manifest) for manifest in self._manifests.values())
        while weight > self._seats_cached_max and len(self._manifests) > 1:
            forgotten, manifest = self._manifests.popitem(last=False)
            weight -= _weight(manifest)
            self._shows = {
                key: show for key, show in self._shows.items() if show.manifest_id != forgotten
            }


def _weight(manifest: Manifest) -> int:
    """Return what a manifest counts in the cache: its seats, and a little for being there."""
    return manifest.seat_count + _SEATS_A_MANIFEST_COUNTS


def _compile(plan: object) -> Manifest:
    return compile_manifest(msgspec.convert(plan, SeatingPlan))


def _show(row: RowMapping, manifest: Manifest) -> Show:
    return Show(
        id=row["id"],
        reseller=row["reseller_id"],
        manifest_id=row["manifest_id"],
        name=row["name"],
        venue=row["venue"],
        starts_at_ms=_ms(row["starts_at"]),
        opens_at_ms=_ms(row["opens_at"]),
        closes_at_ms=_ms(row["closes_at"]) if row["closes_at"] else None,
        state=row["state"],
        currency=row["currency"],
        tax_bps=row["tax_bps"],
        fee_bps=row["fee_bps"],
        fee_fixed=row["fee_fixed"],
        max_per_hold=row["max_per_hold"],
        max_per_buyer=row["max_per_buyer"],
        epoch=row["epoch"],
        inventory_version=row["inventory_version"],
        price_version=row["price_version"],
        hold_ttl_s=row["hold_ttl_s"],
        is_archived=row["archived_at"] is not None,
        return_no=row["return_no"],
        has_queue=row["queue_mode"] != _NO_QUEUE,
        manifest=manifest,
        keys=show_keys(row["id"]),
    )


def _ms(moment: Any) -> int:  # noqa: ANN401 - a column's datetime
    return round(moment.timestamp() * 1000)
