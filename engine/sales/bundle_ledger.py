"""The ledger of bundles, as who works on them asks it: each call is a transaction of its own."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as UUID_TYPE
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import tenant_transaction
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, HoldId, Ids, entity_hex
from engine.platform.tables import orders, stranded_facts
from engine.sales.bundle_facts import tell_end
from engine.sales.bundles import (
    ENDED,
    Bundle,
    BundledShow,
    BundleState,
    NewPart,
    add_bundle,
    find_bundle,
    keep_lease,
    move,
    note_refusals,
)

_STRANDED: Final = "stranded"

_ORDERS: Final = select(orders.c.id, orders.c.status).where(
    orders.c.id == bindparam("holds", type_=ARRAY(UUID_TYPE)).any_()
)
_STRANDED_HOLDS: Final = select(stranded_facts.c.hold_id).where(
    stranded_facts.c.hold_id == bindparam("holds", type_=ARRAY(UUID_TYPE)).any_()
)
# From the last order on, since a store that was away is back by then, its waiting room soon.
_AWAITS_PASSES: Final = select(
    func.clock_timestamp() < func.max(orders.c.recorded_at) + text("interval '10 seconds'")
).where(orders.c.id == bindparam("holds", type_=ARRAY(UUID_TYPE)).any_())

_log = structlog.stdlib.get_logger(__name__)


class BundleLedger:
    """Reads and moves bundles, for one process.

    Every method may raise `StoreUnavailableError`, when PostgreSQL can't be asked.
    """

    def __init__(self, engine: AsyncEngine, ids: Ids) -> None:
        """Take what the composition root has opened."""
        self._engine = engine
        self._ids = ids

    async def add(
        self,
        *,
        bundle: EntityId,
        reseller: EntityId,
        body_fp: int,
        currency: str,
        parts: Sequence[NewPart],
    ) -> Bundle | None:
        """Add a bundle whose shows are about to be asked, unless it is there; return it.

        None: an old one of the same key was forgotten at that moment.
        """
        with store_failures():
            async with self.open(reseller) as connection:
                await add_bundle(
                    connection,
                    bundle=bundle,
                    reseller=reseller,
                    body_fp=body_fp,
                    currency=currency,
                    parts=parts,
                )
                return await find_bundle(connection, bundle)

    async def find(self, reseller: EntityId, bundle: int) -> Bundle | None:
        """Return a reseller's bundle."""
        with store_failures():
            async with self.open(reseller) as connection:
                return await find_bundle(connection, bundle)

    async def again(self, bundle: Bundle) -> Bundle:
        """Return how a bundle stands now."""
        found = await self.find(bundle.reseller, bundle.id)
        assert found is not None  # noqa: S101 - none is forgotten for days
        return found

    async def keep_lease(self, bundle: Bundle) -> None:
        """Go on working on a bundle."""
        with store_failures():
            async with self.open(bundle.reseller) as connection:
                await keep_lease(connection, bundle.id)

    async def move(
        self,
        bundle: Bundle,
        to: BundleState,
        *,
        refused: Mapping[int, str] | None = None,
        **values: object,
    ) -> bool:
        """Move a bundle on, with what shows said that refused; False if somebody else has.

        Its end is told in the transaction that sets it.
        """
        with store_failures():
            async with self.open(bundle.reseller) as connection:
                moved = await move(connection, bundle, to, **values)
                if moved and refused:
                    await note_refusals(connection, bundle.id, refused)
                if moved and to in ENDED:
                    await tell_end(connection, self._ids, bundle, to)
        if moved:
            _log.info("bundle moved", bundle=entity_hex(bundle.id), was=bundle.state, now=to)
        return moved

    async def recorded(self, bundle: Bundle, shows: Sequence[BundledShow]) -> dict[HoldId, str]:
        """Return how the orders stand that the ledger has, or `stranded`, by hold."""
        if not shows:
            return {}
        holds = {"holds": [UUID(bytes=one.hold) for one in shows]}
        with store_failures():
            async with self.open(bundle.reseller) as connection:
                found = {
                    HoldId(row.id.bytes): str(row.status)
                    for row in await connection.execute(_ORDERS, holds)
                }
                for row in await connection.execute(_STRANDED_HOLDS, holds):
                    found.setdefault(HoldId(row.hold_id.bytes), _STRANDED)
        return found

    async def awaits_passes(self, bundle: Bundle) -> bool:
        """Tell whether passes are still to be asked for, of a bundle whose orders are recorded."""
        holds = {"holds": [UUID(bytes=one.hold) for one in bundle.shows]}
        with store_failures():
            async with self.open(bundle.reseller) as connection:
                return bool((await connection.execute(_AWAITS_PASSES, holds)).scalar_one())

    def open(self, reseller: EntityId) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a transaction that sees a reseller's rows."""
        return tenant_transaction(self._engine, reseller)
