"""Venues and their configurations over HTTP: keep them, compare versions, see what conflicts."""

import secrets
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from ops.stack import Stack
from tests.api.by_hand import change_by_hand
from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem, small_plan

_TABLE = (
    "section,row,from,to,category,area,capacity\n"
    "Hall,A,1,6,VIP,,\nHall,B,1,10,Standard,,\n,,,,Standing,Floor,5\n"
)


def venue_body(**changes: Any) -> Json:  # noqa: ANN401 -- any field
    """Return a venue that fits."""
    body: Json = {
        "name": "Small hall",
        "address": {"line_1": "Domplatz 1", "postal_code": "99084", "city": "Erfurt"},
        "country": "DE",
        "latitude": 50.9767,
        "longitude": 11.0232,
        "time_zone": "Europe/Berlin",
        "contacts": [{"name": "Ada Abendroth", "email": "ada@hall.example.com"}],
        "accessibility": "Step-free.",
        "pictures": [{"url": "https://images.example.com/hall.jpg", "alt": "The hall, empty"}],
    }
    return body | changes


def _made(desk: FrontDesk, path: str, body: Json) -> Json:
    response = desk.post(path, body)
    assert response.status_code == 201, response.text
    looked = desk.get(response.headers["location"])
    assert looked.json() == response.json()
    return response.json()


def _configuration(desk: FrontDesk) -> Json:
    venue = _made(desk, "/v1/venues", venue_body())["venue"]
    return _made(desk, f"/v1/venues/{venue}/configurations", {"name": "Seated"})


@pytest.fixture
def configured(desk: FrontDesk) -> str:
    """The address of a configuration with one version: the small hall."""
    path = f"/v1/configurations/{_configuration(desk)['configuration']}"
    _made(desk, f"{path}/versions", {"plan": small_plan(rows=1), "valid_from": "2027-01-01"})
    return path


def _show(stack: Stack, desk: FrontDesk, configured: str, **changes: Any) -> ShowDesk:  # noqa: ANN401 -- any field
    """Put a show on sale that was made from the configuration's first version."""
    show = desk.new_show(plan=small_plan(rows=1), **changes)
    of_version = "configuration_id = :configuration, configuration_version = 1"
    _set(stack, show, of_version, configuration=_number(configured))
    return show


def _set(stack: Stack, show: ShowDesk, columns: str, **values: object) -> None:
    """Change a show's row, as no call does."""
    statement = text(f"UPDATE shows SET {columns} WHERE id = :show")  # noqa: S608 - ours
    change_by_hand(stack.settings, statement.bindparams(**values, show=_number(show.id)))


def _number(text_with_id: str) -> int:
    return int(text_with_id.rpartition("_")[2], 16)


