"""The audit trail tells every change once, and shows whoever changes what it told."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.exc import DBAPIError

from engine.platform.acting import ACTING, UNKNOWN, Actor, ActorKind
from engine.platform.database import connect_once, tenant_transaction
from engine.platform.settings import APP_ROLE
from engine.platform.tables import area_blocks, queues, resellers, seat_blocks
from engine.sales.returns import take_back
from engine.tenancy.keys import authenticate
from engine.tenancy.resellers import create_reseller
from engine.tenancy.trail import Sound
from ops.stack import Stack
from tests.engine.ledger_world import IDS, TestedShow, World, open_world
from tests.engine.trail_ground import block, entries, last, verdict

_SOMEBODY = Actor(ActorKind.KEY, "key_dev_0000000000000001", "192.0.2.7")

_EXEMPT = {
    "idempotency_keys": "answers kept for two days, each of a change that has its own entry",
    "journal_entries": "append-only itself; a return's follow from its order, which has an entry",
    "postings": "as journal_entries",
    "refund_requests": "follow from a return's order",
    "bundles": "say themselves when; what they buy are orders, which the journal has",
    "bundle_shows": "are written with their bundle and never changed but by it",
    "returns": "follow from a return's order",
    "tickets": "follow from a return's order",
    "area_sales": "follow from a return's order, or an edit of the show, which has an entry",
    "order_choices": "say themselves when, and follow from a show's change, which has an entry",
    "facts": "append-only themselves: what happened, in its own log",
    "webhook_deliveries": "a log itself, of what was told to whom",
    "mailed_tokens": "steps of an hour on the way to a change that has its entry",
    "outgoing_mails": "copies of what a change with an entry makes known",
    "oauth_codes": "live a minute; of a grant, which has an entry",
    "refresh_tokens": "follow each other every few minutes; of a grant, which has an entry",
    "signing_keys": "the cell's, no reseller's",
    "ended_tokens": "follow from the end of a grant, a client, a user, which has an entry",
}
"""What the application may write, and no entry tells of."""

_SECRET = re.compile(r"(^|_)(secrets?|hash(es)?|password|token|sealed|digests?)$")


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> TestedShow:
    """A show of a fresh reseller, whose chain has begun."""
    return await world.new_show()


async def test_every_table_that_the_application_writes_has_a_trail(world: World) -> None:
    """Read from the catalogue: a new table without triggers, and not exempt, fails by itself."""
    privileges = await world.rows(
        "SELECT relname, upper(event) AS event FROM pg_class,"
        " unnest(ARRAY['insert', 'update', 'delete']) AS event"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND (has_table_privilege(:role, pg_class.oid, event)"
        " OR event <> 'delete' AND has_any_column_privilege(:role, pg_class.oid, event))",
        role=APP_ROLE,
    )
    triggers = await world.rows(
        "SELECT relname, CASE WHEN tgtype::int & 4 > 0 THEN 'INSERT'"
        " WHEN tgtype::int & 8 > 0 THEN 'DELETE' ELSE 'UPDATE' END AS event"
        " FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid"
        " JOIN pg_proc ON pg_proc.oid = tgfoid"
        " WHERE proname = 'note_change' AND tgenabled IN ('O', 'A')"
    )
    writable = {(row["relname"], row["event"]) for row in privileges}
    noted = {(row["relname"], row["event"]) for row in triggers}
    assert writable, "the application writes nothing?"
    untold = {pair for pair in writable - noted if pair[0] not in _EXEMPT}
    assert not untold, "no trail: see migrations/trail.py, or list it as exempt with a reason"
    assert not {table for table, _ in noted} & set(_EXEMPT)


async def test_no_secret_column_is_shown_as_it_is(world: World) -> None:
    """What is BYTEA, or called a secret, is hidden by its table's triggers."""
    columns = await world.rows(
        "SELECT relname, attname, atttypid = 'bytea'::regtype AS is_bytes,"
        " attnum = ANY(indkey) AS is_key, encode(tgargs, 'escape') AS arguments"
        " FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
        " JOIN pg_class ON pg_class.oid = tgrelid"
        " JOIN pg_attribute ON attrelid = tgrelid AND attnum > 0 AND NOT attisdropped"
        " JOIN pg_index ON indrelid = tgrelid AND indisprimary"
        " WHERE proname = 'note_change'"
    )
    assert columns
    for column in columns:
        if not column["is_bytes"] and not _SECRET.search(column["attname"]):
            continue
        hidden = ",".join(column["arguments"].split("\\000")[2:5]).split(",")
        assert column["attname"] in hidden or column["is_key"], (
            column["relname"],
            column["attname"],
        )


