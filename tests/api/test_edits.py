"""Edits of a show's map over HTTP: what is sold from then on, and what is refused by name."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem
from tests.api.live_watcher import watching

_FEWER = {"kind": "set_capacity", "area": "floor", "capacity": 3}


def _edit(show: ShowDesk, *edits: Json, key: str | None = None, **more: object) -> Json:
    response = show.desk.post(f"{show.path}/edits", {"edits": edits, **more}, key=key)
    assert response.status_code == 200, response.text
    return response.json()


def _rows(name: str, **part: str) -> list[Json]:
    return [{"zone": "Hall", "row": name, **part}]


def _level(show: ShowDesk, slug: str) -> Json:
    levels = show.availability()["price_levels"]
    return next(level for level in levels if level["price_level"] == slug)


def test_a_row_moves_to_another_price_level(desk: FrontDesk) -> None:
    """From then on its seats cost what that level costs; what was held before keeps its price."""
    show = desk.new_show()
    held = show.hold("B-1").json()
    made = _edit(show, {"kind": "move_seats", "rows": _rows("C"), "price_level": "vip"})
    assert (made["edit"], made["seats_moved"], made["inventory_version"]) == (1, 10, 2)
    mixed = show.hold("C-1", "B-2", buyer="b-2").json()
    lines = {line["price_level"]: line["unit"]["face_value"] for line in mixed["price"]["lines"]}
    assert lines == {"vip": 9000, "standard": 3000}
    best = {"price_level": "vip", "quantity": 8}
    assert len(show.held(buyer="b-3", best_available=best)) > 0
    assert show.look(held["hold"]).json()["price"] == held["price"]
    counts = {level: _level(show, level)["capacity"] for level in ("vip", "standard")}
    assert counts == {"vip": 16, "standard": 20}


def test_a_row_that_is_taken_out_was_never_there_until_it_is_put_back(desk: FrontDesk) -> None:
    """Not in the seat map, the counts, the listing, nor by its label; and nobody sits across it."""
    show = desk.new_show()
    made = _edit(show, {"kind": "take_out", "rows": _rows("B", **{"from": "4", "to": "6"})})
    assert made["seats_taken_out"] == 3
    assert problem(show.hold("B-5")) == "unknown-seats"
    listed = {seat["seat"] for seat in desk.get(f"{show.path}/seats").json()["seats"]}
    assert {"B-3", "B-7"} <= listed
    assert not {"B-4", "B-5", "B-6"} & listed
    told = desk.get(show.path).json()
    assert (told["seat_count"], told["capacity"]) == (33, 38)
    assert show.availability()["seat_map"]["states"].count("o") == 33
    # The rest of the row is 3 and 4 in a run.
    _edit(show, {"kind": "take_out", "rows": [*_rows("C"), *_rows("D")]})
    together = {"price_level": "standard", "quantity": 5}
    assert (
        show.hold(best_available=together).status_code,
        problem(show.hold(best_available=together)),
    ) == (409, "none-together")
    again = _edit(show, {"kind": "put_back", "seats": ["B-4", "B-5", "B-6", "B-7"]})
    assert again["seats_put_back"] == 3
    assert show.hold("B-4", "B-5").status_code == 201
    plan = desk.get(f"{show.path}/seating-plan").json()
    assert len(plan["zones"][0]["rows"]) == 4  # as it was


def test_an_area_sells_up_to_the_capacity_that_it_has_now(desk: FrontDesk) -> None:
    """More than the plan gave it, once raised, up to the ledger's last fence; and never below."""
    show = desk.new_show()
    show.purchase(show.held(areas={"floor": 4}))
    assert show.hold(areas={"floor": 2}, buyer="b-2").status_code == 409
    _edit(show, {"kind": "set_capacity", "area": "floor", "capacity": 12})
    sold = show.purchase(show.held(areas={"floor": 8}, buyer="b-2"))
    assert sold.json()["status"] == "confirmed"
    refused = desk.post(f"{show.path}/edits", {"edits": [_FEWER]})
    assert (refused.status_code, problem(refused)) == (409, "edits-refused")
    assert refused.json()["areas"] == {"floor": 0}
    _edit(show, {"kind": "set_capacity", "area": "floor", "capacity": 13})
    _edit(show, {"kind": "set_capacity", "area": "floor", "capacity": 12})
    [floor] = show.availability()["areas"]
    assert (floor["capacity"], floor["sold"], floor["open"]) == (12, 12, 0)


