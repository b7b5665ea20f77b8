"""Decides whether the operations on one small object can be put in an order.

Wing and Gong (1993) search for an order in which every operation takes its effect between its
invocation and its completion and finds the object as it needs it. Lowe (2017) adds a memory of
what has been tried, and takes operations up *just in time*: only when one completes is it asked
which of those under way must have come before it. So a search walks once through the events and
keeps the set of what may be the case; whenever little is under way that set is small, which
cuts a long history into short ones by itself.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

NEVER: Final = 2**63 - 1
"""The completion of what is known to have happened, but not when: after everything."""

NO_STATE: Final = -1
NOWHERE: Final[frozenset[int]] = frozenset()


class Operation(Struct, frozen=True, kw_only=True, gc=False):
    """One step of an object, taken at an instant from `invoked` to `completed`, both inclusive.

    `must` tells whether it certainly was taken; one that need not be may have been, or never. In
    state `gate` it moves the object to `into`; where it is `idle` it happens and changes nothing;
    in all other states it can't happen. One without a gate only reads.
    """

    invoked: int
    completed: int = NEVER
    must: bool = True
    gate: int = NO_STATE
    into: int = NO_STATE
    idle_in: frozenset[int] = NOWHERE
    idle_out: frozenset[int] | None = None

    def is_idle(self, state: int) -> bool:
        """Tell whether it may happen in a state and leave it as it is."""
        return state in self.idle_in or (self.idle_out is not None and state not in self.idle_out)


class Explained(Struct, frozen=True):
    """There is an order."""

    steps: int


class Contradicted(Struct, frozen=True):
    """There is none: whatever went before, the object was in one of `states`, and `at` can't be."""

    steps: int
    at: int
    states: frozenset[int]


class GaveUp(Struct, frozen=True):
    """The bound on the search was reached: there may be an order, or not."""

    steps: int


Finding = Explained | Contradicted | GaveUp

# What may be the case: the state, the operations under way that have been taken, and those that
# need not be taken at all, but were; sets of operations are bits.
_Case = tuple[int, int, int]


def search(operations: Sequence[Operation], initial: int, steps_max: int) -> Finding:
    """Look for an order of `operations` on an object that begins as `initial`.

    Everything that is looked at counts as a step, of about a microsecond; soon after `steps_max` of
    them the search gives up.
    """
    events = [(o.invoked, 0, at) for at, o in enumerate(operations)]
    # What need not happen and never ends asks for nothing when it is over.
    events += [
        (o.completed, 1, at) for at, o in enumerate(operations) if o.must or o.completed < NEVER
    ]
    events.sort()
    effort = _Effort(steps_max)
    run = _Search(operations, initial, effort)
    for _, is_completion, at in events:
        before = run.cases
        if is_completion:
            run.complete(at)
        else:
            run.invoke(at)
        if effort.is_spent:
            return GaveUp(effort.steps)
        if not run.cases:
            return Contradicted(effort.steps, at, frozenset(state for state, _, _ in before))
    return Explained(effort.steps)


class _Effort:
    """What a search has cost so far."""

    def __init__(self, steps_max: int) -> None:
        self.steps = 0
        self._steps_max = steps_max

    @property
    def is_spent(self) -> bool:
        return self.steps > self._steps_max


class _Cases:
    """Cases of which none is worse than another.

    Of two that differ only in which needless operations were taken, the one that took fewer of
    them can do all that the other can: it need not take them, ever.
    """

    def __init__(self, effort: _Effort) -> None:
        self._effort = effort
        self._used: dict[tuple[int, int], list[int]] = {}

    def add(self, case: _Case) -> bool:
        """Add a case; return whether it was worth it."""
        state, done, used = case
        known = self._used.get((state, done))
        if known is None:
            self._used[state, done] = [used]
            return True
        self._effort.steps += len(known)
        if any(fewer & used == fewer for fewer in known):
            return False
        known[:] = [more for more in known if used & more != used]
        known.append(used)
        return True

    def all(self) -> list[_Case]:
        """Return them."""
        return [(state, done, used) for (state, done), all_ in self._used.items() for used in all_]