async def test_an_entry_tells_who_when_from_where_before_and_after(show: TestedShow) -> None:
    """And an update tells only what it changed."""
    token = ACTING.set(_SOMEBODY)
    try:
        await block(show, 3, 4, 5, 9)
        async with tenant_transaction(show.world.app, show.reseller) as connection:
            await connection.execute(
                update(seat_blocks)
                .where(seat_blocks.c.show_id == show.id, seat_blocks.c.seat_index >= 5)
                .values(reason="camera")
            )
            await connection.execute(
                seat_blocks.delete().where(
                    seat_blocks.c.show_id == show.id, seat_blocks.c.seat_index == 3
                )
            )
    finally:
        ACTING.reset(token)
    created, changed, removed = (await entries(show))[-3:]
    for entry in (created, changed, removed):
        assert (entry.actor, entry.address) == ("key:key_dev_0000000000000001", "192.0.2.7")
        assert (entry.table, entry.key) == ("seat_blocks", f"{show.id:016x}")
    assert (created.action, created.before) == ("created", None)
    assert created.after == {"reason": "kill", "seat_index": "3-5,9"}
    assert (changed.action, changed.before, changed.after) == (
        "changed",
        {"reason": "kill", "seat_index": "5,9"},
        {"reason": "camera", "seat_index": "5,9"},
    )
    assert (removed.action, removed.before) == ("removed", {"reason": "kill", "seat_index": "3"})
    assert removed.after is None
    assert isinstance(await verdict(show), Sound)


async def test_who_did_not_say_who_they_are_is_unknown(show: TestedShow) -> None:
    """Rather than not told of at all."""
    # A command that another test ran here has said who acts from then on.
    token = ACTING.set(UNKNOWN)
    try:
        await block(show, 1)
    finally:
        ACTING.reset(token)
    assert (await last(show)).actor == "unknown"


async def test_what_is_no_change_makes_no_entry(show: TestedShow) -> None:
    """A key's last use, an epoch, a version, a row that is written as it was."""
    issued = await create_reseller(show.world.owner, "dev", "Halle")
    mine = TestedShow(show.world, show.id, issued.reseller)
    before = await entries(mine)
    assert await authenticate(show.world.app, issued.text)
    assert await entries(mine) == before
    await block(show, 1)
    before = await entries(show)
    await show.raise_epoch()
    async with tenant_transaction(show.world.app, show.reseller) as connection:
        await connection.execute(text("UPDATE shows SET inventory_version = inventory_version + 1"))
        await connection.execute(text("UPDATE seat_blocks SET reason = reason"))
    assert await entries(show) == before


async def test_sales_are_not_told_and_returns_are(show: TestedShow) -> None:
    """The recorder's rows have no trail; who gave an order back, has."""
    before = await entries(show)
    order = await show.sell([1], [(0, 2)])
    await show.recorder().record(show.id)
    assert await entries(show) == before
    async with tenant_transaction(show.world.app, show.reseller) as connection:
        assert await take_back(connection, IDS, show.id, order) == "returned"
    [entry] = (await entries(show))[len(before) :]
    assert (entry.table, entry.before, entry.after) == (
        "orders",
        {"status": "confirmed"},
        {"status": "returned"},
    )


async def test_a_transaction_that_fails_leaves_no_entry_and_no_gap(show: TestedShow) -> None:
    """Numbers are given at the commit."""
    before = len(await entries(show))
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - what it fails amid
        async with tenant_transaction(show.world.app, show.reseller) as connection:
            await connection.execute(
                insert(area_blocks).values(
                    show_id=show.id, reseller_id=show.reseller, area_index=0, count=1
                )
            )
            raise ZeroDivisionError
    await block(show, 1)
    assert [entry.no for entry in await entries(show)] == list(range(1, before + 2))


async def test_writers_at_once_make_one_chain_without_gaps(world: World) -> None:
    """Of one reseller, on several shows, in both orders: nobody waits in a ring."""
    reseller = await world.new_reseller()
    shows = [await world.new_show(reseller=reseller) for _ in range(2)]
    before = len(await entries(shows[0]))

    async def write(n: int) -> None:
        first, second = shows if n % 2 else shows[::-1]
        async with tenant_transaction(world.app, reseller) as connection:
            for seat, one in ((n, first), (n + 1000, second)):
                await connection.execute(
                    insert(seat_blocks).values(
                        show_id=one.id, reseller_id=reseller, seat_index=seat, reason="kill"
                    )
                )
                # As a change of the house, which waits for the store amid its transaction.
                await asyncio.sleep(0.01)

    await asyncio.gather(*(write(n) for n in range(40)))
    assert [entry.no for entry in await entries(shows[0])] == list(range(1, before + 81))
    assert isinstance(await verdict(shows[0]), Sound)


