"""The ledger's tables, as SQLAlchemy Core sees them.

The migrations make them; `tests/engine/test_migrations.py` holds the two together. What the
columns mean is said here once. Money is in minor units of the row's (or its order's) currency.
Every table with a `reseller_id` has forced row-level security.
"""

from engine.platform.tables.columns import metadata
from engine.platform.tables.facts import (
    fact_horizons,
    facts,
    told_shows,
)
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
from engine.platform.tables.webhooks import (
    webhook_attempts,
    webhook_deliveries,
    webhook_endpoints,
    webhook_positions,
)

__all__ = (
    "api_keys",
    "area_blocks",
    "area_sales",
    "conflicts",
    "data_keys",
    "fact_horizons",
    "facts",
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
    "told_shows",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_positions",
)
