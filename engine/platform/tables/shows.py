"""Shows: what they sell from and by which rules, and what the house has decided of them."""

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
    # What was compiled of it: see engine/inventory/manifest_format.py. NULL: before that was kept.
    optional("compiled", LargeBinary),
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
    Index("shows_reseller_id_created_at_id_idx", "reseller_id", "created_at", "id"),
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
        "shows_tended_idx",
        "id",
        postgresql_where=text("state <> 'draft' AND archived_at IS NULL"),
    ),
    Index(
        "shows_unopened_idx",
        "id",
        postgresql_where=text("epoch = 0 AND state <> 'draft' AND archived_at IS NULL"),
    ),
    Index(
        None,
        "opens_at",
        postgresql_where=text("state = 'on_sale' AND archived_at IS NULL"),
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
