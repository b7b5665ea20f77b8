"""Decides for each hold whether what was told of it fits one life: none, live, ended or bought.

The other half of what a seat's register can't see: a hold that comes back after its release on the
same seats, a purchase after the end, a refusal of a hold that stands, holds of areas only.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from loadtests.checker.claims import NO_PLACES, Claim, Claims
from loadtests.checker.history import Bought, Call, Held, Refused, Released, Returned
from loadtests.checker.search import Contradicted, GaveUp, Operation, search
from loadtests.checker.show import KEPT_NS, Bounds
from loadtests.checker.verdict import Findings, Kind, tell_call

NONE: Final = 0
LIVE: Final = 1
RELEASED: Final = 2
EXPIRED: Final = 3
BOUGHT: Final = 4

_NAMES: Final = ("unknown", "live", "released", "expired", "bought")

_FORGOTTEN: Final = frozenset({NONE, RELEASED, EXPIRED})
_LOSABLE: Final = (LIVE, RELEASED, EXPIRED, BOUGHT)

_SEEN_BY_REFUSAL: Final = {
    "hold-released": frozenset({RELEASED}),
    "hold-expired": frozenset({EXPIRED}),
    "already-purchased": frozenset({BOUGHT}),
    "hold-not-found": frozenset({NONE}),
}


class _Step(NamedTuple):
    operation: Operation
    call: Call | None


def check_holds(claims: Claims, bounds: Bounds, findings: Findings) -> None:
    """Note every hold whose calls no single life explains, and those that were given up on."""
    for claim in claims.all:
        steps = [*_changes(claim), *_sights(claim)]
        found = search([step.operation for step in steps], NONE, bounds.search_steps_max)
        if isinstance(found, GaveUp):
            findings.undecided.append(f"hold {claim.name}")
        elif isinstance(found, Contradicted):
            culprit = steps[found.at].call
            could = " or ".join(_NAMES[state] for state in sorted(found.states))
            told = "the ledger" if culprit is None else tell_call(culprit)
            findings.add(
                _kind_of(culprit, found.states),
                f"hold {claim.name}",
                f"by then it could only be {could}; yet {told}",
                because=[tell_call(call) for call in claim.calls if call is not culprit],
                calls=claim.calls,
            )


def _changes(claim: Claim) -> Iterator[_Step]:
    again = claim.loss is not None
    first = next(claim.of_kind("hold"), None)
    for span in claim.takes:
        stays = frozenset((LIVE, BOUGHT)) if again else frozenset[int]()
        yield _Step(
            Operation(
                invoked=span.invoked,
                completed=span.completed,
                must=span.must,
                gate=NONE,
                into=LIVE,
                idle_in=stays,
            ),
            first,
        )
        yield _Step(Operation(invoked=claim.may_end_ns, must=False, gate=LIVE, into=EXPIRED), None)
    for call, span in claim.releases:
        release = Operation(
            invoked=span.invoked,
            completed=span.completed,
            must=span.must,
            gate=LIVE,
            into=RELEASED,
            idle_in=frozenset((NONE, RELEASED, EXPIRED)),
        )
        yield _Step(release, call)
        if again:
            # The release of a hold that is not there, as after a loss, is remembered too.
            remembered = Operation(invoked=span.invoked, must=False, gate=NONE, into=RELEASED)
            yield _Step(remembered, call)
    for invoked, completed, must in claim.sales:
        buy = Operation(
            invoked=invoked,
            completed=completed,
            must=must,
            gate=LIVE,
            into=BOUGHT,
            idle_in=frozenset((BOUGHT,)) if again else frozenset[int](),
        )
        yield _Step(buy, next(claim.of_kind("purchase"), None))
    for loss in claim.losses if again else ():
        for state in _LOSABLE if claim.confirmed_ns >= loss.from_ns else _LOSABLE[:-1]:
            lost = Operation(
                invoked=loss.from_ns, completed=loss.to_ns, must=False, gate=state, into=NONE
            )
            yield _Step(lost, None)
    for loss in claim.setbacks:
        for state in _LOSABLE[1:]:
            back = Operation(
                invoked=loss.from_ns, completed=loss.to_ns, must=False, gate=state, into=LIVE
            )
            yield _Step(back, None)


def _sights(claim: Claim) -> Iterator[_Step]:
    for call in claim.calls:
        seen = _seen(call)
        if seen == frozenset((NONE,)) and call.invoked_ns >= claim.may_end_ns + KEPT_NS:
            seen = _FORGOTTEN
        if seen is not None and call.completed_ns is not None:
            sight = Operation(invoked=call.invoked_ns, completed=call.completed_ns, idle_in=seen)
            yield _Step(sight, call)


def _seen(call: Call) -> frozenset[int] | None:
    """Return in which states the hold may have been when it was answered so."""
    match call.answer:
        case Held():
            return frozenset((LIVE,))
        case Bought() | Returned():
            return frozenset((BOUGHT,))
        case Refused(reason) if reason in _SEEN_BY_REFUSAL:
            return _SEEN_BY_REFUSAL[reason]
        case Refused(reason) if reason in NO_PLACES:
            return frozenset((NONE,)) if call.kind == "hold" else frozenset((LIVE,))
        case _:
            return None


def _kind_of(culprit: Call | None, states: frozenset[int]) -> Kind:
    if culprit is not None and isinstance(culprit.answer, Released):
        return "released-after-sale"
    if culprit is not None and culprit.kind == "hold" and isinstance(culprit.answer, Refused):
        return "refused-own-hold" if culprit.answer.reason in NO_PLACES else "ended-early"
    if culprit is not None and isinstance(culprit.answer, Refused):
        return "ended-early" if states <= {LIVE, BOUGHT} else "refused-otherwise"
    if states <= {NONE}:
        return "hold-from-nowhere"
    return "hold-came-back" if states & {RELEASED, EXPIRED} else "hold-lost"
