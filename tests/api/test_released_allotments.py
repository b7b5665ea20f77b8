"""Allotments released to another reseller, over HTTP: who sells them, and all that stays apart."""

import asyncio
import time

import pytest

from engine.platform.database import create_engine
from engine.platform.ids import EntityId
from engine.platform.settings import OWNER_ROLE, Settings
from engine.tenancy.accounts import Status, set_status
from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem, small_plan
from tests.api.test_buyers import end

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


def test_what_is_held_by_the_end_stays_its_own(
    released: tuple[ShowDesk, ShowDesk, Json],
) -> None:
    """It is bought, or goes to everybody; nothing more is held, and what was sold is still told."""
    own, other, made = released
    held, kept = other.held("B-1", areas={"floor": 1}), other.held("B-2", buyer="b-2")
    ended = own.desk.http.delete(f"/v1/allotments/{made['allotment']}")
    assert ended.status_code == 200, ended.text
    assert problem(other.hold("B-3", buyer="b-3")) == "seats-taken"
    assert problem(other.replace(held, {"seats": ["B-1"]})) == "seats-taken"
    short = other.hold(areas={"floor": 1}, buyer="b-3")
    assert (problem(short), short.json()["areas"]) == ("area-short", {"floor": 0})
    best = {"price_level": "standard", "quantity": 1}
    assert problem(other.hold(best_available=best, buyer="b-3")) == "none-together"
    assert own.hold("B-3", buyer="b-3").status_code == 201
    assert (other.look(held).status_code, other.release(kept).status_code) == (200, 204)
    order = other.purchase(held).json()
    assert order["status"] == "confirmed"
    told = other.availability()
    assert set(told["seat_map"]["states"]) == {"b", "|"}
    assert (told["total"]["open"], told["total"]["sold"]) == (0, 0)
    assert other.desk.get(f"/v1/orders/{order['order']}").json() == order
    shown = other.desk.get(other.path)
    assert (shown.status_code, shown.json()["name"]) == (200, "First night")
    [first, *_] = other.desk.get("/v1/allotments/received").json()["allotments"]
    assert (first["allotment"], first["ended_at"] is None) == (made["allotment"], False)


def test_both_are_told_what_was_released(released: tuple[ShowDesk, ShowDesk, Json]) -> None:
    """The one by the show's allotments, the other by what it has received; codes are in neither."""
    own, other, made = released
    code = {"reseller": _id_of(other.desk)}, {"code": "FAN-CLUB"}
    body = {"name": "More", "for": code, "places": {"seats": ["D-1"]}, "until": "2098-01-01T00:00Z"}
    assert own.desk.post(f"{own.path}/allotments", body).status_code == 422
    body["until"] = "2098-01-01T00:00:00Z"
    more = own.desk.post(f"{own.path}/allotments", body).json()
    assert more["resellers"] == [_id_of(other.desk)]
    first = other.desk.get("/v1/allotments/received?limit=1").json()
    [told] = first["allotments"]
    assert told == {
        "allotment": more["allotment"],
        "released_by": _id_of(own.desk),
        "show": own.id,
        "show_name": "First night",
        "venue": "Small hall",
        "starts_at": "2099-05-01T18:00:00Z",
        "state": "on_sale",
        "name": "More",
        "places": {"seats": ["D-1"]},
        "seats": 1,
        "places_in_areas": 0,
        "begins_at": None,
        "ends_at": "2098-01-01T00:00:00Z",
        "released_at": more["made_at"],
        "ended_at": None,
    }
    after = other.desk.get(f"/v1/allotments/received?limit=1&cursor={first['next_cursor']}").json()
    assert [one["allotment"] for one in after["allotments"]] == [made["allotment"]]
    assert own.desk.get("/v1/allotments/received").json()["allotments"] == []
    assert other.desk.get(f"/v1/allotments/{made['allotment']}").status_code == 404
    shown = other.desk.get(other.path).json()
    hidden = ("event", "configuration", "configuration_version", "follows", "next_price_step")
    assert {shown[name] for name in hidden} == {None}
    assert other.held("D-1")


