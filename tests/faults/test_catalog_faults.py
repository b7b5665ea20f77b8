"""API and worker are killed amid what changes shows: nothing is left half, in either store.

Each change is brought to its commit and held up there (`held_up_ledger`), all of them at once. What
takes something away has the inventory store behind it by then; what gives more is yet to get there.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from engine.platform.database import connect_once
from loadtests.auditor.audit import audit
from tests.api.front_desk import PRICES, show_body, small_plan
from tests.faults.held_up_ledger import hold_up
from tests.faults.reseller_desk import ResellerDesk, told

Json = dict[str, Any]

_SETTLED_WITHIN_S = 30
_LATER = "2099-06-01T20:00:00+02:00"
_LONG_AGO = "UPDATE idempotency_keys SET created_at = created_at - interval '3 minutes'"


class Theatre:
    """A reseller's shows, one for each thing that is done to them."""

    def __init__(self, desk: ResellerDesk) -> None:
        """Take how to reach the API."""
        self.desk = desk
        self.shows: dict[str, str] = {}

    async def show(self, name: str, **changes: Any) -> str:  # noqa: ANN401 - any field
        """Make a show that goes by a name here; return its id."""
        body = show_body(name=name, **changes)
        self.shows[name] = told(await self.desk.ask("POST", "/v1/shows", body), 201)["show"]
        return self.shows[name]

    async def sold(self, name: str, *seats: str, **areas: int) -> str:
        """Sell places of a show that goes by a name; return the order."""
        path = f"/v1/shows/{self.shows[name]}"
        body = {"seats": seats or None, "areas": areas or None, "buyer": "b-1"}
        body = {member: value for member, value in body.items() if value}
        held = told(await self.desk.ask("POST", f"{path}/holds", body), 201)
        bought = await self.desk.ask("POST", f"{path}/purchases", {"hold": held["hold"]})
        return told(bought, 201)["order"]

    async def do(self, name: str, action: str, body: Json | None = None) -> Json:
        """Do something to a show, and let it be done."""
        answer = await self.desk.ask("POST", f"/v1/shows/{self.shows[name]}/{action}", body)
        assert answer.status in {200, 201}, answer.told()
        return {}

    async def stand(self, name: str) -> Json:
        """Return how a show stands, as a client sees it."""
        path = f"/v1/shows/{self.shows[name]}"
        show = told(await self.desk.ask("GET", path), 200)
        counts = told(await self.desk.ask("GET", f"{path}/availability"), 200)
        named = ("state", "starts_at", "capacity", "price_version", "archived_at")
        return {name: show.get(name) for name in named} | {"total": counts["total"]}

    async def stands(self) -> dict[str, Json]:
        """Return how each show stands."""
        return {name: await self.stand(name) for name in self.shows}

    async def names(self) -> Counter[str]:
        """Return how many shows there are of each name."""
        page = told(await self.desk.ask("GET", "/v1/shows?limit=200"), 200)
        return Counter(show["name"] for show in page["shows"])

    async def facts(self) -> Counter[tuple[str, str]]:
        """Return how often each type of fact was told of each show that has a name here."""
        page = told(await self.desk.ask("GET", "/v1/facts?limit=500"), 200)
        name_of = {show: name for name, show in self.shows.items()}
        return Counter(
            (name_of[fact["show"]], fact["type"])
            for fact in page["facts"]
            if fact["show"] in name_of
        )

    async def settle(self) -> None:
        """Wait until both stores have every show, and say the same of it."""
        async with asyncio.timeout(_SETTLED_WITHIN_S):
            while True:
                result = await audit(self.desk.stack.settings, grace_s=0, pause_s=0.05)
                conditions = {row.condition for row in result.rows}
                if result.is_clean and conditions <= {"open", "archived"}:
                    return
                await asyncio.sleep(0.2)


class Flight:
    """Requests that are under way when their process dies, and are sent again after."""

    def __init__(self, desk: ResellerDesk) -> None:
        """Take where to, and whose."""
        self._desk = desk
        self._requests: dict[str, httpx.Request] = {}
        self._sent: list[asyncio.Task[httpx.Response]] = []

    def add(self, name: str, path: str, body: Json | bytes) -> None:
        """Note a request, which keeps its key."""
        url = f"{self._desk.stack.base_url}{path}"
        headers = {"Authorization": f"Bearer {self._desk.key}", "Idempotency-Key": uuid4().hex}
        if isinstance(body, bytes):
            headers["Content-Type"] = "text/csv; charset=utf-8"
            self._requests[name] = httpx.Request("POST", url, headers=headers, content=body)
        else:
            self._requests[name] = httpx.Request("POST", url, headers=headers, json=body)

    @asynccontextmanager
    async def under_way(self) -> AsyncGenerator[int]:
        """Send all of them; give how many. Whoever answers does so too late to be heard."""
        async with httpx.AsyncClient(timeout=30) as http:
            sent = [asyncio.create_task(http.send(one)) for one in self._requests.values()]
            try:
                yield len(sent)
            finally:
                for task in sent:
                    task.cancel()
                await asyncio.gather(*sent, return_exceptions=True)

    async def repeat(self) -> dict[str, Json]:
        """Send all of them again, when it is certain that nobody works on them; return answers."""
        async with connect_once(self._desk.stack.settings.database_url) as connection:
            await connection.execute(text(_LONG_AGO))
            await connection.commit()
        answers: dict[str, Json] = {}
        async with httpx.AsyncClient(timeout=30) as http:
            for name, request in self._requests.items():
                response = await http.send(request)
                assert response.status_code in {200, 201}, f"{name}: {response.text}"
                answers[name] = response.json()
        return answers


