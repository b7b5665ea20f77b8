"""Box offices with one fault each, and how a checker must call it."""

# ruff: noqa: D102, D107 -- what a method is for is told where it is right, its fault by the class

import random

import msgspec

from loadtests.checker import Bought, Held, Ledger, Order, Refused, Released, Request, Store
from loadtests.checker.history import Answer
from tests.loadtests.simulated_box_office import MS, BoxOffice, Hold, Size


class SellsHeldSeats(BoxOffice):
    """Takes a seat for free now and then that another has."""

    def is_taken(self, seat: str, instead_of: Hold | None) -> bool:
        return super().is_taken(seat, instead_of) and (
            seat in self.withheld or self.luck.random() < 0.7
        )


class LosesPurchases(BoxOffice):
    """Says that a purchase is confirmed, and lets the hold run out."""

    def sell(self, hold: Hold, request: Request) -> Answer:
        if self.luck.random() < 0.3:
            return Bought(f"ord-{hold.id}", "confirmed")
        return super().sell(hold, request)


class ConfirmsBeforeRecording(BoxOffice):
    """Says `confirmed` and loses what was not yet in the ledger when it crashes."""

    def tell(self, hold: Hold) -> Answer:
        if hold.order is not None:
            return Bought(hold.order, "confirmed")
        return super().tell(hold)

    def crash(self) -> None:
        for order in self.unrecorded:
            self.orders.pop(order, None)
        self.unrecorded.clear()


class ForgetsRecordings(BoxOffice):
    """Loses a sale that it had only begun to record, without any loss of the store."""

    def record(self) -> None:
        for order in self.unrecorded:
            if self.luck.random() < 0.5:
                self.orders.pop(order, None)
        super().record()


class ExpiresOthersSeats(BoxOffice):
    """At a hold's deadline opens its seats, whoever has them by now: bought, or another's."""

    def __init__(self, size: Size, luck: random.Random) -> None:
        super().__init__(size, luck)
        self.due: set[str] = set()

    def expire(self, hold: Hold) -> None:
        if hold.deadline_ns <= self.now_ns and hold.id not in self.due:
            self.due.add(hold.id)
            self.owner |= dict.fromkeys(hold.seats)
        super().expire(hold)


class RepeatsAnew(BoxOffice):
    """Makes a hold again when its key is repeated after its end."""

    def recall(self, request: Request) -> Answer | None:
        known = super().recall(request)
        return None if isinstance(known, Refused) else known


class AppliesInPart(BoxOffice):
    """Takes the seats that are open of a hold that it refuses."""

    def hold(self, request: Request) -> Answer:
        answer = super().hold(request)
        if isinstance(answer, Refused) and answer.reason == "seats-taken":
            first = next((s for s in request.seats if not self.is_taken(s, None)), None)
            if first is not None:
                hold = self.make(msgspec.structs.replace(request, seats=(first,), areas={}))
                hold.deadline_ns = self.now_ns + 200 * MS
        return answer


class HoldsInPart(BoxOffice):
    """Says that all seats are held, and takes all but the last."""

    def make(self, request: Request) -> Hold:
        hold = super().make(request)
        if len(hold.seats) > 1:
            self.owner[hold.seats[-1]] = None
        return hold


class ReleasesOthersSeats(BoxOffice):
    """A late release opens the seats whoever has them by now."""

    def release(self, request: Request) -> Answer:
        hold = self.holds.get(request.hold or "")
        if hold is not None and hold.state in {"released", "expired"}:
            self.owner |= dict.fromkeys(hold.seats)
        return super().release(request)


class RefusesOpenSeats(BoxOffice):
    """Says of open seats that they are taken, now and then."""

    def is_taken(self, seat: str, instead_of: Hold | None) -> bool:
        return super().is_taken(seat, instead_of) or self.luck.random() < 0.05


class SkipsTheLedger(BoxOffice):
    """Sells in its store and never writes the order."""

    def enter(self, hold: Hold, order: str) -> None:
        if self.luck.random() < 0.7:
            super().enter(hold, order)


class OversellsTheFloor(BoxOffice):
    """Does not count the places of an area."""

    def places_left(self, instead_of: Hold | None) -> int:
        return super().places_left(instead_of) + 2


class RefusesOpenFloor(BoxOffice):
    """Says that an area is full which is empty."""

    def places_left(self, instead_of: Hold | None) -> int:
        left = super().places_left(instead_of)
        return 0 if self.luck.random() < 0.3 else left


class IgnoresLimits(BoxOffice):
    """Lets a buyer have as many tickets as they like."""

    def __init__(self, size: Size, luck: random.Random) -> None:
        super().__init__(size, luck)
        self.told = self.show
        self.show = msgspec.structs.replace(self.show, max_per_buyer=None)

    def left(self, now_ns: int) -> tuple[Ledger, Store]:
        self.show = self.told
        return super().left(now_ns)


class ResurrectsReleasedHolds(BoxOffice):
    """A write under an old epoch brings a released hold back."""

    def look(self, request: Request) -> Answer:
        hold = self.holds.get(request.hold or "")
        if hold is not None and hold.state == "released":
            hold.state = "live"
            self.owner |= {s: hold.id for s in hold.seats if self.owner[s] is None}
        return super().look(request)

    def sweep(self) -> None:
        for hold in self.holds.values():
            if hold.state == "released" and self.luck.random() < 0.02:
                hold.state = "live"
                self.owner |= {s: hold.id for s in hold.seats if self.owner[s] is None}
        super().sweep()


