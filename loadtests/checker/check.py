"""Brings the checks together into one verdict."""

from collections.abc import Iterable

from loadtests.checker.area_check import check_areas
from loadtests.checker.claims import Claims
from loadtests.checker.history import Ambiguous, Call
from loadtests.checker.hold_check import check_holds
from loadtests.checker.seat_check import check_seats
from loadtests.checker.show import Bounds, Ledger, Show, Store
from loadtests.checker.stores_check import check_ledger, check_store, check_stores
from loadtests.checker.verdict import Findings, Verdict
from loadtests.checker.whole_check import check_whole


def check(
    show: Show,
    calls: Iterable[Call],
    *,
    ledger: Ledger | None = None,
    store: Store | None = None,
    bounds: Bounds | None = None,
) -> Verdict:
    """Judge a show's history, with the stores as they were left if they are handed in.

    Raises:
        ValueError: a call is about another show.
    """
    bounds = bounds or Bounds()
    history = sorted(calls, key=lambda call: call.invoked_ns)
    stray = next((call for call in history if call.show != show.id), None)
    if stray is not None:
        message = f"{stray.op} is about show {stray.show}, not {show.id}"
        raise ValueError(message)
    claims = Claims(show, ledger, bounds)
    claims.add(history)
    findings = Findings()
    if ledger is not None:
        check_ledger(show, claims, ledger, findings)
    if store is not None:
        check_store(show, claims, store, bounds, findings)
    if ledger is not None and store is not None:
        check_stores(show, ledger, store, findings)
    check_whole(show, claims, bounds, findings)
    check_holds(claims, bounds, findings)
    check_areas(show, claims, ledger, bounds, findings)
    check_seats(show, claims, store, bounds, findings)
    return Verdict(
        show=show.id,
        operations=len(history),
        ambiguous=sum(isinstance(call.answer, Ambiguous) for call in history),
        violations=tuple(findings.violations),
        undecided=tuple(findings.undecided),
    )
