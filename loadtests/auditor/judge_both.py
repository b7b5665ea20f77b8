"""Judges a show's ledger against its keys in Redis, and against the hall's plan.

Redis was read first, the ledger after it. So the ledger has every sale that Redis showed, except
those that the recorder had not come to; what it has beyond that is newer, and vanishes when both
are read again.
"""

from collections import Counter
from typing import Final

from loadtests.auditor.findings import ON_THE_WAY, Findings
from loadtests.auditor.hall import Hall
from loadtests.auditor.judge_store import runs_of, seat_run
from loadtests.auditor.ledger import LedgerOrder, LedgerShow
from loadtests.auditor.store import PURCHASED, Fact, Record, StoreView, key_digest

_CONFLICT: Final = "conflict"
_BLOCKED: Final = ord("b")
_OPEN: Final = ord("o")


def judge_ledger(ledger: LedgerShow, hall: Hall, findings: Findings) -> None:
    """Note what is wrong with the ledger, whatever Redis says."""
    if hall.seat_count != ledger.seat_count:
        says = f"{ledger.seat_count} seats by the manifest's row, {hall.seat_count} in its plan"
        findings.add("seat-count", f"manifest {ledger.manifest_id:016x}", says)
    _judge_owners(ledger, findings)
    _judge_area_sales(ledger, hall, findings)
    bought: Counter[str] = Counter()
    for order in ledger.orders.values():
        bought[order.buyer] += order.tickets
    for buyer, count in bought.items():
        if count > ledger.max_per_buyer:
            says = f"has {count} tickets; the limit is {ledger.max_per_buyer}"
            findings.add("buyer-over-limit", f"buyer {buyer}", says)


def judge_both(ledger: LedgerShow, view: StoreView, findings: Findings) -> None:
    """Note where the two stores contradict each other."""
    for hold, fact in view.facts.items():
        _judge_fact(ledger, hold, fact, findings)
    for hold, record in view.holds.items():
        if record.state == PURCHASED:
            _judge_record(ledger, view, hold, record, findings)
    for order in ledger.orders.values():
        _judge_order(view, order, findings)
    if view.seats is not None:
        _judge_blocks(ledger, view, view.seats, findings)
    limit = ledger.max_per_buyer
    for buyer, counts in view.buyers.items():
        if counts.held + counts.bought > limit:
            says = f"holds {counts.held} and has bought {counts.bought}; the limit is {limit}"
            findings.add("buyer-over-limit", f"buyer {buyer}", says)


def judge_labels(ledger: LedgerShow, hall: Hall, seats: bytes, findings: Findings) -> None:
    """Note tickets whose label is not that of the seat at their position."""
    starts, lengths = runs_of(seats)
    start_of: dict[int, int] = {}
    run_at: dict[int, int] = {}
    for order in ledger.orders.values():
        for seat, label in order.seats:
            subject = f"order {order.id.hex()} seat {seat}"
            place, run = hall.place_of.get(label), seat_run(starts, lengths, seat)
            if place is None or run is None:
                says = f"labelled {label!r}: {'no seat of the plan' if run else 'no seat is there'}"
                findings.add("ticket-label", subject, says)
                continue
            number, offset = place
            start = seat - offset
            if (
                run != (start, hall.run_lengths[number])
                or start_of.setdefault(number, start) != start
                or run_at.setdefault(start, number) != number
            ):
                says = f"labelled {label!r}, which is not the seat at that position"
                findings.add("ticket-label", subject, says)


def on_the_way(ledger: LedgerShow, view: StoreView) -> list[Fact]:
    """Return the sales that the recorder has not come to."""
    return [
        fact
        for hold, fact in view.facts.items()
        if fact.place > ledger.recorded_to
        and hold not in ledger.orders
        and fact.place not in ledger.stranded
    ]


def _judge_owners(ledger: LedgerShow, findings: Findings) -> None:
    owners: dict[int, bytes] = {}
    for order in ledger.orders.values():
        for seat, label in order.seats:
            if seat in owners:
                says = f"({label}) has active tickets of {owners[seat].hex()} and {order.id.hex()}"
                findings.add("seat-sold-twice", f"seat {seat}", says)
            owners[seat] = order.id


def _judge_area_sales(ledger: LedgerShow, hall: Hall, findings: Findings) -> None:
    tickets: Counter[int] = Counter()
    for order in ledger.orders.values():
        for area, count in order.areas:
            tickets[area] += count
    for area in sorted(tickets.keys() | ledger.area_sales.keys()):
        capacity, sold = ledger.area_sales.get(area, (0, 0))
        if sold != tickets[area]:
            says = f"{sold} sold by its count, {tickets[area]} active tickets"
            findings.add("area-sales", f"area {area}", says)
        planned = hall.area_capacities[area] if 0 <= area < len(hall.area_capacities) else 0
        if capacity != planned or tickets[area] > planned:
            says = f"{tickets[area]} tickets, capacity {capacity}; the plan has {planned}"
            findings.add("area-capacity", f"area {area}", says)


