"""No reseller sees or touches anything of another's; keys open exactly one reseller's door."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Table, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from engine.platform.database import (
    KEY_HASH_SETTING,
    VISITED_SHOW_SETTING,
    local_transaction,
    tenant_transaction,
)
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.settings import APP_ROLE, AUDITOR_ROLE, OWNER_ROLE, RECORDER_ROLE
from engine.platform.tables import (
    allotments,
    api_keys,
    area_blocks,
    buyer_erasures,
    buyers,
    data_keys,
    fact_horizons,
    idempotency_keys,
    manifests,
    metadata,
    price_versions,
    queues,
    recoveries,
    resellers,
    seat_blocks,
    show_edits,
    shows,
    told_shows,
)
from engine.sales.returns import take_back
from engine.tenancy.keys import NewKey, UnknownKey, add_key, authenticate, revoke_key
from engine.tenancy.resellers import create_reseller
from ops.stack import Stack
from tests.engine.ledger_world import IDS, TestedShow, World, open_world
from tests.engine.rows_by_hand import (
    A_QUEUE,
    AN_ALLOTMENT,
    AN_EDIT,
    SEALED_BY_HAND,
    a_bundle,
    a_catalogue,
    a_change,
    a_listing,
    add_webhook,
    an_account,
    of_prices,
    tokens,
)

_TENANT_TABLES = [table for table in metadata.sorted_tables if "reseller_id" in table.c]
_APP_MAY_INSERT = {
    *("buyer_erasures", "buyers"),
    *("api_keys", "area_blocks", "data_keys", "idempotency_keys", "manifests"),
    *("price_versions", "queues", "seat_blocks", "shows"),
    "facts",
    *("webhook_endpoints", "webhook_deliveries"),
    *("oauth_clients", "oauth_grants", "oauth_codes", "refresh_tokens"),
    # By a return.
    *("journal_entries", "postings", "refund_requests", "returns"),
    # By people: see tests/engine/test_accounts.py.
    *("accounts", "users", "sessions", "invitations", "mailed_tokens", "outgoing_mails"),
    "resellers",
    *("venues", "configurations", "configuration_versions"),
    *("performers", "events", "event_performers"),
    *("ticket_types", "price_steps"),
    *("show_edits", "area_sales", "allotments"),
    *("show_changes", "order_choices"),
    *("bundles", "bundle_shows"),
}
_APP_ALSO_HAS = {
    "area_sales": {"begins_unsold"},
    "resellers": {"signs_up_only"},
    **{name: {"by_digest"} for name in ("users", "sessions", "invitations", "mailed_tokens")},
    "api_keys": {"key_holder"},
    "orders": {"takes_back_only"},
    "price_steps": {"keeps_history"},
    "oauth_clients": {"named"},
    "queues": {"visitor"},
    "tickets": {"takes_back_only"},
}
# They name nobody, and every process reads all of them.
_OF_TOKENS = {"signing_keys", "ended_tokens"}
# Of public rows alone, with the owner's eyes: see migrations/versions/0016_listings.py.
_PUBLIC_VIEWS = {"public_found", "public_listings", "public_pages", "public_places"}
_OF_EVERYBODY = {
    *("alembic_version", "fee_schedules", "webhook_positions", "search_words"),
    *(_OF_TOKENS | _PUBLIC_VIEWS),
}
# Triggers alone read and write it, as the owner.
_OF_THE_OWNER = {"trail_drafts"}


_RETURNERS = (APP_ROLE, RECORDER_ROLE)
_LIFE_OFA_SHOW = {
    *("inventory_version", "return_no", "state", "opens_at", "opens_when_first_sells_out"),
    *("archive_from", "archived_at"),
}
_WORDS_OFA_SHOW = {
    *("name", "venue", "starts_at", "closes_at", "max_per_hold", "max_per_buyer", "event_id"),
    *("doors_at", "duration_min", "visibility", "public_from", "hold_ttl_s", "payment_methods"),
}
_RULES_OFA_QUEUE = {
    *("mode", "is_paused", "opens_at", "draws_at", "rate", "burst", "checkout_max", "pass_ttl_s"),
    *("safety_net", "proof_bits", "return_addresses", "beacon", "beacon_value", "version"),
    "changed_at",
}
_COURSE_OFA_QUEUE = {
    *("beacon", "beacon_value", "count", "closed_at", "drawn_at", "digest", "epoch"),
    *("numbers_ceiling", "serving_ceiling", "skipped", "version"),
}


_RULES_OF_AN_ENDPOINT = {
    *("url", "description", "types", "status", "reason", "secrets_sealed", "since"),
    *("changed_at", "due_at", "rests_until", "failures", "failing_since"),
}
_COURSE_OF_AN_ENDPOINT = {
    *("status", "reason", "changed_at", "due_at", "rests_until", "leased_until", "lease"),
    *("failures", "failing_since", "delivered_at"),
}


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def show(world: World) -> AsyncIterator[TestedShow]:
    """A show of a reseller who has at least a row in every table."""
    issued = await create_reseller(world.owner, "dev", "Halle Nord")
    show = await world.new_show(reseller=issued.reseller)
    await show.sell([1], [(0, 1)])
    await show.sell([1])
    await show.add({b"h": b"h" * 16, b"f": b"garbage"})
    await show.recorder().record(show.id)
    given_back = await show.sell([9])
    await show.recorder().record(show.id)
    async with tenant_transaction(world.app, show.reseller) as connection:
        assert await take_back(connection, IDS, show.id, given_back) == "returned"
    of_show = {"show_id": show.id, "reseller_id": show.reseller}
    async with world.owner.begin() as connection:
        await connection.execute(insert(seat_blocks).values(seat_index=5, reason="kill", **of_show))
        await connection.execute(insert(area_blocks).values(area_index=0, count=2, **of_show))
        await connection.execute(
            insert(recoveries).values(
                id=new_entity_id(),
                epoch=1,
                reason="test",
                facts_drained=0,
                holds_kept=0,
                holds_voided=0,
                took_ms=1,
                **of_show,
            )
        )
        await connection.execute(
            insert(idempotency_keys).values(
                reseller_id=show.reseller, scope="shows", key_hash=b"k", fingerprint=b"f"
            )
        )
        await connection.execute(insert(queues).values(**A_QUEUE, **of_show))
        await connection.execute(insert(told_shows).values(**of_show))
        for table, row in of_prices().items():
            await connection.execute(insert(metadata.tables[table]).values(**row, **of_show))
        await connection.execute(insert(show_edits).values(**AN_EDIT, **of_show))
        await connection.execute(insert(allotments).values(id=show.id, **AN_ALLOTMENT, **of_show))
        horizon = {"xid": text("'1'::xid8"), "id": 1, "forgotten_until": text("now()")}
        await connection.execute(insert(fact_horizons).values(reseller_id=show.reseller, **horizon))
        await connection.execute(
            insert(data_keys).values(
                reseller_id=show.reseller, version=1, sealing_key="00000000", wrapped=b"w"
            )
        )
        manifest = await connection.scalar(select(shows.c.manifest_id).where(shows.c.id == show.id))
        rows = an_account(show.reseller) | tokens(show.reseller)
        of_order = {"order_id": UUID(bytes=given_back), **of_show}
        rows |= a_change(of_order) | a_bundle(of_show)
        for table, row in (rows | a_catalogue(show.reseller, manifest or 0)).items():
            await connection.execute(insert(metadata.tables[table]).values(**row))
        for table, row in a_listing(show.reseller, show.id).items():
            await connection.execute(insert(metadata.tables[table]).values(**row))
        for table in (buyers, buyer_erasures):
            await connection.execute(
                insert(table).values(
                    reseller_id=show.reseller, buyer_digest=b"d", buyer_sealed=b"s"
                )
            )
    async with world.owner.begin() as connection:
        await add_webhook(connection, show.reseller)
    yield show
    # What is sealed in these rows can't be opened: others go through all that the servers have.
    async with world.owner.begin() as connection:
        for name in SEALED_BY_HAND:
            table = metadata.tables[name]
            await connection.execute(table.delete().where(table.c.reseller_id == show.reseller))


async def test_every_table_with_a_reseller_has_forced_row_level_security(world: World) -> None:
    """Read from the catalogue: a new table without policies fails here by itself."""
    tables = await world.rows(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced,"
        " EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid"
        " AND attname = 'reseller_id' AND NOT attisdropped) AS tenant"
        " FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = 'public' AND relkind IN ('r', 'p', 'v', 'm', 'f')"
    )
    policies = await world.rows("SELECT * FROM pg_policies WHERE schemaname = 'public'")
    assert {row["relname"] for row in tables if not row["forced"]} == _OF_EVERYBODY
    of_tenants = {row["relname"] for row in tables if row["tenant"]}
    assert of_tenants - _PUBLIC_VIEWS == {t.name for t in _TENANT_TABLES}
    for name in {row["relname"] for row in tables} - _OF_EVERYBODY:
        by_role: dict[str, list[Any]] = {}
        for policy in policies:
            if policy["tablename"] == name:
                for role in policy["roles"]:
                    by_role.setdefault(role, []).append(policy)
        if name in _OF_THE_OWNER:
            assert set(by_role) == {OWNER_ROLE}
            continue
        assert set(by_role) == {APP_ROLE, RECORDER_ROLE, AUDITOR_ROLE, OWNER_ROLE}, name
        column = "id" if name == "resellers" else "reseller_id"
        tenant = [policy for policy in by_role[APP_ROLE] if policy["policyname"] == "tenant"]
        assert len(tenant) == 1, name
        for clause in (tenant[0]["qual"], tenant[0]["with_check"]):
            assert clause.startswith(f"({column} = (NULLIF(current_setting('onsale.reseller_id'")
        others = {policy["policyname"] for policy in by_role[APP_ROLE]} - {"tenant"}
        assert others == _APP_ALSO_HAS.get(name, set()), name
        assert {policy["cmd"] for policy in by_role[AUDITOR_ROLE]} == {"SELECT"}


async def test_the_roles_own_nothing_and_look_past_no_policy(world: World) -> None:
    """All belongs to the owner; none of the four is a superuser or bypasses row security."""
    owners = await world.rows(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    )
    assert [row["tableowner"] for row in owners] == [OWNER_ROLE]
    roles = await world.rows(
        "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole AS strong FROM pg_roles"
        " WHERE rolname LIKE 'onsale%'"
    )
    assert {row["rolname"]: row["strong"] for row in roles} == dict.fromkeys(
        (OWNER_ROLE, APP_ROLE, RECORDER_ROLE, AUDITOR_ROLE), False
    )


async def test_each_role_may_do_what_it_needs_and_no_more(world: World) -> None:
    """Sales are added by the recorder alone, changed by returns alone; the auditor only reads."""
    # As the owner: it sees the grants of all.
    query = text(
        "SELECT grantee, privilege_type AS privilege, array_agg(table_name::text) AS tables"
        " FROM information_schema.table_privileges WHERE table_schema = 'public'"
        " AND grantee LIKE 'onsale%' AND grantee <> 'onsale_owner' GROUP BY 1, 2"
    )
    async with world.owner.connect() as connection:
        granted = (await connection.execute(query)).mappings().all()
    writes = {
        (row["grantee"], row["privilege"]): set(row["tables"])
        for row in granted
        if row["privilege"] != "SELECT"
    }
    assert writes == {
        (APP_ROLE, "INSERT"): _APP_MAY_INSERT | _OF_TOKENS,
        (APP_ROLE, "UPDATE"): {
            *("api_keys", "area_blocks", "idempotency_keys", "seat_blocks"),
            *("venues", "configurations", "performers", "events"),
        },
        (APP_ROLE, "DELETE"): {
            *("area_blocks", "buyer_erasures", "buyers", "idempotency_keys", "seat_blocks"),
            *("sessions", "invitations", "mailed_tokens"),
            *("oauth_codes", "refresh_tokens", "ended_tokens"),
            *("event_performers", "ticket_types", "price_steps"),
        },
        (RECORDER_ROLE, "INSERT"): {
            *("area_sales", "conflicts", "journal_entries", "order_lines", "orders", "postings"),
            *("recorder_positions", "recoveries", "refund_requests", "stranded_facts", "tickets"),
            *("fact_horizons", "facts", "told_shows", "webhook_deliveries", "webhook_attempts"),
            *(
                "catalog_marks",
                "listings",
                "listing_counts",
                "listing_places",
                "pages",
                "search_words",
            ),
            *("price_versions", "show_edits"),
            # Who does not choose gets the default, which may be a refund.
            *("order_choices", "returns"),
        },
        (RECORDER_ROLE, "UPDATE"): {
            *("area_sales", "fact_horizons", "recorder_positions", "told_shows"),
            *("webhook_deliveries", "webhook_attempts", "webhook_positions"),
            *("listings", "listing_counts", "listing_places", "pages"),
        },
        (RECORDER_ROLE, "DELETE"): {
            *(
                "catalog_marks",
                "listings",
                "listing_counts",
                "listing_places",
                "pages",
                "search_words",
            ),
            *("buyer_erasures", "facts", "idempotency_keys"),
            *("webhook_endpoints", "webhook_deliveries", "webhook_attempts"),
            *("bundles", "bundle_shows"),
            *("sessions", "invitations", "mailed_tokens", "outgoing_mails"),
            *("oauth_grants", "oauth_codes", "refresh_tokens", "ended_tokens"),
        },
    }
    columns = text(
        "SELECT grantee, table_name::text, column_name::text"
        " FROM information_schema.column_privileges"
        " WHERE table_name IN ('shows', 'orders', 'tickets', 'queues', 'webhook_endpoints')"
        " AND privilege_type = 'UPDATE'"
        " AND grantee LIKE 'onsale%' AND grantee <> 'onsale_owner'"
    )
    async with world.owner.connect() as connection:
        assert {tuple(row) for row in await connection.execute(columns)} == {
            (APP_ROLE, "orders", "status"),
            (APP_ROLE, "shows", "inventory_version"),
            (APP_ROLE, "shows", "price_version"),
            (RECORDER_ROLE, "shows", "inventory_version"),
            (RECORDER_ROLE, "shows", "price_version"),
            (APP_ROLE, "shows", "return_no"),
            (APP_ROLE, "tickets", "status"),
            (RECORDER_ROLE, "shows", "epoch"),
            *((role, sold, "status") for role in _RETURNERS for sold in ("orders", "tickets")),
            *((APP_ROLE, "shows", name) for name in _LIFE_OFA_SHOW | _WORDS_OFA_SHOW),
            *((RECORDER_ROLE, "shows", name) for name in _LIFE_OFA_SHOW | {"epoch"}),
            *((APP_ROLE, "queues", name) for name in _RULES_OFA_QUEUE),
            *((RECORDER_ROLE, "queues", name) for name in _COURSE_OFA_QUEUE),
            *((APP_ROLE, "webhook_endpoints", name) for name in _RULES_OF_AN_ENDPOINT),
            *((RECORDER_ROLE, "webhook_endpoints", name) for name in _COURSE_OF_AN_ENDPOINT),
        }


@pytest.mark.parametrize("table", _TENANT_TABLES, ids=lambda table: table.name)
async def test_nothing_of_another_reseller_can_be_read(show: TestedShow, table: Table) -> None:
    """The owner of the rows sees them; another, and nobody in particular, sees nothing."""
    world = show.world
    stranger = await world.new_reseller()
    if "show_id" in table.c:
        query = select(table).where(table.c.show_id == show.id)
    else:
        query = select(table).where(table.c.reseller_id == show.reseller)
    async with tenant_transaction(world.app, show.reseller) as connection:
        assert (await connection.execute(query)).all()
    async with tenant_transaction(world.app, stranger) as connection:
        assert not (await connection.execute(query)).all()
    async with world.app.begin() as connection:
        assert not (await connection.execute(query)).all()


async def test_a_visitor_sees_the_queue_that_they_name_and_nothing_else(show: TestedShow) -> None:
    """Who waits has no key: one row is theirs to read, and none to change."""
    world = show.world
    other = await world.new_show()
    async with world.owner.begin() as connection:
        of_other = {"show_id": other.id, "reseller_id": other.reseller}
        await connection.execute(insert(queues).values(**A_QUEUE, **of_other))
    async with local_transaction(world.app, VISITED_SHOW_SETTING, str(show.id)) as connection:
        seen = (await connection.execute(select(queues.c.show_id))).scalars().all()
        assert seen == [show.id]
        for table in (shows, manifests, resellers, api_keys, seat_blocks):
            assert not (await connection.execute(select(table))).all(), table.name
        changed = await connection.execute(update(queues).values(rate=2.0))
        assert changed.rowcount == 0


async def test_nothing_of_another_reseller_can_be_changed(show: TestedShow) -> None:
    """Updates and deletes find no row."""
    world = show.world
    stranger = await world.new_reseller()
    async with tenant_transaction(world.app, stranger) as connection:
        for table in (api_keys, idempotency_keys, area_blocks, seat_blocks, shows):
            column = shows.c.inventory_version if table is shows else next(iter(table.primary_key))
            touched = await connection.execute(
                update(table).where(table.c.reseller_id == show.reseller).values({column: column})
            )
            assert touched.rowcount == 0, table.name
        for table in (idempotency_keys, area_blocks, seat_blocks):
            assert (await connection.execute(table.delete())).rowcount == 0, table.name
    async with tenant_transaction(world.app, show.reseller) as connection:
        assert len((await connection.execute(select(seat_blocks))).all()) == 1


@pytest.mark.parametrize("name", sorted(_APP_MAY_INSERT - {"resellers"}))
async def test_nothing_can_be_inserted_for_another_reseller(show: TestedShow, name: str) -> None:
    """The policy's WITH CHECK refuses it, in every table that takes inserts."""
    world = show.world
    table = metadata.tables[name]
    stranger = await world.new_reseller()
    query = select(table).where(table.c.reseller_id == show.reseller).limit(1)
    async with tenant_transaction(world.app, show.reseller) as connection:
        row = dict((await connection.execute(query)).mappings().one())
    with pytest.raises(DBAPIError, match="violates row-level security policy"):
        async with tenant_transaction(world.app, stranger) as connection:
            await connection.execute(insert(table).values(row))