def _faults(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 422, response.text
    return {fault["pointer"]: fault["reason"] for fault in response.json()["errors"]}


def test_a_venue_is_kept_listed_changed_and_made_once_per_key(desk: FrontDesk) -> None:
    """What was sent comes back; what a PATCH leaves out stays, and null clears."""
    key = secrets.token_hex(8)
    first = desk.post("/v1/venues", venue_body(name="Twice"), key=key)
    again = desk.post("/v1/venues", venue_body(name="Twice"), key=key)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    venue = first.json()["venue"]
    assert desk.get("/v1/venues?limit=1").json()["venues"][0]["venue"] == venue
    told = desk.get(f"/v1/venues/{venue}").json()
    assert {name: told[name] for name in ("latitude", "longitude", "time_zone", "country")} == {
        "latitude": 50.9767,
        "longitude": 11.0232,
        "time_zone": "Europe/Berlin",
        "country": "DE",
    }
    changed = desk.http.patch(
        f"/v1/venues/{venue}",
        json={"latitude": None, "longitude": None, "contacts": None, "accessibility": "Steps."},
    ).json()
    assert (changed["latitude"], changed["longitude"], changed["contacts"]) == (None, None, [])
    assert (changed["accessibility"], changed["name"]) == ("Steps.", "Twice")


def test_all_that_is_wrong_with_a_venue_is_told_at_once(desk: FrontDesk) -> None:
    """Each with its pointer: zone, country, coordinates, contacts, pictures."""
    body = venue_body(
        name="\u202e",
        address={"city": ""},
        country="XX",
        latitude=91,
        longitude=None,
        time_zone="Europe/Erfurt",
        contacts=[{"name": "", "email": "nobody"}],
        pictures=[{"url": "http://images.example.com/hall.jpg", "alt": "x" * 301}],
    )
    assert set(_faults(desk.post("/v1/venues", body))) == {
        *("/name", "/address/city", "/country", "/latitude", "/longitude", "/time_zone"),
        *("/contacts/0/name", "/contacts/0/email", "/pictures/0/url", "/pictures/0/alt"),
    }


def test_a_venue_that_is_not_public_is_nobodys_without_a_credential(desk: FrontDesk) -> None:
    """It is answered as what never was; its reseller sees it."""
    venue = _made(desk, "/v1/venues", venue_body())["venue"]
    told = httpx.get(f"{desk.http.base_url}/v1/venues/{venue}")
    assert (told.status_code, problem(told)) == (404, "venue-not-found")


def test_versions_come_by_plan_by_table_and_by_edits(desk: FrontDesk) -> None:
    """Each is the next, dated, told with its categories' capacity; the plan comes back as it is."""
    made = _configuration(desk)
    assert made["version"] is None
    path = f"/v1/configurations/{made['configuration']}"
    plan = small_plan(rows=1)
    first = _made(desk, f"{path}/versions", {"plan": plan, "valid_from": "2027-01-01"})
    assert (first["version"], first["seat_count"], first["capacity"]) == (1, 16, 21)
    assert [(c["price_level"], c["seats"], c["places"]) for c in first["categories"]] == [
        ("vip", 6, 0),
        ("standard", 10, 0),
        ("standing", 0, 5),
    ]
    assert desk.get(f"{path}/versions/1/seating-plan").json() == plan
    second = _made(desk, f"{path}/versions", {"table": _TABLE, "note": "by table"})
    assert (second["version"], second["capacity"], second["note"]) == (2, 21, "by table")
    edits = [{"edit": "set_capacity", "area": "floor", "capacity": 9}]
    third = _made(desk, f"{path}/versions", {"edits": edits, "based_on": 1})
    assert (third["version"], third["capacity"]) == (3, 25)
    listed = desk.get(f"{path}/versions?limit=2").json()
    assert [version["version"] for version in listed["versions"]] == [3, 2]
    rest = desk.get(f"{path}/versions?cursor={listed['next_cursor']}").json()
    assert ([v["version"] for v in rest["versions"]], rest["next_cursor"]) == ([1], None)
    assert desk.get(path).json()["version"] == 3
    facts = desk.get(f"/v1/facts?object={made['configuration']}").json()["facts"]
    assert [(fact["type"], fact["data"]["version"]) for fact in facts] == [
        ("configuration.version_added", n) for n in (1, 2, 3)
    ]


def test_a_plan_is_exported_with_its_attributes_and_once_per_tag(desk: FrontDesk) -> None:
    """As they came; who has it already is spared it, and a show's seats tell them."""
    plan = small_plan(rows=1)
    zone = plan["zones"][0]
    zone |= {"entrance": "West", "gate": "2"}
    seats = zone["rows"][0]["seats"]
    seats[0]["accessible"], seats[1]["companion_of"] = True, "A-1"
    seats[2]["restricted_view"] = True
    path = f"/v1/configurations/{_configuration(desk)['configuration']}/versions"
    _made(desk, path, {"plan": plan})
    told = desk.get(f"{path}/1/seating-plan")
    assert told.json() == plan
    again = desk.get(f"{path}/1/seating-plan", {"If-None-Match": told.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    show = desk.new_show(plan=plan)
    listed = {one["seat"]: one for one in desk.get(f"{show.path}/seats").json()["seats"]}
    assert (listed["A-1"]["accessible"], listed["A-2"]["companion_of"]) == (True, "A-1")
    assert listed["A-3"]["restricted_view"] is True
    assert {(seat["entrance"], seat["gate"]) for seat in listed.values()} == {("West", "2")}
    assert "accessible" not in listed["A-2"]


def test_what_no_plan_can_be_made_of_is_told_by_line_and_by_edit(
    desk: FrontDesk, configured: str
) -> None:
    """All faults at once; and a body names one source, no more and no fewer."""
    path = f"{configured}/versions"
    table = desk.post(path, {"table": "section,row,from,to,category\nA,1,5,1,One\nA,,x,1,One\n"})
    assert problem(table) == "invalid-seating-plan"
    assert [fault["reason"] for fault in table.json()["errors"]] == [
        "line 2: from is more than to: 5 and 1",
        "line 3: row is empty",
        "line 3: from is not a whole number: 'x'",
    ]
    edits = [
        {"edit": "remove_row", "zone": "Hall", "row": "Q"},
        {"edit": "set_capacity", "area": "bar", "capacity": 1},
    ]
    assert set(_faults(desk.post(path, {"edits": edits}))) == {"/edits/0/row", "/edits/1/area"}
    plan = small_plan(rows=1)
    plan["zones"][0]["rows"][0]["seats"][0]["companion_of"] = "Z-9"
    assert set(_faults(desk.post(path, {"plan": plan}))) == {
        "/plan/zones/0/rows/0/seats/0/companion_of"
    }
    for body in ({}, {"table": _TABLE, "edits": edits}, {"plan": plan, "table": _TABLE}):
        assert set(_faults(desk.post(path, body))) == {""}
    assert set(_faults(desk.post(path, {"table": _TABLE, "based_on": 1}))) == {"/based_on"}
    assert problem(desk.post(path, {"edits": edits, "based_on": 7})) == "version-not-found"


def test_differences_are_counted_first_and_come_in_pages(desk: FrontDesk, configured: str) -> None:
    """Of two versions in either direction."""
    edits = [
        {"edit": "remove_seats", "seats": ["B-1", "B-2"]},
        {"edit": "set_category", "category": "VIP", "seats": ["B-3"]},
        {"edit": "set_capacity", "area": "floor", "capacity": 3},
    ]
    _made(desk, f"{configured}/versions", {"edits": edits})
    told = desk.get(f"{configured}/differences?from=1&to=2&limit=3").json()
    assert told["counts"] == {
        "seat_removed": 2,
        "seat_category_changed": 1,
        "area_capacity_changed": 1,
    }
    rest = desk.get(f"{configured}/differences?from=1&to=2&cursor={told['next_cursor']}").json()
    listed = [*told["differences"], *rest["differences"]]
    assert [one.get("seat", one.get("area")) for one in listed] == ["B-1", "B-2", "B-3", "floor"]
    assert (listed[3]["before"]["capacity"], listed[3]["after"]["capacity"]) == (5, 3)
    assert rest["next_cursor"] is None
    back = desk.get(f"{configured}/differences?from=2&to=1").json()["counts"]
    assert back["seat_added"] == 2
    same = desk.get(f"{configured}/differences?from=2&to=2").json()
    assert (same["counts"], same["differences"]) == ({}, [])


def test_each_show_that_conflicts_is_named_with_what_would_vanish(
    stack: Stack, desk: FrontDesk, configured: str
) -> None:
    """Sold seats, held seats, an area below what is sold and held; a quiet show is not named."""
    busy = _show(stack, desk, configured, starts_at="2099-05-01T20:00:00Z")
    quiet = _show(stack, desk, configured, starts_at="2099-05-08T20:00:00Z")
    past = _show(stack, desk, configured, starts_at="2099-05-15T20:00:00Z")
    bought = busy.purchase(busy.held("B-1", "B-3", areas={"floor": 1}))
    assert bought.status_code in {201, 202}
    busy.held("B-2", buyer="b-2", areas={"floor": 2})
    past.held("B-1")
    _set(stack, past, "starts_at = now() - interval '1 year'")
    before = (busy.availability(), desk.get(f"{busy.path}/seating-plan").json())
    edits = [
        {"edit": "remove_seats", "seats": ["B-1", "B-2", "B-9"]},
        {"edit": "set_capacity", "area": "floor", "capacity": 2},
    ]
    told = desk.post(f"{configured}/conflicts", {"edits": edits})
    assert told.status_code == 200, told.text
    [conflict] = told.json()["shows"]
    assert (conflict["show"], conflict["held_known"]) == (busy.id, True)
    assert conflict["sold_seats"] == {"count": 1, "seats": ["B-1"]}
    assert conflict["held_seats"] == {"count": 1, "seats": ["B-2"]}
    assert conflict["areas"] == [{"area": "floor", "sold": 1, "held": 2, "capacity": 2}]
    assert (told.json()["looked_at"], told.json()["next_cursor"]) == (2, None)
    page = desk.post(f"{configured}/conflicts?limit=1", {"edits": edits}).json()
    assert page["next_cursor"] == busy.id
    assert desk.post(f"{configured}/conflicts?cursor={busy.id}", {"edits": edits}).json() == {
        "shows": [],
        "looked_at": 1,
        "next_cursor": None,
    }
    # The version that does it all the same changes none of them.
    added = _made(desk, f"{configured}/versions", {"edits": edits})
    assert desk.post(f"{configured}/conflicts", {"version": added["version"]}).json()["shows"]
    assert (busy.availability(), desk.get(f"{busy.path}/seating-plan").json()) == before
    assert quiet.hold("B-9").status_code == 201
    assert desk.post(f"{configured}/conflicts", {"version": 1}).json()["shows"] == []


def test_shows_that_overlap_are_told_by_conflicts_and_calendar(
    stack: Stack, desk: FrontDesk, configured: str
) -> None:
    """Whatever their configuration; three hours where nothing is said, gaps between the days."""
    first = _show(stack, desk, configured, starts_at="2099-05-01T18:00:00Z")
    copied = _made(desk, f"{configured}/copies", {"name": "Another"})
    other = f"/v1/configurations/{copied['configuration']}"
    assert copied["version"] == 1
    second = _show(stack, desk, other, starts_at="2099-05-01T20:59:00Z")
    third = _show(stack, desk, other, starts_at="2099-05-03T18:00:00Z")
    [conflict] = desk.post(f"{configured}/conflicts", {"version": 1}).json()["shows"]
    assert (conflict["show"], [one["show"] for one in conflict["overlaps"]]) == (
        first.id,
        [second.id],
    )
    venue = copied["venue"]
    calendar = desk.get(f"/v1/venues/{venue}/calendar?from=2099-04-30&to=2099-05-04").json()
    days = {day["day"][-2:]: [show["show"] for show in day["shows"]] for day in calendar["days"]}
    assert days == {"01": [first.id, second.id], "02": [second.id], "03": [third.id]}
    assert [(gap["from"][-2:], gap["to"][-2:], gap["days"]) for gap in calendar["gaps"]] == [
        ("30", "30", 1),
        ("04", "04", 1),
    ]
    assert calendar["days"][0]["shows"][0]["overlaps"] == [second.id]
    assert calendar["days"][0]["shows"][0]["ends_at"] == "2099-05-01T21:00:00Z"
    wrong = desk.get(f"/v1/venues/{venue}/calendar?from=2099-05-02&to=2099-05-01")
    assert wrong.json()["errors"][0]["parameter"] == "to"


def test_neither_is_archived_while_shows_are_to_come(
    stack: Stack, desk: FrontDesk, configured: str
) -> None:
    """They are named; what is archived gets no versions until it is taken back."""
    venue = f"/v1/venues/{desk.get(configured).json()['venue']}"
    show = _show(stack, desk, configured, starts_at="2099-05-01T20:00:00Z", name="Late night")
    for path in (configured, venue):
        refused = desk.post(f"{path}/archive", None)
        assert problem(refused) == "shows-to-come"
        assert refused.json()["shows"] == [
            {"show": show.id, "name": "Late night", "starts_at": "2099-05-01T20:00:00Z"}
        ]
        assert "Late night" in refused.json()["detail"]
    bare = _configuration(desk)
    path, its_venue = f"/v1/configurations/{bare['configuration']}", f"/v1/venues/{bare['venue']}"
    assert desk.post(f"{its_venue}/archive", None).json()["archived_at"] is not None
    assert problem(desk.post(f"{path}/versions", {"table": _TABLE})) == "configuration-archived"
    made = desk.post(f"{its_venue}/configurations", {"name": "Other"})
    assert problem(made) == "venue-not-found"
    archived = desk.get("/v1/venues?archived=true").json()["venues"]
    assert [one["venue"] for one in archived] == [bare["venue"]]
    assert desk.post(f"{its_venue}/restore", None).json()["archived_at"] is None
    assert desk.post(f"{path}/archive", None).json()["archived_at"] is not None
    assert problem(desk.post(f"{path}/versions", {"table": _TABLE})) == "configuration-archived"
    assert problem(desk.post(f"{path}/copies", {"name": "Copy"})) == "configuration-archived"
    assert desk.post(f"{path}/restore", None).json()["archived_at"] is None
    assert desk.post(f"{path}/versions", {"table": _TABLE}).status_code == 201


def test_anothers_venue_and_configuration_are_as_what_never_was(
    desk: FrontDesk, rival: FrontDesk, configured: str
) -> None:
    """By every call, with a body that fits."""
    told = desk.get(configured).json()
    never = f"/v1/configurations/{told['configuration'][:-8]}00000000"
    venue = f"/v1/venues/{told['venue']}"
    calls: list[tuple[str, str, Json | None]] = [
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("POST", "/archive", None),
        ("POST", "/restore", None),
        ("POST", "/copies", {"name": "Copy"}),
        ("POST", "/versions", {"table": _TABLE}),
        ("POST", "/versions", {"edits": [{"edit": "remove_area", "area": "floor"}]}),
        ("GET", "/versions", None),
        ("GET", "/versions/1", None),
        ("GET", "/versions/1/seating-plan", None),
        ("GET", "/differences?from=1&to=1", None),
        ("POST", "/conflicts", {"version": 1}),
    ]
    for method, path, body in calls:
        for address in (f"{configured}{path}", f"{never}{path}"):
            answer = rival.http.request(method, address, json=body)
            assert (answer.status_code, problem(answer)) == (404, "configuration-not-found"), path
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("POST", "/archive", None),
        ("GET", "/calendar?from=2027-01-01&to=2027-01-02", None),
        ("GET", "/configurations", None),
        ("POST", "/configurations", {"name": "Mine"}),
    ):
        answer = rival.http.request(method, f"{venue}{path}", json=body)
        assert (answer.status_code, problem(answer)) == (404, "venue-not-found"), path
    assert desk.get(configured).json() == told
