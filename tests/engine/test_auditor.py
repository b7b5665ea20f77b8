"""The auditor finds what was tampered with in the real stores, and nothing in an honest show."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from engine.inventory.records import HoldRecord, pack_buyer, pack_record, unpack_record
from engine.platform.database import tenant_transaction
from engine.platform.ids import HoldId, purchase_key_digest
from engine.sales.returns import take_back
from engine.sales.views import OrderView
from engine.sales.wanted import Wanted
from loadtests.auditor.report import audit_as_json
from ops.places import ROOT
from ops.stack import Stack
from tests.engine.auditor_ground import TTL_MS, Ground, open_ground
from tests.engine.ledger_world import IDS


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show to tamper with."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def test_an_honest_show_is_clean(ground: Ground) -> None:
    """Seats sold, held, released and blocked: nothing is wrong, and the counts add up."""
    result = await ground.audited()
    assert result.findings == []
    (row,) = result.rows
    assert (row.capacity, row.sold, row.held, row.blocked, row.open) == (60, 6, 2, 1, 51)
    assert (row.tickets, row.orders, row.on_the_way, row.condition) == (6, 3, 0, "open")
    (area,) = row.areas
    assert (area.capacity, area.sold, area.held, area.open, area.tickets) == (20, 4, 2, 14, 4)
    assert audit_as_json(result, "dev") == {
        "audit": "clean",
        "shows": 1,
        "findings_count": 0,
        "findings": [],
    }


async def test_a_recovered_show_is_clean(ground: Ground) -> None:
    """What a recovery rebuilds, with Redis' data kept and then lost, passes the audit too."""
    await ground.working.recoverer.recover(ground.show.id, "test")
    assert (await ground.audited()).findings == []
    keys = [key async for key in ground.raw.scan_iter(match=ground.key("*"))]
    await ground.raw.delete(*keys)
    result = await ground.audited()
    assert (result.findings, result.rows[0].condition) == ([], "lost")
    await ground.working.recoverer.recover(ground.show.id, "test")
    result = await ground.audited()
    assert (result.findings, result.rows[0].condition) == ([], "open")


Tampering = Callable[[Ground], Awaitable[object]]


async def _flip_an_open_seat(ground: Ground) -> None:
    await ground.state_of(ground.seat(5), b"s")


async def _open_a_sold_seat(ground: Ground) -> None:
    await ground.state_of(ground.seat(1), b"o")


async def _overwrite_a_separator(ground: Ground) -> None:
    await ground.state_of(ground.show.manifest.layout.rindex("|", 0, -1), b"o")


async def _lose_the_seats(ground: Ground) -> None:
    await ground.raw.delete(ground.key("seats"))


async def _lose_a_hold(ground: Ground) -> None:
    await ground.raw.hdel(ground.key("holds"), ground.held)


async def _copy_a_hold(ground: Ground) -> None:
    record = await ground.raw.hget(ground.key("holds"), ground.held)
    await ground.raw.hset(ground.key("holds"), b"\1" * 16, record)


async def _garble_a_hold(ground: Ground) -> None:
    await ground.raw.hset(ground.key("holds"), ground.held, b"\2whatever")


async def _forget_a_deadline(ground: Ground) -> None:
    await ground.raw.zrem(ground.key("expiry"), ground.held)


async def _sell_a_place_more(ground: Ground) -> None:
    counts = b"\1" + msgspec.msgpack.encode([13, 2, 5, 0])
    await ground.raw.hset(ground.key("areas"), "0", counts)


async def _invent_a_place(ground: Ground) -> None:
    counts = b"\1" + msgspec.msgpack.encode([15, 2, 4, 0])
    await ground.raw.hset(ground.key("areas"), "0", counts)


async def _forget_a_buyer(ground: Ground) -> None:
    await ground.raw.hdel(ground.key("buyers"), "ann")


async def _forget_a_key(ground: Ground) -> None:
    await ground.raw.hdel(ground.key("keys"), purchase_key_digest("buy-a"))


async def _drop_a_middle_entry(ground: Ground) -> None:
    entries = await ground.raw.xrange(ground.key("sales"))
    await ground.raw.xdel(ground.key("sales"), entries[1][0])


async def _drop_the_oldest_entry(ground: Ground) -> None:
    entries = await ground.raw.xrange(ground.key("sales"))
    await ground.raw.xdel(ground.key("sales"), entries[0][0])


async def _drop_the_stream(ground: Ground) -> None:
    await ground.raw.delete(ground.key("sales"))


async def _rename_the_buyer(ground: Ground) -> None:
    await ground.sql("UPDATE orders SET buyer = 'mallory' WHERE show_id = :show AND buyer = 'bob'")


async def _delete_an_order(ground: Ground) -> None:
    await ground.sql("DELETE FROM orders WHERE show_id = :show AND buyer = 'ann'")


