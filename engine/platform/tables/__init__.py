"""The ledger's tables, as SQLAlchemy Core sees them.

The migrations make them; `tests/engine/test_migrations.py` holds the two together. What the
columns mean is said here once. Money is in minor units of the row's (or its order's) currency.
Every table with a `reseller_id` has forced row-level security.
"""

from engine.platform.tables.buyers import (
    buyer_erasures,
    buyers,
)
from engine.platform.tables.columns import metadata
from engine.platform.tables.sealing import (
    data_keys,
)
from engine.platform.tables.selling import (
    area_blocks,
    area_sales,
    conflicts,
    fee_schedules,
    idempotency_keys,
    journal_entries,
    manifests,
    order_lines,
    orders,
    postings,
    price_versions,
    queues,
    recorder_positions,
    recoveries,
    refund_requests,
    returns,
    seat_blocks,
    shows,
    stranded_facts,
    tickets,
)
from engine.platform.tables.tenancy import (
    api_keys,
    resellers,
)
from engine.platform.tables.trail import (
    trail_drafts,
    trail_entries,
    trail_heads,
)

__all__ = (
    "api_keys",
    "area_blocks",
    "area_sales",
    "buyer_erasures",
    "buyers",
    "conflicts",
    "data_keys",
    "fee_schedules",
    "idempotency_keys",
    "journal_entries",
    "manifests",
    "metadata",
    "order_lines",
    "orders",
    "postings",
    "price_versions",
    "queues",
    "recorder_positions",
    "recoveries",
    "refund_requests",
    "resellers",
    "returns",
    "seat_blocks",
    "shows",
    "stranded_facts",
    "tickets",
    "trail_drafts",
    "trail_entries",
    "trail_heads",
)
