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
