r"""Browsing: people and bots who look at the seat map again and again, and buy nothing.

What it imitates:

- *Looking is most of it.* The Eras Tour presale of 15 November 2022 took 3.5 billion requests for
  over two million tickets: some 1 700 requests for each that was sold (Ticketmaster's statement of
  17 November 2022, sources in on_sale.py).
- *Many who look are programs.* Distil Networks found that bad bots made 39.9 % of the traffic of
  ticketing sites, 42.2 % of that of primary sellers, and that their operators watch what the site
  tells of seats and prices [1] [2].
- *It builds up before the doors open.* How steeply is not told in public; here the visitors become
  more until three quarters of the time are over.

[1] Distil Networks, "Bots in the Ticketing Ecosystem", March 2019: https://resources.distilnetworks.com/
    all-distil-blog-posts/infographic-bots-in-the-ticketing-ecosystem
[2] https://www.theticketingbusiness.com/2019/03/22/primary-markets-hit-hardest-bad-bots-report/

A visitor opens the show and its seating plan, then asks for the availability every one to four
seconds with the ETag of the last answer (304 while nothing has changed), and now and then lists
open seats. Two in five are bots: they ask ten times as often.

    TARGET_API_KEY=... TARGET_SHOW=shw_... locust -f loadtests/scenarios/browse.py \
        --headless --users 200 --spawn-rate 50 --run-time 5m --host http://...
"""

from typing import Final

from locust import between, task

from loadtests.scenarios.shapes import BuildUp
from loadtests.scenarios.target import Visitor

_PAGE: Final = 200
_NOT_MODIFIED: Final = 304


class BeforeTheDoors(BuildUp):
    """The crowd that gathers."""


class Looker(Visitor):
    """Somebody who keeps the show's page open."""

    weight = 3
    wait_time = between(1, 4)

    def on_start(self) -> None:
        """Open the show's page."""
        super().on_start()
        self.hall = self.open_page()
        self.get("/seating-plan", "seating plan")
        self.etag: str | None = None

    @task(9)
    def refresh_map(self) -> None:
        """Ask how the show stands, if anything has changed."""
        told = self.get("/availability", "availability", self.etag)
        if told is not None and told.status != _NOT_MODIFIED:
            self.etag = told.etag

    @task(1)
    def list_seats(self) -> None:
        """List open seats of a price level, and turn a page now and then."""
        query = f"/seats?status=open&limit={_PAGE}"
        if self.hall.levels:
            query += f"&price_level={self.luck.choice(self.hall.levels)}"
        page = self.get(query, "seats")
        cursor = None if page is None else page.json().get("next_cursor")
        if cursor is not None and self.chance(0.5):
            self.get(f"{query}&cursor={cursor}", "seats")


class Bot(Looker):
    """A program that does the same, faster."""

    weight = 2
    wait_time = between(0.1, 0.4)