async def _invent_an_order(ground: Ground) -> None:
    await ground.sql(
        "INSERT INTO orders SELECT (r.o).* FROM (SELECT jsonb_populate_record(o,"
        " jsonb_build_object('id', gen_random_uuid(), 'position', 99)) AS o FROM orders o"
        " WHERE show_id = :show AND buyer = 'ann') r"
    )


async def _delete_a_ticket(ground: Ground) -> None:
    await ground.sql(
        "DELETE FROM tickets WHERE show_id = :show AND seat_index = :seat", seat=ground.seat(1)
    )


async def _move_a_ticket(ground: Ground) -> None:
    await ground.sql(
        "UPDATE tickets SET seat_index = :other WHERE show_id = :show AND seat_index = :seat",
        seat=ground.seat(1),
        other=ground.seat(6),
    )


async def _relabel_a_ticket(ground: Ground) -> None:
    await ground.sql(
        "UPDATE tickets SET label = :label WHERE show_id = :show AND seat_index = :seat",
        seat=ground.seat(1),
        label=ground.label(8),
    )


async def _unbalance_an_entry(ground: Ground) -> None:
    await ground.sql(
        "UPDATE postings SET amount = amount + 1 WHERE account = 'platform_fee' AND entry_id IN"
        " (SELECT id FROM journal_entries WHERE show_id = :show AND order_id = :order)",
        order=ground.orders[0].hex(),
    )


async def _shift_money(ground: Ground) -> None:
    """Balanced, but not what the order says."""
    await ground.sql(
        "UPDATE postings SET amount = amount + CASE account WHEN 'platform_fee' THEN 5 ELSE -5 END"
        " WHERE account IN ('platform_fee', 'reseller_payable') AND entry_id IN"
        " (SELECT id FROM journal_entries WHERE show_id = :show AND order_id = :order)",
        order=ground.orders[0].hex(),
    )


async def _lose_an_entry(ground: Ground) -> None:
    await ground.sql("DELETE FROM journal_entries WHERE show_id = :show")


async def _overcharge(ground: Ground) -> None:
    await ground.sql(
        "UPDATE order_lines SET unit_fee = unit_fee + 1, total = total + quantity"
        " WHERE show_id = :show"
    )


async def _lose_a_line(ground: Ground) -> None:
    await ground.sql("DELETE FROM order_lines WHERE show_id = :show AND area_index = 0")


async def _miscount_an_area(ground: Ground) -> None:
    await ground.sql("UPDATE area_sales SET sold = sold + 1 WHERE show_id = :show")


async def _give_a_ticket_away(ground: Ground) -> None:
    await ground.sql(
        "UPDATE tickets SET reseller_id = 1 WHERE show_id = :show AND seat_index = :seat",
        seat=ground.seat(1),
    )


async def _put_a_house_seat_on_sale(ground: Ground) -> None:
    await ground.state_of(ground.seat(3), b"o")


async def _lower_the_limit(ground: Ground) -> None:
    await ground.sql("UPDATE shows SET max_per_buyer = 2 WHERE id = :show")


async def _fall_behind(ground: Ground) -> None:
    await ground.sql("UPDATE shows SET epoch = epoch + 1 WHERE id = :show")


async def _lose_an_area(ground: Ground) -> None:
    await ground.raw.hdel(ground.key("areas"), "0")


async def _invent_an_area(ground: Ground) -> None:
    await ground.raw.hset(ground.key("areas"), "7", b"\1" + msgspec.msgpack.encode([1, 0, 0, 0]))


async def _oversell_an_area(ground: Ground) -> None:
    counts = b"\1" + msgspec.msgpack.encode([-1, 2, 4, 15])
    await ground.raw.hset(ground.key("areas"), "0", counts)


async def _extend_a_buyer(ground: Ground) -> None:
    await ground.raw.hset(ground.key("buyers"), "eve", pack_buyer(4, 0, 5))


async def _resell_in_redis(ground: Ground) -> None:
    record = await _unpacked(ground, ground.orders[0])
    await _pack(ground, ground.orders[0], replace(record, buyer="mallory"))


async def _forget_a_sale(ground: Ground) -> None:
    """In both the stream and the ledger: only the record is left."""
    await _delete_an_order(ground)
    entries = await ground.raw.xrange(ground.key("sales"))
    await ground.raw.xdel(ground.key("sales"), entries[0][0])


async def _unpacked(ground: Ground, hold: bytes) -> HoldRecord:
    record = unpack_record(await ground.raw.hget(ground.key("holds"), hold))
    assert isinstance(record, HoldRecord)
    return record


async def _pack(ground: Ground, hold: bytes, record: HoldRecord) -> None:
    await ground.raw.hset(ground.key("holds"), hold, pack_record(record))


