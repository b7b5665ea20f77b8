"""Judges both stores as they were left, against the history and against each other."""

from collections import Counter

from loadtests.checker.claims import Claim, Claims
from loadtests.checker.history import Bought, Call, Refused, Returned
from loadtests.checker.search import NEVER
from loadtests.checker.show import Bounds, Ledger, Order, Show, Store, StoreHold
from loadtests.checker.verdict import Findings, tell_call, tell_time


def check_ledger(show: Show, claims: Claims, ledger: Ledger, findings: Findings) -> None:
    """Note sales that are missing, made up, or of a place that was another's."""
    for claim in claims.all:
        _check_promises(show, claim, findings)
        _check_return(claim, findings)
    for order in ledger.orders:
        _check_order(order, claims.by_id[order.hold], findings)
    owners: dict[str, Order] = {}
    for order in ledger.orders:
        if order.status != "confirmed":
            continue
        for seat in order.seats:
            other = owners.setdefault(seat, order)
            if other is not order:
                says = f"in the ledger it is in {other.order} and in {order.order}"
                findings.add("two-orders-one-seat", f"seat {seat}", says)
            if seat in show.blocked_seats:
                says = f"in the ledger it is in {order.order}, but the house withholds it"
                findings.add("blocked-seat-sold", f"seat {seat}", says)


def check_store(
    show: Show,
    claims: Claims,
    store: Store,
    bounds: Bounds,
    findings: Findings,
) -> None:
    """Note what the store's last state has too much, too little, or too long."""
    _check_seats(show, store, findings)
    _check_areas(show, store, findings)
    for hold in store.holds:
        late_ns = store.read_ns - hold.deadline_ns
        if late_ns > bounds.overdue_ns_max + bounds.clock_error_ns:
            says = f"its deadline passed {tell_time(late_ns)} ago and it still has its places"
            findings.add("hold-overdue", f"hold {hold.hold}", says)
        if not _has_origin(hold, claims):
            says = "the store has it, and no call that was not refused asked for it"
            findings.add("hold-from-nowhere", f"hold {hold.hold}", says)


def check_stores(show: Show, ledger: Ledger, store: Store, findings: Findings) -> None:
    """Note where the store has sold what the ledger has not, or the other way round."""
    orders = [order for order in ledger.orders if order.status == "confirmed"]
    sold = Counter(seat for order in orders for seat in order.seats)
    for seat, state in sorted(store.seats.items()):
        if (state == "sold") != (sold[seat] > 0):
            says = f"{state} in the store, where {sold[seat]} orders of the ledger have it"
            findings.add("store-differs-from-ledger", f"seat {seat}", says)
    for area in sorted(show.area_capacity.keys() & store.areas.keys()):
        counted = sum(order.areas.get(area, 0) for order in orders)
        if store.areas[area].sold != counted:
            says = f"{store.areas[area].sold} sold in the store, {counted} in the ledger"
            findings.add("store-differs-from-ledger", f"area {area}", says)


def _check_promises(show: Show, claim: Claim, findings: Findings) -> None:
    """A confirmed order is in the ledger; one being recorded too, unless the store lost it."""
    kept = {order.order: order for order in claim.orders}
    for call in claim.calls:
        answer = call.answer
        if not isinstance(answer, Bought):
            continue
        order = kept.get(answer.order)
        if answer.state != "recording":
            if order is None or order.status not in {"confirmed", "returned"}:
                stands = "is not in the ledger" if order is None else f"ended as {order.status}"
                says = f"{answer.order} {stands}: {tell_call(call)}"
                subject = f"hold {claim.name}"
                findings.add("confirmed-not-in-ledger", subject, says, calls=claim.calls)
                return
        elif order is None and all(loss.keeps_sales for loss in show.losses):
            says = f"{answer.order} was being recorded and never was: {tell_call(call)}"
            findings.add("recording-lost", f"hold {claim.name}", says, calls=claim.calls)
            return