def _judge_fact(ledger: LedgerShow, hold: bytes, fact: Fact, findings: Findings) -> None:
    place = f"{fact.place[0]}-{fact.place[1]}"
    subject = f"sale {place} of {hold.hex()}"
    order = ledger.orders.get(hold)
    if order is None:
        if fact.place in ledger.stranded:
            return
        if fact.place > ledger.recorded_to:
            says = f"the recorder stands at {ledger.recorded_to[0]}-{ledger.recorded_to[1]}"
            findings.add(ON_THE_WAY, subject, says)
        else:
            says = "in the stream and passed by the recorder, but not in the ledger"
            findings.add("sale-not-in-ledger", subject, says)
        return
    _compare(
        subject,
        ("buyer", fact.buyer, order.buyer),
        ("seats", sorted(fact.seats), _seats(order, sorted(fact.seats))),
        ("areas", sorted(fact.areas), _areas(order, sorted(fact.areas))),
        ("place in the stream", fact.place, order.place),
        ("price version", fact.price_version, order.price_version),
        ("key", fact.key, order.key),
        ("payment reference", fact.payment_reference, order.payment_reference),
        ("fingerprints", (fact.hold_fp, fact.body_fp), (order.hold_fp, order.body_fp)),
        ("time of sale", fact.sold_at_ms, order.sold_at_ms),
        findings=findings,
        names=("the stream", "the ledger"),
        check="order-differs-from-fact",
    )


def _judge_record(
    ledger: LedgerShow, view: StoreView, hold: bytes, record: Record, findings: Findings
) -> None:
    order = ledger.orders.get(hold)
    if order is None:
        if hold not in view.facts:
            says = "sold in Redis, but neither in the stream nor in the ledger"
            findings.add("record-without-order", f"hold {hold.hex()}", says)
        return
    seats = sorted(record.seats)
    areas = sorted(record.areas)
    _compare(
        f"order {hold.hex()}",
        ("buyer", record.buyer, order.buyer),
        ("seats", seats, order.sold_seats),
        ("areas", areas, order.sold_areas),
        ("returned", record.returned, _is_returned(order, view)),
        ("place in the stream", record.place, order.place),
        ("price version", record.price_version, order.price_version),
        ("key", view.keys.get(key_digest(order.key), b"").hex(), hold.hex()),
        ("time of sale", record.sold_at_ms, order.sold_at_ms),
        findings=findings,
        names=("Redis", "the ledger"),
        check="order-differs-from-record",
    )


def _is_returned(order: LedgerOrder, view: StoreView) -> bool:
    """Tell whether the store should have heard of an order's return, by what it says of itself."""
    return order.return_no is not None and order.return_no <= view.return_no


def _judge_order(view: StoreView, order: LedgerOrder, findings: Findings) -> None:
    """A ledger order has its record in Redis for good, and its fact while the stream retains it."""
    subject = f"order {order.id.hex()}"
    place = f"{order.place[0]}-{order.place[1]}"
    record = view.holds.get(order.id)
    if record is None or record.state != PURCHASED:
        says = f"{order.status} in the ledger ({place}), but not sold in Redis"
        findings.add("order-without-record", subject, says)
    if order.id not in view.facts and view.retains(order.place):
        says = f"recorded from {place}, which the stream should still have and has not"
        findings.add("order-without-fact", subject, says)


def _judge_blocks(ledger: LedgerShow, view: StoreView, seats: bytes, findings: Findings) -> None:
    blocked = {seat for seat, state in enumerate(seats) if state == _BLOCKED}
    for seat in sorted(blocked - ledger.seat_blocks):
        findings.add("block-differs", f"seat {seat}", "blocked in Redis, but not in the ledger")
    for seat in sorted(ledger.seat_blocks):
        if not 0 <= seat < len(seats) or seats[seat] == _OPEN:
            says = "withheld by the house in the ledger, but on sale in Redis"
            findings.add("block-differs", f"seat {seat}", says)
    for area, counts in view.areas.items():
        withheld = ledger.area_blocks.get(area, 0)
        if counts.blocked != withheld:
            says = f"{withheld} places withheld in the ledger, {counts.blocked} in Redis"
            findings.add("block-differs", f"area {area}", says)


def _compare(
    subject: str,
    *facts: tuple[str, object, object],
    findings: Findings,
    names: tuple[str, str],
    check: str,
) -> None:
    for what, one, other in facts:
        if one != other:
            says = f"{what}: {names[0]} says {one}, {names[1]} {other}"
            findings.add(check, f"{subject} {what}", says)


def _seats(order: LedgerOrder, sold: list[int]) -> list[int]:
    # An order in conflict has no tickets: what it wanted is in the stream alone.
    return sold if order.status == _CONFLICT else order.sold_seats


def _areas(order: LedgerOrder, sold: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return sold if order.status == _CONFLICT else order.sold_areas
