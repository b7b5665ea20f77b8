"""What a process knows of a show: its manifest, prices and rules, as PostgreSQL has them.

It is only a cache: every batch carries the epoch and the inventory version that it was made with,
and the script answers `stale` when they are no longer the show's.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping, Text, bindparam, cast, func, literal_column, select, true
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.allotments import NO_ALLOTMENTS, Allotments, read_allotments
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.keys import ShowKeys, show_keys
from engine.inventory.manifest import Manifest
from engine.inventory.manifest_format import unpack_manifest
from engine.inventory.overlay import Overlay, lay_over
from engine.inventory.price_versions import Prices, TypePrice, read_price_version
from engine.inventory.seating_plan_format import SeatingPlan
from engine.inventory.ticket_types import STANDARD, TicketType
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.sharing import SharedReads
from engine.platform.tables import fee_schedules, manifests, queues, show_edits, shows

_SEATS_CACHED_MAX: Final = 2_000_000
_SEATS_A_MANIFEST_COUNTS: Final = 500
_PRICE_VERSIONS_CACHED_MAX: Final = 4096
_NO_QUEUE: Final = "off"
DRAFT: Final = "draft"
"""The state of a show whose inventory was never opened."""
OVER: Final = frozenset({"cancelled", "past"})
"""The states of a show that nothing is sold of any more, for good."""

_EDIT: Final = select(show_edits.c.edit_no, show_edits.c.price_version)
_LAST_EDIT: Final = (
    _EDIT.where(show_edits.c.show_id == shows.c.id)
    .order_by(show_edits.c.edit_no.desc())
    .limit(1)
    .lateral("last_edit")
)
_EDIT_AT: Final = (
    _EDIT.where(
        show_edits.c.show_id == bindparam("show"),
        show_edits.c.price_version <= bindparam("version"),
    )
    .order_by(show_edits.c.price_version.desc())
    .limit(1)
)
_OVERLAY: Final = select(show_edits.c.overlay).where(
    show_edits.c.show_id == bindparam("show"), show_edits.c.edit_no == bindparam("edit")
)
# Those that have a price now, in their order.
_OFFERED: Final = literal_column(
    "(SELECT jsonb_agg(to_jsonb(type)"  # noqa: S608 - our own names
    " || jsonb_build_object('price', priced.type_prices -> type.slug) ORDER BY type_no)"
    " FROM ticket_types AS type"
    " JOIN price_versions AS priced"
    " ON priced.show_id = shows.id AND priced.version = shows.price_version"
    " WHERE type.show_id = shows.id"
    f" AND (type.slug = '{STANDARD}' OR priced.type_prices ? type.slug))",
    JSONB,
).label("ticket_types")
# Those that live, in their order.
_ALLOTTED: Final = literal_column(
    "(SELECT jsonb_agg(to_jsonb(living) || jsonb_build_object('begins_at_ms',"
    " CAST(extract(epoch FROM living.begins_at) * 1000 AS BIGINT)) ORDER BY allotment_no)"
    " FROM (SELECT id, allotment_no, seats, shares, code_digests, channels, is_personal, begins_at,"
    " sellers"
    " FROM allotments WHERE show_id = shows.id AND ended_at IS NULL) AS living)",
    JSONB,
).label("allotments")
_SHOW: Final = (
    select(
        shows,
        func.coalesce(_LAST_EDIT.c.edit_no, 0).label("edit_no"),
        func.coalesce(_LAST_EDIT.c.price_version, 0).label("edit_price_version"),
        fee_schedules.c.fee_bps,
        fee_schedules.c.fee_fixed,
        func.coalesce(queues.c.mode, _NO_QUEUE).label("queue_mode"),
        _OFFERED,
        _ALLOTTED,
    )
    .join(fee_schedules, fee_schedules.c.version == shows.c.fee_schedule_version)
    .outerjoin(queues, queues.c.show_id == shows.c.id)
    .outerjoin(_LAST_EDIT, true())
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
    edit_no: int = 0
    """The last edit of its places; 0: they are the plan's."""
    edit_price_version: int = 0
    """From which price version on its places are what `manifest` says."""
    ticket_types: dict[str, TicketType] = {}
    """By slug, those that are offered now, but for the standard one if nothing is told of it."""
    allotments: Allotments = NO_ALLOTMENTS
    """What of its places is not for everybody."""
    seller: EntityId | None = None
    """The other reseller who asks, to sell what of it was released to them; None: it is its own."""
    manifest: Manifest
    keys: ShowKeys

    @property
    def edition(self) -> "Edition":
        """Return which of all manifests it sells from."""
        return Edition(self.manifest_id, self.id if self.edit_no else 0, self.edit_no)

    @property
    def asker(self) -> EntityId:
        """Return whose keys, holds and orders are asked about."""
        return self.reseller if self.seller is None else self.seller

    def for_seller(self, seller: EntityId | None) -> "Show":
        """Return the show as who asks sees it; None: as its own reseller."""
        return self if seller == self.seller else msgspec.structs.replace(self, seller=seller)

    def with_places(self, manifest: Manifest) -> "Show":
        """Return the show with the places that it had at a price version."""
        if manifest is self.manifest:
            return self
        return msgspec.structs.replace(self, manifest=manifest)

    def knows_places_of(self, price_version: int) -> bool:
        """Tell whether `manifest` is what places were sold by at a price version."""
        return self.edit_price_version <= price_version <= self.price_version

    @property
    def is_stored(self) -> bool:
        """Whether the inventory store is to have it: see the function of that name."""
        return self.state != DRAFT and not self.is_archived

    def rules(self) -> list[str]:
        """Return what the scripts read of it from `meta`: field, value, field, value, ..."""
        return [
            *("version", str(self.inventory_version)),
            *("return_no", str(self.return_no)),
            *("edit_no", str(self.edit_no)),
            *_rules(self.state, self.opens_at_ms, self.closes_at_ms),
            *("max_per_hold", str(self.max_per_hold)),
            *("max_per_buyer", str(self.max_per_buyer)),
        ]


