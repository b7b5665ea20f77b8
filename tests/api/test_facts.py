"""The log of facts over HTTP: everything once, in order, and only one's own."""

import time
from collections.abc import Callable

import pytest

from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem

_TOLD_WITHIN_S = 15.0


def _read(desk: FrontDesk, **query: object) -> Json:
    given = "&".join(f"{name}={value}" for name, value in query.items())
    response = desk.get(f"/v1/facts?{given}")
    assert response.status_code == 200, response.text
    return response.json()


def _until(desk: FrontDesk, is_there: Callable[[list[Json]], bool], **query: object) -> list[Json]:
    """Follow the log from its beginning until something is there; return all that was read."""
    until = time.monotonic() + _TOLD_WITHIN_S
    found: list[Json] = []
    page = _read(desk, **query)
    while True:
        found += page["facts"]
        if is_there(found):
            return found
        assert time.monotonic() < until, f"not told; only {found}"
        page = _read(desk, **(query | {"after": page["next_cursor"], "wait": 1}))


def _types(facts: list[Json]) -> list[str]:
    return [fact["type"] for fact in facts]


def test_an_orders_facts_come_in_their_order(show: ShowDesk) -> None:
    """Confirmed, sold, cancelled, returned: each once, about the order, with rising sequence."""
    bought = show.purchase(show.held("A-1", "A-2", areas={"floor": 1}))
    assert bought.status_code == 201, bought.text
    order = bought.json()
    response = show.desk.http.post(f"/v1/orders/{order['order']}/return")
    assert response.status_code == 200, response.text
    told = _until(show.desk, lambda found: len(found) >= 4, object=order["order"])
    assert _types(told) == ["order.confirmed", "seats.sold", "order.cancelled", "seats.returned"]
    confirmed, sold, cancelled, returned = told
    price = order["price"]
    assert confirmed["data"] == {
        "tickets": 3,
        "payment_reference": order["payment_reference"],
        "sold_by": None,
        **{name: value for name, value in price.items() if name != "lines"},
    }
    assert sold["data"] == {"seats": ["A-1", "A-2"], "areas": {"floor": 1}} == returned["data"]
    assert cancelled["data"] == {
        "reason": "returned",
        "show_change": None,
        "currency": price["currency"],
        "total": price["total"],
    }
    assert {fact["show"] for fact in told} == {show.id}
    sequences = [fact["sequence"] for fact in told]
    assert sequences == sorted(set(sequences))
    assert confirmed["occurred_at"] == order["sold_at"]
    assert len({fact["id"] for fact in told}) == 4
    assert all(fact["id"].startswith("fct_") for fact in told)


def test_pages_lead_through_the_log_and_filters_choose(show: ShowDesk) -> None:
    """Whatever the size of a page, all facts come in the same order."""
    for seat in ("A-3", "A-4"):
        assert show.purchase(show.held(seat, buyer=f"b-{seat}")).status_code == 201
    everything = _until(
        show.desk, lambda found: _types(found).count("seats.sold") == 2, show=show.id
    )
    by_one: list[Json] = []
    page = _read(show.desk, limit=1, show=show.id)
    while page["facts"]:
        assert len(page["facts"]) == 1
        by_one += page["facts"]
        page = _read(show.desk, limit=1, show=show.id, after=page["next_cursor"])
    assert not page["has_more"]
    assert by_one[: len(everything)] == everything
    chosen = _read(show.desk, show=show.id, type="seats.sold,order.failed")["facts"]
    assert chosen == [fact for fact in everything if fact["type"] == "seats.sold"]
    other = _read(show.desk, show=show.desk.new_show().id, type="seats.sold")
    assert (other["facts"], other["has_more"]) == ([], False)


def test_a_poll_waits_for_what_comes_next(show: ShowDesk) -> None:
    """And ends when there is something, or its time is over."""
    page = _read(show.desk, limit=500)
    while page["has_more"]:
        page = _read(show.desk, limit=500, after=page["next_cursor"])
    began = time.monotonic()
    page = _read(show.desk, after=page["next_cursor"], object="ord_dev_00", wait=1)
    assert (page["facts"], page["has_more"]) == ([], False)
    assert 0.9 < time.monotonic() - began < 8
    order = show.purchase(show.held("A-5")).json()["order"]
    began = time.monotonic()
    page = _read(show.desk, after=page["next_cursor"], object=order, wait=20)
    assert _types(page["facts"])[0] == "order.confirmed"
    assert time.monotonic() - began < 10


def test_nobody_reads_what_another_reseller_was_told(show: ShowDesk, rival: FrontDesk) -> None:
    """Neither by object, nor by show, nor by a cursor, which is as good as an invented one."""
    order = show.purchase(show.held("A-6")).json()["order"]
    told = _until(show.desk, bool, object=order)
    page = _read(show.desk, object=order)
    assert _read(rival, object=order)["facts"] == []
    assert _read(rival, show=show.id)["facts"] == []
    assert not {fact["id"] for fact in told} & {fact["id"] for fact in _read(rival)["facts"]}
    response = rival.get(f"/v1/facts?after={page['next_cursor']}")
    assert problem(response) == "invalid-request"


@pytest.mark.parametrize(
    "query",
    [
        "after=",
        "after=7",
        "after=cur_dev_",
        "after=cur_dev_" + 40 * "0",
        "after=cur_eu_" + 40 * "0",
        "after=" + 65 * "x",
        "after=%00",
        "limit=0",
        "limit=501",
        "limit=x",
        "type=",
        "type=order.confirmed,",
        "type=Order.Confirmed",
        "type=order.confirmed&type=seats.sold",
        "object=%00",
        "object=ord_dev_%27",
        "show=shw_dev_1",
        "wait=26",
        "wait=-1",
        "before=1",
    ],
)
def test_what_does_not_fit_is_refused(desk: FrontDesk, query: str) -> None:
    """With the parameter's name."""
    response = desk.get(f"/v1/facts?{query}")
    assert problem(response) == "invalid-request"
    assert response.json()["errors"][0]["parameter"] == query.partition("=")[0]


def test_head_tells_the_headers_alone(desk: FrontDesk) -> None:
    """As wherever there is a GET."""
    response = desk.http.head("/v1/facts")
    assert (response.status_code, response.content) == (200, b"")