async def _changes(desk: ResellerDesk) -> tuple[Theatre, Flight]:
    """Return shows, and for each of them a request that changes it."""
    theatre, flight = Theatre(desk), Flight(desk)
    for name in ("edited", "closed", "resumed", "cancelled", "moved", "doubled"):
        await theatre.show(name)
    for name in ("edited", "cancelled", "moved"):
        await theatre.sold(name, "B-1", "B-2", floor=1)
    await theatre.do("resumed", "pause")
    edits = [
        {"kind": "take_out", "seats": ["C-1", "C-2"]},
        {"kind": "set_capacity", "area": "floor", "capacity": 9},
    ]
    for name, action, body in (
        ("edited", "edits", {"edits": edits}),
        ("closed", "close", {}),
        ("resumed", "resume", {}),
        ("cancelled", "cancel", {}),
        ("moved", "reschedule", {"starts_at": _LATER}),
        ("doubled", "dates", {"starts_at": _LATER}),
    ):
        flight.add(name, f"/v1/shows/{theatre.shows[name]}/{action}", body)
    flight.add("imported", "/v1/imports/shows", await _sheet(desk))
    return theatre, flight


async def _sheet(desk: ResellerDesk) -> bytes:
    """Return a sheet of three shows, at a venue of their own."""
    venue = told(await desk.ask("POST", "/v1/venues", _VENUE), 201)["venue"]
    path = f"/v1/venues/{venue}/configurations"
    configuration = told(await desk.ask("POST", path, {"name": "In rows"}), 201)["configuration"]
    version = {"plan": small_plan(), "valid_from": "2026-01-01"}
    path = f"/v1/configurations/{configuration}/versions"
    told(await desk.ask("POST", path, version), 201)
    prices = ",".join(f"{PRICES[level] / 100:.2f}" for level in _LEVELS)
    lines = [",".join(_COLUMNS + [f"price:{level}" for level in _LEVELS])]
    lines += [
        f"{configuration},imported,2099-07-0{day} 20:00,2026-01-01 10:00,EUR,on_sale,{prices}"
        for day in (1, 2, 3)
    ]
    return "\r\n".join(lines).encode()


_VENUE = {
    "name": "Studio",
    "address": {"line_1": "Domplatz 1", "postal_code": "99084", "city": "Erfurt"},
    "country": "DE",
    "time_zone": "Europe/Berlin",
}
_COLUMNS = ["configuration", "name", "starts_at", "opens_at", "currency", "state"]
_LEVELS = list(PRICES)


async def _assert_all_was_done_once(theatre: Theatre, before: dict[str, Json]) -> None:
    stands = await theatre.stands()
    state = {name: stand["state"] for name, stand in stands.items()}
    assert state == {
        "edited": "on_sale",
        "closed": "off_sale",
        "resumed": "on_sale",
        "cancelled": "cancelled",
        "moved": "rescheduled",
        "doubled": "on_sale",
    }
    was, edited = before["edited"], stands["edited"]
    assert edited["capacity"] == was["capacity"] - 2 + 4
    assert edited["total"]["open"] == was["total"]["open"] - 2 + 4
    assert edited["price_version"] == was["price_version"] + 1
    names = await theatre.names()
    assert (names["doubled"], names["imported"]) == (2, 3)
    for name in ("cancelled", "moved"):
        path = f"/v1/shows/{theatre.shows[name]}/choices"
        assert len(told(await theatre.desk.ask("GET", path), 200)["choices"]) == 1
    facts = await theatre.facts()
    assert {fact: facts[fact] for fact in _TOLD} == dict.fromkeys(_TOLD, 1)


_TOLD = (
    ("edited", "show.inventory_changed"),
    ("closed", "show.closed"),
    ("resumed", "show.resumed"),
    ("cancelled", "show.cancelled"),
    ("moved", "show.rescheduled"),
    ("doubled", "show.date_added"),
)


