"""A show's orders are listed as they were sold, the last first, and only to who sold them."""

from typing import Any

import pytest

from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem


@pytest.fixture(scope="module")
def sold(desk: FrontDesk) -> tuple[ShowDesk, list[str]]:
    """A show with five orders, of which the second is returned."""
    show = desk.new_show()
    orders: list[str] = []
    for n, seats in enumerate((("A-1",), ("B-1", "B-2"), ("B-4",), ("C-1",), ("C-3",))):
        bought = show.purchase(show.held(*seats, buyer=f"b-{n}"), payment_reference=f"pay-{n}")
        assert bought.status_code == 201, bought.text
        orders.append(bought.json()["order"])
    assert desk.http.post(f"/v1/orders/{orders[1]}/return").status_code == 200
    return show, orders


def _list(show: ShowDesk, **query: Any) -> Json:  # noqa: ANN401 - any parameter
    answer = show.desk.http.get(f"{show.path}/orders", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _named(page: Json) -> list[str]:
    return [one["order"] for one in page["orders"]]


def test_orders_come_in_pages_the_last_sold_first(sold: tuple[ShowDesk, list[str]]) -> None:
    """No order is missed or told twice, also if more is sold between two pages."""
    show, orders = sold
    first = _list(show, limit=2)
    assert _named(first) == orders[:2:-1]
    extra = show.purchase(show.held("D-1", buyer="late")).json()["order"]
    second = _list(show, limit=2, cursor=first["next_cursor"])
    last = _list(show, limit=2, cursor=second["next_cursor"])
    assert (_named(second), _named(last)) == (orders[2:0:-1], orders[:1])
    assert last["next_cursor"] is None
    assert _named(_list(show))[0] == extra
    orders.append(extra)


def test_an_order_in_a_list_is_what_it_is_by_itself(sold: tuple[ShowDesk, list[str]]) -> None:
    """One that was given back has what was sold, too."""
    show, orders = sold
    listed = {one["order"]: one for one in _list(show)["orders"]}
    assert set(listed) == set(orders)
    for order in orders[:2]:
        one, whole = listed[order], show.desk.get(f"/v1/orders/{order}").json()
        for name in ("status", "buyer", "sold_at", "payment_reference"):
            assert one[name] == whole[name]
        for name in ("currency", "face_value", "fee", "tax", "discount", "total"):
            assert one[name] == whole["price"][name]
    assert [listed[order]["tickets"] for order in orders[:2]] == [1, 2]


def test_a_list_is_of_a_state_and_of_a_time(sold: tuple[ShowDesk, list[str]]) -> None:
    """From a moment on, and before another."""
    show, orders = sold
    assert _named(_list(show, state="returned")) == [orders[1]]
    assert orders[1] not in _named(_list(show, state="confirmed"))
    assert _named(_list(show, state="failed")) == []
    third = next(one for one in _list(show)["orders"] if one["order"] == orders[2])["sold_at"]
    assert _named(_list(show, to=third)) == [orders[1], orders[0]]
    assert _named(_list(show, **{"from": third}))[-1] == orders[2]
    assert _named(_list(show, **{"from": "9999-12-31T23:59:59Z"})) == []


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday", "to=2027-01-01T10:00:00", "from=0001-01-01T00:00:00%2B10:00",
        "state=recording", "cursor=x", "limit=0", "colour=red",
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused(sold: tuple[ShowDesk, list[str]], query: str) -> None:
    """By the name of the parameter."""
    show, _ = sold
    refused = show.desk.get(f"{show.path}/orders?{query}")
    assert problem(refused) == "invalid-request"
    assert refused.json()["errors"][0]["parameter"] == query.partition("=")[0]


def test_orders_are_those_of_ones_own_shows(
    sold: tuple[ShowDesk, list[str]], rival: FrontDesk
) -> None:
    """Also by a cursor of another show's."""
    show, orders = sold
    assert problem(rival.get(f"{show.path}/orders")) == "show-not-found"
    other = show.desk.new_show()
    assert _list(other)["orders"] == []
    refused = show.desk.get(f"{other.path}/orders?cursor={orders[0]}")
    assert problem(refused) == "invalid-request"


def test_nothing_is_open_of_a_show_that_is_over(desk: FrontDesk) -> None:
    """What nobody bought is withheld, in counts, seat map and header; they still add up."""
    show = desk.new_show()
    assert show.purchase(show.held("A-1", areas={"floor": 2})).status_code == 201
    before = desk.get(f"{show.path}/availability").json()
    assert desk.post(f"{show.path}/cancel", {}).status_code == 200
    answer = desk.get(f"{show.path}/availability")
    told = answer.json()
    assert before["total"] | {"open": 0, "blocked": before["total"]["open"]} == told["total"]
    assert (told["total"]["sold"], set(told["seat_map"]["states"])) == (3, set("sb|"))
    assert answer.headers["onsale-available"] == "0"
    seats = desk.get(f"{show.path}/seats").json()["seats"]
    assert {one["status"] for one in seats} == {"sold", "blocked"}