async def test_a_sale_can_be_changed_in_no_other_way_than_to_be_returned(show: TestedShow) -> None:
    """Its status becomes `returned`, and never again `confirmed`; an order in conflict stays so."""
    world = show.world
    async with tenant_transaction(world.app, show.reseller) as connection:
        for statement in (
            "UPDATE orders SET status = 'returned' WHERE status <> 'confirmed'",
            "UPDATE tickets SET status = 'returned' WHERE status <> 'active'",
        ):
            assert (await connection.execute(text(statement))).rowcount == 0
    for statement in (
        "UPDATE orders SET status = 'refunded'",
        "UPDATE tickets SET status = 'cancelled'",
        "UPDATE tickets SET label = 'A-1'",
    ):
        with pytest.raises(DBAPIError, match=r"row-level security|permission denied"):
            async with tenant_transaction(world.app, show.reseller) as connection:
                await connection.execute(text(statement))


async def test_a_row_of_ones_own_cannot_be_given_away(show: TestedShow) -> None:
    """The policy refuses the new row; a show's reseller is no column that may be changed at all."""
    stranger = await show.world.new_reseller()
    with pytest.raises(DBAPIError, match="violates row-level security policy"):
        async with tenant_transaction(show.world.app, show.reseller) as connection:
            await connection.execute(
                update(seat_blocks)
                .where(seat_blocks.c.show_id == show.id)
                .values(reseller_id=stranger)
            )
    with pytest.raises(DBAPIError, match="permission denied"):
        async with tenant_transaction(show.world.app, show.reseller) as connection:
            await connection.execute(
                update(shows).where(shows.c.id == show.id).values(reseller_id=stranger)
            )