def test_a_third_reseller_is_told_nothing(
    released: tuple[ShowDesk, ShowDesk, Json], stack: Stack
) -> None:
    """Neither of the show nor of what was released, nor of what was sold of it."""
    own, other, _ = released
    order = other.purchase(other.held("B-1")).json()["order"]
    third = FrontDesk(stack.base_url, asyncio.run(new_key(stack.settings, "Third")))
    with third.http:
        at = ShowDesk(third, own.id)
        refused = [third.get(at.path), at.hold("B-2"), third.get(f"{at.path}/orders")]
        assert [problem(one) for one in refused] == ["show-not-found"] * 3
        assert problem(third.get(f"/v1/orders/{order}")) == "order-not-found"
        assert third.get("/v1/allotments/received").json()["allotments"] == []


def test_what_it_sold_is_returned_by_either(released: tuple[ShowDesk, ShowDesk, Json]) -> None:
    """The places are open again, to the same: the allotment lives on."""
    own, other, _ = released
    for at, seat in ((other, "B-1"), (own, "B-2")):
        order = other.purchase(other.held(seat)).json()["order"]
        back = at.desk.post(f"/v1/orders/{order}/return", {})
        assert (back.status_code, back.json()["status"]) == (200, "returned")
        assert other.desk.get(f"/v1/orders/{order}").json()["status"] == "returned"
    assert problem(own.hold("B-1")) == "seats-taken"
    deadline = time.monotonic() + 15
    while other.hold("B-1", buyer="b-2").status_code != 201:
        assert time.monotonic() < deadline, "not open again"
        time.sleep(0.1)
    states = other.desk.get(f"{other.path}/orders?state=returned").json()["orders"]
    assert len(states) == 2
    # Which of the other's people it was, and from where, is not told to the show's reseller.
    told = own.desk.get(f"/v1/trail?object={own.id}&limit=200").json()["entries"]
    returns = [one for one in told if one["table"] == "orders" and one["action"] == "changed"]
    assert len(returns) == 2
    by_seller = [one for one in returns if one["actor"].startswith("seller:")]
    assert [one["address"] for one in by_seller] == [""]


def test_a_batch_of_another_reseller_is_of_what_was_released(
    released: tuple[ShowDesk, ShowDesk, Json],
) -> None:
    """Each command is judged as one that came alone."""
    _, other, _ = released
    hold = other.held("B-1")
    commands = [
        {"op": "hold", "key": "k-1", "buyer": "b-2", "seats": ["B-2"]},
        {"op": "hold", "key": "k-2", "buyer": "b-2", "seats": ["C-2"]},
        {"op": "purchase", "key": "k-3", "hold": hold, "payment_reference": "pay-1"},
    ]
    done = other.desk.post(f"{other.path}/batch", {"commands": commands})
    assert done.status_code == 200, done.text
    assert [one["status"] for one in done.json()["answers"]] == [201, 409, 201]


_NO_SELLERS: list[tuple[Json, str]] = [
    ({"reseller": "rsl_dev_0123456789abcdef"}, "/for/0/reseller"),
    ({"reseller": "shw_dev_0123456789abcdef"}, "/for/0/reseller"),
    ({"reseller": "rsl_dev_0123456789abcdef", "code": "FAN-CLUB"}, "/for/0"),
]


@pytest.mark.parametrize(("right", "pointer"), _NO_SELLERS)
def test_who_is_no_other_reseller_gets_nothing(desk: FrontDesk, right: Json, pointer: str) -> None:
    """Told by where it stands, and nothing is made; one's own id is none either."""
    show = desk.new_show()
    for named, at in ((right, pointer), ({"reseller": _id_of(desk)}, "/for/0/reseller")):
        body = {"name": "Rest", "for": [named], "places": {"seats": ["B-1"]}}
        refused = desk.post(f"{show.path}/allotments", body)
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")
        assert [one["pointer"] for one in refused.json()["errors"]] == [at]
    assert show.hold("B-1").status_code == 201


