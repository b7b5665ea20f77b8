"""Allotments over HTTP: who may hold places that are not for all, and what others are told."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem, small_plan
from tests.api.live_watcher import watching

_CODE = {"code": "FAN-CLUB"}


def _allot(show: ShowDesk, *rights: Json, key: str | None = None, **more: object) -> Json:
    body = {"name": "Fan club", "for": rights or (_CODE,), **more}
    response = show.desk.post(f"{show.path}/allotments", body, key=key)
    assert response.status_code == 201, response.text
    return response.json()


def _end(show: ShowDesk, allotment: Json) -> Json:
    response = show.desk.http.delete(f"/v1/allotments/{allotment['allotment']}")
    assert response.status_code == 200, response.text
    return response.json()


def _counts(show: ShowDesk, allotment: Json) -> Json:
    response = show.desk.get(f"/v1/allotments/{allotment['allotment']}")
    assert response.status_code == 200, response.text
    return response.json()["counts"]


def _states(show: ShowDesk, **shown: str) -> str:
    response = show.desk.http.get(f"{show.path}/availability", params=shown)
    assert response.status_code == 200, response.text
    return response.json()["seat_map"]["states"]


def test_a_seat_of_an_allotment_is_taken_to_who_lacks_the_code(desk: FrontDesk) -> None:
    """Refused as a seat that somebody has; held with the code; anybody's once it has ended."""
    show = desk.new_show()
    made = _allot(show, places={"seats": ["B-1", "B-2", "B-3"]})
    refused = show.hold("B-1", "C-1")
    assert (refused.status_code, problem(refused)) == (409, "seats-taken")
    assert refused.json()["seats"] == ["B-1"]
    assert problem(show.hold("B-1", access_code="FAN-CLUBS")) == "seats-taken"
    held = show.hold("B-1", "C-1", access_code="fan club")
    assert held.status_code == 201, held.text
    assert _counts(show, made) == {"capacity": 3, "sold": 0, "held": 1, "blocked": 0, "open": 2}
    ended = _end(show, made)
    assert ended["ended_by"] == "request"
    assert show.hold("B-2", buyer="b-2").status_code == 201
    assert show.purchase(held.json()["hold"]).json()["status"] == "confirmed"
    assert _counts(show, made) == {"capacity": 3, "sold": 1, "held": 1, "blocked": 0, "open": 1}


def test_an_allotment_is_told_as_blocked_but_to_who_has_the_right(
    desk: FrontDesk,
) -> None:
    """Seat map, counts, listing: open to who shows the code or comes by the channel."""
    show = desk.new_show()
    _allot(show, _CODE, {"channel": "box-office"}, places={"price_levels": ["vip"]})
    assert _states(show)[1:7] == "bbbbbb"
    for shown in ({"access_code": "FANCLUB"}, {"channel": "box-office"}):
        assert _states(show, **shown)[1:7] == "oooooo"
    assert "o" not in _states(show, access_code="FANCLUP", channel="web")[1:7]
    vip = next(one for one in show.availability()["price_levels"] if one["price_level"] == "vip")
    assert (vip["capacity"], vip["blocked"], vip["open"]) == (6, 6, 0)
    seats = desk.get(f"{show.path}/seats?price_level=vip&status=open&access_code=FANCLUB").json()
    assert len(seats["seats"]) == 6
    best = {"price_level": "vip", "quantity": 2}
    assert problem(show.hold(best_available=best)) == "none-together"
    together = show.hold(best_available=best, channel="box-office")
    assert (together.status_code, together.json()["seats"]) == (201, ["A-3", "A-4"])
    assert problem(show.hold(best_available=best)) == "none-together"
    bad = desk.get(f"{show.path}/availability?code=FANCLUB")
    assert (bad.status_code, problem(bad)) == (422, "invalid-request")


def test_an_allotment_returns_its_places_by_itself(desk: FrontDesk) -> None:
    """Within a second or so of `until`, with a fact."""
    show = desk.new_show()
    until = datetime.now(UTC) + timedelta(seconds=1.5)
    made = _allot(show, places={"all": True}, until=until.isoformat())
    assert problem(show.hold("B-1")) == "seats-taken"
    deadline = time.monotonic() + 15
    while "b" in _states(show):
        assert time.monotonic() < deadline, "not returned"
        time.sleep(0.1)
    assert show.hold("B-1").status_code == 201
    told = desk.get(f"/v1/allotments/{made['allotment']}").json()
    assert told["ended_by"] == "time"
    facts = desk.get("/v1/facts?type=allotment.made,allotment.ended").json()
    assert [one["type"] for one in facts["facts"]][-2:] == ["allotment.made", "allotment.ended"]


