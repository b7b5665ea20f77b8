"""Tickets of several types: children at half price, a companion free, and who may not."""

from typing import Any

import pytest

from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem

CHILD = {"ticket_type": "child", "name": "Up to 14", "kind": "child", "max_per_hold": 3}
COMPANION = {
    "ticket_type": "companion",
    "name": "Companion",
    "kind": "companion",
    "price_levels": ["standard", "standing"],
}
GROUP = {"ticket_type": "group", "name": "Five and more", "kind": "group", "min_per_hold": 5}
PRICED = {
    "child": {"share_bps": 5000, "prices": {"vip": 4444}},
    "companion": {"share_bps": 0},
    "group": {"share_bps": 9000},
}


def put(show: ShowDesk, what: str, body: Json) -> Any:  # noqa: ANN401 - a response
    """Put one of the three that prices are made of."""
    return show.desk.http.put(f"{show.path}/{what}", json=body)


@pytest.fixture(scope="module")
def typed(desk: FrontDesk) -> ShowDesk:
    """A show with three ticket types, sold at its second price version."""
    show = desk.new_show(max_per_hold=10, max_per_buyer=100)
    told = put(show, "ticket-types", {"ticket_types": [CHILD, COMPANION, GROUP]})
    assert told.status_code == 200, told.text
    prices = {"vip": 9000, "standard": 3000, "standing": 2000}
    body = {"after_version": 1, "prices": prices, "ticket_types": PRICED}
    told = put(show, "prices", body)
    assert told.status_code == 200, told.text
    return show


def lines(price: Json) -> list[tuple[str, str, str | None, int, int]]:
    """Return level, type, area, quantity and face value of each line."""
    return [
        (
            line["price_level"],
            line["ticket_type"],
            line["area"],
            line["quantity"],
            line["unit"]["face_value"],
        )
        for line in price["lines"]
    ]


def test_each_place_has_its_types_price_from_hold_to_ticket(typed: ShowDesk) -> None:
    """Seats, places and the best available in one hold; the same in quote, order and tickets."""
    held = typed.hold(
        "B-1",
        "A-1",
        "B-2",
        areas={"floor": 2},
        best_available={"price_level": "standard", "quantity": 2},
        ticket_types={
            "child": {"seats": ["A-1", "B-2"], "best_available": 1},
            "companion": {"areas": {"floor": 1}},
        },
    )
    assert held.status_code == 201, held.text
    hold = held.json()
    assert lines(hold["price"]) == [
        ("vip", "child", None, 1, 4444),
        ("standard", "standard", None, 2, 3000),
        ("standard", "child", None, 2, 1500),
        ("standing", "companion", "floor", 1, 0),
        ("standing", "standard", "floor", 1, 2000),
    ]
    types = hold["ticket_types"]
    assert {"A-1", "B-2"} < set(types["child"]["seats"])
    assert types["companion"] == {"seats": [], "areas": {"floor": 1}}
    assert types["standard"]["areas"] == {"floor": 1}
    order = typed.purchase(hold["hold"]).json()
    assert sorted(lines(order["price"])) == sorted(lines(hold["price"]))
    told = {(t["seat"], t["area"], t["ticket_type"]) for t in order["tickets"]}
    assert ("A-1", None, "child") in told
    assert (None, "floor", "companion") in told
    recorded = typed.desk.get(f"/v1/orders/{order['order']}").json()
    assert sorted(lines(recorded["price"])) == sorted(lines(hold["price"]))
    assert recorded["tickets"] == order["tickets"]
    assert recorded["price"]["total"] == sum(line["total"] for line in order["price"]["lines"])


def test_a_hold_without_types_is_told_none(typed: ShowDesk) -> None:
    """Nor is one that names the standard type only: both are the same hold."""
    plain = typed.hold("C-1", buyer="plain").json()
    named = typed.hold("C-3", buyer="n", ticket_types={"standard": {"seats": ["C-3"]}}).json()
    assert "ticket_types" not in plain
    assert "ticket_types" not in named
    assert lines(named["price"]) == [("standard", "standard", None, 1, 3000)]


def test_other_types_are_another_body(typed: ShowDesk) -> None:
    """A replay has the same types; a replacement may change nothing but them."""
    child: Json = {"child": {"seats": ["C-5"]}}
    first = typed.hold("C-5", buyer="r", key="typed-replay", ticket_types=child)
    again = typed.hold("C-5", buyer="r", key="typed-replay", ticket_types=child)
    assert first.json() == again.json()
    assert problem(typed.hold("C-5", buyer="r", key="typed-replay")) == "key-reused"
    replaced = typed.replace(first.json()["hold"], {"seats": ["C-5"]})
    assert lines(replaced.json()["price"]) == [("standard", "standard", None, 1, 3000)]
    back = typed.replace(first.json()["hold"], {"seats": ["C-5"], "ticket_types": child})
    assert lines(back.json()["price"]) == [("standard", "child", None, 1, 1500)]
    assert typed.look(first.json()["hold"]).json() == back.json()


def test_a_batch_and_a_single_hold_are_one_command(typed: ShowDesk) -> None:
    """Types count in a batch's command as in a request of its own."""
    body = {"seats": ["C-7"], "buyer": "bb", "ticket_types": {"child": {"seats": ["C-7"]}}}
    command = {"op": "hold", "key": "typed-batch", **body}
    batch = typed.desk.post(f"{typed.path}/batch", {"commands": [command]})
    told = batch.json()["answers"][0]
    alone = typed.desk.post(f"{typed.path}/holds", body, key="typed-batch")
    assert told == {"status": 201, "body": alone.json()}
    assert lines(told["body"]["price"]) == [("standard", "child", None, 1, 1500)]