async def _miscount_the_hall(ground: Ground) -> None:
    await ground.sql(
        "UPDATE manifests SET seat_count = seat_count + 1"
        " WHERE id = (SELECT manifest_id FROM shows WHERE id = :show)"
    )


async def _enlarge_an_area(ground: Ground) -> None:
    await ground.sql("UPDATE area_sales SET capacity = capacity + 1 WHERE show_id = :show")


async def _raise_a_total(ground: Ground) -> None:
    await ground.sql("UPDATE orders SET fee = fee + 1, total = total + 1 WHERE show_id = :show")


async def _return_in_name_only(ground: Ground) -> None:
    await ground.sql(
        "UPDATE orders SET status = 'returned' WHERE show_id = :show AND buyer = 'ann'"
    )


async def _return_again(ground: Ground) -> None:
    await ground.raw.hset(ground.key("meta"), "return_no", 1)


async def _skip_a_return(ground: Ground) -> None:
    await ground.sql("UPDATE shows SET return_no = return_no + 1 WHERE id = :show")


async def _take_back(ground: Ground) -> None:
    # In another epoch the store has it at once.
    await ground.working.recoverer.recover(ground.show.id, "test")
    office = ground.serving.returns_office
    taken = await office.take_back(ground.show, HoldId(ground.orders[0]))
    assert isinstance(taken, OrderView)


async def _forget_to_pay_back(ground: Ground) -> None:
    await _take_back(ground)
    await ground.sql("DELETE FROM refund_requests WHERE show_id = :show")


async def _keep_the_fee(ground: Ground) -> None:
    """Balanced, but less than the sale."""
    await _take_back(ground)
    await ground.sql(
        "UPDATE postings SET amount = amount + CASE account WHEN 'platform_fee' THEN -5 ELSE 5 END"
        " WHERE account IN ('platform_fee', 'payment_clearing') AND entry_id IN"
        " (SELECT id FROM journal_entries WHERE show_id = :show AND kind = 'return')"
    )


async def _return_without_the_store(ground: Ground) -> None:
    async with tenant_transaction(ground.serving.app_engine, ground.show.reseller) as connection:
        assert await take_back(connection, IDS, ground.show.id, ground.orders[0]) == "returned"


async def _keep_a_returned_record(ground: Ground) -> None:
    before = await ground.raw.hget(ground.key("holds"), ground.orders[0])
    await _take_back(ground)
    await ground.raw.hset(ground.key("holds"), ground.orders[0], before)


async def _untell_an_order(ground: Ground) -> None:
    await ground.sql("DELETE FROM facts WHERE show_id = :show AND type = 'order.confirmed'")


async def _tell_an_order_twice(ground: Ground) -> None:
    await ground.sql(
        "INSERT INTO facts (reseller_id, type, show_id, object, data, occurred_at)"
        " SELECT reseller_id, type, show_id, object, data, occurred_at FROM facts"
        " WHERE show_id = :show AND type = 'seats.sold'"
    )


async def _tell_of_no_order(ground: Ground) -> None:
    await ground.sql(
        "UPDATE facts SET object = 'ord_dev_' || repeat('0', 48)"
        " WHERE show_id = :show AND type = 'order.confirmed'"
    )


async def _tell_of_no_return(ground: Ground) -> None:
    await _take_back(ground)
    await ground.sql("DELETE FROM facts WHERE show_id = :show AND type = 'seats.returned'")


async def _take_out_in_the_ledger_only(ground: Ground) -> None:
    seat = ground.seat(5)
    overlay = json.dumps({"removed": [[seat, seat + 1, 0]], "capacities": []})
    await ground.sql(
        "INSERT INTO show_edits (show_id, edit_no, reseller_id, inventory_version, price_version,"
        " reason, asked, overlay, seats_moved, seats_taken_out, seats_put_back, seats_removed)"
        " SELECT id, 1, reseller_id, 2, 1, '', '[]', CAST(:overlay AS JSONB), 0, 1, 0, 1"
        " FROM shows WHERE id = :show",
        overlay=overlay,
    )


async def _archive_in_name_only(ground: Ground) -> None:
    await ground.sql("UPDATE shows SET state = 'past', archived_at = now() WHERE id = :show")