def test_a_personal_code_is_good_for_its_buyer_alone(desk: FrontDesk) -> None:
    """So that the limit per buyer bounds what it can take; also when a selection is changed."""
    show = desk.new_show(max_per_buyer=2)
    made = _allot(show, {"personal_codes": True}, places={"seats": ["B-1", "B-2", "B-3"]})
    path = f"/v1/allotments/{made['allotment']}/codes"
    first, again = (desk.post(path, {"buyers": ["ada", "bob"]}).json()["codes"] for _ in range(2))
    assert first == again
    codes = {one["buyer"]: one["code"] for one in first}
    assert problem(show.hold("B-1", buyer="bob", access_code=codes["ada"])) == "seats-taken"
    hold = show.held("B-1", buyer="ada", access_code=codes["ada"])
    assert show.replace(hold, {"seats": ["B-2"]}).status_code == 409
    assert show.replace(hold, {"seats": ["B-2"], "access_code": codes["bob"]}).status_code == 409
    moved = show.replace(hold, {"seats": ["B-2"], "access_code": codes["ada"]})
    assert (moved.status_code, moved.json()["seats"]) == (200, ["B-2"])
    over = show.hold("B-1", "B-3", buyer="ada", access_code=codes["ada"])
    assert problem(over) == "over-buyer-limit"
    shown = {"access_code": codes["ada"], "buyer": "ada"}
    assert _states(show, **shown).count("b") == 0
    assert _states(show, **shown | {"buyer": "bob"}).count("b") == 2


def test_what_is_held_sold_or_anothers_is_refused_by_name(desk: FrontDesk) -> None:
    """Nothing is made then. What the house withholds may be given to a code."""
    show = desk.new_show()
    show.held("B-1")
    assert desk.post(f"{show.path}/blocks", {"seats": ["B-4", "B-5"]}).status_code == 200
    _allot(show, places={"seats": ["B-2"]})
    body = {"name": "More", "for": [_CODE], "places": {"seats": ["B-1", "B-3"]}}
    refused = desk.post(f"{show.path}/allotments", body)
    assert (refused.status_code, problem(refused)) == (409, "allotment-refused")
    assert refused.json()["seats"] == ["B-1"]
    body["places"] = {"seats": ["B-2"]}
    assert desk.post(f"{show.path}/allotments", body).json()["seats"] == ["B-2"]
    assert _states(show).count("b") == 3
    made = _allot(show, {"code": "HOUSE"}, places={"seats": ["B-4"]})
    assert show.hold("B-4", access_code="HOUSE").status_code == 201
    assert problem(show.hold("B-5", access_code="HOUSE")) == "seats-taken"
    assert desk.post(f"{show.path}/blocks", {"seats": ["A-1"]}).status_code == 200
    rest = _allot(show, {"code": "REST"}, places={"price_levels": ["vip"]})
    assert rest["seats"] == 5  # what the house withholds stays its own
    assert _end(show, made)["ended_by"] == "request"
    listed = desk.get(f"{show.path}/allotments?limit=2").json()
    assert [one["name"] for one in listed["allotments"]] == ["Fan club", "Fan club"]
    assert listed["next_cursor"] == "2"


def _floor(show: ShowDesk, **shown: str) -> tuple[int, int, int, int]:
    told = show.desk.http.get(f"{show.path}/availability", params=shown).json()["areas"]
    assert len(told) == 1
    return tuple(told[0][name] for name in ("capacity", "open", "held", "blocked"))


def test_places_of_an_area_are_a_share_of_it_until_they_return(desk: FrontDesk) -> None:
    """Told and sold under its name; what is open returns at once, what is held once it opens."""
    show = desk.new_show(plan=small_plan(floor=10))
    made = _allot(show, places={"areas": {"floor": 6}})
    assert (_floor(show), _floor(show, access_code="FANCLUB")) == ((10, 4, 0, 6), (10, 10, 0, 0))
    short = show.hold(areas={"floor": 5})
    assert (problem(short), short.json()["areas"]) == ("area-short", {"floor": 4})
    fans = show.hold(areas={"floor": 4}, buyer="b-2", access_code="FANCLUB")
    assert (fans.status_code, fans.json()["areas"]) == (201, {"floor": 4})
    bought = show.purchase(fans.json()["hold"]).json()
    assert {one["seat"] or one["area"] for one in bought["tickets"]} == {"floor"}
    held = show.held(areas={"floor": 1}, buyer="b-3", access_code="FANCLUB")
    # None of the share is enough for these, so it is the places for everybody that give them.
    more = show.hold(areas={"floor": 3}, buyer="b-4", access_code="FANCLUB")
    assert more.status_code == 201
    assert _counts(show, made) == {"capacity": 6, "sold": 4, "held": 1, "blocked": 0, "open": 1}
    assert _floor(show) == (10, 1, 4, 1)
    assert _end(show, made)["ended_at"]
    assert _floor(show) == (10, 2, 4, 0)
    assert show.release(held).status_code == 204
    deadline = time.monotonic() + 15
    while show.hold(areas={"floor": 3}, buyer="b-5").status_code != 201:
        assert time.monotonic() < deadline, "not returned"
        time.sleep(0.1)
    assert _floor(show) == (10, 0, 6, 0)