@pytest.mark.parametrize(
    ("types", "pointers"),
    [
        ({"child": {"seats": ["B-9"]}}, {"/ticket_types/child/seats/0"}),
        ({"child": {"areas": {"floor": 2}}}, {"/ticket_types/child/areas/floor"}),
        ({"child": {"best_available": 1}}, {"/ticket_types/child/best_available"}),
        ({"child": {}}, {"/ticket_types/child"}),
        (
            {"child": {"seats": ["D-1"]}, "companion": {"seats": ["D-1"], "best_available": 1}},
            {"/ticket_types/companion/seats/0", "/ticket_types/companion/best_available"},
        ),
    ],
)
def test_types_are_of_what_is_selected(typed: ShowDesk, types: Json, pointers: set[str]) -> None:
    """All that is named beside the selection, or twice, at once."""
    response = typed.hold("D-1", areas={"floor": 1}, ticket_types=types)
    assert problem(response) == "invalid-request"
    assert {fault["pointer"] for fault in response.json()["errors"]} == pointers


def test_what_the_show_does_not_sell_so_is_told_at_once(typed: ShowDesk) -> None:
    """An unknown type, one that is not for the level, too many and too few: four faults."""
    response = typed.hold(
        *("A-2", "D-1", "D-2", "D-3", "D-4", "D-5"),
        ticket_types={
            "pensioner": {"seats": ["D-1"]},
            "companion": {"seats": ["A-2"]},
            "child": {"seats": ["D-2", "D-3"]},
            "group": {"seats": ["D-4", "D-5"]},
        },
    )
    assert problem(response) == "ticket-types-refused"
    assert [fault["pointer"] for fault in response.json()["errors"]] == [
        "/ticket_types/companion/seats/0",
        "/ticket_types/group",
        "/ticket_types/pensioner",
    ]
    four = {"seats": ["D-1", "D-2", "D-3", "D-4"]}
    response = typed.hold(*four["seats"], ticket_types={"child": four})
    assert problem(response) == "ticket-types-refused"
    assert typed.hold("D-1", buyer="still-open").status_code == 201


def test_a_show_tells_what_its_types_cost(typed: ShowDesk) -> None:
    """Each level with the types that are offered in it."""
    told = typed.desk.get(typed.path).json()
    offered = {
        level["price_level"]: {t["ticket_type"]: t["price"] for t in level["ticket_types"]}
        for level in told["price_levels"]
    }
    assert offered["vip"].keys() == {"child", "group"}
    assert offered["standard"].keys() == {"child", "companion", "group"}
    assert offered["vip"]["child"]["face_value"] == 4444
    assert offered["standing"]["companion"]["face_value"] == 0
    assert told["price_version"] == 2


def test_a_returned_order_is_told_at_its_types_prices(typed: ShowDesk) -> None:
    """What it is paid back by is what was paid."""
    child: Json = {"child": {"seats": ["C-9"]}}
    order = typed.purchase(typed.held("C-9", "C-10", buyer="gone", ticket_types=child)).json()
    given = typed.desk.http.post(f"/v1/orders/{order['order']}/return")
    assert given.json()["status"] == "returned"
    assert lines(given.json()["price"]) == [
        ("standard", "child", None, 1, 1500),
        ("standard", "standard", None, 1, 3000),
    ]


@pytest.mark.parametrize(
    ("types", "pointers"),
    [
        ([CHILD, CHILD], {"/ticket_types/1/ticket_type"}),
        (
            [COMPANION | {"price_levels": ["gold"], "min_per_hold": 4, "max_per_hold": 2}],
            {"/ticket_types/0/price_levels/0", "/ticket_types/0/min_per_hold"},
        ),
        (
            [{"ticket_type": "standard", "name": "Adult", "kind": "adult", "max_per_hold": 1}],
            {"/ticket_types/0"},
        ),
    ],
)
def test_types_that_cannot_be_are_refused(
    typed: ShowDesk, types: list[Json], pointers: set[str]
) -> None:
    """And the types stay what they were."""
    before = typed.desk.get(f"{typed.path}/ticket-types").json()
    response = put(typed, "ticket-types", {"ticket_types": types})
    assert problem(response) == "invalid-request"
    assert {fault["pointer"] for fault in response.json()["errors"]} == pointers
    assert typed.desk.get(f"{typed.path}/ticket-types").json() == before


def test_a_type_is_offered_once_it_has_a_price_and_no_longer_when_left_out(
    desk: FrontDesk,
) -> None:
    """And who holds one keeps it at its price."""
    show = desk.new_show()
    child: Json = {"child": {"seats": ["B-1"]}}
    put(show, "ticket-types", {"ticket_types": [CHILD]})
    assert problem(show.hold("B-1", ticket_types=child)) == "ticket-types-refused"
    prices = {"vip": 9000, "standard": 3000, "standing": 2000}
    share = {"child": {"share_bps": 3333}}
    put(show, "prices", {"after_version": 1, "prices": prices, "ticket_types": share})
    hold = show.hold("B-1", ticket_types=child)
    assert lines(hold.json()["price"]) == [("standard", "child", None, 1, 1000)]
    put(show, "ticket-types", {"ticket_types": []})
    put(show, "prices", {"after_version": 2, "prices": prices})
    refused = show.hold("B-3", buyer="b-2", ticket_types={"child": {"seats": ["B-3"]}})
    assert problem(refused) == "ticket-types-refused"
    order = show.purchase(hold.json()["hold"]).json()
    assert order["status"] == "confirmed"
    assert lines(order["price"]) == [("standard", "child", None, 1, 1000)]