def _check_return(claim: Claim, findings: Findings) -> None:
    """What was told as given back is so for good, and nothing else is that nobody asked for."""
    told = next((call for call in claim.calls if _tells_return(call)), None)
    if told is not None and not claim.was_returned:
        stands = ", ".join(order.status for order in claim.orders) or "not there"
        says = f"in the ledger its order is {stands}: {tell_call(told)}"
        subject = f"hold {claim.name}"
        findings.add("returned-not-in-ledger", subject, says, calls=claim.calls)
    if claim.order is not None and claim.was_returned and claim.returned_from_ns == NEVER:
        says = "the ledger has it as returned, and no call can have done that"
        subject = f"order {claim.order.order}"
        findings.add("return-from-nowhere", subject, says, calls=claim.calls)


def _tells_return(call: Call) -> bool:
    answer = call.answer
    return isinstance(answer, Returned) or (
        isinstance(answer, Bought) and answer.state == "returned"
    )


def _check_order(order: Order, claim: Claim, findings: Findings) -> None:
    """An order was asked for, by its buyer, and has what its hold had."""
    asked = [c for c in claim.of_kind("purchase") if not isinstance(c.answer, Refused)]
    if not asked:
        says = f"the ledger has it for hold {order.hold}, and no call can have bought that"
        findings.add("order-from-nowhere", f"order {order.order}", says, calls=claim.calls)
        return
    places = frozenset(order.seats), order.areas
    if order.buyer != claim.buyer or places not in [(s.seats, s.areas) for s in claim.selections]:
        has = [*order.seats, *(f"{count}x{area}" for area, count in order.areas.items())]
        says = f"the ledger has {' '.join(has)} for {order.buyer}; its hold never was that"
        findings.add("order-differs", f"order {order.order}", says, calls=claim.calls)


def _check_seats(show: Show, store: Store, findings: Findings) -> None:
    """Every seat is in one state, held by one hold if held, and blocked as the house had it."""
    wrong = sorted(store.seats.keys() ^ show.seats)
    if wrong:
        says = f"missing in the store, or none of the show's: {' '.join(wrong[:20])}"
        findings.add("conservation", "seats", says)
    held = Counter(seat for hold in store.holds for seat in hold.seats)
    for seat, state in sorted(store.seats.items()):
        if held[seat] > 1:
            findings.add("two-owners", f"seat {seat}", f"in the store {held[seat]} holds have it")
        if (state == "held") != (held[seat] > 0):
            says = f"{state} in the store, where {held[seat]} holds have it"
            findings.add("conservation", f"seat {seat}", says)
        if (state == "blocked") != (seat in show.blocked_seats):
            says = f"{state} in the store; withheld: {seat in show.blocked_seats}"
            findings.add("blocked-seat-differs", f"seat {seat}", says)


def _check_areas(show: Show, store: Store, findings: Findings) -> None:
    """Places open, held, sold and blocked add up to the capacity, and holds to those held."""
    for area, capacity in sorted(show.area_capacity.items()):
        counts = store.areas.get(area)
        if counts is None:
            findings.add("conservation", f"area {area}", "the store does not have it")
            continue
        held = sum(hold.areas.get(area, 0) for hold in store.holds)
        states = (counts.open, counts.held, counts.sold, counts.blocked)
        if sum(states) != capacity or min(states) < 0 or counts.held != held:
            says = (
                f"{counts.open} open, {counts.held} held, {counts.sold} sold, {counts.blocked} "
                f"blocked, of {capacity}; holds have {held}"
            )
            findings.add("conservation", f"area {area}", says)


def _has_origin(hold: StoreHold, claims: Claims) -> bool:
    """Tell whether some call may have made a hold with just these places."""
    return any(
        (frozenset(hold.seats), hold.areas) == (selection.seats, selection.areas)
        for claim in claims.may_be(hold)
        for selection in claim.selections
    )