@pytest.mark.parametrize("table", [seat_blocks, price_versions], ids=lambda table: table.name)
async def test_no_row_of_ones_own_can_name_another_resellers_show(
    show: TestedShow, table: Table
) -> None:
    """Foreign keys look past row-level security, so they hold show and reseller together."""
    stranger = await show.world.new_reseller()
    row: dict[str, Any] = {"show_id": show.id, "reseller_id": stranger}
    if table is seat_blocks:
        row |= {"seat_index": 99, "reason": "mischief"}
    else:
        row |= {"version": 99, "prices": {}}
    with pytest.raises(DBAPIError, match="violates foreign key constraint"):
        async with tenant_transaction(show.world.app, stranger) as connection:
            await connection.execute(insert(table).values(row))


async def test_an_identity_ends_with_its_transaction(world: World) -> None:
    """A connection goes back to the pool as nobody's."""
    reseller = await world.new_reseller()
    async with tenant_transaction(world.app, reseller) as connection:
        assert (await connection.execute(select(resellers.c.id))).scalars().all() == [reseller]
    async with world.app.connect() as connection:
        for _ in range(2):
            assert not (await connection.execute(select(resellers))).all()
            await connection.rollback()


async def test_many_resellers_at_once_see_each_their_own(world: World) -> None:
    """On the few connections of one pool, in turn."""
    own = [await world.new_show() for _ in range(8)]

    async def look(show: TestedShow) -> bool:
        async with tenant_transaction(world.app, show.reseller) as connection:
            await asyncio.sleep(0)
            found = (await connection.execute(select(manifests.c.reseller_id))).scalars().all()
            return set(found) == {show.reseller}

    assert all(await asyncio.gather(*(look(show) for show in own * 5)))


