"""Every call of the selling table, as a reseller's system makes it."""

from datetime import datetime

import pytest

from tests.api.front_desk import FrontDesk, ShowDesk, problem


def test_a_hold_names_its_places_deadline_and_itemised_price(show: ShowDesk) -> None:
    """Money is in minor units, every line adds up, and the deadline is the ttl away."""
    response = show.hold("A-1", "A-2", areas={"floor": 1}, ttl_s=120)
    assert response.status_code == 201
    hold = response.json()
    assert response.headers["location"] == f"{show.path}/holds/{hold['hold']}"
    assert (hold["status"], hold["seats"], hold["areas"]) == ("held", ["A-1", "A-2"], {"floor": 1})
    assert (hold["buyer"], hold["show"]) == ("b-1", show.id)
    assert hold["expires_at"].endswith("Z")
    price = hold["price"]
    assert price["currency"] == "EUR"
    # 3.5 % of 90.00 and 0.79 is a fee of 3.94; 19 % of 93.94 is 17.85.
    assert price["lines"][0] == {
        "price_level": "vip",
        "ticket_type": "standard",
        "area": None,
        "quantity": 2,
        "unit": {"face_value": 9000, "fee": 394, "tax": 1785, "discount": 0, "total": 11179},
        "total": 22358,
    }
    assert (price["lines"][1]["area"], price["lines"][1]["quantity"]) == ("floor", 1)
    assert price["total"] == sum(line["total"] for line in price["lines"])
    assert price["total"] == price["face_value"] + price["fee"] + price["tax"] - price["discount"]


def test_the_best_available_seats_are_next_to_each_other(show: ShowDesk) -> None:
    """Two of the VIP row, side by side, and none is left alone."""
    response = show.hold(best_available={"price_level": "vip", "quantity": 2})
    first, second = sorted(int(seat.partition("-")[2]) for seat in response.json()["seats"])
    assert second == first + 1
    assert first in {1, 3, 5}


def test_a_mix_is_held_together_or_not_at_all(show: ShowDesk) -> None:
    """A selection with one place too many leaves everything as it was."""
    refused = show.hold(
        "B-1", areas={"floor": 6}, best_available={"price_level": "vip", "quantity": 2}
    )
    assert problem(refused) == "area-short"
    assert show.availability()["total"]["held"] == 0
    held = show.hold(
        "B-1", areas={"floor": 2}, best_available={"price_level": "vip", "quantity": 2}
    )
    assert held.status_code == 201
    assert show.availability()["total"]["held"] == 5


def test_a_hold_can_be_looked_at_and_released_more_than_once(show: ShowDesk) -> None:
    """Releasing is the same answer again; afterwards the seats are open and the hold is gone."""
    hold = show.held("B-1")
    assert show.look(hold).json()["status"] == "held"
    assert [show.release(hold).status_code for _ in range(2)] == [204, 204]
    assert problem(show.look(hold)) == "hold-released"
    assert show.hold("B-1").status_code == 201


def test_a_selection_is_replaced_and_keeps_its_deadline(show: ShowDesk) -> None:
    """The old seats go back on sale in the same step."""
    before = show.hold("B-1", "B-2").json()
    response = show.replace(before["hold"], {"seats": ["B-2", "B-3"], "areas": {"floor": 1}})
    assert response.status_code == 200
    after = response.json()
    assert (after["seats"], after["areas"]) == (["B-2", "B-3"], {"floor": 1})
    assert after["expires_at"] == before["expires_at"]
    assert show.hold("B-1", buyer="b-2").status_code == 201


def test_a_refused_replacement_keeps_the_old_seats(show: ShowDesk) -> None:
    """Who can't get better seats has not lost theirs."""
    show.held("B-1", buyer="b-2")
    hold = show.held("C-1")
    refused = show.replace(hold, {"seats": ["B-1", "B-2"]})
    assert problem(refused) == "seats-taken"
    assert refused.json()["seats"] == ["B-1"]
    assert show.look(hold).json()["seats"] == ["C-1"]


def test_a_second_hold_inherits_the_earliest_deadline(show: ShowDesk) -> None:
    """Nobody keeps seats for longer by holding more of them."""
    first = show.hold("B-1", ttl_s=60).json()
    second = show.hold("B-2", ttl_s=3600).json()
    assert second["expires_at"] == first["expires_at"]


def test_a_purchase_is_confirmed_with_tickets_and_can_be_read_as_an_order(show: ShowDesk) -> None:
    """201 comes once the order is in the ledger; the order says the same for ever."""
    hold = show.held("A-1", "B-1", areas={"floor": 2})
    response = show.purchase(hold, payment_reference="pay-ü")
    assert response.status_code == 201, response.text
    order = response.json()
    assert order["status"] == "confirmed"
    assert order["hold"] == hold
    assert [(t["seat"], t["area"], t["price_level"]) for t in order["tickets"]] == [
        ("A-1", None, "vip"),
        ("B-1", None, "standard"),
        (None, "floor", "standing"),
        (None, "floor", "standing"),
    ]
    assert len({t["ticket"] for t in order["tickets"]}) == 4
    assert response.headers["location"] == f"/v1/orders/{order['order']}"
    read = show.desk.get(response.headers["location"])
    assert read.json() == order
    assert order["payment_reference"] == "pay-ü"
    looked = show.look(hold).json()
    assert (looked["status"], looked["order"]) == ("purchased", order["order"])
    assert problem(show.release(hold)) == "already-purchased"


