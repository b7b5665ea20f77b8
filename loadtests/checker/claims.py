"""Calls put together by the hold that they are about, and what is certain of each.

All calls with one hold's key are one claim: their effect happens at most once, so any of them that
was certainly answered settles what the lost ones did.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, NamedTuple

from loadtests.checker.history import (
    HOLD_EXPIRED,
    HOLD_RELEASED,
    Ambiguous,
    Bought,
    Call,
    Held,
    Refused,
    Released,
    Returned,
)
from loadtests.checker.search import NEVER
from loadtests.checker.show import Bounds, Ledger, Loss, Order, Show, StoreHold

ENDED: Final = frozenset({HOLD_RELEASED, HOLD_EXPIRED})
"""Refusals that prove that the hold was."""

NO_PLACES: Final = frozenset({"seats-taken", "area-short", "over-buyer-limit", "none-together"})
"""Refusals that are decided only after the hold itself was looked up."""


class Span(NamedTuple):
    """When an effect happened: at an instant from `invoked` to `completed`, if it did."""

    invoked: int
    completed: int
    must: bool


class Selection(NamedTuple):
    """Places that a hold may have had, from a call that certainly or possibly chose them."""

    call: Call
    span: Span
    seats: frozenset[str]
    areas: dict[str, int]

    def places(self, area: str | None) -> int:
        """Return how many places it has in an area; of all tickets for None."""
        if area is None:
            return len(self.seats) + sum(self.areas.values())
        return self.areas.get(area, 0)


class Claim:
    """One hold: what was asked for it, and what is known of it."""

    def __init__(self, number: int, name: str, buyer: str, show: Show) -> None:
        """Begin without calls; `name` is the key, or the id of one that nobody asked for."""
        self.number = number
        self.name = name
        self.buyer = buyer
        self.calls: list[Call] = []
        self.ids: set[str] = set()
        self.orders: list[Order] = []
        self.knows_ledger = False
        self.losses = show.losses
        self.may_end_ns = 0
        """The earliest instant at which it may expire."""
        self.must_end_ns = NEVER
        """The latest deadline that was ever told of it."""

    def of_kind(self, kind: str) -> Iterator[Call]:
        """Yield its calls of a kind."""
        return (call for call in self.calls if call.kind == kind)

    @cached_property
    def order(self) -> Order | None:
        """Return what the ledger says it became and stayed, if anything."""
        owning = (o for o in self.orders if o.status in {"confirmed", "returned"})
        return next(owning, None)

    @cached_property
    def loss(self) -> Loss | None:
        """Return the first loss that may have taken it."""
        first = min((call.invoked_ns for call in self.of_kind("hold")), default=0)
        for loss in self.losses:
            if loss.to_ns >= first and not self._is_beyond(loss):
                return loss
        return None

    def _is_beyond(self, loss: Loss) -> bool:
        """Tell whether a loss can't have mattered: it was in the ledger, or was over for good."""
        if self.confirmed_ns <= loss.from_ns:
            return True
        return any(tells_end(call) for call in self.calls) and all(
            _is_certain(call)
            and call.completed_ns is not None
            and call.completed_ns <= loss.reaches_back_to_ns
            for call in self.calls
        )

    @cached_property
    def setbacks(self) -> list[Loss]:
        """Return the losses after which it may stand again, as it did before it ended."""
        if self.loss is None:
            return []
        first = min((call.invoked_ns for call in self.of_kind("hold")), default=NEVER)
        return [one for one in self.losses if one.since_ns is not None and first <= one.to_ns]

    # ------------------------------------------------------------ its making

    @cached_property
    def takes(self) -> list[Span]:
        """Return when it was made: once, or, where the store may have lost it, by which calls."""
        able = [call for call in self.of_kind("hold") if not isinstance(call.answer, Refused)]
        if not able:
            return []
        if self.loss is not None:
            # Of a hold that was bought a repetition tells, but makes none.
            return [
                span_of(call)
                if isinstance(call.answer, Held)
                else Span(call.invoked_ns, NEVER, must=False)
                for call in able
            ]
        # When its key was refused for want of places it was not there yet, so it came after that.
        refused = (c.invoked_ns for c in self.of_kind("hold") if _had_no_places(c))
        invoked = min(max([able[0].invoked_ns, *refused]), self._proven_by)
        is_proven = self._proven_by < NEVER or bool(self.orders)
        return [Span(invoked, self._proven_by, is_proven)]

    @cached_property
    def _proven_by(self) -> int:
        """Return the time of the first answer that it exists."""
        return min(
            (
                call.completed_ns
                for call in self.of_kind("hold")
                if call.completed_ns is not None and _may_have_acted(call) and _is_certain(call)
            ),
            default=NEVER,
        )

    # ------------------------------------------------------------ its places

    @cached_property
    def selections(self) -> list[Selection]:
        """Return what it may have had, by invocation: of the hold first, then of replacements."""
        asked = next((c for c in self.of_kind("hold") if not isinstance(c.answer, Refused)), None)
        chosen: list[Selection] = []
        if asked is not None and self.takes:
            span = self.takes[0]
            chosen.append(Selection(asked, span, frozenset(asked.seats), asked.areas))
        chosen += [
            Selection(call, span_of(call), frozenset(call.seats), call.areas)
            for call in self.of_kind("replace")
            if not isinstance(call.answer, Refused)
        ]
        return chosen

    @cached_property
    def seats(self) -> frozenset[str]:
        """Return all seats that it may have had."""
        told = (call.answer.seats for call in self.calls if isinstance(call.answer, Held | Bought))
        sold = (order.seats for order in self.orders if order is self.order)
        return frozenset[str]().union(*(s.seats for s in self.selections), *told, *sold)

    # ------------------------------------------------------------ its end

    @cached_property
    def releases(self) -> list[tuple[Call, Span]]:
        """Return the calls that gave it back, or may have, and when."""
        able = (call for call in self.of_kind("release") if not isinstance(call.answer, Refused))
        return [(call, span_of(call)) for call in able]

    # ------------------------------------------------------------ its sale

    @cached_property
    def sales(self) -> list[Span]:
        """Return when it was bought: once at most, or, where a sale may be lost, by which calls."""
        able = [call for call in self.of_kind("purchase") if _may_have_acted(call)]
        told = [call for call in self.calls if isinstance(call.answer, Bought)]
        is_sold = bool(told or self.orders)  # also one that failed or met a conflict: it was sold
        if not is_sold and (not able or (self.knows_ledger and self.loss is None)):
            return []  # the ledger has no order of it, and no store was lost: it never was
        invoked = min((call.invoked_ns for call in able or told), default=self._first_ns)
        proven_by = min((c.completed_ns for c in told if c.completed_ns is not None), default=NEVER)
        once = Span(min(invoked, proven_by), proven_by, is_sold)
        return [once] if self.loss is None else [once, *(span_of(call) for call in able)]

    @property
    def sale(self) -> Span | None:
        """Return the only sale, or the first that may have been."""
        return self.sales[0] if self.sales else None

    @property
    def _first_ns(self) -> int:
        return min((call.invoked_ns for call in self.calls), default=0)

    @cached_property
    def confirmed_ns(self) -> int:
        """Return the time of the first answer that the ledger has it; NEVER without one."""
        return min(
            (
                call.completed_ns
                for call in self.calls
                if isinstance(call.answer, Bought)
                and call.answer.state != "recording"
                and call.completed_ns is not None
            ),
            default=NEVER,
        )

    @cached_property
    def was_returned(self) -> bool:
        """Tell whether it was certainly given back after it was sold."""
        return self.order is not None and self.order.status == "returned"

    @cached_property
    def returned_from_ns(self) -> int:
        """Return the instant from which it may be given back; NEVER if it never was.

        Its places may follow much later: its answer says that the ledger has it.
        """
        if self.knows_ledger and not self.was_returned:
            return NEVER
        able = (call for call in self.of_kind("return") if not isinstance(call.answer, Refused))
        return min((call.invoked_ns for call in able), default=NEVER)

    @property
    def may_have_failed(self) -> bool:
        """Tell whether a sale may have been undone: it was never confirmed and is no order."""
        return self.confirmed_ns == NEVER and self.order is None

    @cached_property
    def sold_seats(self) -> frozenset[str] | None:
        """Return the seats that it was bought with; None if that can't be told."""
        if self.loss is not None and len(self.selections) > 1:
            return None  # it may have been bought twice, with other seats
        if self.order is not None:
            return frozenset(self.order.seats)
        for call in self.calls:
            if isinstance(call.answer, Bought) and (call.answer.seats or call.answer.areas):
                return frozenset(call.answer.seats)
        return self.selections[0].seats if len(self.selections) == 1 else None