def test_what_buyers_have_is_refused_by_name_and_nothing_is_done(desk: FrontDesk) -> None:
    """All or nothing, over all kinds of edits."""
    show = desk.new_show()
    show.held("B-2")
    before = show.availability()
    refused = desk.post(
        f"{show.path}/edits",
        {
            "edits": [
                {"kind": "take_out", "rows": _rows("B")},
                {"kind": "move_seats", "rows": _rows("A"), "price_level": "standard"},
                {"kind": "set_capacity", "area": "floor", "capacity": 50},
            ]
        },
    )
    assert (refused.status_code, problem(refused)) == (409, "edits-refused")
    assert (refused.json()["seats"], refused.json()["areas"]) == (["B-2"], {})
    assert show.availability()["seat_map"] == before["seat_map"]
    assert desk.get(f"{show.path}/edits").json() == {"edits": [], "next_cursor": None}


def test_a_repeated_request_has_one_effect_and_what_is_so_already_stays(desk: FrontDesk) -> None:
    """By its key it gets the first answer; under another key there is nothing left to do."""
    show = desk.new_show()
    out = {"kind": "take_out", "seats": ["B-1"]}
    first = _edit(show, out, key="once", inventory_version=1)
    assert _edit(show, out, key="once", inventory_version=1) == first
    passed = desk.post(f"{show.path}/edits", {"edits": [out], "inventory_version": 1})
    assert (passed.status_code, problem(passed)) == (409, "inventory-changed")
    assert passed.json()["inventory_version"] == 2
    other = _edit(show, out)
    assert (other["edit"], other["inventory_version"]) == (None, 2)


def _news_of(show: ShowDesk) -> list[Json]:
    """Return what the log tells of edits of a show."""
    query = f"show={show.id}&type=show.inventory_changed"
    return [one["data"] for one in show.desk.get(f"/v1/facts?{query}").json()["facts"]]


def test_edits_are_listed_as_they_were_asked_for_the_newest_first(desk: FrontDesk) -> None:
    """In pages."""
    show = desk.new_show()
    asked = [
        {"kind": "take_out", "rows": _rows("B", **{"from": "1", "to": "2"})},
        {"kind": "move_area", "area": "floor", "price_level": "vip"},
        {"kind": "put_back", "seats": ["B-1"]},
    ]
    for edit in asked:
        _edit(show, edit, reason="stage")
    page = desk.get(f"{show.path}/edits?limit=2").json()
    assert [one["edits"] for one in page["edits"]] == [[asked[2]], [asked[1]]]
    assert (page["edits"][0]["edit"], page["edits"][0]["reason"]) == (3, "stage")
    rest = desk.get(f"{show.path}/edits?cursor={page['next_cursor']}").json()
    assert [one["edits"] for one in rest["edits"]] == [[asked[0]]]
    assert rest["next_cursor"] is None
    assert (
        desk.get(f"{show.path}/edits?cursor=x").status_code,
        problem(desk.get(f"{show.path}/edits?cursor=x")),
    ) == (422, "invalid-request")
    until = time.monotonic() + 15
    while [one["seats_taken_out"] for one in _news_of(show)] != [2, 0, 0]:
        # A fact is read once no older transaction is under way.
        assert time.monotonic() < until, _news_of(show)
        time.sleep(0.1)


