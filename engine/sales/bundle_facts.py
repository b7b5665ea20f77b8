"""What is told of bundles in the log of facts: their ends, in the transaction that sets them."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as UUID_TYPE
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.facts.log import NewFact, add_facts
from engine.facts.types import (
    BundleFailed,
    BundlePurchased,
    BundleReleased,
    FactData,
    FactType,
)
from engine.platform.ids import Ids, Prefix
from engine.platform.tables import orders
from engine.sales.bundles import BOUGHT, Bundle, BundleState

_ORDERS: Final = select(orders.c.id, orders.c.total).where(
    orders.c.id == bindparam("holds", type_=ARRAY(UUID_TYPE)).any_(),
    orders.c.status.in_(BOUGHT),
)


async def tell_end(connection: AsyncConnection, ids: Ids, bundle: Bundle, end: BundleState) -> None:
    """Tell how a bundle ended, one of `ENDED`, in the transaction that has just moved it there.

    Of one that was never held nobody is told: who asked for it was answered so.

    Raises:
        sqlalchemy.exc.DBAPIError: PostgreSQL refused it, or is away.
    """
    if end is BundleState.RELEASED and bundle.expires_at is None:
        return
    refused = {
        ids.entity(Prefix.SHOW, one.show): one.refused
        for one in bundle.shows
        if one.refused is not None
    }
    holds = {"holds": [UUID(bytes=one.hold) for one in bundle.shows]}
    totals = {row.id.bytes: row.total for row in await connection.execute(_ORDERS, holds)}
    bought = tuple(ids.order(one.show, one.hold) for one in bundle.shows if one.hold in totals)
    reference = bundle.payment_reference or ""
    data: FactData
    if end is BundleState.PURCHASED:
        kind = FactType.BUNDLE_PURCHASED
        data = BundlePurchased(
            orders=bought,
            currency=bundle.currency,
            total=sum(totals.values()),
            payment_reference=reference,
        )
    elif end is BundleState.RELEASED:
        kind = FactType.BUNDLE_RELEASED
        data = msgspec.convert({"reason": bundle.reason, "refused": refused}, BundleReleased)
    else:
        kind = FactType.BUNDLE_FAILED
        data = BundleFailed(orders=bought, payment_reference=reference, refused=refused)
    name = ids.entity(Prefix.BUNDLE, bundle.id)
    fact = NewFact(kind, name, data, None, datetime.now(UTC))
    await add_facts(connection, bundle.reseller, [fact])