async def _suspend(settings: Settings, *desks: FrontDesk) -> None:
    ids = [int(_id_of(desk).rpartition("_")[2], 16) for desk in desks]
    owner = create_engine(settings, OWNER_ROLE)
    try:
        for one in ids:
            assert await set_status(owner, EntityId(one), Status.SUSPENDED)
    finally:
        await owner.dispose()


def test_nothing_is_sold_for_who_is_suspended_nor_released_to_them(stack: Stack) -> None:
    """Their shows are unknown to others, too; and they are told as no reseller."""
    keys = [asyncio.run(new_key(stack.settings, f"Short-lived {n}")) for n in range(3)]
    first, second, third = (FrontDesk(stack.base_url, key) for key in keys)
    with first.http, second.http, third.http:
        show = first.new_show()
        _release(show, second, {"seats": ["B-1"]})
        seller = _id_of(third)
        asyncio.run(_suspend(stack.settings, first, third))
        assert problem(ShowDesk(second, show.id).hold("B-1")) == "show-not-found"
        assert second.get("/v1/allotments/received").json()["allotments"] == []
        body = {"name": "Rest", "for": [{"reseller": seller}], "places": {"seats": ["B-1"]}}
        own = second.new_show()
        refused = second.post(f"{own.path}/allotments", body)
        assert (refused.status_code, problem(refused)) == (422, "invalid-request")


def test_what_it_sold_is_told_when_the_show_is_archived(
    released: tuple[ShowDesk, ShowDesk, Json],
) -> None:
    """From the ledger alone; nothing is sold any more, and that is what it is told."""
    own, other, _ = released
    order = other.purchase(other.held("B-1")).json()
    for step in ("close", "archive"):
        assert own.desk.post(f"{own.path}/{step}", {}).status_code == 200
    assert other.desk.get(f"/v1/orders/{order['order']}").json() == order
    assert problem(other.hold("B-2")) == "not-on-sale"
    assert set(other.availability()["seat_map"]["states"]) == {"b", "o", "s", "|"}
    listed = other.desk.get(f"{other.path}/orders").json()["orders"]
    assert [one["order"] for one in listed] == [order["order"]]
    told = other.look(order["hold"])
    assert (told.status_code, told.json()["buyer"]) == (200, "b-1")


def test_who_sold_to_a_buyer_exports_and_forgets_them(
    released: tuple[ShowDesk, ShowDesk, Json], stack: Stack
) -> None:
    """Also what they hold and bought of another's show; the show's reseller has a namesake."""
    own, other, _ = released
    order = other.purchase(other.held("B-1", buyer="b-parting")).json()["order"]
    other.held("B-2", buyer="b-parting")
    namesake = own.purchase(own.held("C-2", buyer="b-parting")).json()["order"]
    exported = other.desk.get("/v1/buyers/b-parting/export").json()
    [bought], [held] = exported["orders"], exported["holds"]
    assert (bought["order"], [one["label"] for one in bought["tickets"]]) == (order, ["B-1"])
    assert (held["show"], held["tickets"]) == (own.id, 1)
    own_export = own.desk.get("/v1/buyers/b-parting/export").json()
    assert [one["order"] for one in own_export["orders"]] == [namesake]
    assert own_export["holds"] == []

    def forgotten() -> tuple[int, int]:
        done = other.desk.http.delete("/v1/buyers/b-parting").json()
        return done["orders_changed"], done["orders_left"]

    assert forgotten() == (0, 1)
    end(stack, own)
    assert forgotten() == (1, 0)
    told = own.desk.get(f"/v1/orders/{order}").json()
    assert told["buyer"].startswith("erased-")
    trail = own.desk.get(f"/v1/trail?object={own.id}&limit=200").json()["entries"]
    changed = [one for one in trail if (one["table"], one["action"]) == ("orders", "changed")]
    assert [one["actor"].split(":")[0] for one in changed] == ["seller"]
    assert [one["address"] for one in changed] == [""]
    assert told["sold_by"] == _id_of(other.desk)
    assert own.desk.get(f"/v1/orders/{namesake}").json()["buyer"] == "b-parting"
    assert other.desk.get(f"/v1/orders/{order}").json()["status"] == "confirmed"