async def test_an_api_that_is_killed_before_it_commits_changed_nothing(
    desk: ResellerDesk,
) -> None:
    """What the inventory store had heard of is taken back; the same requests do it all, once."""
    theatre, flight = await _changes(desk)
    before = await theatre.stands()
    async with hold_up(desk.stack.settings, desk.reseller) as ledger, flight.under_way() as count:
        await ledger.await_waiting(count)
        desk.stack.api.kill()
        await ledger.roll_back()
    await theatre.settle()
    assert await theatre.stands() == before
    names = await theatre.names()
    assert (names["doubled"], names["imported"]) == (1, 0)
    facts = await theatre.facts()
    assert not any(facts[fact] for fact in _TOLD)
    await flight.repeat()
    await theatre.settle()
    await _assert_all_was_done_once(theatre, before)


async def test_what_was_committed_when_the_api_was_killed_is_done_everywhere(
    desk: ResellerDesk,
) -> None:
    """Though the store of inventory had not heard of it, nor any client; and it is done once."""
    theatre, flight = await _changes(desk)
    before = await theatre.stands()
    async with hold_up(desk.stack.settings, desk.reseller) as ledger, flight.under_way() as count:
        await ledger.await_waiting(count)
        desk.stack.valkey.pause()
        try:
            await ledger.let_commit()
            desk.stack.api.kill()
        finally:
            desk.stack.valkey.resume()
    await theatre.settle()
    await _assert_all_was_done_once(theatre, before)
    await flight.repeat()
    await theatre.settle()
    await _assert_all_was_done_once(theatre, before)


async def _what_comes_by_itself(desk: ResellerDesk) -> Theatre:
    """Return shows to which something is to happen, once it is time."""
    theatre = Theatre(desk)
    for name in _DUE:
        await theatre.show(name)
    await theatre.show("first", plan=small_plan(rows=1, seats=1, floor=1))
    for name in ("archived", "refunded"):
        await theatre.sold(name, "B-1", floor=1)
    await theatre.do("archived", "close")
    steps = {"steps": [{"at": _LATER, "prices": {"vip": 12_000}}]}
    path = f"/v1/shows/{theatre.shows['stepped']}/price-steps"
    told(await theatre.desk.ask("PUT", path, steps), 200)
    await theatre.do("refunded", "cancel", {"note": "The hall is flooded."})
    later = {"starts_at": _LATER, "opens": "when_first_sells_out"}
    path = f"/v1/shows/{theatre.shows['first']}/dates"
    theatre.shows["follower"] = told(await theatre.desk.ask("POST", path, later), 201)["show"]
    return theatre


_DUE = {
    "archived": "UPDATE shows SET archive_from = now() WHERE id = :show",
    "stepped": "UPDATE price_steps SET at = now() WHERE show_id = :show",
    "refunded": "UPDATE show_changes SET choose_by = now() WHERE show_id = :show",
    "ended": "UPDATE shows SET starts_at = '2025-01-01', opens_at = '2024-01-01' WHERE id = :show",
}
"""By which of these it is time."""

_LOOPS = 4
"""Of the worker: what archives, changes prices, settles choices, opens and ends shows."""

_COME = {
    ("archived", "show.archived"): 1,
    ("stepped", "show.prices_changed"): 1,
    ("refunded", "order.cancelled"): 1,
    ("ended", "show.ended"): 1,
    ("first", "show.sold_out"): 1,
    ("follower", "show.changed"): 1,
}


async def _until_all_has_come(theatre: Theatre) -> None:
    """Wait for each, and see that it came once."""
    async with asyncio.timeout(_SETTLED_WITHIN_S):
        while not _COME.keys() <= (await theatre.facts()).keys():  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.2)
    await theatre.settle()
    facts = await theatre.facts()
    assert {fact: facts[fact] for fact in _COME} == _COME
    stands = await theatre.stands()
    assert stands["archived"]["archived_at"] is not None
    assert stands["archived"]["total"]["sold"] == 2
    assert stands["stepped"]["price_version"] == 2
    assert stands["refunded"]["total"]["sold"] == 0
    state = {name: stand["state"] for name, stand in stands.items()}
    assert state == {
        "archived": "off_sale",
        "stepped": "on_sale",
        "refunded": "cancelled",
        "ended": "past",
        "first": "sold_out",
        "follower": "on_sale",
    }


@pytest.mark.parametrize("committed", [False, True], ids=["before", "after"])
async def test_a_worker_that_is_killed_around_its_commits_leaves_nothing_half(
    desk: ResellerDesk, *, committed: bool
) -> None:
    """Before them another does it all; after them the inventory store follows. All comes once."""
    theatre = await _what_comes_by_itself(desk)
    async with hold_up(desk.stack.settings, desk.reseller) as ledger:
        await theatre.sold("first", *(f"A-{n}" for n in range(1, 7)), "B-1", floor=1)
        for name, statement in _DUE.items():
            await ledger.sql(statement, int(theatre.shows[name][-16:], 16))
        await ledger.await_waiting(_LOOPS)
        if committed:
            desk.stack.valkey.pause()
        try:
            if committed:
                await ledger.let_commit()
            desk.stack.worker.kill()
            await ledger.roll_back()
        finally:
            desk.stack.valkey.resume()
    await _until_all_has_come(theatre)