async def test_a_chain_is_locked_at_the_commit_only(show: TestedShow) -> None:
    """Who is amid a long transaction keeps nobody else of the reseller from theirs."""
    async with tenant_transaction(show.world.app, show.reseller) as connection:
        await connection.execute(
            insert(area_blocks).values(
                show_id=show.id, reseller_id=show.reseller, area_index=0, count=1
            )
        )
        async with asyncio.timeout(5):
            await block(show, 1)
    assert [entry.table for entry in (await entries(show))[-2:]] == ["seat_blocks", "area_blocks"]


async def test_nobody_can_change_or_remove_an_entry(show: TestedShow) -> None:
    """Neither the application nor the owner of the table."""
    await block(show, 1)
    for engine in (show.world.app, show.world.recorder_engine, show.world.owner):
        for statement in (
            "UPDATE trail_entries SET actor = 'nobody'",
            "DELETE FROM trail_entries",
            "TRUNCATE trail_entries",
        ):
            with pytest.raises(DBAPIError, match=r"permission denied|append-only"):
                async with tenant_transaction(engine, show.reseller) as connection:
                    await connection.execute(text(statement))
    for statement in (
        "INSERT INTO trail_drafts DEFAULT VALUES",
        "UPDATE trail_heads SET no = 0",
        "SELECT * FROM trail_drafts",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with tenant_transaction(show.world.app, show.reseller) as connection:
                await connection.execute(text(statement))


async def test_secrets_are_digests_and_plans_too(show: TestedShow) -> None:
    """A queue's secret stays one; a key's hash is shown by its hash."""
    secret = secrets.token_bytes(32)
    async with show.world.owner.begin() as connection:
        await connection.execute(
            insert(queues).values(
                show_id=show.id,
                reseller_id=show.reseller,
                mode="on",
                is_paused=False,
                opens_at=text("now()"),
                rate=1.5,
                burst=2.0,
                checkout_max=1,
                pass_ttl_s=60,
                proof_bits=0,
                return_addresses=["https://ü.example/\x7f\t\\", {"b": 1, "a": [None, True, 2.5]}],
                secret=secret,
                commitment=bytes(32),
            )
        )
    entry = await last(show)
    assert entry.after is not None
    assert entry.after["secret"].startswith("sha256:")
    assert secret.hex() not in str(entry)
    assert entry.after["rate"] == "1.5"  # no whole number: the same text for every reader
    assert entry.after["return_addresses"][1] == {"a": [None, True, "2.5"], "b": 1}
    assert isinstance(await verdict(show), Sound)


async def test_what_python_recomputes_is_what_postgresql_hashed(show: TestedShow) -> None:
    """For texts that JSON writers treat differently."""
    for reason in ('"\\/\b\f\n\r\t\x01\x1f\x7f', "\u2028\u00e9\U0001f3ad\ufffd", "</script>", ""):
        await block(show, secrets.randbelow(1_000_000), reason=reason)
        entry = await last(show)
        assert entry.after is not None
        assert entry.after["reason"] == reason
        assert entry.recomputed() == entry.hash


async def test_entries_are_found_by_object_and_actor_and_time(show: TestedShow) -> None:
    """A show's blocks are found by the show."""
    token = ACTING.set(_SOMEBODY)
    try:
        await block(show, 1)
    finally:
        ACTING.reset(token)
    mine = await entries(show, actor="key_dev_0000000000000001")
    assert [entry.table for entry in mine] == ["seat_blocks"]
    assert await entries(show, actor="key:key_dev_0000000000000001") == mine
    assert not await entries(show, actor="key_dev_000000000000000")
    of_show = await entries(show, key=f"{show.id:016x}")
    assert [entry.table for entry in of_show] == ["shows", "price_versions", "seat_blocks"]
    assert await entries(show, since=mine[0].at) == mine
    assert await entries(show, until=mine[0].at) == (await entries(show))[:-1]
    assert await entries(show, before_no=2) == (await entries(show))[:1]


async def test_a_reseller_that_is_renamed_by_a_command_is_told(
    world: World, show: TestedShow
) -> None:
    """What the operator does is in the reseller's trail, by the connection's own word."""
    token = ACTING.set(Actor(ActorKind.COMMAND, "root"))
    try:
        async with connect_once(world.settings.database_url) as connection:
            await connection.execute(
                update(resellers).where(resellers.c.id == show.reseller).values(name="Halle Ost")
            )
            await connection.commit()
    finally:
        ACTING.reset(token)
    entry = await last(show)
    assert (entry.actor, entry.table) == ("command:root", "resellers")
    assert (entry.before, entry.after) == ({"name": "Halle Nord"}, {"name": "Halle Ost"})
