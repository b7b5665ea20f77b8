"""Allotments released to another reseller, over HTTP: who sells them, and all that stays apart."""

import pytest

from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem, small_plan

_PLACES: Json = {"seats": ["B-1", "B-2", "B-3", "C-1"], "areas": {"floor": 4}}


def _id_of(desk: FrontDesk) -> str:
    response = desk.get("/v1/allotments/received")
    assert response.status_code == 200, response.text
    return response.json()["reseller"]


def _release(show: ShowDesk, seller: FrontDesk, places: Json = _PLACES, **more: object) -> Json:
    body = {"name": "Rest", "for": [{"reseller": _id_of(seller)}], "places": places, **more}
    response = show.desk.post(f"{show.path}/allotments", body)
    assert response.status_code == 201, response.text
    return response.json()


@pytest.fixture
def released(desk: FrontDesk, rival: FrontDesk) -> tuple[ShowDesk, ShowDesk, Json]:
    """A show at its own counter and at the other's, and what was released of it."""
    show = desk.new_show(plan=small_plan(floor=10))
    return show, ShowDesk(rival, show.id), _release(show, rival)


def test_another_reseller_sells_what_was_released_to_it(
    released: tuple[ShowDesk, ShowDesk, Json],
) -> None:
    """With its own key; the order is the show's, which is told who sold it."""
    own, other, _ = released
    held = other.hold("B-1", "B-2", areas={"floor": 2}, buyer="b-1")
    assert held.status_code == 201, held.text
    assert held.json()["buyer"] == "b-1"
    bought = other.purchase(held.json()["hold"])
    assert (bought.status_code, bought.json()["status"]) == (201, "confirmed")
    order = bought.json()["order"]
    seller = _id_of(other.desk)
    for desk in (own.desk, other.desk):
        told = desk.get(f"/v1/orders/{order}")
        assert told.status_code == 200, told.text
        assert (told.json()["sold_by"], told.json()["buyer"]) == (seller, "b-1")
        assert len(told.json()["tickets"]) == 4
        listed = desk.get(f"{own.path}/orders").json()["orders"]
        assert [(one["order"], one["sold_by"], one["buyer"]) for one in listed] == [
            (order, seller, "b-1")
        ]
    facts = own.desk.get(f"/v1/facts?type=order.confirmed&show={own.id}").json()["facts"]
    assert [(one["object"], one["data"]["sold_by"]) for one in facts] == [(order, seller)]


def _floor(show: ShowDesk) -> tuple[int, ...]:
    [floor] = show.availability()["areas"]
    return tuple(floor[name] for name in ("capacity", "open", "held", "sold", "blocked"))


def test_it_is_told_of_nothing_but_what_was_released(
    released: tuple[ShowDesk, ShowDesk, Json],
) -> None:
    """The rest is blocked, whatever becomes of it; also to who knows a code of it."""
    own, other, _ = released
    code = {"name": "Fans", "for": [{"code": "FAN-CLUB"}], "places": {"seats": ["D-1"]}}
    assert own.desk.post(f"{own.path}/allotments", code).status_code == 201

    def told(**shown: str) -> tuple[str, tuple[int, ...], str]:
        response = other.desk.http.get(f"{other.path}/availability", params=shown)
        body = response.json()
        left = response.headers["onsale-available"]
        return body["seat_map"]["states"], _floor(other), left

    before = told()
    assert before[0].count("o") == 4
    assert before[0].strip("ob|") == ""
    assert before[1:] == ((10, 4, 0, 0, 6), "8")
    # The rest: held, sold, withheld, and let in by a code.
    sold = own.held("C-2", areas={"floor": 2}, buyer="b-2")
    assert own.purchase(sold).status_code == 201
    own.held("C-3", buyer="b-3")
    assert own.desk.post(f"{own.path}/blocks", {"seats": ["C-4"]}).status_code == 200
    assert told() == told(access_code="FAN-CLUB") == before
    assert own.availability()["seat_map"]["states"].count("s") == 1
    # Its own are told as they stand, to both of them.
    held = other.held("B-1", areas={"floor": 3})
    assert (told()[0].count("h"), told()[1]) == (1, (10, 1, 3, 0, 6))
    assert other.purchase(held).status_code == 201
    assert told()[0].count("s") == 1
    assert own.availability()["seat_map"]["states"].count("s") == 2
    seats = other.desk.get(f"{other.path}/seats").json()["seats"]
    stands = {one["seat"]: one["status"] for one in seats}
    assert {name for name, how in stands.items() if how != "blocked"} == set(_PLACES["seats"])
    assert (stands["B-1"], stands["B-2"], stands["C-2"]) == ("sold", "open", "blocked")