def test_a_presale_is_of_all_places_and_ends_with_the_public_on_sale(desk: FrontDesk) -> None:
    """Also of areas; nobody may hold before it begins; what the house withholds is not in it."""
    show = desk.new_show()
    assert desk.post(f"{show.path}/blocks", {"areas": {"floor": 2}}).status_code == 200
    begins = datetime.now(UTC) + timedelta(seconds=2)
    times = {"from": begins.isoformat(), "until": "2098-01-01T00:00:00Z"}
    made = _allot(show, places={"all": True}, **times)
    assert (made["seats"], made["places_in_areas"]) == (36, 3)
    assert problem(show.hold("B-1", access_code="FANCLUB")) == "seats-taken"
    assert show.availability()["total"]["open"] == 0
    time.sleep(max((begins - datetime.now(UTC)).total_seconds(), 0))
    assert show.hold("B-1", areas={"floor": 3}, access_code="FANCLUB").status_code == 201
    assert problem(show.hold("B-2")) == "seats-taken"
    assert problem(show.hold(areas={"floor": 1})) == "area-short"
    _end(show, made)
    assert show.hold("B-2").status_code == 201
    house = _allot(show, {"code": "HOUSE"}, places={"withheld_areas": {"floor": 2}})
    assert house["places_in_areas"] == 2
    assert problem(show.hold(areas={"floor": 1}, buyer="b-3")) == "area-short"
    given = show.hold(areas={"floor": 2}, buyer="b-3", access_code="HOUSE")
    assert given.status_code == 201, given.text
    edit = {"kind": "set_capacity", "area": "floor", "capacity": 9}
    assert desk.post(f"{show.path}/edits", {"edits": [edit]}).status_code == 200
    assert _floor(show) == (9, 4, 5, 0)
    edit["capacity"] = 4
    assert desk.post(f"{show.path}/edits", {"edits": [edit]}).status_code == 409


_SENSELESS: list[tuple[Json, str]] = [
    ({"places": {}}, "/places"),
    ({"for": [{}]}, "/for/0"),
    ({"for": [{"code": "A-B-C"}]}, "/for/0/code"),
    ({"for": [{"code": "ABCD", "channel": "web"}]}, "/for/0"),
    ({"from": "2030-01-01T00:00:00Z", "until": "2030-01-01T00:00:00Z"}, "/until"),
    ({"places": {"seats": ["B-1", "B-1"]}}, "/places/seats/1"),
]


@pytest.mark.parametrize(("change", "pointer"), _SENSELESS)
def test_what_makes_no_sense_is_refused(desk: FrontDesk, change: Json, pointer: str) -> None:
    """With where it stands."""
    body = {"name": "Fans", "for": [_CODE], "places": {"all": True}, **change}
    show = desk.new_show()
    refused = desk.post(f"{show.path}/allotments", body)
    assert (refused.status_code, problem(refused)) == (422, "invalid-request")
    assert refused.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("places", "pointer"),
    [
        ({"seats": ["Z-1"]}, "/places/seats"),
        ({"areas": {"floor": 1}, "withheld_areas": {"roof": 1}}, "/places/withheld_areas/roof"),
        ({"areas": {"roof/2": 1}}, "/places/areas/roof~12"),
        ({"price_levels": ["vip", "gold"]}, "/places/price_levels"),
    ],
)
def test_places_that_there_are_not_are_told_by_where_they_are_named(
    desk: FrontDesk, places: Json, pointer: str
) -> None:
    """In the body that came."""
    body = {"name": "Fans", "for": [_CODE], "places": places}
    refused = desk.post(f"{desk.new_show().path}/allotments", body)
    assert refused.status_code == 422
    assert [one["pointer"] for one in refused.json()["errors"]] == [pointer]