def test_own_shows_are_listed_newest_first_page_by_page(rival: FrontDesk) -> None:
    """Following the cursor meets every show once."""
    made = [rival.new_show(name=f"Night {n}").id for n in range(3)]
    first = rival.get("/v1/shows?limit=2").json()
    assert [show["show"] for show in first["shows"]] == made[:0:-1]
    second = rival.get(f"/v1/shows?limit=2&cursor={first['next_cursor']}").json()
    assert second["shows"][0]["show"] == made[0]
    met: list[str] = []
    cursor = ""
    while True:
        page = rival.get(f"/v1/shows?limit=1{cursor}").json()
        met += [show["show"] for show in page["shows"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(met) == len(set(met)) >= 3


def test_a_show_tells_its_rules_levels_and_areas(show: ShowDesk) -> None:
    """Times come back in UTC, and every price is itemised."""
    told = show.desk.get(show.path).json()
    assert told["starts_at"] == "2099-05-01T18:00:00Z"
    assert (told["seat_count"], told["capacity"], told["tax_bps"]) == (36, 41, 1900)
    assert {level["price_level"] for level in told["price_levels"]} == {
        "vip",
        "standard",
        "standing",
    }
    assert told["areas"] == [
        {"area": "floor", "name": "floor", "price_level": "standing", "capacity": 5}
    ]


@pytest.mark.parametrize(
    ("query", "seats"),
    [
        ("status=held", {"B-1", "B-2"}),
        ("status=sold", {"A-1"}),
        ("status=blocked", {"C-9", "C-10"}),
        ("price_level=vip", {f"A-{n}" for n in range(1, 7)}),
        ("status=open&price_level=vip", {f"A-{n}" for n in range(2, 7)}),
        ("price_max=11178&status=sold", set[str]()),
        ("price_max=11179&status=sold", {"A-1"}),
    ],
)
def test_seats_are_filtered(told_apart: ShowDesk, query: str, seats: set[str]) -> None:
    """By how they stand, by level, and by what they cost all-in."""
    page = told_apart.desk.get(f"{told_apart.path}/seats?{query}").json()
    assert {seat["seat"] for seat in page["seats"]} == seats


def test_every_seat_is_listed_once_over_the_pages(told_apart: ShowDesk) -> None:
    """With place, number, state and price."""
    seats: list[str] = []
    cursor = ""
    while True:
        page = told_apart.desk.get(f"{told_apart.path}/seats?limit=7{cursor}").json()
        seats += [seat["seat"] for seat in page["seats"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seats) == len(set(seats)) == 36
    states = told_apart.availability()["seat_map"]["states"]
    for seat in told_apart.desk.get(f"{told_apart.path}/seats").json()["seats"]:
        assert states[seat["position"]] == seat["status"][0]


def test_the_seating_plan_comes_back_as_it_was(desk: FrontDesk, show: ShowDesk) -> None:
    """A plan that was exported can be put on sale again."""
    plan = desk.get(f"{show.path}/seating-plan").json()
    again = desk.new_show(plan=plan)
    assert desk.get(f"{again.path}/seating-plan").json() == plan


def test_the_house_withholds_and_gives_back(show: ShowDesk) -> None:
    """Withheld places can't be held, until they are given back."""
    blocked = show.desk.post(
        f"{show.path}/blocks", {"seats": ["B-1"], "areas": {"floor": 4}, "reason": "camera"}
    )
    assert blocked.status_code == 200, blocked.text
    assert show.availability()["total"]["blocked"] == 5
    assert problem(show.hold("B-1")) == "seats-taken"
    short = show.hold(areas={"floor": 2})
    assert (problem(short), short.json()["areas"]) == ("area-short", {"floor": 1})
    given_back = show.desk.post(
        f"{show.path}/blocks/release", {"seats": ["B-1"], "areas": {"floor": 4}}
    )
    assert given_back.status_code == 200
    assert given_back.json()["inventory_version"] > blocked.json()["inventory_version"]
    assert show.hold("B-1", areas={"floor": 2}).status_code == 201


def test_a_deadline_is_the_ttl_away_to_the_second(show: ShowDesk) -> None:
    """Measured on the server's own Date header."""
    response = show.hold("B-1", ttl_s=3600)
    expires = datetime.fromisoformat(response.json()["expires_at"])
    answered = datetime.strptime(
        response.headers["date"].replace("GMT", "+0000"), "%a, %d %b %Y %H:%M:%S %z"
    )
    assert abs((expires - answered).total_seconds() - 3600) < 3


@pytest.fixture
def told_apart(show: ShowDesk) -> ShowDesk:
    """A show with seats in every state."""
    show.desk.post(f"{show.path}/blocks", {"seats": ["C-9", "C-10"]})
    show.held("B-1", "B-2")
    assert show.purchase(show.held("A-1", buyer="b-2")).status_code == 201
    return show
