r"""A soak: hours at a steady rate, to find what only time brings to light.

What it imitates: the ordinary day between two on-sales. Ticketmaster sold 620 million tickets in
2023 [1], some 20 a second on average; in the first quarter of that year its peak was 15 000 a
minute in North America, 250 a second [2]. What can go wrong on such a day is not the load but what
adds up: memory, open connections, holds that are not swept, streams that are not trimmed.

Its form is the usual one for soaks: rise, a plateau at average load, fall; hours rather than
minutes, 2 to 8 in Grafana's guide [3], 24 in SmartBear's template [4].

[1] The Guardian, 23 February 2024, at
    https://uk.news.yahoo.com/live-nation-reports-2023-biggest-222422339.html
[2] https://thenashvillebriefing.com/the-nashville-briefing/
    ticketmaster-sold-over-15000-tickets-per-minute-in-q1-despite-debacles
[3] https://grafana.com/docs/learning-paths/k6-soak-testing/design-soak-profile/
[4] https://support.smartbear.com/readyapi/docs/performance/configure/new/templates/soak.html

Every visitor does one thing a second: mostly looks, sometimes holds. One hold in fifty is bought,
the others are released or run out, so that a show lasts: 50 visitors buy one ticket every two
seconds, and 60 000 seats last for a day and a third.

    TARGET_API_KEY=... TARGET_SHOW=shw_... locust -f loadtests/scenarios/soak.py \
        --headless --users 50 --spawn-rate 5 --run-time 8h --host http://...
"""

from typing import Final
from uuid import uuid4

from locust import constant_throughput, task

from loadtests.scenarios.shapes import Plateau
from loadtests.scenarios.target import Visitor

_BOUGHT: Final = 0.02
_RELEASED: Final = 0.68
_TTL_S: Final = 60
_CREATED: Final = 201
_NOT_MODIFIED: Final = 304


class OrdinaryDay(Plateau):
    """The same all day."""


class Regular(Visitor):
    """Somebody who does one thing a second."""

    wait_time = constant_throughput(1)

    def on_start(self) -> None:
        """Open the show's page."""
        super().on_start()
        self.hall = self.open_page()
        self.etag: str | None = None

    @task(3)
    def look(self) -> None:
        """Ask how the show stands."""
        told = self.get("/availability", "availability", self.etag)
        if told is not None and told.status != _NOT_MODIFIED:
            self.etag = told.etag

    @task(1)
    def hold(self) -> None:
        """Hold two places, and buy them, release them, or walk away."""
        wish = self.hall.any(self.luck, 2) | {"buyer": uuid4().hex, "ttl_s": _TTL_S}
        told = self.post("/holds", "hold", wish, well=(201,))
        if told is None or told.status != _CREATED:
            return
        hold: str = told.json()["hold"]
        dice = self.luck.random()
        if dice < _BOUGHT:
            purchase = {"hold": hold, "payment_reference": uuid4().hex}
            self.post("/purchases", "purchase", purchase, well=(201, 202))
        elif dice < _BOUGHT + _RELEASED:
            self.release(hold)