def test_a_show_that_is_cancelled_gets_no_allotment(desk: FrontDesk) -> None:
    """Also where it was on sale when it was asked for last."""
    show = desk.new_show()
    show.held("B-1")
    assert desk.post(f"{show.path}/cancel", {}).status_code == 200
    body = {"name": "Fans", "for": [_CODE], "places": {"seats": ["B-2"]}}
    refused = desk.post(f"{show.path}/allotments", body)
    assert (refused.status_code, problem(refused)) == (409, "transition-refused")


@pytest.mark.parametrize("name", ["access_code", "channel", "buyer"])
def test_what_a_read_shows_has_no_control_characters(desk: FrontDesk, name: str) -> None:
    """Whichever address it is."""
    show = desk.new_show()
    for path in ("availability", "seats"):
        shown = {"access_code": "FANCLUB", name: "a\x00"}
        refused = desk.http.get(f"{show.path}/{path}", params=shown)
        assert problem(refused) == "invalid-request"


def test_who_watches_is_told_of_it_as_blocked(desk: FrontDesk) -> None:
    """In a new snapshot when it is made, and when a place of it opens again."""
    show = desk.new_show()
    path = f"{show.path}/live?token={desk.post(f'{show.path}/live/tokens', {}).json()['token']}"
    with watching(str(desk.http.base_url), path, {}) as watcher:
        watcher.until("snapshot")
        _allot(show, places={"seats": ["A-1"], "areas": {"floor": 3}})
        watcher.until("snapshot")
        assert (watcher.states[1], watcher.areas["floor"]["blocked"]) == ("b", 3)
        held = show.held("A-1", areas={"floor": 2}, access_code="FANCLUB")
        watcher.until("delta")
        floor = {"area": "floor", "open": 2, "held": 2, "sold": 0, "blocked": 1}
        assert (watcher.states[1], watcher.areas) == ("h", {"floor": floor})
        assert show.release(held).status_code == 204
        watcher.until("delta")
        assert (watcher.states[1], watcher.areas["floor"]["blocked"]) == ("b", 3)


def test_who_guesses_codes_is_made_to_wait(desk: FrontDesk) -> None:
    """By buyer, so that nobody is shut out by another; right codes are no guesses."""
    show = desk.new_show()
    _allot(show, places={"seats": ["B-1", "B-2"]})
    for n in range(20):
        assert problem(show.hold("B-1", buyer="eve", access_code=f"GUESS-{n}")) == "seats-taken"
        assert "o" in _states(show, access_code="FANCLUB", buyer="bob")
    waits = show.hold("B-1", buyer="eve", access_code="FANCLUB")
    assert (waits.status_code, problem(waits)) == (429, "rate-limited")
    assert int(waits.headers["retry-after"]) <= 5
    assert show.hold("B-1", buyer="bob", access_code="FANCLUB").status_code == 201


def _two_floors() -> Json:
    plan = small_plan(floor=4)
    [floor] = plan["zones"][0]["areas"]
    plan["zones"][0]["areas"].append(floor | {"area_id": "balcony", "position": {"x": 0, "y": 195}})
    return plan


def test_each_area_gives_of_its_share_if_that_has_enough(desk: FrontDesk) -> None:
    """Else of what is for everybody, whatever another area of the same selection gives of."""
    show = desk.new_show(plan=_two_floors())
    _allot(show, places={"areas": {"floor": 4, "balcony": 1}})
    wanted = {"floor": 1, "balcony": 2}
    held = show.hold(areas=wanted, access_code="FANCLUB")
    assert (held.status_code, held.json()["areas"]) == (201, wanted), held.text
    short = show.hold(areas={"floor": 4, "balcony": 1}, buyer="b-2", access_code="FANCLUB")
    assert problem(short) == "area-short"
    assert short.json()["areas"] == {"floor": 0}


def test_all_of_a_show_is_also_what_of_an_area_is_named(desk: FrontDesk) -> None:
    """Naming what the house withholds there, or a part, leaves no place to everybody."""
    show = desk.new_show(plan=_two_floors())
    assert desk.post(f"{show.path}/blocks", {"areas": {"floor": 3}}).status_code == 200
    places = {"all": True, "withheld_areas": {"floor": 2}, "areas": {"balcony": 1}}
    made = _allot(show, places=places)
    assert (made["seats"], made["places_in_areas"]) == (36, 7)
    assert problem(show.hold(areas={"floor": 1})) == "area-short"
    assert problem(show.hold(areas={"balcony": 1})) == "area-short"