class _Search:
    def __init__(self, operations: Sequence[Operation], initial: int, effort: _Effort) -> None:
        self._operations = operations
        self._effort = effort
        self._bits: dict[int, int] = {}
        self._spare_bits: list[int] = []
        self._by_gate: dict[int, dict[int, None]] = {}
        self._reads: dict[int, None] = {}
        self._fitting: dict[int, int] = {}
        self._idlers: dict[int, None] = {}
        self.cases: list[_Case] = [(initial, 0, 0)]

    def invoke(self, at: int) -> None:
        """Put an operation under way."""
        operation = self._operations[at]
        # Those of what has ended are used again, so that a long history's sets stay small.
        self._bits[at] = self._spare_bits.pop() if self._spare_bits else 1 << len(self._bits)
        self._effort.steps += 1
        if operation.gate == NO_STATE:
            self._read_at_once(at)
            return
        self._by_gate.setdefault(operation.gate, {})[at] = None
        if operation.must and (operation.idle_in or operation.idle_out is not None):
            self._idlers[at] = None

    def complete(self, at: int) -> None:
        """End an operation: keep the cases in which it was taken, or can be just in time."""
        operation, bit = self._operations[at], self._bits[at]
        found = _Cases(self._effort)
        tried = _Cases(self._effort)
        self._effort.steps += len(self.cases)
        for case in self.cases:
            state, done, used = case
            if (done | used) & bit:
                found.add((state, done & ~bit, used & ~bit))
            else:
                if not operation.must:
                    found.add(case)
                self._reach(at, case, tried, found)
        self.cases = found.all()
        self._spare_bits.append(self._bits.pop(at))
        if operation.gate == NO_STATE:
            del self._reads[at]
            self._effort.steps += len(self._fitting)
            self._fitting = {state: fits & ~bit for state, fits in self._fitting.items()}
            return
        del self._by_gate[operation.gate][at]
        self._idlers.pop(at, None)

    def _reach(self, at: int, start: _Case, tried: _Cases, found: _Cases) -> None:
        """Find all cases in which `at` was taken, going on from `start`."""
        bit = self._bits[at]
        stack = [start]
        while stack and not self._effort.is_spent:
            for case in self._next(stack.pop()):
                state, done, used = case
                if (done | used) & bit:
                    # It is over, so whether it was taken tells cases apart no longer.
                    found.add((state, done & ~bit, used & ~bit))
                elif tried.add(case):
                    stack.append(case)

    def _next(self, case: _Case) -> Iterable[_Case]:
        state, done, used = case
        taken = done | used
        alike: set[int] = set()
        able = self._by_gate.get(state, {})
        self._effort.steps += len(able) + len(self._idlers)
        for at in able:
            bit = self._bits[at]
            if taken & bit:
                continue
            operation = self._operations[at]
            into = operation.into
            if operation.must:
                yield into, self._read(into, done | bit), used
                continue
            if operation.completed == NEVER:
                if into in alike:
                    continue  # one that does the same was tried; which of them is all one
                alike.add(into)
            yield into, self._read(into, done), used | bit
        for at in self._idlers:
            bit = self._bits[at]
            if not taken & bit and self._operations[at].is_idle(state):
                yield state, done | bit, used

    # A read that fits is taken at once: it changes nothing, so nothing is lost by it.

    def _read_at_once(self, at: int) -> None:
        self._reads[at] = None
        self._effort.steps += len(self.cases)
        # All others that fit a case were taken when it came about.
        now = {state for state, _, _ in self.cases}
        fits = {s: self._bits[at] if self._operations[at].is_idle(s) else 0 for s in now}
        self._fitting = {s: self._fitting[s] | fits[s] for s in now & self._fitting.keys()}
        self.cases = [(state, done | fits[state], used) for state, done, used in self.cases]

    def _read(self, state: int, done: int) -> int:
        """Return what is taken in a state once all the reads under way that fit it are."""
        fitting = self._fitting.get(state)
        if fitting is None:
            self._effort.steps += len(self._reads)
            able = (at for at in self._reads if self._operations[at].is_idle(state))
            fitting = self._fitting[state] = sum(self._bits[at] for at in able)
        return done | fitting