class Claims:
    """All claims of a history."""

    def __init__(self, show: Show, ledger: Ledger | None, bounds: Bounds) -> None:
        """Begin without any."""
        self._show = show
        self._ledger = ledger
        self._bounds = bounds
        self.all: list[Claim] = []
        self.by_id: dict[str, Claim] = {}
        self.by_key: dict[str, Claim] = {}
        self.ids_of_two: list[tuple[str, Claim, Claim]] = []
        self._nameless: defaultdict[tuple[str, frozenset[str]], list[Claim]] = defaultdict(list)

    def add(self, calls: Iterable[Call]) -> None:
        """Put the calls, by invocation, to their claims."""
        calls = list(calls)
        # A key tells its hold's id only when it is answered, perhaps after others have named it.
        for call in calls:
            if call.kind == "hold" and call.key is not None:
                claim = self.by_key.get(call.key) or self._new(call.key, call.buyer)
                self.by_key[call.key] = claim
                claim.calls.append(call)
                if isinstance(call.answer, Held):
                    self._name(call.answer.hold, claim)
        for call in calls:
            if call.hold is not None:
                self._of_id(call.hold, call.buyer).calls.append(call)
        for order in self._ledger.orders if self._ledger else ():
            self._of_id(order.hold, order.buyer).orders.append(order)
        for claim in self.all:
            claim.calls.sort(key=lambda call: call.invoked_ns)
            claim.knows_ledger = self._ledger is not None
        _reckon_deadlines(self.all, self._bounds)
        for claim in self.all:
            for selection in () if claim.ids else claim.selections:
                self._nameless[claim.buyer, selection.seats].append(claim)

    def may_be(self, hold: StoreHold) -> list[Claim]:
        """Return the claims that a hold in the store may be.

        The id of a hold whose answer was lost is known to the store alone, and nobody can have
        replaced its seats; so it is one of its buyer's that asked for just these.
        """
        claim = self.by_id.get(hold.hold)
        if claim is not None:
            return [claim]
        return self._nameless.get((hold.buyer, frozenset(hold.seats)), [])

    def _new(self, name: str, buyer: str) -> Claim:
        claim = Claim(len(self.all), name, buyer, self._show)
        self.all.append(claim)
        return claim

    def _name(self, hold: str, claim: Claim) -> None:
        claim.ids.add(hold)
        other = self.by_id.setdefault(hold, claim)
        if other is not claim:
            self.ids_of_two.append((hold, other, claim))

    def _of_id(self, hold: str, buyer: str) -> Claim:
        claim = self.by_id.get(hold)
        if claim is None:
            claim = self._new(hold, buyer)
            self._name(hold, claim)
        return claim


