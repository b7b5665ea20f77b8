"""The ledger: resellers' shows, what is sold of them, and the books."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from engine.platform.tables.columns import (
    CURRENCY,
    TIME,
    counter,
    entity,
    metadata,
    moment,
    of_reseller,
    of_show,
    optional,
    required,
    reseller_column,
)

fee_schedules: Final = Table(
    "fee_schedules",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    required("fee_bps", Integer),  # of the face value, in hundredths of a percent
    required("fee_fixed", BigInteger),  # per ticket, minor units of the show's currency
    moment("created_at"),
)

manifests: Final = Table(
    "manifests",
    metadata,
    entity(),
    reseller_column(),
    required("name", Text),
    required("plan", JSONB),  # the seating plan as it was imported
    required("seat_count", Integer),
    moment("created_at"),
    UniqueConstraint("id", "reseller_id"),
    of_reseller(),
    Index(None, "reseller_id"),
)

shows: Final = Table(
    "shows",
    metadata,
    entity(),
    reseller_column(),
    required("manifest_id", BigInteger),
    required("name", Text),
    required("venue", Text),
    required("starts_at", TIME),
    required("opens_at", TIME),
    optional("closes_at", TIME),
    required("state", Text),
    required("currency", CURRENCY),
    required("tax_bps", Integer),
    required("fee_schedule_version", Integer),
    required("max_per_buyer", Integer),
    required("max_per_hold", Integer),
    # Raised at each recovery: the fencing token that every recorder transaction checks.
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("inventory_version", BigInteger, nullable=False, server_default=text("1")),
    Column("price_version", Integer, nullable=False, server_default=text("1")),
    # The last of its returns; its inventory store tells which of them it has applied.
    Column("return_no", BigInteger, nullable=False, server_default=text("0")),
    moment("created_at"),
    UniqueConstraint("id", "reseller_id"),
    ForeignKeyConstraint(["manifest_id", "reseller_id"], ["manifests.id", "manifests.reseller_id"]),
    ForeignKeyConstraint(["fee_schedule_version"], ["fee_schedules.version"]),
    # What is promoted by it, and what it was set up from; NULL: it came with a plan of its own.
    optional("event_id", BigInteger),
    optional("configuration_id", BigInteger),
    optional("configuration_version", Integer),
    optional("doors_at", TIME),
    optional("duration_min", Integer),
    Column("visibility", Text, nullable=False, server_default=text("'public'")),
    optional("public_from", TIME),
    Column("hold_ttl_s", Integer, nullable=False, server_default=text("600")),
    Column("payment_methods", ARRAY(Text), nullable=False, server_default=text("'{card}'")),
    optional("follows_show_id", BigInteger),  # the first date, of which it is another
    Column("opens_when_first_sells_out", Boolean, nullable=False, server_default=text("false")),
    optional("archive_from", TIME),  # its inventory store need not have it then; NULL: it must
    optional("archived_at", TIME),  # since when its inventory store has nothing of it
    ForeignKeyConstraint(["event_id", "reseller_id"], ["events.id", "events.reseller_id"]),
    ForeignKeyConstraint(
        ["configuration_id", "configuration_version", "reseller_id"],
        [
            "configuration_versions.configuration_id",
            "configuration_versions.version",
            "configuration_versions.reseller_id",
        ],
    ),
    ForeignKeyConstraint(["follows_show_id", "reseller_id"], ["shows.id", "shows.reseller_id"]),
    CheckConstraint(
        "state IN ('draft', 'announced', 'on_sale', 'paused', 'off_sale', 'rescheduled',"
        " 'cancelled', 'past')",
        name="state",
    ),
    CheckConstraint("visibility IN ('public', 'hidden')", name="visibility"),
    CheckConstraint(
        "(configuration_id IS NULL) = (configuration_version IS NULL)", name="configuration"
    ),
    CheckConstraint("hold_ttl_s > 0 AND duration_min > 0", name="times"),
    CheckConstraint(
        "NOT opens_when_first_sells_out OR follows_show_id IS NOT NULL", name="follows"
    ),
    CheckConstraint("tax_bps BETWEEN 0 AND 10000", name="tax_bps"),
    CheckConstraint("max_per_buyer > 0 AND max_per_hold > 0", name="limits"),
    of_reseller(),
    Index(None, "reseller_id"),
    Index(None, "event_id"),
    Index(None, "configuration_id", "starts_at"),
    Index(None, "starts_at", postgresql_where=text("archived_at IS NULL")),
    Index(None, "archive_from", postgresql_where=text("archived_at IS NULL")),
    Index(
        "shows_ending_idx",
        "starts_at",
        postgresql_where=text("archived_at IS NOT NULL AND state IN ('off_sale', 'rescheduled')"),
    ),
    Index(
        "shows_following_idx",
        "follows_show_id",
        postgresql_where=text("opens_when_first_sells_out"),
    ),
)

price_versions: Final = Table(
    "price_versions",
    metadata,
    required("show_id", BigInteger),
    required("version", Integer),
    reseller_column(),
    required("prices", JSONB),  # price level slug to face value
    # Ticket type slug to {"share_bps": of the level's face value, "prices": {level: face value}}.
    Column("type_prices", JSONB, nullable=False, server_default=text("'{}'")),
    moment("created_at"),
    PrimaryKeyConstraint("show_id", "version"),
    of_show(),
)

seat_blocks: Final = Table(
    "seat_blocks",
    metadata,
    required("show_id", BigInteger),
    reseller_column(),
    required("seat_index", Integer),
    required("reason", Text),
    PrimaryKeyConstraint("show_id", "seat_index"),
    of_show(),
)

area_blocks: Final = Table(
    "area_blocks",
    metadata,
    required("show_id", BigInteger),
    reseller_column(),
    required("area_index", Integer),
    required("count", Integer),
    PrimaryKeyConstraint("show_id", "area_index"),
    CheckConstraint("count > 0", name="count"),
    of_show(),
)

# What was changed of a show's places while it sells, and all that is changed since then.
show_edits: Final = Table(
    "show_edits",
    metadata,
    required("show_id", BigInteger),
    required("edit_no", Integer),  # 1, 2, ... of the show
    reseller_column(),
    required("inventory_version", BigInteger),  # that it made
    required("price_version", Integer),  # from which on places are sold by it
    required("reason", Text),
    required("asked", JSONB),  # the edits, in the words of who asked
    required("overlay", JSONB),  # on the plan: engine/inventory/overlay.py
    required("seats_moved", Integer),
    required("seats_taken_out", Integer),
    required("seats_put_back", Integer),
    required("seats_removed", Integer),  # in all, since then
    moment("created_at"),
    PrimaryKeyConstraint("show_id", "edit_no"),
    UniqueConstraint("show_id", "price_version"),
    CheckConstraint("edit_no > 0", name="number"),
    of_show(),
)

orders: Final = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),  # the 16 bytes of the hold it came from
    reseller_column(),
    required("show_id", BigInteger),
    required("buyer", Text),
    required("status", Text),
    required("currency", CURRENCY),
    required("face_value", BigInteger),
    required("fee", BigInteger),
    required("tax", BigInteger),
    required("discount", BigInteger),
    required("total", BigInteger),
    required("payment_reference", Text),
    required("purchase_key", Text),  # the Idempotency-Key that it was bought with
    required("body_fp", BigInteger),  # fingerprints of the purchase's body and of the hold's
    required("hold_fp", BigInteger),
    required("price_version", Integer),
    required("epoch", BigInteger),  # with position: its fact's place in the stream
    required("position", BigInteger),
    required("sold_at", TIME),
    moment("recorded_at"),
    of_show(),
    CheckConstraint("status IN ('confirmed', 'conflict', 'refunded', 'returned')", name="status"),
    CheckConstraint("total = face_value + fee + tax - discount", name="total"),
    Index(None, "show_id", "epoch", "position"),
    Index(None, "reseller_id", "buyer"),
)

order_lines: Final = Table(
    "order_lines",
    metadata,
    required("order_id", Uuid),
    required("line_no", Integer),
    reseller_column(),
    required("show_id", BigInteger),
    required("price_level", Text),
    optional("area_index", Integer),  # NULL: numbered seats
    required("quantity", Integer),
    required("unit_face_value", BigInteger),
    required("unit_fee", BigInteger),
    required("unit_tax", BigInteger),
    required("unit_discount", BigInteger),
    required("total", BigInteger),
    optional("ticket_type", Text),  # NULL: the one that costs the level's face value
    PrimaryKeyConstraint("order_id", "line_no"),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint(
        "total = quantity * (unit_face_value + unit_fee + unit_tax - unit_discount)", name="total"
    ),
)

tickets: Final = Table(
    "tickets",
    metadata,
    Column("id", Uuid, primary_key=True),
    required("order_id", Uuid),
    reseller_column(),
    required("show_id", BigInteger),
    required("line_no", Integer),
    optional("seat_index", Integer),
    optional("area_index", Integer),
    required("label", Text),  # the seat's, or its area's slug
    required("status", Text),
    optional("ticket_type", Text),  # as its line's
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    CheckConstraint("status IN ('active', 'cancelled', 'returned')", name="status"),
    CheckConstraint("num_nonnulls(seat_index, area_index) = 1", name="place"),
    Index(None, "order_id"),
)

# The last fence: whatever else goes wrong, no seat has two owners.
Index(
    "tickets_one_owner_per_seat",
    tickets.c.show_id,
    tickets.c.seat_index,
    unique=True,
    postgresql_where=text("status = 'active' AND seat_index IS NOT NULL"),
)

area_sales: Final = Table(
    "area_sales",
    metadata,
    required("show_id", BigInteger),
    reseller_column(),
    required("area_index", Integer),
    required("capacity", Integer),
    required("sold", Integer),
    PrimaryKeyConstraint("show_id", "area_index"),
    CheckConstraint("sold BETWEEN 0 AND capacity", name="sold"),
    of_show(),
)

conflicts: Final = Table(
    "conflicts",
    metadata,
    required("order_id", Uuid),
    required("conflict_no", Integer),
    reseller_column(),
    required("show_id", BigInteger),
    optional("seat_index", Integer),
    optional("area_index", Integer),
    optional("owner_order_id", Uuid),  # who has the seat; NULL for an area that is full
    # Of the sale. While it is the show's, no recovery has put its other places on sale again.
    required("epoch", BigInteger),
    moment("found_at"),
    PrimaryKeyConstraint("order_id", "conflict_no"),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    Index(None, "show_id", "found_at"),
    Index(None, "show_id", "epoch"),
)

stranded_facts: Final = Table(
    "stranded_facts",
    metadata,
    required("show_id", BigInteger),
    reseller_column(),
    required("stream_epoch", BigInteger),
    required("stream_seq", BigInteger),
    required("fact", LargeBinary),  # the entry's fields, as msgpack: nothing of it is lost
    optional("hold_id", Uuid),  # NULL: the entry names no hold
    required("reason", Text),
    moment("found_at"),
    PrimaryKeyConstraint("show_id", "stream_epoch", "stream_seq"),
    of_show(),
    Index(None, "hold_id"),
)

refund_requests: Final = Table(
    "refund_requests",
    metadata,
    # Once each. No foreign key: a stranded fact has no order.
    Column("order_id", Uuid, primary_key=True),
    reseller_column(),
    required("show_id", BigInteger),
    required("reason", Text),
    required("amount", BigInteger),
    required("currency", CURRENCY),
    required("payment_reference", Text),
    moment("created_at"),
    of_show(),
    CheckConstraint(
        "reason IN ('conflict', 'stranded', 'returned', 'cancelled', 'rescheduled')", name="reason"
    ),
    CheckConstraint("amount >= 0", name="amount"),
    Index(None, "show_id", "created_at"),
)

returns: Final = Table(
    "returns",
    metadata,
    required("show_id", BigInteger),
    required("return_no", BigInteger),  # of the show, from 1 on, without gaps
    reseller_column(),
    required("order_id", Uuid),
    moment("at"),
    PrimaryKeyConstraint("show_id", "return_no"),
    UniqueConstraint("order_id"),  # once each
    of_show(),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
)

# A show cancelled or moved to another time, and what who has tickets may choose.
show_changes: Final = Table(
    "show_changes",
    metadata,
    required("show_id", BigInteger),
    required("change_no", Integer),  # of the show, from 1 on
    reseller_column(),
    required("kind", Text),
    required("offered", ARRAY(Text)),
    required("default_choice", Text),  # of who has not chosen by then
    required("choose_by", TIME),
    required("starts_at_before", TIME),
    optional("starts_at", TIME),  # since then; NULL: never
    optional("new_show_id", BigInteger),  # what a voucher is for; NULL: the show itself
    Column("note", Text, nullable=False, server_default=text("''")),
    required("sold_until", TIME),  # by the show's clock: orders of after that are not affected
    moment("decided_at"),
    optional("settled_at", TIME),  # since when nobody can choose any more
    PrimaryKeyConstraint("show_id", "change_no"),
    of_show(),
    ForeignKeyConstraint(["new_show_id", "reseller_id"], ["shows.id", "shows.reseller_id"]),
    CheckConstraint("kind IN ('rescheduled', 'cancelled')", name="kind"),
    CheckConstraint(
        "offered <@ '{keep,refund,credit,voucher}' AND default_choice = ANY(offered)",
        name="offered",
    ),
    Index(None, "choose_by", postgresql_where=text("settled_at IS NULL")),
)

# One for each order that such a change affects.
order_choices: Final = Table(
    "order_choices",
    metadata,
    required("show_id", BigInteger),
    required("change_no", Integer),
    required("order_id", Uuid),
    reseller_column(),
    optional("choice", Text),  # NULL: none yet
    Column("is_default", Boolean, nullable=False, server_default=text("false")),
    optional("chosen_at", TIME),
    PrimaryKeyConstraint("show_id", "change_no", "order_id"),
    of_show(),
    ForeignKeyConstraint(
        ["show_id", "change_no"], ["show_changes.show_id", "show_changes.change_no"]
    ),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    CheckConstraint(
        "choice IN ('keep', 'refund', 'credit', 'voucher')"
        " AND (choice IS NULL) = (chosen_at IS NULL)",
        name="choice",
    ),
    Index(None, "order_id"),
)

queues: Final = Table(
    "queues",
    metadata,
    Column("show_id", BigInteger, primary_key=True, autoincrement=False),
    reseller_column(),
    required("mode", Text),
    required("is_paused", Boolean),
    required("opens_at", TIME),
    optional("draws_at", TIME),  # NULL: places are numbers, in the order of arrival
    required("rate", Double),  # passes a second
    required("burst", Double),
    required("checkout_max", Integer),
    required("pass_ttl_s", Integer),
    optional("safety_net", Double),  # joins a second above which people wait
    required("proof_bits", Integer),
    required("return_addresses", JSONB),
    optional("beacon", JSONB),
    optional("beacon_value", LargeBinary),
    required("secret", LargeBinary),
    required("commitment", LargeBinary),
    optional("count", BigInteger),  # of the entries that were drawn, once they are closed
    optional("closed_at", TIME),
    optional("drawn_at", TIME),
    optional("digest", LargeBinary),
    counter("epoch"),
    counter("numbers_ceiling"),  # nobody has this number or a higher one
    counter("serving_ceiling"),  # `serving` has never been higher
    Column("skipped", JSONB, nullable=False, server_default=text("'[]'")),
    Column("version", BigInteger, nullable=False, server_default=text("1")),
    moment("created_at"),
    moment("changed_at"),  # its rules
    of_show(),
    CheckConstraint("mode IN ('on', 'drain', 'closed', 'off')", name="mode"),
    CheckConstraint("rate > 0 AND burst >= 1 AND checkout_max > 0", name="bounds"),
    CheckConstraint("drawn_at IS NULL OR count IS NOT NULL", name="drawn"),
)

recorder_positions: Final = Table(
    "recorder_positions",
    metadata,
    Column("show_id", BigInteger, primary_key=True, autoincrement=False),
    reseller_column(),
    required("epoch", BigInteger),
    required("seq", BigInteger),
    moment("updated_at"),
    of_show(),
)

recoveries: Final = Table(
    "recoveries",
    metadata,
    entity(),
    required("show_id", BigInteger),
    reseller_column(),
    required("epoch", BigInteger),
    required("reason", Text),
    required("facts_drained", Integer),
    required("holds_kept", Integer),
    required("holds_voided", Integer),
    required("took_ms", Integer),
    moment("at"),
    of_show(),
    Index(None, "show_id", "epoch"),
)

journal_entries: Final = Table(
    "journal_entries",
    metadata,
    Column("id", Uuid, primary_key=True),
    reseller_column(),
    required("show_id", BigInteger),
    required("order_id", Uuid),
    required("kind", Text),
    required("occurred_at", TIME),
    ForeignKeyConstraint(["order_id"], ["orders.id"]),
    Index(None, "order_id"),
)

postings: Final = Table(
    "postings",
    metadata,
    required("entry_id", Uuid),
    required("posting_no", Integer),
    reseller_column(),
    required("account", Text),
    required("currency", CURRENCY),
    required("amount", BigInteger),
    PrimaryKeyConstraint("entry_id", "posting_no"),
    ForeignKeyConstraint(["entry_id"], ["journal_entries.id"]),
    CheckConstraint("amount <> 0", name="amount"),
)

idempotency_keys: Final = Table(
    "idempotency_keys",
    metadata,
    reseller_column(),
    required("scope", Text),
    required("key_hash", LargeBinary),
    required("fingerprint", LargeBinary),
    optional("status", Integer),  # NULL with body while the first request is under way
    optional("body", LargeBinary),
    moment("created_at"),
    PrimaryKeyConstraint("reseller_id", "scope", "key_hash"),
    of_reseller(),
    CheckConstraint("(status IS NULL) = (body IS NULL)", name="answer"),
    Index(None, "created_at"),
)