_WRONG: list[tuple[list[Json], set[str]]] = [
    ([{"kind": "take_out"}], {"/edits/0"}),
    ([{"kind": "take_out", "seats": ["B-1"], "area": "floor"}], {"/edits/0/area"}),
    ([{"kind": "move_seats", "rows": _rows("B")}], {"/edits/0/price_level"}),
    ([{"kind": "take_out", "rows": _rows("B", **{"from": "1"})}], {"/edits/0/rows/0"}),
    ([{"kind": "take_out", "seats": ["B-1", "B-1"]}], {"/edits/0/seats"}),
    (
        [
            {"kind": "move_seats", "seats": ["B-1", "Z-9"], "price_level": "gold"},
            {"kind": "take_out", "rows": [*_rows("B"), *_rows("Z")]},
            {"kind": "set_capacity", "area": "pit", "capacity": 9},
            {"kind": "take_out", "rows": _rows("B", **{"from": "1", "to": "99"})},
        ],
        {
            "/edits/0/seats/1",
            "/edits/0/price_level",
            "/edits/1/rows/1",
            "/edits/2/area",
            "/edits/3/rows/0",
        },
    ),
    (
        [
            {"kind": "move_seats", "seats": ["B-1"], "price_level": "vip"},
            {"kind": "move_seats", "rows": _rows("B"), "price_level": "standard"},
        ],
        {"/edits/1"},
    ),
    ([_FEWER, _FEWER | {"capacity": 4}], {"/edits/1"}),
    (
        [{"kind": "take_out", "seats": ["B-1"]}, {"kind": "put_back", "seats": ["B-1"]}],
        {"/edits"},
    ),
]


def test_all_that_is_wrong_is_told_at_once(desk: FrontDesk) -> None:
    """Each with its place in the body."""
    show = desk.new_show()
    for edits, pointers in _WRONG:
        refused = desk.post(f"{show.path}/edits", {"edits": edits})
        assert (refused.status_code, problem(refused)) == (422, "invalid-request"), edits
        assert {fault["pointer"] for fault in refused.json()["errors"]} == pointers, edits


def test_edits_and_buyers_racing_for_seats_have_one_winner_each(desk: FrontDesk) -> None:
    """A seat is taken out or held, never both: and a hold that lost is told so, not an error."""
    show = desk.new_show()
    labels = [f"{row}-{n}" for row in "BC" for n in range(1, 7)]
    with ThreadPoolExecutor(8) as pool:
        outs = [
            pool.submit(
                desk.post, f"{show.path}/edits", {"edits": [{"kind": "take_out", "seats": [one]}]}
            )
            for one in labels
        ]
        holds = [pool.submit(show.hold, label, buyer=f"b-{n}") for n, label in enumerate(labels)]
    for out, hold in zip(outs, holds, strict=True):
        assert sorted((out.result().status_code == 200, hold.result().status_code == 201)) == [
            False,
            True,
        ], (out.result().text, hold.result().text)
        if hold.result().status_code != 201:
            assert problem(hold.result()) in {
                "unknown-seats",
                "seats-taken",
                "show-recovering",  # whose process met one edit after the other
            }


@pytest.mark.parametrize("query", ["", "&level=vip"])
def test_watchers_are_told_of_the_map_anew(desk: FrontDesk, query: str) -> None:
    """With a snapshot of the part that they watch, as it is since the edit."""
    show = desk.new_show()
    show.availability()
    token = desk.post(f"{show.path}/live/tokens", {}).json()["token"]
    path = f"{show.path}/live?token={token}{query}"
    with watching(str(desk.http.base_url), path, {}) as watcher:
        before = watcher.until("snapshot")
        _edit(
            show,
            {"kind": "move_seats", "rows": _rows("C"), "price_level": "vip"},
            {"kind": "take_out", "seats": ["C-1"]},
        )
        after = watcher.until("snapshot")
        assert (before["inventory_version"], after["inventory_version"]) == (1, 2)
        states = list(watcher.states.values())
        assert states.count("o") == (15 if query else 35)
        show.held("C-2")
        watcher.until("delta")
        assert list(watcher.states.values()).count("h") == 1