async def whose(world: World, key: str) -> EntityId | None:
    """Return whose key this is."""
    found = await authenticate(world.app, key)
    return found and found.principal.reseller


async def test_a_key_opens_its_resellers_door(world: World) -> None:
    """The first key, a second one, and no other text."""
    first = await create_reseller(world.owner, "dev", "Halle Süd")
    async with tenant_transaction(world.app, first.reseller) as connection:
        second = await add_key(connection, first.reseller, "dev", NewKey(name="shop"))
    other = await create_reseller(world.owner, "dev", "Halle West")
    assert first.text.startswith("onsale_dev_live_")
    assert await whose(world, first.text) == first.reseller
    assert await whose(world, second.text) == first.reseller
    assert await whose(world, other.text) == other.reseller
    for wrong in ("", first.text + "x", first.text[:-1], "onsale_dev_", "x" * 10_000, "\x00"):
        assert await authenticate(world.app, wrong) is None


async def test_only_the_hash_of_a_key_is_stored(world: World) -> None:
    """And the beginning of it, for a console to show."""
    issued = await create_reseller(world.owner, "dev", "Halle Ost")
    [row] = await world.rows("SELECT * FROM api_keys WHERE id = :key", key=issued.id)
    assert issued.text not in str(dict(row))
    assert issued.text.startswith(row["prefix"])
    assert len(row["prefix"]) == len("onsale_dev_live_") + 6
    assert len(row["key_hash"]) == 32


