"""Prices while a show sells: published, scheduled, told; a hold keeps the price it was made at."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.api.front_desk import PRICES, FrontDesk, Json, ShowDesk, problem

DEARER = {"vip": 12000, "standard": 4000, "standing": 2500}


def publish(show: ShowDesk, after: int, prices: Json, **more: Json) -> httpx.Response:
    """Publish prices that follow a version."""
    body = {"after_version": after, "prices": prices, **more}
    return show.desk.http.put(f"{show.path}/prices", json=body)


def schedule(show: ShowDesk, *steps: Json) -> httpx.Response:
    """Replace the steps to come."""
    return show.desk.http.put(f"{show.path}/price-steps", json={"steps": steps})


def look(show: ShowDesk, what: str = "prices") -> Json:
    """Look at the prices, the types or the steps."""
    return show.desk.get(f"{show.path}/{what}").json()


def face_value(response: httpx.Response) -> int:
    """Return what one ticket of a hold's or an order's first line costs."""
    return response.json()["price"]["lines"][0]["unit"]["face_value"]


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something is so: steps come within a second, on a busy machine in a few."""
    until = time.monotonic() + 15
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.1)


def price_news(show: ShowDesk) -> list[Json]:
    """Return what the log tells of changed prices."""
    told = show.desk.get(f"/v1/facts?show={show.id}").json()["facts"]
    return [one["data"] for one in told if one["type"] == "show.prices_changed"]


def test_a_hold_keeps_its_price_and_the_next_one_is_at_the_new_one(show: ShowDesk) -> None:
    """Bought after the change, it still costs what was told when it was made."""
    before = show.hold("B-1")
    assert publish(show, 1, DEARER).status_code == 200
    after = show.hold("B-3", buyer="b-2")
    assert (face_value(before), face_value(after)) == (3000, 4000)
    assert face_value(show.look(before.json()["hold"])) == 3000
    old = show.purchase(before.json()["hold"])
    assert (old.json()["status"], face_value(old)) == ("confirmed", 3000)
    assert face_value(show.desk.get(f"/v1/orders/{old.json()['order']}")) == 3000
    replaced = show.replace(after.json()["hold"], {"seats": ["A-1"]})
    assert face_value(replaced) == 12000
    told = show.desk.get(show.path).json()
    assert (told["price_version"], told["price_levels"][0]["price"]["face_value"]) == (2, 12000)


def test_two_editors_do_not_overwrite_each_other(show: ShowDesk) -> None:
    """The second one hears which version there is; who repeats a request hears the same again."""
    assert publish(show, 1, DEARER).json()["price_version"] == 2
    assert publish(show, 1, DEARER).json()["price_version"] == 2
    late = publish(show, 1, DEARER | {"vip": 1})
    assert (late.status_code, problem(late)) == (409, "prices-changed")
    assert late.json()["price_version"] == 2
    assert look(show)["prices"] == DEARER
    assert publish(show, 2, PRICES).json()["price_version"] == 3
    history = look(show)["history"]
    assert [one["price_version"] for one in history] == [3, 2, 1]
    assert [one["prices"] for one in history] == [PRICES, DEARER, PRICES]


def test_all_faults_of_prices_are_told_at_once(show: ShowDesk) -> None:
    """Levels and types without a price, unknown ones, and nothing is published."""
    child = {"ticket_type": "child", "name": "Child", "kind": "child", "price_levels": ["vip"]}
    other = {"ticket_type": "student", "name": "Student", "kind": "student"}
    types = {"ticket_types": [child, other]}
    assert show.desk.http.put(f"{show.path}/ticket-types", json=types).status_code == 200
    response = publish(
        show,
        1,
        {"vip": 1, "gold": 2, "standing": 3},
        ticket_types={"child": {"prices": {"standing": 1}}, "baby": {"share_bps": 1}},
    )
    assert problem(response) == "invalid-request"
    assert sorted(fault["pointer"] for fault in response.json()["errors"]) == [
        "/prices",
        "/prices/gold",
        "/ticket_types",
        "/ticket_types/baby",
        "/ticket_types/child",
        "/ticket_types/child/prices/standing",
    ]
    more = publish(show, 1, PRICES, ticket_types={"child": {"share_bps": 10_001}})
    assert problem(more) == "invalid-request"
    assert look(show)["price_version"] == 1


