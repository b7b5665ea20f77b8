"""What holders of tickets choose when their show is cancelled or moved."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from engine.platform.database import create_engine
from engine.platform.settings import AUDITOR_ROLE
from ops.stack import Stack
from tests.api.by_hand import change_by_hand
from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem

_LATER = "2099-06-01T20:00:00Z"


def _bought(show: ShowDesk, count: int) -> list[str]:
    """Return orders, of the seats `A-1`, `A-2`, ..."""
    orders: list[str] = []
    for n in range(1, count + 1):
        sold = show.purchase(show.held(f"A-{n}", buyer=f"b-{n}"))
        assert sold.status_code == 201, sold.text
        orders.append(sold.json()["order"])
    return orders


def _upset(show: ShowDesk, action: str, **body: object) -> None:
    done = show.desk.post(f"{show.path}/{action}", body)
    assert done.status_code == 200, done.text


def _choose(show: ShowDesk, order: str, choice: str) -> Any:  # noqa: ANN401
    return show.desk.post(f"{show.path}/choices/{order}", {"choice": choice})


def _listed(show: ShowDesk) -> dict[str, Json]:
    page = show.desk.get(f"{show.path}/choices").json()
    return {one["order"]: one for one in page["choices"]}


def _owed(stack: Stack, order: str) -> list[str]:
    """Return why an order is to be refunded."""

    async def read() -> list[str]:
        engine = create_engine(stack.settings, AUDITOR_ROLE)
        async with engine.connect() as connection:
            query = text("SELECT reason FROM refund_requests WHERE order_id = CAST(:id AS uuid)")
            found = (await connection.execute(query, {"id": order[-32:]})).scalars().all()
        await engine.dispose()
        return list(found)

    return asyncio.run(read())


def _let_time_pass(stack: Stack, show: ShowDesk) -> None:
    """Put the end of the time to choose into the past."""
    over = text("UPDATE show_changes SET choose_by = now() WHERE show_id = :show")
    change_by_hand(stack.settings, over.bindparams(show=int(show.id[-16:], 16)))


def test_who_can_not_come_then_is_refunded_and_the_seat_is_sold_again(
    stack: Stack, show: ShowDesk
) -> None:
    """Once: the same choice again changes nothing, and nothing else can be chosen any more."""
    first, second, third = _bought(show, 3)
    _upset(show, "reschedule", starts_at=_LATER, note="The hall is flooded.")
    assert [one["choice"] for one in _listed(show).values()] == [None] * 3
    assert _choose(show, first, "refund").json()["choice"] == "refund"
    assert _choose(show, first, "refund").status_code == 200
    assert problem(_choose(show, first, "keep")) == "choice-refused"
    assert _choose(show, second, "keep").status_code == 200
    refused = _choose(show, third, "voucher")
    assert (problem(refused), refused.json()["reason"]) == ("choice-refused", "not-offered")
    assert _owed(stack, first) == ["rescheduled"]
    assert _owed(stack, second) == []
    told = {
        order: show.desk.get(f"/v1/orders/{order}").json()["status"] for order in (first, second)
    }
    assert told == {first: "returned", second: "confirmed"}
    assert show.desk.post(f"{show.path}/open", {}).status_code == 200
    until = time.monotonic() + 10
    while (sold := show.hold("A-1", buyer="b-9")).status_code != 201 and time.monotonic() < until:
        time.sleep(0.2)
    assert sold.status_code == 201, sold.text


def test_who_does_not_choose_gets_the_default(stack: Stack, show: ShowDesk) -> None:
    """After `choose_by`, once each; then it is too late to choose."""
    first, second, third = _bought(show, 3)
    in_a_week = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    _upset(show, "cancel", offered=["refund", "credit"], choose_by=in_a_week)
    assert _choose(show, first, "credit").status_code == 200
    _let_time_pass(stack, show)
    until = time.monotonic() + 15
    while not all(one["choice"] for one in _listed(show).values()) and time.monotonic() < until:
        time.sleep(0.2)
    told = {order: (one["choice"], one["by_default"]) for order, one in _listed(show).items()}
    assert told == {first: ("credit", False), second: ("refund", True), third: ("refund", True)}
    assert [_owed(stack, order) for order in (first, second)] == [[], ["cancelled"]]
    assert problem(_choose(show, second, "credit")) == "choice-refused"
    assert _choose(show, first, "refund").json()["reason"] == "over"
    status = show.desk.get(f"/v1/orders/{second}").json()["status"]
    assert status == "returned"


def test_only_what_was_sold_before_is_affected(desk: FrontDesk, show: ShowDesk) -> None:
    """An order of after, of another show, or of nobody has nothing to choose."""
    (before,) = _bought(show, 1)
    assert problem(_choose(show, before, "refund")) == "no-choice"
    _upset(show, "reschedule", starts_at=_LATER)
    assert show.desk.post(f"{show.path}/open", {}).status_code == 200
    after = show.purchase(show.held("A-2")).json()["order"]
    assert list(_listed(show)) == [before]
    assert problem(_choose(show, after, "refund")) == "no-choice"
    other = desk.new_show()
    assert problem(_choose(other, before, "refund")) == "order-not-found"


def test_the_list_comes_in_pages(show: ShowDesk) -> None:
    """In the order of the orders' ids, each once."""
    orders = _bought(show, 3)
    _upset(show, "cancel")
    first = show.desk.get(f"{show.path}/choices?limit=2").json()
    second = show.desk.get(f"{show.path}/choices?limit=2&cursor={first['next_cursor']}").json()
    listed = [one["order"] for one in first["choices"] + second["choices"]]
    assert listed == sorted(orders)
    assert second["next_cursor"] is None
    assert first["change"]["kind"] == "cancelled"


def test_what_is_offered_must_make_sense(show: ShowDesk) -> None:
    """All that is wrong is told at once, and nothing is changed."""
    body: Json = {
        "offered": ["keep", "voucher"],
        "default": "refund",
        "choose_by": "2020-01-01T00:00:00Z",
    }
    told = show.desk.post(f"{show.path}/cancel", body).json()
    pointers = {fault["pointer"] for fault in told["errors"]}
    assert pointers == {"/offered", "/default", "/choose_by", "/new_show"}
    moved = {"starts_at": "2020-06-01T20:00:00Z", "doors_at": "2020-06-02T20:00:00Z"}
    told = show.desk.post(f"{show.path}/reschedule", moved).json()
    assert "/doors_at" in {fault["pointer"] for fault in told["errors"]}
    assert show.desk.get(show.path).json()["state"] == "on_sale"


def test_who_took_credit_is_not_refunded_by_a_return(stack: Stack, show: ShowDesk) -> None:
    """The return says what was chosen; choosing a refund instead is the way, and then it is one."""
    [order] = _bought(show, 1)
    offered = ["refund", "credit"]
    _upset(show, "cancel", offered=offered, default="refund")
    assert _choose(show, order, "credit").status_code == 200
    returned = show.desk.http.post(f"/v1/orders/{order}/return")
    assert (problem(returned), returned.json()["choice"]) == ("order-compensated", "credit")
    assert show.desk.get(f"/v1/orders/{order}").json()["status"] == "confirmed"
    assert _owed(stack, order) == []
    assert _choose(show, order, "refund").status_code == 200
    returned = show.desk.http.post(f"/v1/orders/{order}/return")
    assert (returned.status_code, returned.json()["status"]) == (200, "returned")
    assert _owed(stack, order) == ["cancelled"]