class ReturnsTwice(BoxOffice):
    """Gives an order's seats back once more, when somebody else may have them."""

    def record(self) -> None:
        super().record()
        for order in self.orders.values():
            if order.status == "returned":
                self.owner |= dict.fromkeys(order.seats)


class SellsBlockedSeats(BoxOffice):
    """Forgets what the house withholds when it comes back from a crash."""

    def crash(self) -> None:
        self.withheld.clear()


class RefusesItsOwnHold(BoxOffice):
    """Answers a repeated key from memory: the seats are taken, by that very hold."""

    def recall(self, request: Request) -> Answer | None:
        known = super().recall(request)
        if isinstance(known, Held | Bought) and request.seats and self.luck.random() < 0.5:
            return Refused("seats-taken", seats=request.seats)
        return known


class SellsTwice(BoxOffice):
    """Makes another order of a hold that is an order already, for another key."""

    def purchase(self, request: Request) -> Answer:
        hold = self.find(request.hold or "")
        if hold is not None and hold.state == "bought" and hold.key != request.key:
            order = f"ord-{request.key}"
            self.enter(hold, order)
            return Bought(order, "confirmed")
        return super().purchase(request)


class ForgetsKeys(BoxOffice):
    """Makes a hold of its own for every repetition of a key."""

    def __init__(self, size: Size, luck: random.Random) -> None:
        super().__init__(size, luck)
        self.made = 0

    def recall(self, request: Request) -> Answer | None:  # noqa: ARG002 -- it forgets
        return None

    def id_of(self, request: Request) -> str:
        return f"hld-{request.key}-{self.made}"

    def make(self, request: Request) -> Hold:
        self.made += 1
        return super().make(request)


class SellsAfterTheDeadline(BoxOffice):
    """Lets a hold be bought long after it has expired, if its seats happen to be open."""

    def purchase(self, request: Request) -> Answer:
        hold = self.holds.get(request.hold or "")
        if hold is not None and hold.state == "expired":
            hold.state = "live"
            hold.deadline_ns = self.now_ns + 1
            self.owner |= dict.fromkeys(hold.seats, hold.id)
        return super().purchase(request)


class NeverSweeps(BoxOffice):
    """Leaves holds standing for as long as nobody wants their seats."""

    is_closing = False

    def left(self, now_ns: int) -> tuple[Ledger, Store]:
        self.is_closing = True
        return super().left(now_ns + 6000 * MS)

    def sweep(self) -> None:
        if not self.is_closing:
            super().sweep()


class KeepsReplacedSeats(BoxOffice):
    """Does not open the seats that a replacement leaves."""

    def replace(self, request: Request) -> Answer:
        before = self.owner.copy()
        answer = super().replace(request)
        if isinstance(answer, Held):
            self.owner |= {s: o for s, o in before.items() if o == request.hold}
        return answer


class InventsOrders(BoxOffice):
    """Writes an order for a hold that was given back."""

    def release(self, request: Request) -> Answer:
        answer = super().release(request)
        hold = self.holds.get(request.hold or "")
        if isinstance(answer, Released) and hold is not None and self.luck.random() < 0.5:
            self.orders[f"ord-{hold.id}"] = Order(
                order=f"ord-{hold.id}",
                hold=hold.id,
                buyer=hold.buyer,
                status="confirmed",
                seats=hold.seats,
                areas=hold.areas,
            )
        return answer


class EndsEarly(BoxOffice):
    """Ends holds long before their deadline."""

    def expire(self, hold: Hold) -> None:
        if self.luck.random() < 0.05 and hold.state == "live":
            hold.state = "expired"
            self.free(hold.id, hold.seats)
        super().expire(hold)


MUTATIONS: dict[type[BoxOffice], frozenset[str]] = {
    SellsHeldSeats: frozenset({"two-owners"}),
    LosesPurchases: frozenset({"confirmed-not-in-ledger"}),
    ConfirmsBeforeRecording: frozenset({"confirmed-not-in-ledger"}),
    ForgetsRecordings: frozenset({"recording-lost", "confirmed-not-in-ledger"}),
    ExpiresOthersSeats: frozenset({"two-owners"}),
    RepeatsAnew: frozenset({"hold-came-back"}),
    AppliesInPart: frozenset({"refused-open-seat"}),
    HoldsInPart: frozenset({"two-owners"}),
    ReleasesOthersSeats: frozenset({"two-owners"}),
    RefusesOpenSeats: frozenset({"refused-open-seat"}),
    SkipsTheLedger: frozenset({"confirmed-not-in-ledger"}),
    OversellsTheFloor: frozenset({"area-oversold"}),
    RefusesOpenFloor: frozenset({"refused-open-area"}),
    IgnoresLimits: frozenset({"buyer-over-limit"}),
    ResurrectsReleasedHolds: frozenset({"hold-came-back", "refused-open-seat"}),
    ReturnsTwice: frozenset({"two-owners"}),
    SellsBlockedSeats: frozenset({"blocked-seat-taken"}),
    RefusesItsOwnHold: frozenset({"refused-own-hold"}),
    SellsTwice: frozenset({"hold-of-two-orders"}),
    ForgetsKeys: frozenset({"key-of-two-holds", "refused-own-hold"}),
    SellsAfterTheDeadline: frozenset({"two-owners", "hold-came-back"}),
    NeverSweeps: frozenset({"hold-overdue"}),
    KeepsReplacedSeats: frozenset({"refused-open-seat"}),
    InventsOrders: frozenset({"order-from-nowhere"}),
    EndsEarly: frozenset({"ended-early", "hold-lost"}),
}
"""Each fault with the kinds of violation of which one must be found."""