async def test_a_revoked_key_opens_nothing(world: World) -> None:
    """Only its own reseller can revoke it, and only once."""
    issued = await create_reseller(world.owner, "dev", "Halle Mitte")
    stranger = EntityId(await world.new_reseller())
    assert await revoke_key(world.app, stranger, issued.id) == UnknownKey()
    assert await whose(world, issued.text) == issued.reseller
    first = await revoke_key(world.app, issued.reseller, issued.id)
    assert first == await revoke_key(world.app, issued.reseller, issued.id)
    assert await authenticate(world.app, issued.text) is None


async def test_a_keys_use_is_noted_once_an_hour(world: World) -> None:
    """Not by a write on every request."""
    issued = await create_reseller(world.owner, "dev", "Halle")
    seen: set[Any] = set()
    for _ in range(3):
        await authenticate(world.app, issued.text)
        [row] = await world.rows("SELECT last_used_at FROM api_keys WHERE id = :k", k=issued.id)
        seen.add(row["last_used_at"])
    assert len(seen) == 1
    assert None not in seen


async def test_a_keys_hash_shows_its_row_and_changes_nothing(show: TestedShow) -> None:
    """What authentication sets gives sight of one key, not of its reseller's data."""
    [key] = await show.world.rows(
        "SELECT encode(key_hash, 'hex') AS hash FROM api_keys WHERE reseller_id = :r",
        r=show.reseller,
    )
    async with show.world.app.begin() as connection:
        await connection.execute(
            text(f"SELECT set_config('{KEY_HASH_SETTING}', :hash, true)"), {"hash": key["hash"]}
        )
        assert len((await connection.execute(select(api_keys))).all()) == 1
        assert (await connection.execute(update(api_keys).values(name="mine"))).rowcount == 0
        assert not (await connection.execute(select(shows))).all()
