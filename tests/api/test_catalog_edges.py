"""Edges of the catalogue over HTTP: what a key that reads may ask, and a sale begun at once."""

import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from engine.catalog.finder import PAGES
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, problem, small_plan
from tests.api.published import publish

_TOLD_AT_MOST_S = 5
_LATER = "2099-04-01T10:00:00Z"


@pytest.fixture
def configuration(desk: FrontDesk) -> str:
    """The path of a configuration with one version."""
    venue = {
        "name": "Studio",
        "address": {"line_1": "Domplatz 1", "postal_code": "99084", "city": "Erfurt"},
        "country": "DE",
        "time_zone": "Europe/Berlin",
    }
    made = desk.post("/v1/venues", venue).json()
    path = f"/v1/venues/{made['venue']}/configurations"
    made = desk.post(path, {"name": "In rows"}).json()
    path = f"/v1/configurations/{made['configuration']}"
    version = {"plan": small_plan(), "valid_from": "2026-01-01"}
    assert desk.post(f"{path}/versions", version).status_code == 201
    return path


@pytest.fixture
def reader(desk: FrontDesk) -> Iterator[FrontDesk]:
    """The same reseller, by a key that may read the catalogue and no more."""
    made = desk.post("/v1/keys", {"name": "reader", "scopes": ["catalog:read"]})
    assert made.status_code == 201, made.text
    reading = FrontDesk(str(desk.http.base_url), made.json()["text"])
    with reading.http:
        yield reading


def test_who_reads_the_catalogue_may_ask_what_a_change_would_conflict_with(
    reader: FrontDesk, configuration: str
) -> None:
    """It changes nothing; the change itself is refused."""
    body = {"plan": small_plan(rows=2)}
    asked = reader.post(f"{configuration}/conflicts", body)
    assert (asked.status_code, asked.json()["shows"]) == (200, [])
    refused = reader.post(f"{configuration}/versions", {**body, "valid_from": "2026-02-01"})
    assert problem(refused) == "insufficient-scope"


@pytest.mark.parametrize("state", ["draft", "announced"])
def test_a_sale_that_was_to_begin_later_begins_at_once_in_one_call(
    desk: FrontDesk, state: str
) -> None:
    """The same request again is answered alike; without `now` its key was another's."""
    show = desk.new_show(state=state, opens_at=_LATER)
    opened = desk.post(f"{show.path}/open?now=true", {}, key=f"now-{show.id}")
    assert opened.status_code == 200, opened.text
    assert (opened.json()["state"], opened.json()["selling"]) == ("on_sale", True)
    assert show.hold("A-1").status_code == 201
    again = desk.post(f"{show.path}/open?now=true", {}, key=f"now-{show.id}")
    assert again.json() == opened.json()
    assert problem(desk.post(f"{show.path}/open", {}, key=f"now-{show.id}")) == "key-reused"
    deadline = time.monotonic() + 10
    told: dict[str, object] = {}
    while "show.on_sale" not in told and time.monotonic() < deadline:
        page = desk.get(f"/v1/facts?show={show.id}").json()
        told = {fact["type"]: fact["data"] for fact in page["facts"]}
    assert told["show.changed"] == {"changed": ["opens_at", "state"]}
    assert told["show.on_sale"] == {"opens_at": desk.get(show.path).json()["opens_at"]}


def test_a_sale_that_has_begun_keeps_when_it_did(desk: FrontDesk) -> None:
    """Closed and opened again; without `now` an `opens_at` to come stays."""
    show = desk.new_show()
    began = desk.get(show.path).json()["opens_at"]
    desk.post(f"{show.path}/close", {})
    assert desk.post(f"{show.path}/open?now=true", {}).json()["selling"]
    assert desk.get(show.path).json()["opens_at"] == began
    later = desk.new_show(state="announced", opens_at=_LATER)
    assert not desk.post(f"{later.path}/open", {}).json()["selling"]


def test_who_asks_first_for_a_page_that_was_hidden_long_enough_ago_is_not_told_it(
    stack: Stack,
) -> None:
    """What a process keeps is told for some seconds, also if nobody asked in between."""
    with httpx.Client(base_url=stack.base_url, timeout=20) as http:
        published = publish(stack, http, "Hidden Light")
        with closing(published.desk.http):
            page = f"/v1/events/{published.ids['event']}"
            assert published.until(page, 200)
            until = time.monotonic() + _TOLD_AT_MOST_S
            published.change("events", published.rows["event"], visibility="hidden")
            published.until(f"{page}/schema.json", 404)
            time.sleep(max(0.0, until - time.monotonic()))
            assert http.get(page).status_code == 404
    assert PAGES.stale_s <= _TOLD_AT_MOST_S
