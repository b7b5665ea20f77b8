"""What a hold certainly and possibly occupies over time: the ground of all counting.

Counts are not searched for an order: with answers lost that is a subset-sum. Each hold is an
interval instead in which it certainly has its places, within a longer one in which it may have
them (docs/CHECKER.md).
"""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple

from loadtests.checker.claims import Claim, Selection, tells_end
from loadtests.checker.search import NEVER


class Stretch(NamedTuple):
    """So many places, from one instant on until just before another."""

    from_ns: int
    to_ns: int
    places: int


def certain(claim: Claim, area: str | None) -> list[Stretch]:
    """Return when it certainly has how many places of an area, or tickets for None."""
    if not claim.takes or not claim.takes[0].must or claim.takes[0].completed == NEVER:
        return []
    from_ns, to_ns = claim.takes[0].completed, _may_end(claim)
    stretches: list[Stretch] = []
    for begins, ends in _pieces(claim, from_ns, to_ns):
        places = min(selection.places(area) for selection in _in_force(claim, begins, ends))
        if places > 0:
            stretches.append(Stretch(begins, ends, places))
    return stretches


def possible(claim: Claim, area: str) -> list[Stretch]:
    """Return when it may have how many places of an area, at most."""
    if not claim.takes:
        return []
    from_ns, to_ns = claim.takes[0].invoked, _must_end(claim) + 1
    stretches: list[Stretch] = []
    for begins, ends in _pieces(claim, from_ns, to_ns):
        places = max(selection.places(area) for selection in _in_force(claim, begins, ends))
        if places > 0:
            stretches.append(Stretch(begins, ends, places))
    return stretches


def _may_end(claim: Claim) -> int:
    """Return the instant until which it certainly stands."""
    undone = [claim.returned_from_ns]
    if claim.sale is not None and claim.may_have_failed:
        undone.append(claim.sale.invoked)
    elif claim.sale is not None and claim.sale.must and claim.loss is None:
        return claim.returned_from_ns
    released = [span.invoked for _, span in claim.releases]
    lost = [loss.from_ns for loss in claim.losses if claim.loss is not None]
    return min([claim.may_end_ns, *released, *undone, *lost])


def _must_end(claim: Claim) -> int:
    """Return the first instant at which it is certainly gone; a hold may well outlive its end."""
    if claim.loss is not None:
        return NEVER  # a later call may have made it anew
    gone = [
        call.completed_ns
        for call in claim.calls
        if call.completed_ns is not None and tells_end(call)
    ]
    return min(gone, default=NEVER)


def _pieces(claim: Claim, from_ns: int, to_ns: int) -> Iterable[tuple[int, int]]:
    """Cut a time into pieces in which the same selections may be in force."""
    if from_ns >= to_ns:
        return []
    cuts = {
        at
        for selection in claim.selections
        for at in (selection.span.invoked, selection.span.completed)
        if from_ns < at < to_ns
    }
    begins = [from_ns, *sorted(cuts)]
    return zip(begins, [*begins[1:], to_ns], strict=True)


def _in_force(claim: Claim, begins: int, ends: int) -> list[Selection]:
    """Return the selections of which one was in force at some time in a piece.

    One that certainly was made is over when a later one certainly was; what was ambiguous may
    come at any time.
    """
    begun = [s for s in claim.selections if s.span.invoked <= ends]
    certain_ones = [s for s in begun if s.span.must and s.span.completed <= begins]
    last = max((s.span.invoked for s in certain_ones), default=-1)
    return [s for s in begun if not s.span.must or s.span.completed >= last]


class Level:
    """The sum of stretches at each instant."""

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        """Add them up."""
        changes: dict[int, int] = {}
        for from_ns, to_ns, places in stretches:
            changes[from_ns] = changes.get(from_ns, 0) + places
            changes[to_ns] = changes.get(to_ns, 0) - places
        self._times = sorted(changes)
        self._sums = list(accumulate(changes[at] for at in self._times))

    def peak(self) -> Stretch:
        """Return the highest sum, where it is reached first."""
        if not self._sums:
            return Stretch(0, NEVER, 0)
        at = self._sums.index(max(self._sums))
        return Stretch(self._times[at], self._times[at + 1], self._sums[at])

    def highest(self, from_ns: int, to_ns: int) -> int:
        """Return the highest sum from one instant to another, both inclusive."""
        first = bisect_right(self._times, from_ns) - 1
        last = bisect_right(self._times, to_ns)
        return max(self._sums[max(first, 0) : last], default=0)
