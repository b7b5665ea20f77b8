r"""The on-sale: everyone at once, for the best seats, and much of what is held is not bought.

What it imitates:

- *Everyone at once, many times over.* For the presale of Taylor Swift's Eras Tour on 15 November
  2022, Ticketmaster had invited 1.5 million fans. Bots and people without a code came as well, and
  made "3.5 billion total system requests - 4x our previous peak"; over two million tickets were
  sold that day (Ticketmaster's statement of 17 November 2022, quoted in [1] and [2]).
- *Errors, and the same request once more.* The same statement put errors at some 15 % of all
  interactions (quoted in [3]).
- *Holds that nobody buys.* Groups of friends fill several baskets and keep the best; the others
  run out, and their seats come on sale again, in a second generation of buying [4]. How many there
  are is not told: 40 % is this scenario's choice, below the 70 % that online shops lose on average
  [5].

[1] https://www.cleveland.com/entertainment/2022/11/
    ticketmaster-blames-taylor-swift-presale-debacle-on-unprecedented-traffic.html
[2] https://jambroadcasting.com/2022/11/
    ticketmaster-says-taylor-swifts-eras-tour-broke-several-ticket-sales-records-and-parts-of-our-website/
[3] The Verge, 18 November 2022: https://www.theverge.com/2022/11/18/23466858/
    taylor-swift-ticketmaster-news-doj-investigation-eras-tour
[4] Queue-it, "Debunking the instant sellout onsale myth", 2019:
    https://queue-it.com/blog/tickets-sold-out-debunking-instant-sellout-myth/
[5] Baymard Institute: https://baymard.com/lists/cart-abandonment-rate

Half the fans want the dearest level, a quarter click on two of the 100 best seats, a quarter take
any level. 40 % of the holds are abandoned: a quarter of those are released, the others run out
after the shortest time that the API allows. One command in twenty is sent again after its answer,
with its key, as if the answer had been lost, and must be answered the same.

    TARGET_API_KEY=... TARGET_SHOW=shw_... locust -f loadtests/scenarios/on_sale.py \
        --headless --users 500 --spawn-rate 500 --run-time 2m --host http://...
"""

from typing import Any, ClassVar, Final
from uuid import uuid4

from locust import between, task

from loadtests.scenarios.shapes import AllAtOnce
from loadtests.scenarios.target import Asking, Told, Visitor, stop_if_missing

ABANDONED: Final = 0.4
"""Of the holds."""

_RELEASED: Final = 0.25
_REPEATED: Final = 0.05
_DEAREST: Final = 0.5
_CLICKED: Final = 0.75
_BEST_SEATS: Final = 100
_TTL_S: Final = 30
_QUANTITIES: Final = (1, 2, 2, 2, 3, 4)
_REFUSED: Final = 400
_LOOKS_MAX: Final = 20


class Doors(AllAtOnce):
    """All fans are there when it starts."""


class Fan(Visitor):
    """Somebody who wants a few seats together, good ones if possible, and tries again."""

    wait_time = between(0.1, 1.0)

    best_seats: ClassVar[list[str]] = []
    """The labels of the best seats, which the first fan has looked up for all."""

    def on_start(self) -> None:
        """Open the shop's page: the show and its seat map."""
        super().on_start()
        self.hall = self.open_page()
        self.get("/availability", "availability")
        if self.hall.levels and not self.best_seats:
            page = self.get(f"/seats?limit={_BEST_SEATS}", "seats")
            seats = stop_if_missing(page, "the list of seats").json()["seats"]
            self.best_seats[:] = [seat["seat"] for seat in seats]

    @task
    def want_tickets(self) -> None:
        """Come in, hold, and buy or walk away."""
        person = self.enter()
        if person is not None:
            self.leave(bought=self._shop(person))

    def enter(self) -> dict[str, str] | None:
        """Return what a hold says of this fan; None if they don't get in."""
        return {"buyer": uuid4().hex}

    def leave(self, *, bought: bool) -> None:
        """Go: nobody counts who is in the shop."""

    def _shop(self, person: dict[str, str]) -> bool:
        """Hold, and buy or walk away; tell whether they bought."""
        wish = self._selection() | person | {"ttl_s": _TTL_S}
        held = self._command("/holds", "hold", wish, "hold")
        if held is None:
            return False
        self.pause(0.2, 1.5)
        if self.chance(ABANDONED):
            if self.chance(_RELEASED):
                self.release(held["hold"])
            return False
        purchase = {"hold": held["hold"], "payment_reference": uuid4().hex}
        purchase |= {name: value for name, value in person.items() if name != "buyer"}
        order = self._command("/purchases", "purchase", purchase, "order")
        if order is not None and order["status"] == "recording":
            self._wait_until_recorded(order["order"])
        return order is not None

    def _selection(self) -> dict[str, Any]:
        dice = self.luck.random()
        quantity = self.luck.choice(_QUANTITIES)
        if dice < _DEAREST:
            return self.hall.best(quantity)
        if dice < _CLICKED and self.best_seats:
            first = self.luck.randrange(len(self.best_seats))
            return {"seats": self.best_seats[first : first + 2]}
        return self.hall.any(self.luck, quantity)

    def _command(
        self, what: str, name: str, body: dict[str, Any], identity: str
    ) -> dict[str, Any] | None:
        """Return what was made; None if the sale said no or nobody answered."""
        key = uuid4().hex
        told = self.post(what, name, body, key=key, well=(201, 202))
        if told is None or told.status >= _REFUSED:
            return None
        made = told.json()
        if self.chance(_REPEATED):
            again = self.post(what, f"{name}: repeated", body, key=key, well=(201, 202))
            self._compare(name, made[identity], again, identity)
        return made

    def _compare(self, name: str, first: str, again: Told | None, identity: str) -> None:
        """Report a repetition that was answered by something else than what it repeats."""
        if again is not None and again.json().get(identity) != first:
            self.complain(f"{name}: repeated", f"{first} became {again.body[:300]!r}")

    def _wait_until_recorded(self, order: str) -> None:
        for _ in range(_LOOKS_MAX):
            self.pause(0.5, 1.5)
            told = self.ask(Asking("GET", f"/v1/orders/{order}", "order", (200,)))
            if told is None or told.json().get("status") != "recording":
                return
