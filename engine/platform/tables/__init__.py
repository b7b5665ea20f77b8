"""The ledger's tables, as SQLAlchemy Core sees them.

The migrations make them; `tests/engine/test_migrations.py` holds the two together. What the
columns mean is said here once. Money is in minor units of the row's (or its order's) currency.
Every table with a `reseller_id` has forced row-level security.
"""

from engine.platform.tables.accounts import (
    accounts,
    invitations,
    mailed_tokens,
    outgoing_mails,
    sessions,
    users,
)
from engine.platform.tables.allotments import (
    allotments,
)
from engine.platform.tables.bundles import (
    bundle_shows,
    bundles,
)
from engine.platform.tables.buyers import (
    buyer_erasures,
    buyers,
)
from engine.platform.tables.catalog import (
    configuration_versions,
    configurations,
    event_performers,
    events,
    performers,
    venues,
)
from engine.platform.tables.columns import metadata
from engine.platform.tables.credentials import (
    ended_tokens,
    oauth_clients,
    oauth_codes,
    oauth_grants,
    refresh_tokens,
    signing_keys,
)
from engine.platform.tables.facts import (
    fact_horizons,
    facts,
    told_shows,
)
from engine.platform.tables.finding import (
    catalog_marks,
    listing_counts,
    listing_places,
    listings,
    pages,
    search_words,
)
from engine.platform.tables.prices import (
    price_steps,
    ticket_types,
)
from engine.platform.tables.sealing import (
    data_keys,
)
from engine.platform.tables.selling import (
    area_sales,
    conflicts,
    idempotency_keys,
    journal_entries,
    order_lines,
    orders,
    postings,
    recorder_positions,
    refund_requests,
    returns,
    stranded_facts,
    tickets,
)
from engine.platform.tables.shows import (
    area_blocks,
    fee_schedules,
    manifests,
    order_choices,
    price_versions,
    queues,
    recoveries,
    seat_blocks,
    show_changes,
    show_edits,
    shows,
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
from engine.platform.tables.webhooks import (
    webhook_attempts,
    webhook_deliveries,
    webhook_endpoints,
    webhook_positions,
)

__all__ = (
    "accounts",
    "allotments",
    "api_keys",
    "area_blocks",
    "area_sales",
    "bundle_shows",
    "bundles",
    "buyer_erasures",
    "buyers",
    "catalog_marks",
    "configuration_versions",
    "configurations",
    "conflicts",
    "data_keys",
    "ended_tokens",
    "event_performers",
    "events",
    "fact_horizons",
    "facts",
    "fee_schedules",
    "idempotency_keys",
    "invitations",
    "journal_entries",
    "listing_counts",
    "listing_places",
    "listings",
    "mailed_tokens",
    "manifests",
    "metadata",
    "oauth_clients",
    "oauth_codes",
    "oauth_grants",
    "order_choices",
    "order_lines",
    "orders",
    "outgoing_mails",
    "pages",
    "performers",
    "postings",
    "price_steps",
    "price_versions",
    "queues",
    "recorder_positions",
    "recoveries",
    "refresh_tokens",
    "refund_requests",
    "resellers",
    "returns",
    "search_words",
    "seat_blocks",
    "sessions",
    "show_changes",
    "show_edits",
    "shows",
    "signing_keys",
    "stranded_facts",
    "ticket_types",
    "tickets",
    "told_shows",
    "trail_drafts",
    "trail_entries",
    "trail_heads",
    "users",
    "venues",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_positions",
)
