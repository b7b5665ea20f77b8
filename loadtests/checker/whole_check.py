"""Judges what no single seat shows: holds as wholes, keys, and limits per buyer."""

from collections import defaultdict
from typing import Final

from loadtests.checker.claims import Claim, Claims, Selection
from loadtests.checker.history import Bought, Call, Held, Refused
from loadtests.checker.occupancy import Level, Stretch, certain
from loadtests.checker.search import NEVER
from loadtests.checker.show import Bounds, Show
from loadtests.checker.verdict import Findings, Kind, tell_call, tell_time

NO_SUCH_ORDER: Final = frozenset({"order-not-found", "order-not-confirmed"})
"""Refusals of a return that say that there is nothing to give back."""


def check_whole(show: Show, claims: Claims, bounds: Bounds, findings: Findings) -> None:
    """Note what contradicts itself across seats and calls."""
    for claim in claims.all:
        _check_places(show, claim, findings)
        _check_origin(claim, findings)
        _check_lateness(claim, bounds, findings)
        _check_refused_returns(claim, findings)
    _check_keys(claims, findings)
    if show.max_per_buyer is not None:
        _check_limits(show.max_per_buyer, claims, findings)


def _check_places(show: Show, claim: Claim, findings: Findings) -> None:
    """All or nothing: a hold has just the places that it asked for, or a replacement of it did."""
    for call in claim.calls:
        answer = call.answer
        if isinstance(answer, Held):
            asked = _may_show(claim, call)
        elif isinstance(answer, Bought) and (answer.seats or answer.areas):
            asked = claim.selections
        else:
            continue
        if not any(_is_just(answer, selection) for selection in asked):
            says = f"it has other places than were asked for: {tell_call(call)}"
            findings.add("partial-hold", f"hold {claim.name}", says, calls=claim.calls)
        strange = set(answer.seats) - show.seats
        if strange:
            says = f"the show has no {' '.join(sorted(strange))}: {tell_call(call)}"
            findings.add("no-such-seat", f"hold {claim.name}", says, calls=claim.calls)


def _may_show(claim: Claim, call: Call) -> list[Selection]:
    """Return the selections that an answer `held` may have told of."""
    if call.kind == "replace":
        return [selection for selection in claim.selections if selection.call is call]
    return claim.selections


def _is_just(answer: Held | Bought, selection: Selection) -> bool:
    return frozenset(answer.seats) == selection.seats and answer.areas == selection.areas


def _check_origin(claim: Claim, findings: Findings) -> None:
    """What exists was asked for."""
    if not any(True for _ in claim.of_kind("hold")):
        served = [call for call in claim.calls if isinstance(call.answer, Held | Bought)]
        if served:
            says = f"nobody asked for this hold: {tell_call(served[0])}"
            findings.add("hold-from-nowhere", f"hold {claim.name}", says, calls=claim.calls)
    asked_ns = min(
        (c.invoked_ns for c in claim.of_kind("purchase") if not isinstance(c.answer, Refused)),
        default=NEVER,
    )
    for call in claim.calls:
        if isinstance(call.answer, Bought) and (call.completed_ns or 0) < asked_ns:
            says = f"nobody had asked to buy it: {tell_call(call)}"
            findings.add("sale-from-nowhere", f"hold {claim.name}", says, calls=claim.calls)
            return


def _check_lateness(claim: Claim, bounds: Bounds, findings: Findings) -> None:
    """A purchase that began long after the last deadline that was told comes too late."""
    sale = claim.sale
    if sale is None or not sale.must or claim.loss is not None:
        return
    late_ns = sale.invoked - claim.must_end_ns
    if late_ns > bounds.overdue_ns_max:
        says = f"bought by a call that began {tell_time(late_ns)} after its deadline"
        findings.add("sold-after-deadline", f"hold {claim.name}", says, calls=claim.calls)


def _check_refused_returns(claim: Claim, findings: Findings) -> None:
    """What was confirmed before it was asked for can be given back, and again."""
    for call in claim.of_kind("return"):
        is_refused = isinstance(call.answer, Refused) and call.answer.reason in NO_SUCH_ORDER
        if is_refused and claim.confirmed_ns < call.invoked_ns:
            says = f"it was confirmed before: {tell_call(call)}"
            findings.add("return-refused", f"hold {claim.name}", says, calls=claim.calls)


def _check_keys(claims: Claims, findings: Findings) -> None:
    """One key has one effect: a hold's key one hold, a purchase's one order, a hold one order."""
    for hold, one, other in claims.ids_of_two:
        says = f"told for the keys {one.name} and {other.name}"
        findings.add("hold-of-two-keys", f"hold {hold}", says, calls=[*one.calls, *other.calls])
    orders_of_key: defaultdict[str, set[str]] = defaultdict(set)
    holds_of_order: defaultdict[str, set[str]] = defaultdict(set)
    for claim in claims.all:
        told = {order.order for order in claim.orders}
        for call in claim.calls:
            if isinstance(call.answer, Bought):
                told.add(call.answer.order)
                if call.kind == "purchase":
                    orders_of_key[call.key or ""].add(call.answer.order)
        for order in told:
            holds_of_order[order].add(claim.name)
        _add_if_several("key-of-two-holds", f"hold {claim.name}", claim.ids, findings, claim)
        _add_if_several("hold-of-two-orders", f"hold {claim.name}", told, findings, claim)
    for key, orders in orders_of_key.items():
        _add_if_several("key-of-two-orders", f"key {key}", orders, findings)
    for order, holds in holds_of_order.items():
        _add_if_several("order-of-two-holds", f"order {order}", holds, findings)


def _add_if_several(
    kind: Kind, subject: str, what: set[str], findings: Findings, claim: Claim | None = None
) -> None:
    if len(what) > 1:
        says = f"told as {' and as '.join(sorted(what))}"
        findings.add(kind, subject, says, calls=claim.calls if claim else ())


def _check_limits(most: int, claims: Claims, findings: Findings) -> None:
    of_buyer: defaultdict[str, list[Claim]] = defaultdict(list)
    for claim in claims.all:
        of_buyer[claim.buyer].append(claim)
    for buyer, own in of_buyer.items():
        having: list[Stretch] = [stretch for claim in own for stretch in certain(claim, None)]
        peak = Level(having).peak()
        if peak.places > most:
            says = f"certainly had {peak.places} tickets at {tell_time(peak.from_ns)}, of {most}"
            findings.add(
                "buyer-over-limit",
                f"buyer {buyer}",
                says,
                calls=[call for claim in own for call in claim.calls],
            )
