"""Decides for each seat whether one correct box office could have done all that was told of it.

A seat is a small register: open, blocked, held by h, or sold to h. Calls are taken apart into steps
on each of their seats. Seats are independent objects, so by locality (Herlihy and Wing, 1990) the
single-seat part of a history has an order if and only if that of each seat has one.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from loadtests.checker.claims import ENDED, Claim, Claims
from loadtests.checker.history import Call, Held, Refused
from loadtests.checker.search import NEVER, Contradicted, GaveUp, Operation, search
from loadtests.checker.show import Bounds, Show, Store
from loadtests.checker.verdict import Findings, Kind, tell_call, tell_time

OPEN: Final = 0
BLOCKED: Final = 1
_FIRST: Final = 2

GONE: Final = ENDED | {"hold-not-found"}
_SHORTENED_MAX: Final = 10
"""For so many violations the explanation is made as short as can be, which takes time."""
_KIND_OF_SIGHT: Final[dict[str, Kind]] = {
    "is refused": "refused-open-seat",
    "is seen ended": "ended-early",
    "is seen without": "ended-early",
    "releases": "released-after-sale",
}


class Step(NamedTuple):
    """One operation on a seat, and where it comes from; a call is None for an internal step."""

    operation: Operation
    does: str
    claim: Claim | None
    call: Call | None


def held_by(claim: Claim) -> int:
    """Return the state of a seat that a claim holds."""
    return _FIRST + 2 * claim.number


def sold_to(claim: Claim) -> int:
    """Return the state of a seat that was sold to a claim."""
    return _FIRST + 2 * claim.number + 1


def check_seats(
    show: Show, claims: Claims, store: Store | None, bounds: Bounds, findings: Findings
) -> None:
    """Note every seat whose steps have no order, and those that the search gave up on."""
    shortened = 0
    for seat, steps in steps_by_seat(show, claims, store, bounds).items():
        initial = BLOCKED if seat in show.blocked_seats else OPEN
        found = search([step.operation for step in steps], initial, bounds.search_steps_max)
        if isinstance(found, GaveUp):
            findings.undecided.append(f"seat {seat}")
        elif isinstance(found, Contradicted):
            culprit = steps[found.at]
            shortened += 1
            core = steps
            if shortened <= _SHORTENED_MAX:
                core = _shorten(steps, culprit, initial, bounds.search_steps_max)
            findings.add(
                _kind_of(culprit, found.states),
                f"seat {seat}",
                _tell(culprit, found.states, claims),
                because=dict.fromkeys(_tell_step(step) for step in core),
                calls={step.call.op: step.call for step in steps if step.call}.values(),
            )


def steps_by_seat(
    show: Show, claims: Claims, store: Store | None, bounds: Bounds
) -> dict[str, list[Step]]:
    """Take all calls apart into steps on seats."""
    steps: dict[str, list[Step]] = {seat: [] for seat in sorted(show.seats)}
    for claim in claims.all:
        for seat, step in _steps_of(claim, bounds):
            if seat in steps:  # what was told of a seat that is not there is for the whole check
                steps[seat].append(step)
    if store is not None:
        _add_what_was_left(steps, show, claims, store)
    return steps


# ---------------------------------------------------------------- taking calls apart


def _steps_of(claim: Claim, bounds: Bounds) -> Iterator[tuple[str, Step]]:
    yield from _makings(claim)
    yield from _moves(claim)
    yield from _endings(claim)
    yield from _losses(claim)
    yield from _sales(claim)
    yield from _sights(claim)
    yield from _refusals(claim, bounds)


def _makings(claim: Claim) -> Iterator[tuple[str, Step]]:
    """Yield the steps that take its first seats; where it may have been lost, each time anew."""
    able = [call for call in claim.of_kind("hold") if not _is_refusal(call)]
    again = claim.loss is not None
    for call, span in zip(able, claim.takes, strict=False):
        seats = call.answer.seats if again and isinstance(call.answer, Held) else call.seats
        operation = Operation(
            invoked=span.invoked,
            completed=span.completed,
            must=span.must,
            gate=OPEN,
            into=held_by(claim),
            idle_in=frozenset((held_by(claim),)) if again else frozenset(),
        )
        for seat in seats:
            yield seat, Step(operation, "takes", claim, call)


def _moves(claim: Claim) -> Iterator[tuple[str, Step]]:
    """Yield what replacements do to each seat that the hold may ever have had."""
    mine = frozenset((held_by(claim),))
    for call, span, seats, _ in claim.selections:
        if call.kind != "replace":
            continue
        into = Operation(
            invoked=span.invoked,
            completed=span.completed,
            must=span.must,
            gate=OPEN,
            into=held_by(claim),
            idle_in=mine,
        )
        out = Operation(
            invoked=span.invoked,
            completed=span.completed,
            must=span.must,
            gate=held_by(claim),
            into=OPEN,
            idle_out=mine | {sold_to(claim)},
        )
        for seat in claim.seats:
            yield seat, Step(*((into, "takes") if seat in seats else (out, "leaves")), claim, call)


def _endings(claim: Claim) -> Iterator[tuple[str, Step]]:
    """Yield its releases and its expiry."""
    mine, bought = held_by(claim), sold_to(claim)
    for call, span in claim.releases:
        operation = Operation(
            invoked=span.invoked,
            completed=span.completed,
            must=span.must,
            gate=mine,
            into=OPEN,
            idle_out=frozenset((mine, bought)),
        )
        for seat in claim.seats:
            yield seat, Step(operation, "releases", claim, call)
    expiry = Operation(invoked=claim.may_end_ns, must=False, gate=mine, into=OPEN)
    for seat in claim.seats if claim.takes else ():
        # Once each time that it is made, and again when it stands again.
        for _ in (*claim.takes, *claim.setbacks):
            yield seat, Step(expiry, "expires", claim, None)


def _losses(claim: Claim) -> Iterator[tuple[str, Step]]:
    """Yield its loss with the store, and that it stands again in one that fell back."""
    mine, bought = held_by(claim), sold_to(claim)
    for loss in claim.losses if claim.loss is not None else ():
        for gate in (mine, *((bought,) if claim.confirmed_ns >= loss.from_ns else ())):
            lost = Operation(
                invoked=loss.from_ns, completed=loss.to_ns, must=False, gate=gate, into=OPEN
            )
            for seat in claim.seats:
                yield seat, Step(lost, "is lost", claim, None)
    for loss in claim.setbacks:
        back = Operation(
            invoked=loss.from_ns, completed=loss.to_ns, must=False, gate=OPEN, into=mine
        )
        for seat in claim.seats:
            yield seat, Step(back, "stands again", claim, None)


def _sales(claim: Claim) -> Iterator[tuple[str, Step]]:
    """Yield its sale, and what may have undone it."""
    mine, bought = held_by(claim), sold_to(claim)
    known = claim.sold_seats
    seats = claim.seats if known is None else known
    call = next(claim.of_kind("purchase"), None)
    again = claim.loss is not None
    for span in claim.sales:
        must = span.must and known is not None
        sale = Operation(
            invoked=span.invoked,
            completed=span.completed if must else NEVER,
            must=must,
            gate=mine,
            into=bought,
            idle_in=frozenset((bought,)) if again else frozenset(),
            # What was returned is told of still, whoever has the seat by then.
            idle_out=frozenset((mine,)) if again and claim.was_returned else None,
        )
        for seat in seats:
            yield seat, Step(sale, "buys", claim, call)
    if claim.sale is None:
        return
    first_ns = claim.sale.invoked
    if claim.may_have_failed:
        failed = Operation(invoked=first_ns, must=False, gate=bought, into=OPEN)
        for seat in seats:
            yield seat, Step(failed, "fails", claim, None)
    elif claim.returned_from_ns < NEVER:
        # Without the ledger nobody knows whether a call that was lost, or refused, has done it.
        must = claim.was_returned and known is not None
        returned = Operation(
            invoked=max(first_ns, claim.returned_from_ns), must=must, gate=bought, into=OPEN
        )
        for seat in seats:
            yield seat, Step(returned, "is returned", claim, None)


def _sights(claim: Claim) -> Iterator[tuple[str, Step]]:
    """Yield what answers say of how the hold stood, beside their own effect."""
    mine, bought = held_by(claim), sold_to(claim)
    able = [call for call in claim.of_kind("hold") if not _is_refusal(call)]
    is_its_own_effect = len(able) == 1 or claim.loss is not None
    for call in claim.calls:
        if call.completed_ns is None or call.kind == "release":
            continue
        if isinstance(call.answer, Held):
            if call.kind == "replace" or (call.kind == "hold" and is_its_own_effect):
                continue
            sees = Operation(
                invoked=call.invoked_ns, completed=call.completed_ns, idle_in=frozenset((mine,))
            )
            not_there = Operation(
                invoked=call.invoked_ns, completed=call.completed_ns, idle_out=frozenset((mine,))
            )
            for seat in claim.seats:
                if seat in call.answer.seats:
                    yield seat, Step(sees, "is seen holding", claim, call)
                else:
                    yield seat, Step(not_there, "is seen without", claim, call)
        elif isinstance(call.answer, Refused) and call.answer.reason in GONE:
            gone = Operation(
                invoked=call.invoked_ns,
                completed=call.completed_ns,
                idle_out=frozenset((mine, bought)),
            )
            for seat in claim.seats:
                yield seat, Step(gone, "is seen ended", claim, call)


def _refusals(claim: Claim, bounds: Bounds) -> Iterator[tuple[str, Step]]:
    """Yield that each seat named by a refusal was taken, and not by the hold itself.

    It may be old news of all seats but one.
    """
    for call in claim.calls:
        answer = call.answer
        if call.completed_ns is None or not isinstance(answer, Refused) or not answer.seats:
            continue
        completed_ns = call.completed_ns
        if call.kind == "hold" and claim.takes and claim.loss is None:
            # It was not made yet when it was refused, so that came before its making.
            completed_ns = max(min(completed_ns, claim.takes[0].completed), call.invoked_ns)
        for seat in answer.seats:
            may_be_old = len(answer.seats) > 1
            taken = Operation(
                invoked=call.invoked_ns - (bounds.stale_ns_max if may_be_old else 0),
                completed=completed_ns,
                idle_out=frozenset((OPEN, held_by(claim), sold_to(claim))),
            )
            yield seat, Step(taken, "is refused", claim, call)


def _is_refusal(call: Call) -> bool:
    return isinstance(call.answer, Refused)


def _add_what_was_left(
    steps: dict[str, list[Step]], show: Show, claims: Claims, store: Store
) -> None:
    """Add what the store says at the end as a last look at each seat.

    What is blocked and should not be, or should and is not, or is held by no hold of the store
    contradicts itself without any history, and is for the check of the stores.
    """
    holders: dict[str, set[int]] = {}
    for hold in store.holds:
        may_be = claims.may_be(hold)
        for seat in hold.seats:
            holders.setdefault(seat, set()).update(held_by(c) for c in may_be if seat in c.seats)
    for seat, own in steps.items():
        match store.seats.get(seat):
            case _ if seat in show.blocked_seats:
                continue
            case "open":
                states = {OPEN}
            case "held" if seat in holders:
                states = holders[seat]
            case "sold":
                states = {sold_to(step.claim) for step in own if step.claim}
            case _:
                continue
        look = Operation(invoked=store.read_ns, completed=store.read_ns, idle_in=frozenset(states))
        own.append(Step(look, f"is left {store.seats[seat]}", None, None))


# ---------------------------------------------------------------- telling


def _kind_of(culprit: Step, states: frozenset[int]) -> Kind:
    claim = culprit.claim
    if claim is None:
        return "store-differs"
    if culprit.does in _KIND_OF_SIGHT:
        return _KIND_OF_SIGHT[culprit.does]
    if BLOCKED in states:
        return "blocked-seat-taken"
    return "two-owners" if states - {OPEN, held_by(claim), sold_to(claim)} else "hold-lost"


def _tell(culprit: Step, states: frozenset[int], claims: Claims) -> str:
    could = " or ".join(_tell_state(state, claims) for state in sorted(states))
    at = tell_time(min(culprit.operation.completed, 2**62))
    if culprit.operation.completed == NEVER:
        at = "the end"
    return f"by {at} it could only be {could}; yet {_tell_step(culprit)}"


def _tell_state(state: int, claims: Claims) -> str:
    if state in {OPEN, BLOCKED}:
        return "open" if state == OPEN else "blocked"
    claim = claims.all[(state - _FIRST) // 2]
    return f"{'sold to' if state % 2 else 'held by'} {claim.name}"


def _tell_step(step: Step) -> str:
    who = "the seat" if step.claim is None else step.claim.name
    if step.call is not None:
        return f"{who} {step.does}: {tell_call(step.call)}"
    return f"{who} {step.does}, from {tell_time(step.operation.invoked)} on"


def _shorten(steps: Sequence[Step], culprit: Step, initial: int, steps_max: int) -> list[Step]:
    """Return fewer steps that still have no order, as few as can be found with so much effort.

    Only what can't by its absence make a contradiction is left out: what comes later; what is
    merely seen; and, unless the point is that somebody must have had the seat, whole holds.
    """
    kept = [step for step in steps if step.operation.invoked <= culprit.operation.completed]
    seen = [[step] for step in kept if step.operation.gate < 0 and step is not culprit]
    kept, left = leave_out(kept, seen, initial, steps_max)
    if any(step.does in {"is refused", "is left sold", "is left held"} for step in kept):
        return kept
    of_claim: dict[int, list[Step]] = {}
    for step in kept:
        if step.claim is not None:
            of_claim.setdefault(step.claim.number, []).append(step)
    return leave_out(kept, list(of_claim.values()), initial, left)[0]


def leave_out(
    kept: list[Step], groups: list[list[Step]], initial: int, steps_max: int
) -> tuple[list[Step], int]:
    """Return what is left without the groups that can be spared, and how much effort is left.

    All are tried at once, then by halves: few of many are needed, as a rule.
    """
    stack, left = [groups], steps_max
    while stack and left > 0:
        some = stack.pop()
        spared = {id(step) for group in some for step in group}
        without = [step for step in kept if id(step) not in spared]
        found = search([step.operation for step in without], initial, left)
        left -= found.steps
        if isinstance(found, Contradicted):
            kept = without
        elif len(some) > 1:
            half = len(some) // 2
            stack += [some[half:], some[:half]]
    return kept, left