def test_it_may_hold_nothing_but_what_was_released(
    released: tuple[ShowDesk, ShowDesk, Json],
) -> None:
    """Refused as what somebody has; nothing tells why, and no code or channel helps."""
    own, other, _ = released
    rights = [{"code": "FAN-CLUB"}, {"channel": "web"}]
    fans = {"name": "Fans", "for": rights, "places": {"seats": ["D-1"]}}
    assert own.desk.post(f"{own.path}/allotments", fans).status_code == 201
    for seat, shown in (("C-2", {}), ("D-1", {"access_code": "FAN-CLUB", "channel": "web"})):
        refused = other.hold("B-1", seat, **shown)
        assert (refused.status_code, problem(refused)) == (409, "seats-taken")
        assert refused.json()["seats"] == [seat]
    short = other.hold(areas={"floor": 5})
    assert (problem(short), short.json()["areas"]) == ("area-short", {"floor": 4})
    best = {"price_level": "vip", "quantity": 1}
    assert problem(other.hold(best_available=best)) == "none-together"
    best = {"price_level": "standard", "quantity": 3}
    together = other.hold(best_available=best)
    assert (together.status_code, together.json()["seats"]) == (201, ["B-1", "B-2", "B-3"])
    hold = together.json()["hold"]
    assert problem(other.replace(hold, {"seats": ["B-4"]})) == "seats-taken"
    moved = other.replace(hold, {"seats": ["C-1"], "areas": {"floor": 4}})
    assert (moved.status_code, moved.json()["seats"]) == (200, ["C-1"])
    # Neither may its reseller, nor anybody else, while they are released.
    assert problem(own.hold("B-1", buyer="b-2")) == "seats-taken"
    assert problem(own.hold(areas={"floor": 7}, buyer="b-2")) == "area-short"
    assert other.release(hold).status_code == 204


def test_an_area_of_which_nothing_was_released_has_nothing(
    desk: FrontDesk, rival: FrontDesk
) -> None:
    """It is short by all; with a seat that is another's, that is what is told."""
    show = desk.new_show()
    other = ShowDesk(rival, show.id)
    _release(show, rival, {"seats": ["B-1"]})
    short = other.hold("B-1", areas={"floor": 1})
    assert (problem(short), short.json()["areas"]) == ("area-short", {"floor": 0})
    assert problem(other.hold("B-2", areas={"floor": 1})) == "seats-taken"
    assert other.hold("B-1").status_code == 201


def test_keys_and_buyers_of_two_resellers_are_not_the_same(
    desk: FrontDesk, rival: FrontDesk
) -> None:
    """The same names of both make two holds, two orders and two buyers, each with their limit."""
    show = desk.new_show(max_per_buyer=2)
    other = ShowDesk(rival, show.id)
    _release(show, rival, {"seats": ["B-1", "B-2", "B-3"]})
    mine = show.hold("C-1", "C-2", key="the-hold", buyer="ada")
    theirs = other.hold("B-1", "B-2", key="the-hold", buyer="ada")
    assert (mine.status_code, theirs.status_code) == (201, 201)
    assert mine.json()["hold"] != theirs.json()["hold"]
    over = other.hold("B-3", buyer="ada")
    assert (problem(over), over.json()["most"], over.json()["has"]) == ("over-buyer-limit", 2, 2)
    bought = [
        one.purchase(held.json()["hold"], key="the-purchase").json()
        for one, held in ((show, mine), (other, theirs))
    ]
    assert [one["status"] for one in bought] == ["confirmed", "confirmed"]
    assert [one["buyer"] for one in bought] == ["ada", "ada"]
    assert bought[0]["order"] != bought[1]["order"]
    again = other.purchase(theirs.json()["hold"], key="the-purchase")
    assert (again.status_code, again.json()) == (201, bought[1])
    reused = other.hold("B-3", key="the-hold", buyer="bob")
    assert problem(reused) == "key-reused"
    kept = show.desk.get("/v1/buyers/ada/export").json()["orders"]
    assert bought[0]["order"] in {one["order"] for one in kept}
    assert bought[1]["order"] not in {one["order"] for one in kept}


def test_neither_reaches_holds_and_orders_of_the_other(
    released: tuple[ShowDesk, ShowDesk, Json],
) -> None:
    """A hold is its maker's; an order is its maker's and the show's. The answer is as of none."""
    own, other, _ = released
    mine, theirs = own.held("C-2"), other.held("B-1")
    for at, hold in ((own, theirs), (other, mine)):
        selection = {"seats": ["B-2"]}
        for refused in (
            at.look(hold),
            at.replace(hold, selection),
            at.release(hold),
            at.purchase(hold),
        ):
            assert (refused.status_code, problem(refused)) == (404, "hold-not-found")
    sold, theirs_sold = own.purchase(mine).json()["order"], other.purchase(theirs).json()["order"]
    never = f"{sold[:-8]}{'0' * 8}"
    told: list[Json] = []
    for order in (sold, never):
        path = f"/v1/orders/{order}"
        for refused in (other.desk.get(path), other.desk.post(f"{path}/return", {})):
            assert (refused.status_code, problem(refused)) == (404, "order-not-found")
            told.append(refused.json() | {"instance": "", "request_id": ""})
    assert all(one == told[0] for one in told)
    listed = other.desk.get(f"{other.path}/orders").json()["orders"]
    assert [one["order"] for one in listed] == [theirs_sold]
    for cursor in (sold, never):
        assert other.desk.get(f"{other.path}/orders?cursor={cursor}").status_code == 422
    # The show's reseller pages over the orders of both.
    first = own.desk.get(f"{own.path}/orders?limit=1").json()
    second = own.desk.get(f"{own.path}/orders?limit=1&cursor={first['next_cursor']}").json()
    assert [one["order"] for one in (*first["orders"], *second["orders"])] == [theirs_sold, sold]
