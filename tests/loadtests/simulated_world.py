"""Clients and a network around a box office, to make histories that are known to be right.

The office decides one call at a time. The world around it is what makes histories hard: calls
overlap, answers are lost, requests act late or never, the office crashes, and its store may lose
what was not recorded.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from loadtests.checker import Ambiguous, Call, Held, Ledger, Loss, Refused, Request, Show, Store
from loadtests.checker.history import Answer, Kind
from tests.loadtests.simulated_box_office import MS, SHOW, BoxOffice, Size


@dataclass
class Outcome:
    """Everything that a checker is handed."""

    show: Show
    calls: list[Call]
    ledger: Ledger
    store: Store


@dataclass
class Flight:
    """A call on its way."""

    request: Request
    op: str
    invoked_ns: int
    answer: Answer | None = None
    is_lost: bool = False
    is_over: bool = False


@dataclass
class Client:
    """What a client remembers between its calls."""

    name: str
    buyer: str
    hold: Request | None = None
    hold_id: str | None = None
    purchase: Request | None = None
    last: Request | None = None


@dataclass
class World:
    """Clients, a network that loses things, and an office that crashes."""

    office: BoxOffice
    size: Size
    luck: random.Random
    now_ns: int = 1000 * MS
    calls: list[Call] = field(default_factory=list[Call])
    losses: list[Loss] = field(default_factory=list[Loss])
    made: int = 0
    copied_ns: int = 0

    def run(self) -> Outcome:
        """Let the clients call, then let everything end."""
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._flights: list[Flight] = []
        self._serial = 0
        for n in range(self.size.clients):
            client = Client(f"c{n}", f"b{n % self.size.buyers}")
            self._at(self.luck.randrange(5 * MS), lambda client=client: self._next(client))
        span = max(self.size.calls // max(self.size.clients, 1), 1) * 30 * MS
        for _ in range(self.size.crashes):
            self._at(self.luck.randrange(span), self._crash)
        for _ in range(1 + self.size.calls // 40):
            self._at(self.luck.randrange(span), self._give_back)
            self._at(self.luck.randrange(span), self.office.record)
        for _ in range(3 if self.size.falls_back else 0):
            self._at(self.luck.randrange(span), self._copy)
        while self._events:
            self.now_ns, _, event = heapq.heappop(self._events)
            event()
        ledger, store = self.office.left(self.now_ns + MS)
        show = msgspec.structs.replace(self.office.show, losses=tuple(self.losses))
        return Outcome(show, self.calls, ledger, store)

    def _at(self, delay_ns: int, event: Callable[[], None]) -> None:
        self._serial += 1
        heapq.heappush(self._events, (self.now_ns + delay_ns, self._serial, event))

    def _next(self, client: Client) -> None:
        if self.made >= self.size.calls:
            return
        request = self._choose(client)
        client.last = request
        twice = self.luck.random() < 0.05
        for nth in range(2 if twice else 1):
            self._send(client, request, goes_on=nth == 0)

    def _send(self, client: Client, request: Request, *, goes_on: bool) -> None:
        self.made += 1
        flight = Flight(request, f"{client.name}-{self.made}", self.now_ns)
        self._flights.append(flight)
        acts, ends = sorted((self.luck.randrange(1, 20 * MS), self.luck.randrange(1, 20 * MS)))
        fate = self.luck.random()
        if fate < self.size.lossy:
            flight.is_lost = True
            late = self.luck.random()
            if late < 0.3:
                acts += self.luck.randrange(300 * MS)
            elif late < 0.6:
                acts = -1
        if acts >= 0:
            self._at(acts, lambda: self._act(flight))
        self._at(ends, lambda: self._end(client, flight, goes_on=goes_on))

    def _act(self, flight: Flight) -> None:
        if flight.answer is None:
            flight.answer = self.office.decide(flight.request, self.now_ns)

    def _end(self, client: Client, flight: Flight, *, goes_on: bool) -> None:
        answer = flight.answer
        if flight.is_lost or answer is None:
            answer = Ambiguous("lost")
        self._flights.remove(flight)
        hears = not isinstance(answer, Ambiguous) or self.luck.random() < 0.5
        self.calls.append(
            Call(
                **msgspec.structs.asdict(flight.request),
                op=flight.op,
                invoked_ns=flight.invoked_ns,
                completed_ns=self.now_ns if hears else None,
                answer=answer,
            )
        )
        self._learn(client, flight.request, answer)
        if goes_on:
            self._at(self.luck.randrange(20 * MS), lambda: self._next(client))

    def _copy(self) -> None:
        self.office.keep_copy()
        self.copied_ns = self.now_ns

    def _give_back(self) -> None:
        """Let somebody ask for the return of an order, perhaps not for the first time."""
        kept = [one for one in self.office.orders.values() if one.status == "confirmed"]
        kept = kept or list(self.office.orders.values())
        if kept:
            order = self.luck.choice(kept)
            client = Client("returns", order.buyer, hold_id=order.hold)
            request = self._plain(client, "return")
            self._send(client, request, goes_on=False)

    def _crash(self) -> None:
        for flight in self._flights:
            flight.is_lost = True
        if self.size.falls_back:
            self.office.fall_back()
            self.losses.append(Loss(self.now_ns - MS, self.now_ns + MS, self.copied_ns))
            self.copied_ns = self.now_ns
        elif self.size.loses_store:
            self.office.lose_store()
            self.losses.append(Loss(self.now_ns - MS, self.now_ns + MS))
        self.office.crash()

    def _learn(self, client: Client, request: Request, answer: Answer) -> None:
        if isinstance(answer, Held) and request is client.hold:
            client.hold_id = answer.hold
        ended = isinstance(answer, Refused) and answer.reason not in {"seats-taken", "area-short"}
        if ended and request.kind != "look":
            client.hold_id = client.hold = client.purchase = None

    def _choose(self, client: Client) -> Request:
        luck = self.luck.random()
        if client.last is not None and client.last.key and luck < 0.2:
            return client.last
        if client.hold is not None and luck < 0.3:
            return client.hold
        if client.hold_id is None or luck < 0.4:
            client.hold, client.hold_id, client.purchase = self._ask(client, "hold"), None, None
            return client.hold
        if luck < 0.5:
            return self._ask(client, "replace", client.hold_id)
        return self._use(client, luck)

    def _use(self, client: Client, luck: float) -> Request:
        if luck < 0.65:
            return self._plain(client, "release")
        if luck < 0.75:
            return self._plain(client, "look")
        if client.purchase is None or luck < 0.78:
            client.purchase = self._plain(client, "purchase")
        return client.purchase

    def _plain(self, client: Client, kind: Kind) -> Request:
        key = f"p{client.name}-{self.made}" if kind == "purchase" else None
        return Request(
            client=client.name,
            kind=kind,
            show=SHOW,
            buyer=client.buyer,
            key=key,
            hold=client.hold_id,
        )

    def _ask(self, client: Client, kind: Kind, hold: str | None = None) -> Request:
        labels = sorted(self.office.show.seats)
        seats = tuple(self.luck.sample(labels, self.luck.choice((0, 1, 1, 1, 2, 2, 3))))
        floor = self.luck.choice((0, 0, 0, 1, 2)) if seats else self.luck.choice((1, 2))
        return Request(
            client=client.name,
            kind=kind,
            show=SHOW,
            buyer=client.buyer,
            key=f"k{client.name}-{self.made}" if kind == "hold" else None,
            hold=hold,
            seats=seats,
            areas={"floor": floor} if floor else {},
            ttl_ns=self.size.ttl_ns if kind == "hold" else None,
        )


def simulate(seed: int, size: Size | None = None, office: type[BoxOffice] = BoxOffice) -> Outcome:
    """Return a history of a seed's world."""
    luck = random.Random(seed)  # noqa: S311 -- a history must be the same again
    size = size or Size()
    return World(office(size, luck), size, luck).run()
