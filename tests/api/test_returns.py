"""An order is given back: once, whole, and its places are others' to buy."""

import time

import httpx

from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem

# A show's first return waits until no process refuses places of it from memory.
_ON_SALE_WITHIN_S = 10.0


def _bought(show: ShowDesk, *seats: str, key: str | None = None, **more: object) -> Json:
    response = show.purchase(show.held(*seats, **more), key=key)
    assert response.status_code == 201, response.text
    return response.json()


def _give_back(desk: FrontDesk, order: str) -> httpx.Response:
    return desk.http.post(f"/v1/orders/{order}/return")


def _given_back(show: ShowDesk, order: str) -> Json:
    """Give back all that is sold of a show, and wait until it is on sale again."""
    response = _give_back(show.desk, order)
    assert response.status_code == 200, response.text
    until = time.monotonic() + _ON_SALE_WITHIN_S
    while show.availability()["total"]["sold"]:
        assert time.monotonic() < until, "never on sale again"
        time.sleep(0.05)
    return response.json()


def test_a_returned_order_says_so_and_its_places_are_on_sale_again(show: ShowDesk) -> None:
    """Whatever it was for; the answer is the order's, without tickets."""
    order = _bought(show, "A-1", "A-2", areas={"floor": 5})
    assert problem(show.hold(areas={"floor": 1}, buyer="b-2")) == "area-short"
    given_back = _given_back(show, order["order"])
    assert given_back == {**order, "status": "returned", "tickets": []}
    assert show.desk.get(f"/v1/orders/{order['order']}").json() == given_back
    total = show.availability()["total"]
    assert (total["open"], total["held"], total["sold"], total["blocked"]) == (41, 0, 0, 0)
    assert _bought(show, "A-2", areas={"floor": 5}, buyer="b-2")["status"] == "confirmed"


def test_a_repeated_return_gets_the_same_answer_and_frees_nobody_elses_seat(
    show: ShowDesk,
) -> None:
    """However often it is asked for, and whoever has the seat by then."""
    order = _bought(show, "A-1")
    first = _given_back(show, order["order"])
    other = _bought(show, "A-1", buyer="b-2")
    assert [_give_back(show.desk, order["order"]).json() for _ in range(3)] == [first] * 3
    assert show.desk.get(f"/v1/orders/{other['order']}").json()["status"] == "confirmed"
    assert problem(show.hold("A-1", buyer="b-3")) == "seats-taken"


def test_the_keys_of_a_returned_order_still_lead_to_it(show: ShowDesk) -> None:
    """The purchase's says how it stands now; the hold's that it was purchased; neither is new."""
    hold = show.held("A-1", key="my-hold")
    order = show.purchase(hold, key="my-purchase").json()
    given_back = _given_back(show, order["order"])
    repeated = show.purchase(hold, key="my-purchase")
    assert (repeated.status_code, repeated.json()) == (201, given_back)
    assert problem(show.purchase(hold, key="another")) == "already-purchased"
    again = show.hold("A-1", key="my-hold").json()
    assert (again["status"], again["order"]) == ("purchased", order["order"])
    assert problem(show.release(hold)) == "already-purchased"
    assert show.availability()["total"]["sold"] == 0


def test_a_returned_order_no_longer_counts_for_its_buyer(desk: FrontDesk) -> None:
    """Who gave their tickets back may buy as many again."""
    show = desk.new_show(max_per_buyer=2, max_per_hold=2)
    order = _bought(show, "A-1", "A-2")
    assert problem(show.hold("A-3")) == "over-buyer-limit"
    _given_back(show, order["order"])
    assert show.hold("A-3", "A-4").status_code == 201


def test_only_ones_own_orders_can_be_returned(show: ShowDesk, rival: FrontDesk) -> None:
    """Another reseller's, a made-up one and one of a hold that was not bought are not found."""
    order = _bought(show, "A-1")
    held = show.hold("A-2").json()["hold"].replace("hld_", "ord_")
    for desk, named in ((rival, order["order"]), (show.desk, held), (show.desk, "ord_dev_x")):
        assert problem(_give_back(desk, named)) == "order-not-found", named
    assert show.desk.get(f"/v1/orders/{order['order']}").json() == order


def test_returned_places_that_the_house_withholds_later_are_blocked(show: ShowDesk) -> None:
    """A returned seat is one like any other."""
    order = _bought(show, "A-1")
    _given_back(show, order["order"])
    blocks = show.desk.post(f"{show.path}/blocks", {"seats": ["A-1"], "reason": "house"})
    assert blocks.status_code == 200, blocks.text
    assert problem(show.hold("A-1")) == "seats-taken"
