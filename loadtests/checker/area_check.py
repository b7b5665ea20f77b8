"""Decides for each area whether its count can have been right.

To ask for an order of takes that may or may not have happened is a subset-sum. What is asked
instead is necessary, not sufficient: at no instant may what is certainly taken exceed the
capacity, and a refusal needs an instant at which what is possibly taken left too little.
"""

from loadtests.checker.claims import Claims
from loadtests.checker.history import Call, Refused
from loadtests.checker.occupancy import Level, certain, possible
from loadtests.checker.show import Bounds, Ledger, Show
from loadtests.checker.verdict import Findings, tell_call, tell_time


def check_areas(
    show: Show, claims: Claims, ledger: Ledger | None, bounds: Bounds, findings: Findings
) -> None:
    """Note every area that was certainly over its capacity, or refused with places to spare."""
    for area, capacity in sorted(show.area_capacity.items()):
        for_sale = capacity - show.area_blocked.get(area, 0)
        _check_capacity(area, for_sale, claims, findings)
        _check_refusals(area, for_sale, claims, bounds, findings)
        orders = ledger.orders if ledger else ()
        sold = sum(o.areas.get(area, 0) for o in orders if o.status == "confirmed")
        if sold > for_sale:
            says = f"{sold} places are sold in the ledger, of {for_sale} for sale"
            findings.add("area-oversold", f"area {area}", says)


def _check_capacity(area: str, for_sale: int, claims: Claims, findings: Findings) -> None:
    having = [(claim, certain(claim, area)) for claim in claims.all]
    peak = Level(stretch for _, stretches in having for stretch in stretches).peak()
    if peak.places <= for_sale:
        return
    at = peak.from_ns
    then = [
        claim
        for claim, stretches in having
        if any(stretch.from_ns <= at < stretch.to_ns for stretch in stretches)
    ]
    findings.add(
        "area-oversold",
        f"area {area}",
        f"{peak.places} places were certainly taken at {tell_time(at)}, of {for_sale} for sale",
        because=[tell_call(claim.calls[0]) for claim in then],
        calls=[call for claim in then for call in claim.calls],
    )


def _check_refusals(
    area: str, for_sale: int, claims: Claims, bounds: Bounds, findings: Findings
) -> None:
    refused = [
        call
        for claim in claims.all
        for call in claim.calls
        if isinstance(call.answer, Refused) and area in call.answer.areas
    ]
    if not refused:
        return
    level = Level(stretch for claim in claims.all for stretch in possible(claim, area))
    for call in refused:
        taken = _most_taken(call, level, bounds)
        wanted = call.areas.get(area, 0)
        if for_sale - taken >= wanted:
            says = (
                f"{wanted} places were refused while at most {taken} of {for_sale} could be "
                f"taken: {tell_call(call)}"
            )
            findings.add("refused-open-area", f"area {area}", says, calls=[call])


def _most_taken(call: Call, level: Level, bounds: Bounds) -> int:
    # As with seats, only the first of several may be news.
    names_several = isinstance(call.answer, Refused) and len(call.answer.areas) > 1
    from_ns = call.invoked_ns - (bounds.stale_ns_max if names_several else 0)
    return level.highest(from_ns, call.completed_ns or call.invoked_ns)