def test_a_step_comes_at_its_moment(show: ShowDesk) -> None:
    """Buyers are told before; then it is the price, and the step is history."""
    at = datetime.now(UTC) + timedelta(seconds=2)
    steps: list[Json] = [
        {"at": at.isoformat(), "prices": {"standard": 3500}},
        {"at": "2098-01-01T00:00:00Z", "prices": {"standard": 9900}},
    ]
    assert schedule(show, *steps).status_code == 200
    ahead = show.desk.get(show.path).json()["next_price_step"]
    assert {one["price_level"]: one["price"]["face_value"] for one in ahead["prices"]} == {
        **PRICES,
        "standard": 3500,
    }
    early = show.hold("B-1")
    wait_for(lambda: look(show)["price_version"] == 2)
    late = show.hold("B-3", buyer="b-2")
    assert (face_value(early), face_value(late)) == (3000, 3500)
    prices = look(show)
    assert prices["prices"] == {**PRICES, "standard": 3500}
    assert [one["step"] for one in prices["history"]] == [1, None]
    assert [step["price_version"] for step in prices["steps"]] == [2, None]
    # A fact is read once no older transaction is under way.
    wait_for(lambda: {"price_version": 2, "step": 1} in price_news(show))


def test_an_early_bird_ends_with_its_count(show: ShowDesk) -> None:
    """Two recorded tickets of the level make the next dearer; those of another count not."""
    step: Json = {
        "at": "2098-01-01T00:00:00Z",
        "after_sold": 2,
        "price_level": "standard",
        "prices": DEARER,
    }
    assert schedule(show, step).status_code == 200
    show.purchase(show.held("A-1", "A-2", buyer="vips"))
    show.purchase(show.held("B-1", buyer="one"))
    assert face_value(show.hold("B-3", buyer="two")) == 3000
    show.purchase(show.held("B-5", buyer="three"))
    wait_for(lambda: look(show)["price_version"] == 2)
    assert face_value(show.hold("B-7", buyer="four")) == 4000
    assert show.desk.get(show.path).json()["next_price_step"] is None


@pytest.mark.parametrize(
    ("steps", "pointers"),
    [
        ([{"prices": {"vip": 1}}], ["/steps/0"]),
        ([{"after_sold": 3}], ["/steps/0"]),
        ([{"at": "2020-01-01T00:00:00Z", "prices": {"vip": 1}}], ["/steps/0/at"]),
        (
            [{"at": "2098-01-01T00:00:00Z", "price_level": "gold", "prices": {"gold": 1}}],
            ["/steps/0/price_level", "/steps/0/price_level", "/steps/0/prices/gold"],
        ),
        (
            [
                {"at": "2098-01-02T00:00:00Z", "after_sold": 9, "prices": {"vip": 1}},
                {"at": "2098-01-01T00:00:00Z", "after_sold": 8, "prices": {"vip": 2}},
            ],
            ["/steps/1/at", "/steps/1/after_sold"],
        ),
        (
            [{"after_sold": 3, "ticket_types": {"baby": {"share_bps": 0}}}],
            ["/steps/0/ticket_types/baby"],
        ),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(
    rival_show: ShowDesk, steps: list[Json], pointers: list[str]
) -> None:
    """With all that is wrong, and the old schedule stays."""
    response = schedule(rival_show, *steps)
    assert problem(response) == "invalid-request"
    assert [fault["pointer"] for fault in response.json()["errors"]] == pointers
    assert look(rival_show, "price-steps")["steps"] == []


@pytest.fixture(scope="module")
def rival_show(rival: FrontDesk) -> ShowDesk:
    """A show that no test here changes."""
    return rival.new_show()