def _reckon_deadlines(claims: list[Claim], bounds: Bounds) -> None:
    """Reckon when each hold may end.

    Where no answer tells, it is when its time to live is over, or earlier: a hold takes on the
    deadline of what its buyer already holds, so it may end at any that one of theirs may have.
    """
    told_of: defaultdict[str, list[int]] = defaultdict(list)
    reckoned_of: defaultdict[str, list[int]] = defaultdict(list)
    unknown: list[tuple[Claim, int]] = []
    for claim in claims:
        told = [
            call.answer.deadline_ns
            for call in claim.calls
            if isinstance(call.answer, Held) and call.answer.deadline_ns is not None
        ]
        if told:
            claim.may_end_ns, claim.must_end_ns = min(told), max(told)
            told_of[claim.buyer].append(claim.may_end_ns)
        else:
            holds = list(claim.of_kind("hold"))
            asked_ns = min((call.invoked_ns for call in holds), default=0)
            claim.may_end_ns = asked_ns + min((call.ttl_ns or 0 for call in holds), default=0)
            reckoned_of[claim.buyer].append(claim.may_end_ns)
            unknown.append((claim, asked_ns))
    for ends in (*told_of.values(), *reckoned_of.values()):
        ends.sort()
    for claim, asked_ns in unknown:
        told = told_of[claim.buyer]
        after = bisect_right(told, asked_ns - bounds.clock_error_ns)
        earliest = min([reckoned_of[claim.buyer][0], *told[after : after + 1]])
        # What was reckoned is the earliest; it may as well have ended after this was asked for.
        claim.may_end_ns = max(min(claim.may_end_ns, earliest), asked_ns)
    for claim in claims:
        claim.may_end_ns -= bounds.clock_error_ns


def _may_have_acted(call: Call) -> bool:
    """Tell whether a call had, may have had, or is about one that had, its effect."""
    return not isinstance(call.answer, Refused) or (
        call.kind == "hold" and call.answer.reason in ENDED
    )


def tells_end(call: Call) -> bool:
    """Tell whether an answer says that the hold is over, without having been bought."""
    return isinstance(call.answer, Released) or (
        isinstance(call.answer, Refused) and call.answer.reason in ENDED
    )


def _had_no_places(call: Call) -> bool:
    return isinstance(call.answer, Refused) and call.answer.reason in NO_PLACES


def _is_certain(call: Call) -> bool:
    return not isinstance(call.answer, Ambiguous)


def span_of(call: Call) -> Span:
    """Return when a call that was not refused had its effect."""
    if (
        isinstance(call.answer, Held | Bought | Released | Returned)
        and call.completed_ns is not None
    ):
        return Span(call.invoked_ns, call.completed_ns, must=True)
    return Span(call.invoked_ns, NEVER, must=False)
