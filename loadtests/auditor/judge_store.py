"""Judges a show's keys in Redis by themselves and by the hall's plan."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from loadtests.auditor.findings import Findings
from loadtests.auditor.hall import Hall
from loadtests.auditor.store import (
    LIVE,
    PURCHASED,
    AreaCounts,
    Guard,
    Record,
    StoreView,
    key_digest,
)

SWEEP_MS_MAX: Final = 5_000
"""How long after its deadline a hold may still stand before somebody is late."""

_OPEN: Final = b"o"
_HELD: Final = b"h"
_SOLD: Final = b"s"
_BLOCKED: Final = b"b"
_SEPARATOR: Final = b"|"
_KNOWN: Final = _OPEN + _HELD + _SOLD + _BLOCKED + _SEPARATOR
_NAME: Final = {LIVE: "held", PURCHASED: "sold"}


def stands(view: StoreView, guard: Guard) -> bool:
    """Tell whether the show is open on this very server, and so sold from and swept."""
    return (
        view.meta.get("state") == "open"
        and view.meta.get("run_id") == guard.run_id
        and view.meta.get("replid") == guard.replid
    )


def judge_store(
    view: StoreView, hall: Hall, removed: Collection[int], findings: Findings, *, swept: bool
) -> None:
    """Note what contradicts itself. `swept` tells whether overdue holds are being released.

    `removed` are the seats that edits have taken out, by the ledger.
    """
    for subject, why in view.complaints:
        findings.add("unreadable", subject, why)
    if view.seats is None:
        findings.add("seats-missing", "seats", "the show is in Redis but has no seats string")
        return
    for seat in sorted(removed):
        state = view.seats[seat : seat + 1]
        if state != _SEPARATOR:
            says = f"taken out in the ledger, {state.decode(errors='replace')!r} in Redis"
            findings.add("removed-differs", f"seat {seat}", says)
    _judge_layout(as_planned(view.seats, removed), hall, findings)
    _judge_seats(view, view.seats, findings)
    _judge_areas(view, hall, findings)
    _judge_buyers(view, findings)
    _judge_expiry(view, findings, swept=swept)
    _judge_keys(view, findings)
    _judge_stream(view, findings)


def as_planned(seats: bytes, removed: Collection[int]) -> bytes:
    """Return a seats string with the seats that were taken out in their places, as open ones."""
    planned = bytearray(seats)
    for seat in removed:
        if seats[seat : seat + 1] == _SEPARATOR:
            planned[seat] = _OPEN[0]
    return bytes(planned)


def runs_of(seats: bytes) -> tuple[list[int], list[int]]:
    """Return the starts and the lengths of the runs of seats between separators."""
    starts: list[int] = []
    lengths: list[int] = []
    at = 0
    for run in seats.split(_SEPARATOR):
        if run:
            starts.append(at)
            lengths.append(len(run))
        at += len(run) + 1
    return starts, lengths


def _judge_layout(seats: bytes, hall: Hall, findings: Findings) -> None:
    if len(seats) != hall.string_length:
        says = f"{len(seats)} bytes long; the plan makes {hall.string_length}"
        findings.add("layout", "seats length", says)
    states = sum(seats.count(state) for state in (_OPEN, _HELD, _SOLD, _BLOCKED))
    if states != hall.seat_count:
        says = f"open + held + sold + blocked = {states}; the plan has {hall.seat_count} seats"
        findings.add("capacity", "seats", says)
    strange = seats.translate(None, _KNOWN)
    if strange:
        findings.add("layout", "seats bytes", f"bytes that are no state: {strange[:20]!r}")
    if not (seats.startswith(_SEPARATOR) and seats.endswith(_SEPARATOR)):
        findings.add("layout", "seats ends", "no separator at an end")
    _, lengths = runs_of(seats)
    too_many, missing = Counter(lengths) - hall.tally, hall.tally - Counter(lengths)
    if too_many or missing:
        says = (
            f"runs between separators that the plan has not: {_lengths(too_many)}; "
            f"that are missing: {_lengths(missing)}"
        )
        findings.add("layout", "seats separators", says)


def _lengths(runs: Counter[int]) -> str:
    shown = [f"{count} of {length} seats" for length, count in sorted(runs.items())[:5]]
    return ", ".join(shown) or "none"


def _judge_seats(view: StoreView, seats: bytes, findings: Findings) -> None:
    """Each held seat is in exactly one live record, each sold seat in exactly one purchased one."""
    owner: dict[int, bytes] = {}
    wanted = {LIVE: _HELD[0], PURCHASED: _SOLD[0]}
    for hold, record in view.owners.items():
        for seat in record.seats:
            if not 0 <= seat < len(seats) or seats[seat] != wanted[record.state]:
                state = chr(seats[seat]) if 0 <= seat < len(seats) else "outside"
                says = f"{_NAME[record.state]} by {hold.hex()}, but the seats string says {state!r}"
                findings.add("record-without-seat", f"seat {seat}", says)
            elif seat in owner:
                says = f"claimed by {owner[seat].hex()} and by {hold.hex()}"
                findings.add("seat-in-two-records", f"seat {seat}", says)
            owner[seat] = hold
    for byte, name in ((_HELD, "held"), (_SOLD, "sold")):
        for seat in _positions(seats, byte):
            if seat not in owner:
                says = f"{name} in the seats string, but no record claims it"
                findings.add("seat-without-record", f"seat {seat}", says)


def _positions(seats: bytes, byte: bytes) -> Iterator[int]:
    at = seats.find(byte)
    while at >= 0:
        yield at
        at = seats.find(byte, at + 1)


def _judge_areas(view: StoreView, hall: Hall, findings: Findings) -> None:
    claimed: Counter[tuple[int, int]] = Counter()
    for record in view.owners.values():
        for area, count in record.areas:
            claimed[area, record.state] += count
    for area in sorted({area for area, _ in claimed} | view.areas.keys()):
        if not 0 <= area < len(hall.area_capacities):
            findings.add("area-unknown", f"area {area}", "the plan has no such area")
    for area, capacity in enumerate(hall.area_capacities):
        counts = view.areas.get(area)
        if counts is None:
            findings.add("area-missing", f"area {area}", "no counts in Redis")
        else:
            _judge_area(area, capacity, counts, claimed, findings)


def _judge_area(
    area: int,
    capacity: int,
    counts: AreaCounts,
    claimed: Counter[tuple[int, int]],
    findings: Findings,
) -> None:
    total = counts.open + counts.held + counts.sold + counts.blocked
    if total != capacity:
        says = f"open + held + sold + blocked = {total}, its capacity is {capacity}"
        findings.add("capacity", f"area {area}", says)
    if min(counts.open, counts.held, counts.sold, counts.blocked) < 0:
        findings.add("area-below-zero", f"area {area}", f"{counts}")
    for state, have in ((LIVE, counts.held), (PURCHASED, counts.sold)):
        if claimed[area, state] != have:
            name = _NAME[state]
            says = f"{have} places {name}, but records claim {claimed[area, state]}"
            findings.add("area-differs-from-records", f"area {area} {name}", says)


def _judge_buyers(view: StoreView, findings: Findings) -> None:
    held: Counter[str] = Counter()
    bought: Counter[str] = Counter()
    deadlines: dict[str, set[int]] = {}
    for record in view.owners.values():
        if record.state == LIVE:
            held[record.buyer] += record.tickets
            if not record.committing:
                deadlines.setdefault(record.buyer, set()).add(record.until_ms)
        elif record.state == PURCHASED:
            bought[record.buyer] += record.tickets
    for buyer in sorted((+held + +bought).keys() | view.buyers.keys()):
        counts = view.buyers.get(buyer)
        have = (counts.held, counts.bought) if counts else (0, 0)
        if have != (held[buyer], bought[buyer]):
            says = (
                f"counted as {have[0]} held and {have[1]} bought, but records say "
                f"{held[buyer]} and {bought[buyer]}"
            )
            findings.add("buyer-count", f"buyer {buyer}", says)
        elif counts and buyer in deadlines and counts.deadline_ms not in deadlines[buyer]:
            says = f"the deadline {counts.deadline_ms} is that of none of their holds"
            findings.add("buyer-deadline", f"buyer {buyer}", says)


def _judge_expiry(view: StoreView, findings: Findings, *, swept: bool) -> None:
    for hold, record in view.holds.items():
        scheduled = view.expiry.get(hold)
        if record.state == PURCHASED:
            if scheduled is not None:
                says = f"purchased, yet due to expire at {scheduled}"
                findings.add("expiry-differs", f"hold {hold.hex()}", says)
            continue
        if scheduled != record.until_ms:
            says = f"ends at {record.until_ms} by its record, at {scheduled} by the schedule"
            findings.add("expiry-differs", f"hold {hold.hex()}", says)
        late_ms = view.now_ms - record.until_ms
        if swept and record.state == LIVE and late_ms > SWEEP_MS_MAX:
            says = f"its deadline passed {late_ms / 1000:.1f} s ago and it still holds its seats"
            findings.add("hold-overdue", f"hold {hold.hex()}", says)
    for hold in view.expiry.keys() - view.holds.keys():
        findings.add("expiry-differs", f"hold {hold.hex()}", "due to expire, but has no record")


def _judge_keys(view: StoreView, findings: Findings) -> None:
    for digest, hold in view.keys.items():
        record = view.holds.get(hold)
        if record is None or record.state != PURCHASED:
            says = f"names hold {hold.hex()}, which was not bought"
            findings.add("key-differs", f"key {digest.hex()}", says)
    named = Counter(view.keys.values())
    for hold, record in view.holds.items():
        if record.state == PURCHASED and named[hold] != 1:
            says = f"bought, and named by {named[hold]} keys"
            findings.add("key-differs", f"hold {hold.hex()}", says)
    for hold, fact in view.facts.items():
        record = view.holds.get(hold)
        if record and record.state == PURCHASED and view.keys.get(key_digest(fact.key)) != hold:
            says = f"bought with key {fact.key}, which does not name it"
            findings.add("key-differs", f"hold {hold.hex()}", says)


def _judge_stream(view: StoreView, findings: Findings) -> None:
    """Sales in the stream and purchased records say the same, as far as the stream reaches back."""
    if view.picked_out > (0, 0):
        epoch, n = view.picked_out
        says = f"entry {epoch}-{n} was deleted by itself: the stream is only ever trimmed"
        findings.add("stream-tampered", "sales", says)
    for hold, record in view.holds.items():
        if record.state == PURCHASED and hold not in view.facts:
            _judge_trimmed(view, hold, record, findings)
    for hold, fact in view.facts.items():
        record = view.holds.get(hold)
        if record is None or record.state != PURCHASED:
            continue  # judged by the ledger: a recovery may have stranded it
        sold = (record.place, record.buyer, sorted(record.seats), sorted(record.areas))
        told = (fact.place, fact.buyer, sorted(fact.seats), sorted(fact.areas))
        if sold != told and record.tickets:
            says = f"the stream says {told}, its record {sold}"
            findings.add("fact-differs-from-record", f"hold {hold.hex()}", says)


def _judge_trimmed(view: StoreView, hold: bytes, record: Record, findings: Findings) -> None:
    place = f"{record.place[0]}-{record.place[1]}"
    if view.last is None or record.place > view.last:
        if str(record.place[0]) == view.meta.get("epoch"):
            says = f"its record says {place}, where the stream never was"
            findings.add("fact-missing", f"hold {hold.hex()}", says)
    elif view.retains(record.place):
        says = f"its record says {place}, but the stream has no such entry"
        findings.add("fact-missing", f"hold {hold.hex()}", says)


def seat_run(starts: list[int], lengths: list[int], seat: int) -> tuple[int, int] | None:
    """Return start and length of the run that a seat is in; None if it is in none."""
    n = bisect_right(starts, seat) - 1
    if n < 0 or seat >= starts[n] + lengths[n]:
        return None
    return starts[n], lengths[n]
