"""A box office that decides one call at a time, so whatever it answers has an order."""

import random
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final, Literal

import msgspec

from loadtests.checker import (
    AreaCounts,
    Bought,
    Held,
    Ledger,
    Order,
    Refused,
    Released,
    Request,
    Returned,
    Show,
    Store,
    StoreHold,
)
from loadtests.checker.history import Answer

MS: Final = 1_000_000
SHOW: Final = "shw_1"


@dataclass
class Hold:
    """A hold in the office's store."""

    id: str
    buyer: str
    seats: tuple[str, ...]
    areas: dict[str, int]
    deadline_ns: int
    state: str = "live"
    order: str | None = None
    key: str | None = None

    @property
    def tickets(self) -> int:
        """How many tickets it is for."""
        return len(self.seats) + sum(self.areas.values())


@dataclass
class Size:
    """How large a world is, and how rough."""

    seats: int = 6
    blocked: int = 1
    floor: int = 4
    clients: int = 5
    calls: int = 40
    ttl_ns: int = 400 * MS
    lossy: float = 0.15
    crashes: int = 1
    loses_store: bool = False
    falls_back: bool = False
    max_per_buyer: int = 4
    buyers: int = 4


class BoxOffice:
    """The correct one; each broken one overrides what it breaks."""

    def __init__(self, size: Size, luck: random.Random) -> None:
        """Open with everything for sale but the blocked seats, which are the last."""
        labels = [f"A-{n}" for n in range(size.seats)]
        blocked = frozenset(labels[size.seats - size.blocked :])
        self.show = Show(
            id=SHOW,
            seats=frozenset(labels),
            blocked_seats=blocked,
            area_capacity={"floor": size.floor},
            area_blocked={"floor": 1},
            max_per_buyer=size.max_per_buyer,
        )
        self.luck = luck
        self.now_ns = 0
        self.owner: dict[str, str | None] = dict.fromkeys(labels)
        self.withheld = set(blocked)
        self.holds: dict[str, Hold] = {}
        self.orders: dict[str, Order] = {}
        self.unrecorded: list[str] = []
        self.order_of_key: dict[str, str] = {}
        self.keep_copy()

    # ------------------------------------------------------------ what the world does with it

    def decide(self, request: Request, now_ns: int) -> Answer:
        """Decide one call at one instant."""
        self.now_ns = now_ns
        if self.luck.random() < 0.5:
            self.sweep()
        match request.kind:
            case "hold":
                return self.hold(request)
            case "replace":
                return self.replace(request)
            case "release":
                return self.release(request)
            case "purchase":
                return self.purchase(request)
            case "look":
                return self.look(request)
            case "return":
                return self.give_back(request)

    def lose_store(self) -> None:
        """Lose live holds, tombstones, and the sales that were not recorded."""
        for order in self.unrecorded:
            del self.orders[order]
        sold = {order.hold for order in self.orders.values()}
        self.holds = {id_: hold for id_, hold in self.holds.items() if id_ in sold}
        self.owner = dict.fromkeys(self.owner)
        for order in self.orders.values():
            if order.status == "confirmed":
                self.owner |= dict.fromkeys(order.seats, order.hold)
        self.unrecorded.clear()

    def keep_copy(self) -> None:
        """Keep how the store stands now, for `fall_back`."""
        self.copy = deepcopy((self.holds, self.orders, self.unrecorded))

    def fall_back(self) -> None:
        """Let the store stand as it did at the last copy, and recover it from the ledger."""
        kept = {id_: one for id_, one in self.orders.items() if id_ not in self.unrecorded}
        holds, orders, unrecorded = self.copy
        self.unrecorded = [order for order in unrecorded if order not in kept]
        self.orders = {**{order: orders[order] for order in self.unrecorded}, **kept}
        by_hold = {order.hold: order for order in self.orders.values()}
        recorded = {id_: self.holds[id_] for id_ in by_hold if id_ not in holds}
        self.holds = {**holds, **recorded}
        self.owner = dict.fromkeys(self.owner)
        for order in self.orders.values():
            self.holds[order.hold] = self.recovered(self.holds[order.hold], order)
            if order.status == "confirmed":
                self.owner |= dict.fromkeys(order.seats, order.hold)
        for hold in self.holds.values():
            if hold.state == "live" and any(self.owner[seat] for seat in hold.seats):
                hold.state = "expired"
            elif hold.state == "live":
                self.owner |= dict.fromkeys(hold.seats, hold.id)
        for hold in [one for one in self.holds.values() if one.state == "live"]:
            if self.places_left(None) < 0:
                hold.state = "expired"
                self.free(hold.id, hold.seats)
        self.keep_copy()

    def recovered(self, hold: Hold, order: Order) -> Hold:
        """Return the hold that an order was made of, as the ledger has it."""
        state = "bought" if order.status == "confirmed" else "returned"
        return replace(hold, state=state, order=order.order, seats=order.seats, areas=order.areas)

    def crash(self) -> None:
        """Come back with everything, since all of it was durable."""

    def give_back(self, request: Request) -> Answer:
        """Take a confirmed order back: the ledger first, then its seats."""
        order = next((o for o in self.orders.values() if o.hold == request.hold), None)
        if order is None:
            return Refused("order-not-found")
        if order.order in self.unrecorded:
            return Refused("order-not-confirmed")
        if order.status == "confirmed":
            self.orders[order.order] = msgspec.structs.replace(order, status="returned")
            self.holds[order.hold].state = "returned"
            self.free(order.hold, order.seats)
        return Returned()

    def record(self) -> None:
        """Bring the ledger up to date."""
        self.unrecorded.clear()

    def left(self, now_ns: int) -> tuple[Ledger, Store]:
        """Return both stores, after a last sweep."""
        self.now_ns = now_ns
        self.sweep()
        self.record()
        live = [hold for hold in self.holds.values() if hold.state == "live"]
        held = sum(hold.areas.get("floor", 0) for hold in live)
        sold = sum(o.areas.get("floor", 0) for o in self.orders.values() if o.status == "confirmed")
        for_sale = self.show.area_capacity["floor"] - 1
        floor = AreaCounts(for_sale - held - sold, held, sold, 1)
        store = Store(
            read_ns=now_ns,
            seats={seat: self.state_of(seat) for seat in self.owner},
            areas={"floor": floor},
            holds=tuple(
                StoreHold(
                    hold=hold.id,
                    buyer=hold.buyer,
                    deadline_ns=hold.deadline_ns,
                    seats=hold.seats,
                    areas=hold.areas,
                )
                for hold in live
            ),
        )
        return Ledger(tuple(self.orders.values())), store

    def state_of(self, seat: str) -> Literal["open", "held", "sold", "blocked"]:
        """Return a seat's state."""
        owner = self.owner[seat]
        if owner is None:
            return "blocked" if seat in self.withheld else "open"
        return "held" if self.holds[owner].state == "live" else "sold"

    # ------------------------------------------------------------ decisions

    def hold(self, request: Request) -> Answer:
        """Claim places, all or nothing, once for each key."""
        known = self.recall(request)
        if known is not None:
            return known
        refused = self.refuse(request, request.buyer, None)
        if refused is not None:
            return refused
        return self.tell(self.make(request))

    def recall(self, request: Request) -> Answer | None:
        """Return what a key's hold has become, if it was made."""
        hold = self.find(self.id_of(request))
        return None if hold is None else self.tell(hold)

    def make(self, request: Request) -> Hold:
        """Make a hold; its buyer's holds share a deadline."""
        own = [h.deadline_ns for h in self.live(request.buyer)]
        deadline_ns = min(own, default=self.now_ns + (request.ttl_ns or 0))
        id_ = self.id_of(request)
        hold = Hold(id_, request.buyer, request.seats, request.areas, deadline_ns)
        self.holds[id_] = hold
        self.owner |= dict.fromkeys(request.seats, id_)
        return hold

    def replace(self, request: Request) -> Answer:
        """Change a live hold's places, or leave them as they are."""
        hold = self.find(request.hold or "")
        ended = self.tell_ended(hold)
        if hold is None or ended is not None:
            return ended or Refused("hold-not-found")
        refused = self.refuse(request, hold.buyer, hold)
        if refused is not None:
            return refused
        self.free(hold.id, hold.seats)
        hold.seats, hold.areas = request.seats, request.areas
        self.owner |= dict.fromkeys(hold.seats, hold.id)
        return self.tell(hold)

    def release(self, request: Request) -> Answer:
        """Give a hold back; it is harmless twice."""
        hold = self.find(request.hold or "")
        if hold is not None and hold.state in {"bought", "returned"}:
            return Refused("already-purchased")
        if hold is not None and hold.state == "live":
            hold.state = "released"
            self.free(hold.id, hold.seats)
        return Released()

    def purchase(self, request: Request) -> Answer:
        """Sell a live hold, once."""
        hold = self.find(request.hold or "")
        if hold is not None and hold.state in {"bought", "returned"}:
            return self.tell(hold) if hold.key == request.key else Refused("already-purchased")
        ended = self.tell_ended(hold)
        if hold is None or ended is not None:
            return ended or Refused("hold-not-found")
        return self.sell(hold, request)

    def sell(self, hold: Hold, request: Request) -> Answer:
        """Turn a hold into an order, recorded at once or later."""
        hold.state, hold.key, hold.order = "bought", request.key, f"ord-{hold.id}"
        self.enter(hold, hold.order)
        if self.luck.random() < 0.3:
            self.unrecorded.append(hold.order)
        return self.tell(hold)

    def enter(self, hold: Hold, order: str) -> None:
        """Put an order into the ledger."""
        self.orders[order] = Order(
            order=order,
            hold=hold.id,
            buyer=hold.buyer,
            status="confirmed",
            seats=hold.seats,
            areas=hold.areas,
        )

    def look(self, request: Request) -> Answer:
        """Tell how a hold stands."""
        hold = self.find(request.hold or "")
        return Refused("hold-not-found") if hold is None else self.tell(hold)

    # ------------------------------------------------------------ what they share

    def id_of(self, request: Request) -> str:
        """Return the id that a key's hold has."""
        return f"hld-{request.key}"

    def find(self, id_: str) -> Hold | None:
        """Return a hold; one that is overdue ends as soon as it is seen."""
        hold = self.holds.get(id_)
        if hold is not None:
            self.expire(hold)
        return hold

    def live(self, buyer: str) -> list[Hold]:
        """Return a buyer's live holds."""
        return [h for h in self.holds.values() if h.buyer == buyer and h.state == "live"]

    def sweep(self) -> None:
        """End all that is overdue."""
        for hold in self.holds.values():
            self.expire(hold)

    def expire(self, hold: Hold) -> None:
        """End a hold if it is overdue."""
        if hold.state == "live" and hold.deadline_ns <= self.now_ns:
            hold.state = "expired"
            self.free(hold.id, hold.seats)

    def free(self, id_: str, seats: tuple[str, ...]) -> None:
        """Open the seats that are a hold's."""
        for seat in seats:
            if self.owner[seat] == id_:
                self.owner[seat] = None

    def is_taken(self, seat: str, instead_of: Hold | None) -> bool:
        """Tell whether a seat can't be had."""
        owner = self.owner[seat]
        others = owner is not None and (instead_of is None or owner != instead_of.id)
        return others or seat in self.withheld

    def places_left(self, instead_of: Hold | None) -> int:
        """Return how many places the floor has left."""
        having = [h for h in self.holds.values() if h.state in {"live", "bought"}]
        taken = sum(h.areas.get("floor", 0) for h in having if h is not instead_of)
        return self.show.area_capacity["floor"] - 1 - taken

    def refuse(self, request: Request, buyer: str, instead_of: Hold | None) -> Refused | None:
        """Return why a selection can't be had, after a sweep."""
        self.sweep()
        mine = [h for h in self.holds.values() if h.buyer == buyer]
        has = sum(h.tickets for h in mine if h.state in {"live", "bought"} and h is not instead_of)
        wanted = len(request.seats) + sum(request.areas.values())
        if has + wanted > (self.show.max_per_buyer or has + wanted):
            return Refused("over-buyer-limit")
        taken = tuple(seat for seat in request.seats if self.is_taken(seat, instead_of))
        if taken:
            return Refused("seats-taken", seats=taken)
        left = self.places_left(instead_of)
        if request.areas.get("floor", 0) > left:
            return Refused("area-short", areas={"floor": left})
        return None

    def tell(self, hold: Hold) -> Answer:
        """Tell how a hold stands."""
        ended = self.tell_ended(hold)
        if ended is not None and ended.reason != "already-purchased":
            return ended
        if hold.order is not None:
            if hold.state == "returned":
                return Bought(hold.order, "returned")
            recording = hold.order in self.unrecorded
            return Bought(hold.order, "recording" if recording else "confirmed")
        return Held(hold.id, hold.seats, hold.areas, hold.deadline_ns)

    def tell_ended(self, hold: Hold | None) -> Refused | None:
        """Tell that a hold is not live."""
        if hold is None:
            return Refused("hold-not-found")
        reasons = {"released": "hold-released", "expired": "hold-expired"}
        sold = {"bought": "already-purchased", "returned": "already-purchased"}
        reason = (reasons | sold).get(hold.state)
        return None if reason is None else Refused(reason)