class Edition(NamedTuple):
    """A manifest: a plan's, shared by its shows, or what an edit of one show has made of it."""

    manifest_id: int
    show: int = 0
    edit_no: int = 0


_NO_EDITION: Final = Edition(-1)


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


class UnknownShowError(LookupError):
    """No such show, or not one that the caller may see."""


class ShowBook:
    """Shows by id, loaded from PostgreSQL when first asked for, the least used forgotten first."""

    def __init__(self, *, seats_cached_max: int = _SEATS_CACHED_MAX) -> None:
        """Take the bound on the cached manifests' seats, summed."""
        self._shows: dict[int, Show] = {}
        self._selling: dict[Edition, set[int]] = {}
        """Shows by what they sold from when they were read, or have sold from before."""
        self._manifests: OrderedDict[Edition, Manifest] = OrderedDict()
        self._weight = 0
        self._prices: OrderedDict[tuple[int, int], Prices] = OrderedDict()
        self._editions: OrderedDict[tuple[int, int], Edition] = OrderedDict()
        """By show and price version, of those that are over: they never change."""
        self._reloads: SharedReads[tuple[int, int], Show] = SharedReads()
        self._seats_cached_max = seats_cached_max

    def known(self, reseller: EntityId, show: EntityId) -> Show | None:
        """Return a reseller's show if it is in memory; None also for other people's shows."""
        known = self._shows.get(show)
        if known is None or known.reseller != reseller:
            return None
        self._manifests.move_to_end(known.edition)
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
        self._manifests.move_to_end(known.edition)
        return known

    async def reload(self, app: AsyncEngine, reseller: EntityId, show: EntityId) -> Show:
        """Read a reseller's show again, together with all who ask. Raises as `get`."""
        return await self._reloads.get((reseller, show), partial(self._reload, app, reseller, show))

    async def _reload(self, app: AsyncEngine, reseller: EntityId, show: EntityId) -> Show:
        async with tenant_transaction(app, reseller) as connection:
            found = self._shows[show] = await self.read(connection, show)
            self._selling.setdefault(found.edition, set()).add(show)
            return found

    async def read(self, connection: AsyncConnection, show: int) -> Show:
        """Read a show through the caller's connection, and compile its manifest if need be.

        Raises:
            UnknownShowError: the connection sees no such show.
        """
        row = (await connection.execute(_SHOW, {"show": show})).mappings().one_or_none()
        if row is None:
            raise UnknownShowError(show)
        edited = row["id"] if row["edit_no"] else 0
        edition = Edition(row["manifest_id"], edited, row["edit_no"])
        return _show(row, await self._manifest(connection, edition))

    async def places_at(self, app: AsyncEngine, show: Show, price_version: int) -> Manifest:
        """Return what places were sold by at a price version, from memory where it is there.

        Raises as `get`.
        """
        for known in (show, self._shows.get(show.id)):
            if known is not None and known.knows_places_of(price_version):
                return known.manifest
        edited = self._manifests.get(self._editions.get((show.id, price_version), _NO_EDITION))
        if edited is not None:
            return edited
        if price_version > show.price_version:
            newer = await self.reload(app, show.reseller, show.id)
            if newer.knows_places_of(price_version):
                return newer.manifest
        async with tenant_transaction(app, show.reseller) as connection:
            return await self.read_places_at(connection, show, price_version)

    async def read_places_at(
        self, connection: AsyncConnection, show: Show, price_version: int
    ) -> Manifest:
        """Return what places were sold by at a price version, through the caller's connection."""
        if show.knows_places_of(price_version):
            return show.manifest
        edition = self._editions.get((show.id, price_version))
        if edition is None:
            named = {"show": show.id, "version": price_version}
            edit = (await connection.execute(_EDIT_AT, named)).first()
            edition = Edition(show.manifest_id, *((show.id, edit[0]) if edit else ()))
            self._editions[show.id, price_version] = edition
            if len(self._editions) > _PRICE_VERSIONS_CACHED_MAX:
                self._editions.popitem(last=False)
        return await self._manifest(connection, edition)

    async def prices(self, connection: AsyncConnection, show: int, version: int) -> Prices:
        """Read a price version, which never changes, or return it from memory.

        Raises:
            LookupError: the connection sees no such version.
        """
        known = self._prices.get((show, version))
        if known is None:
            known = await read_price_version(connection, show, version)
            self._prices[show, version] = known
            if len(self._prices) > _PRICE_VERSIONS_CACHED_MAX:
                self._prices.popitem(last=False)
        return known

    def known_prices(self, show: int, version: int) -> Prices | None:
        """Return a price version if it is in memory."""
        return self._prices.get((show, version))

    async def _manifest(self, connection: AsyncConnection, edition: Edition) -> Manifest:
        known = self._manifests.get(edition)
        if known is None:
            if edition.edit_no:
                known = await self._edited(connection, edition)
            else:
                known = await _read_manifest(connection, edition.manifest_id)
            self._keep(edition, known)
        self._manifests.move_to_end(edition)
        return known

    async def _edited(self, connection: AsyncConnection, edition: Edition) -> Manifest:
        planned = await self._manifest(connection, Edition(edition.manifest_id))
        overlay = await _read_overlay(connection, edition.show, edition.edit_no)
        return await asyncio.to_thread(lay_over, planned, overlay)

    def _keep(self, edition: Edition, manifest: Manifest) -> None:
        """Keep a manifest within the bound: others go, and the shows that sell from them."""
        known = self._manifests.get(edition)
        self._weight += _weight(manifest) - (0 if known is None else _weight(known))
        self._manifests[edition] = manifest
        while self._weight > self._seats_cached_max and len(self._manifests) > 1:
            forgotten, gone = self._manifests.popitem(last=False)
            self._weight -= _weight(gone)
            for show in self._selling.pop(forgotten, ()):
                sold_from = self._shows.get(show)
                if sold_from is not None and sold_from.edition == forgotten:
                    del self._shows[show]