_TAMPERING: Final[dict[Tampering, str]] = {
    _take_out_in_the_ledger_only: "removed-differs",
    _archive_in_name_only: "archived",
    _untell_an_order: "facts-differ",
    _tell_an_order_twice: "facts-differ",
    _tell_of_no_order: "facts-differ",
    _tell_of_no_return: "facts-differ",
    _flip_an_open_seat: "seat-without-record",
    _open_a_sold_seat: "record-without-seat",
    _overwrite_a_separator: "layout",
    _lose_the_seats: "seats-missing",
    _lose_a_hold: "seat-without-record",
    _copy_a_hold: "seat-in-two-records",
    _garble_a_hold: "unreadable",
    _forget_a_deadline: "expiry-differs",
    _sell_a_place_more: "area-differs-from-records",
    _invent_a_place: "capacity",
    _forget_a_buyer: "buyer-count",
    _forget_a_key: "key-differs",
    _drop_a_middle_entry: "order-without-fact",
    _drop_the_oldest_entry: "stream-tampered",
    _drop_the_stream: "fact-missing",
    _rename_the_buyer: "order-differs-from-fact",
    _delete_an_order: "sale-not-in-ledger",
    _invent_an_order: "order-without-record",
    _delete_a_ticket: "line-tickets-differ",
    _move_a_ticket: "order-differs-from-record",
    _relabel_a_ticket: "ticket-label",
    _unbalance_an_entry: "entry-unbalanced",
    _shift_money: "sale-entry-differs",
    _lose_an_entry: "order-without-sale-entry",
    _overcharge: "line-price-differs",
    _lose_a_line: "ticket-without-line",
    _miscount_an_area: "area-sales",
    _give_a_ticket_away: "row-of-another",
    _put_a_house_seat_on_sale: "block-differs",
    _lower_the_limit: "buyer-over-limit",
    _fall_behind: "behind",
    _lose_an_area: "area-missing",
    _invent_an_area: "area-unknown",
    _oversell_an_area: "area-below-zero",
    _extend_a_buyer: "buyer-deadline",
    _resell_in_redis: "fact-differs-from-record",
    _forget_a_sale: "record-without-order",
    _miscount_the_hall: "seat-count",
    _enlarge_an_area: "area-capacity",
    _raise_a_total: "order-lines-differ",
    _return_in_name_only: "return-differs",
    _return_again: "return-numbers",
    _skip_a_return: "return-numbers",
    _forget_to_pay_back: "refund-missing",
    _keep_the_fee: "return-entry-differs",
    _return_without_the_store: "return-not-applied-yet",
    _keep_a_returned_record: "order-differs-from-record",
}


@pytest.mark.parametrize(
    ("tamper", "check"), _TAMPERING.items(), ids=[f.__name__.strip("_") for f in _TAMPERING]
)
async def test_tampering_is_found(ground: Ground, tamper: Tampering, check: str) -> None:
    """Each way to falsify a store is found by the check that is meant for it."""
    await tamper(ground)
    result = await ground.audited()
    assert check in {finding.check for finding in result.findings}
    assert {finding.show for finding in result.findings} == {ground.show.id}
    assert audit_as_json(result, "dev")["audit"] == "findings"


def test_each_documented_check_has_a_way_to_be_found() -> None:
    """docs/AUDIT.md lists exactly the checks that are tampered with here, and those beside."""
    documented = set[str]()
    for line in (ROOT / "docs" / "AUDIT.md").read_text().splitlines():
        if line.startswith("| `"):
            documented |= set(re.findall(r"`([a-z-]+)`", line.split("|")[1]))
    beside = {"seat-sold-twice", "sale-not-recorded-yet", "hold-overdue"}
    assert documented == set(_TAMPERING.values()) | beside


async def test_a_hold_that_nobody_releases_is_found(ground: Ground) -> None:
    """A deadline that passed longer ago than the sweeper may take is a finding."""
    held = await ground.hold("short", "max", Wanted(seats=(ground.label(11),)))
    record = await _unpacked(ground, held.hold)
    deadline_ms = record.deadline_ms - TTL_MS - 6_000
    await _pack(ground, held.hold, replace(record, deadline_ms=deadline_ms))
    await ground.raw.zadd(ground.key("expiry"), {held.hold: deadline_ms})
    result = await ground.audited()
    overdue = [finding for finding in result.findings if finding.check == "hold-overdue"]
    assert [finding.subject for finding in overdue] == [f"hold {held.hold.hex()}"]


async def test_the_command_exits_with_1_when_anything_is_wrong(
    ground: Ground, servers: Stack
) -> None:
    """`./onsale audit --json` ends with one object, and its exit code says the same."""

    async def run() -> tuple[int | None, dict[str, Any]]:
        show = f"shw_dev_{ground.show.id:016x}"
        words = (sys.executable, "-m", "ops", "audit", "--show", show, "--json")
        process = await asyncio.create_subprocess_exec(
            *words, cwd=ROOT, env=servers.environment, stdout=PIPE, stderr=PIPE
        )
        told, _ = await asyncio.wait_for(process.communicate(), timeout=60)
        return process.returncode, msgspec.json.decode(told.splitlines()[-1])

    code, told = await run()
    assert (code, told["audit"], told["findings"]) == (0, "clean", [])
    await _flip_an_open_seat(ground)
    code, told = await run()
    assert (code, told["audit"], told["shows"]) == (1, "findings", 1)
    assert "seat-without-record" in {finding["check"] for finding in told["findings"]}