async def _read_manifest(connection: AsyncConnection, manifest_id: int) -> Manifest:
    """Read what was compiled of a plan; compile it if nothing is kept that can be read."""
    of_it = manifests.c.id == manifest_id
    packed = (await connection.execute(select(manifests.c.compiled).where(of_it))).scalar_one()
    known = None if packed is None else await asyncio.to_thread(unpack_manifest, packed)
    if known is not None:
        return known
    # As text: what reads JSON columns does so on the event loop.
    plan = await connection.execute(select(cast(manifests.c.plan, Text)).where(of_it))
    return await asyncio.to_thread(_compile, plan.scalar_one())


async def read_overlay(connection: AsyncConnection, show: Show) -> Overlay:
    """Return all that a show's edits have changed of its plan."""
    return await _read_overlay(connection, show.id, show.edit_no) if show.edit_no else Overlay()


async def _read_overlay(connection: AsyncConnection, show: int, edit_no: int) -> Overlay:
    packed = (await connection.execute(_OVERLAY, {"show": show, "edit": edit_no})).scalar_one()
    return msgspec.convert(packed, Overlay)


def _weight(manifest: Manifest) -> int:
    """Return what a manifest counts in the cache: its seats, and a little for being there."""
    return manifest.seat_count + _SEATS_A_MANIFEST_COUNTS


def _compile(plan: str) -> Manifest:
    return compile_manifest(msgspec.json.decode(plan, type=SeatingPlan))


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
        edit_no=row["edit_no"],
        edit_price_version=row["edit_price_version"],
        ticket_types=_offered(row["ticket_types"]),
        allotments=read_allotments(row["allotments"], len(manifest.layout)),
        manifest=manifest,
        keys=show_keys(row["id"]),
    )


def _offered(found: Any) -> dict[str, TicketType]:  # noqa: ANN401 - a JSONB column
    """Read the types that are offered, each in those of its levels that it has a price in."""
    types: dict[str, TicketType] = {}
    for row in found or ():
        one = msgspec.convert(row, TicketType)
        price = msgspec.convert(row["price"], TypePrice | None)
        if price is not None and price.share_bps is None:
            priced = tuple(level for level in price.prices if one.is_for(level))
            one = msgspec.structs.replace(one, levels=priced)
        types[one.slug] = one
    return types


def _ms(moment: Any) -> int:  # noqa: ANN401 - a column's datetime
    return round(moment.timestamp() * 1000)
