"""The life of a show over HTTP."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import httpx
import pytest

from engine.catalog.transitions import TABLE, Action, ShowState
from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem, show_body, small_plan

_SOON = (datetime.now(UTC) + timedelta(days=3)).isoformat()
_BODIES: dict[str, Json] = {"reschedule": {"starts_at": "2099-06-01T20:00:00Z"}}
_NO_CONFIGURATION = "cfg_dev_0000000000000001"
_BY_HTTP = [action for action in Action if action not in {Action.END, Action.CHANGE}]


def _act(show: ShowDesk, action: str, **body: object) -> Any:  # noqa: ANN401
    return show.desk.post(f"{show.path}/{action}", {**_BODIES.get(action, {}), **body})


def _take(show: ShowDesk, action: str, **body: object) -> str:
    response = _act(show, action, **body)
    assert response.status_code in {200, 202}, response.text
    return response.json()["state"]


def _look(show: ShowDesk) -> Json:
    return show.desk.get(show.path).json()


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def _until_done(ask: Callable[[], httpx.Response]) -> Json:
    """Ask until it is granted; return the answer."""
    until = time.monotonic() + 15
    while not (answer := ask()).is_success:
        assert time.monotonic() < until, answer.text
        time.sleep(0.1)
    return answer.json()


@pytest.fixture(scope="module")
def shows_by_state(desk: FrontDesk) -> dict[str, ShowDesk]:
    """A show in each state that an action by HTTP leads to."""
    steps = {
        "announced": ["announce"],
        "on_sale": [],
        "paused": ["pause"],
        "off_sale": ["close"],
        "rescheduled": ["reschedule"],
        "cancelled": ["cancel"],
    }
    made = {"draft": desk.new_show(state="draft", opens_at=_SOON)}
    for state, actions in steps.items():
        first = "on_sale" if state != "announced" else "draft"
        show = desk.new_show(state=first, opens_at=_SOON)
        for action in actions:
            _take(show, action)
        assert _look(show)["state"] == state
        made[state] = show
    return made


@pytest.mark.parametrize(
    ("state", "action"),
    [
        (state, action)
        for state, action in product(ShowState, _BY_HTTP)
        if state is not ShowState.PAST
        and isinstance(TABLE[state][action], str)
        and not isinstance(TABLE[state][action], ShowState)
    ],
)
def test_every_refused_step_is_told_with_its_reason(
    shows_by_state: dict[str, ShowDesk], state: str, action: str
) -> None:
    """A `409` with the state, the action, the reason, and what is allowed; nothing changes."""
    show = shows_by_state[state]
    refused = _act(show, action)
    assert problem(refused) == "transition-refused"
    told = refused.json()
    assert (told["state"], told["action"]) == (state, action)
    assert told["reason"] == TABLE[ShowState(state)][Action(action)]
    assert action not in told["allowed"]
    assert _look(show)["state"] == state


def test_a_paused_show_holds_nothing_new_and_sells_what_is_held(show: ShowDesk) -> None:
    """And goes on when it is resumed."""
    hold = show.held("A-1")
    assert _take(show, "pause") == "paused"
    refused = show.hold("A-2")
    assert problem(refused) == "not-on-sale"
    assert refused.json()["state"] == "paused"
    assert show.purchase(hold).status_code == 201
    assert _look(show)["state"] == "paused"
    assert not _look(show)["selling"]
    assert _take(show, "resume") == "on_sale"
    assert _look(show)["selling"]
    assert show.hold("A-2").status_code == 201


def test_a_cancelled_show_sells_nothing_that_is_held(show: ShowDesk) -> None:
    """What was bought before is told again all the same."""
    bought, held = show.held("A-1"), show.held("A-2", buyer="b-2")
    assert show.purchase(bought, key="once").status_code == 201
    assert _take(show, "cancel") == "cancelled"
    refused = show.purchase(held)
    assert problem(refused) == "not-on-sale"
    assert refused.json()["state"] == "cancelled"
    assert show.purchase(bought, key="once").status_code == 201


def test_a_draft_has_no_inventory_until_it_is_announced(desk: FrontDesk) -> None:
    """Its places can be looked at and withheld; it is told to nobody and holds nothing."""
    show = desk.new_show(state="draft", opens_at=_SOON)
    assert show.availability()["total"]["open"] == 41
    assert problem(show.hold("A-1")) == "not-on-sale"
    blocked = desk.post(f"{show.path}/blocks", {"seats": ["A-1"]})
    assert blocked.status_code == 200, blocked.text
    assert _take(show, "announce") == "announced"
    assert show.availability()["total"] == show.availability()["total"] | {"blocked": 1, "open": 40}
    assert problem(show.hold("A-2")) == "not-on-sale"
    assert _take(show, "open") == "on_sale"
    assert problem(show.hold("A-2")) == "too-early"


def test_a_step_repeated_with_its_key_is_answered_the_same(show: ShowDesk) -> None:
    """Without, it is refused: it is done already."""
    first = show.desk.post(f"{show.path}/pause", {}, key="p-1")
    again = show.desk.post(f"{show.path}/pause", {}, key="p-1")
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert problem(show.desk.post(f"{show.path}/pause", {}, key="p-2")) == "transition-refused"


def test_a_closed_show_is_archived_and_brought_back(show: ShowDesk) -> None:
    """All of it is told from the ledger meanwhile, and sold on afterwards."""
    hold = show.held("A-1")
    order = show.purchase(hold).json()["order"]
    _take(show, "close")
    assert _act(show, "archive").status_code == 200
    told = _look(show)
    assert told["archived_at"]
    assert show.availability()["total"]["sold"] == 1
    assert show.look(hold).json()["status"] == "purchased"
    assert show.desk.get(f"/v1/orders/{order}").json()["status"] == "confirmed"
    assert problem(show.hold("A-2")) == "not-on-sale"
    assert problem(show.purchase(hold, key="other")) == "already-purchased"
    assert _take(show, "open") == "on_sale"
    assert problem(show.hold("A-1")) == "seats-taken"
    assert show.hold("A-2").status_code == 201


def test_what_a_new_show_says_wrong_is_told_at_once(desk: FrontDesk) -> None:
    """Form, times, prices and names alike."""
    body = show_body(
        starts_at="2020-01-01T00:00:00Z",
        closes_at="2019-01-01T00:00:00Z",
        doors_at="2098-01-01T00:00:00Z",
        prices={"vip": 1, "gold": 2},
        event="evt_dev_0000000000000001",
        configuration_version=3,
    )
    told = desk.post("/v1/shows", body).json()["errors"]
    pointers = {fault["pointer"] for fault in told}
    assert pointers == {
        *("/starts_at", "/closes_at", "/doors_at", "/prices", "/prices/gold", "/event"),
        "/configuration_version",
    }
    both = show_body(configuration=_NO_CONFIGURATION)
    assert desk.post("/v1/shows", both).json()["errors"][0]["pointer"] == ""
    neither = show_body(plan=None)
    assert desk.post("/v1/shows", neither).json()["errors"][0]["pointer"] == ""


def test_ids_the_plan_and_what_is_meant_are_told_in_one_answer(desk: FrontDesk) -> None:
    """One round for all that can be read: the plan's own faults come last, of a kind of its own."""
    plan = small_plan()
    plan["zones"][0]["rows"][0]["seats"][1]["seat_guid"] = "A-1"
    body = show_body(
        plan=plan,
        event="nonsense",
        opens_at="9999-12-31T23:59:59-12:00",
        doors_at="2099-12-01T00:00:00Z",
        payment_methods=["card", "card"],
        configuration_version=2,
    )
    key = "one-round"
    refused = desk.post("/v1/shows", body, key=key)
    assert (refused.status_code, problem(refused)) == (422, "invalid-seating-plan")
    pointers = [fault["pointer"] for fault in refused.json()["errors"]]
    assert set(pointers) == {
        *("/event", "/opens_at", "/doors_at", "/payment_methods/1", "/configuration_version"),
        "/plan/zones/0/rows/0/seats/1/seat_guid",
    }
    assert len(pointers) == 6
    assert pointers[-1].startswith("/plan/")
    assert "5 more are wrong" in refused.json()["detail"]
    assert desk.post("/v1/shows", show_body(), key=key).status_code == 201


def test_what_can_not_be_read_is_not_taken_for_missing(desk: FrontDesk) -> None:
    """A malformed configuration is one all the same; a day that is none has no version."""
    own = {"plan": None, "venue": None}
    body = show_body(**own, configuration="nonsense", closes_at="2019-01-01T00:00:00Z")
    refused = desk.post("/v1/shows", body)
    assert problem(refused) == "invalid-request"
    pointers = [fault["pointer"] for fault in refused.json()["errors"]]
    assert pointers == ["/closes_at", "/configuration"]
    body = show_body(**own, configuration=_NO_CONFIGURATION, starts_at="9999-12-31T23:59:59-12:00")
    (fault,) = desk.post("/v1/shows", body).json()["errors"]
    assert fault == {"pointer": "/starts_at", "reason": "the year must be 2000 to 2200"}
    both = show_body(configuration="nonsense")
    pointers = [fault["pointer"] for fault in desk.post("/v1/shows", both).json()["errors"]]
    assert pointers == ["", "/configuration"]


def test_of_many_faults_the_answer_says_how_many_are_not_listed(desk: FrontDesk) -> None:
    """Those of shape, of the plan, and of prices."""
    for unknown, more in ((23, 3), (150, 130)):
        body = {f"field_{n}": n for n in range(unknown)} | show_body()
        misshapen = desk.post("/v1/shows", body).json()
        assert (len(misshapen["errors"]), misshapen["more"]) == (20, more)
        assert f"19 more below, and {more} that are not listed" in misshapen["detail"]
    prices = {f"level-{n}": 1 for n in range(120)}
    unpriced = desk.post("/v1/shows", show_body(prices=prices)).json()
    assert (len(unpriced["errors"]), unpriced["more"]) == (100, 23)
    plan = small_plan(seats=120)
    for seat in plan["zones"][0]["rows"][1]["seats"]:
        seat["category"] = "Gold"
    told = desk.post("/v1/shows", show_body(plan=plan, doors_at="2099-12-01T00:00:00Z")).json()
    assert told["errors"][0]["pointer"] == "/doors_at"
    assert (len(told["errors"]), told["more"]) == (100, 21)
    few = desk.post("/v1/shows", show_body(stage="left")).json()
    assert "more" not in few


def test_a_change_says_what_it_can_not_change(desk: FrontDesk) -> None:
    """By its state: `409`; by what it contradicts: `422`; else it is there at once."""
    show = desk.new_show(payment_methods=["card", "on_account"], hold_ttl_s=120)

    def change(**members: object) -> Any:  # noqa: ANN401
        return desk.http.patch(show.path, json=members)

    assert "reschedule" in change(starts_at="2099-06-01T20:00:00Z").json()["reason"]
    begun = "`opens_at` is past, the sale has begun: close it first"
    assert change(opens_at=_SOON).json()["reason"] == begun
    faulty = change(closes_at="2001-01-01T00:00:00Z", doors_at="2099-12-01T00:00:00Z").json()
    assert {fault["pointer"] for fault in faulty["errors"]} == {"/closes_at", "/doors_at"}
    done = change(name="Second night", max_per_hold=1, visibility="hidden", duration_min=90)
    assert done.status_code == 200, done.text
    told = _look(show)
    assert (told["name"], told["duration_min"], told["hold_ttl_s"]) == ("Second night", 90, 120)
    assert told["payment_methods"] == ["card", "on_account"]
    assert problem(show.hold("A-1", "A-2")) == "over-hold-limit"
    held = show.hold("A-1").json()
    left = datetime.fromisoformat(held["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=100) < left < timedelta(seconds=121)


def test_a_change_is_told_at_once_all_that_is_wrong_with_it(show: ShowDesk) -> None:
    """Ids, years, repetitions and contradictions; first of all what the state refuses."""

    def change(**members: object) -> Any:  # noqa: ANN401
        return show.desk.http.patch(show.path, json=members)

    wrong = {
        "event": "nonsense",
        "public_from": "1999-01-01T00:00:00Z",
        "closes_at": "2001-01-01T00:00:00Z",
        "doors_at": "2099-12-01T00:00:00Z",
        "payment_methods": ["card", "paypal", "card"],
    }
    refused = change(**wrong)
    assert problem(refused) == "invalid-request"
    pointers = [fault["pointer"] for fault in refused.json()["errors"]]
    assert set(pointers) == {
        *("/event", "/public_from", "/closes_at", "/doors_at", "/payment_methods/2")
    }
    assert len(pointers) == 5
    assert problem(change(event="nonsense")) == "invalid-request"
    assert problem(change(**wrong, opens_at=_SOON)) == "transition-refused"


def test_an_opening_that_is_past_stays_while_it_sells_or_is_paused(show: ShowDesk) -> None:
    """Closed, or moved, it may be another, and the reason says how."""

    def change() -> Any:  # noqa: ANN401
        return show.desk.http.patch(show.path, json={"opens_at": _SOON})

    reason = "`opens_at` is past, the sale has begun: close it first"
    assert change().json()["reason"] == reason
    _take(show, "pause")
    assert change().json()["reason"] == reason
    _take(show, "close")
    assert change().status_code == 200
    moved = show.desk.new_show()
    _take(moved, "reschedule")
    assert moved.desk.http.patch(moved.path, json={"opens_at": _SOON}).status_code == 200


def test_another_date_takes_everything_over(desk: FrontDesk) -> None:
    """Prices, limits, what the house withholds; if it waits, it opens when the first sells out."""
    first = desk.new_show(max_per_buyer=50, max_per_hold=50)
    desk.post(f"{first.path}/blocks", {"seats": ["A-6"]})
    body = {"starts_at": "2099-05-02T18:00:00Z", "opens": "when_first_sells_out"}
    added = desk.post(f"{first.path}/dates", body)
    assert added.status_code == 201, added.text
    assert added.json()["state"] == "announced"
    second = ShowDesk(desk, added.json()["show"])
    told = _look(second)
    assert (told["follows"], told["opens_when_first_sells_out"]) == (first.id, True)
    assert told["price_levels"] == _look(first)["price_levels"]
    assert second.availability()["total"]["blocked"] == 1
    rows = [f"{row}-{n}" for row in "BCD" for n in range(1, 11)]
    hold = first.held(*(f"A-{n}" for n in range(1, 6)), *rows, areas={"floor": 5})
    assert first.purchase(hold).status_code == 201
    _until(lambda: _look(second)["state"] == "on_sale")
    assert _look(first)["state"] == "sold_out"
    assert second.hold("A-1").status_code == 201


def test_another_date_takes_over_ticket_types_steps_and_edits(desk: FrontDesk) -> None:
    """Without them it would sell an early bird for ever, price types that it lacks, lost seats."""
    first = desk.new_show()
    types = [{"ticket_type": "child", "name": "Child", "kind": "child"}]
    path = first.path
    assert desk.http.put(f"{path}/ticket-types", json={"ticket_types": types}).is_success
    prices = {level["price_level"]: 1000 for level in _look(first)["price_levels"]}
    published = {
        "after_version": 1,
        "prices": prices,
        "ticket_types": {"child": {"share_bps": 5000}},
    }
    assert desk.http.put(f"{path}/prices", json=published).is_success
    steps = [{"at": f"2099-01-0{day}T00:00:00Z", "prices": prices} for day in (1, 2)]
    assert desk.http.put(f"{path}/price-steps", json={"steps": steps}).is_success
    edits = [
        {"kind": "take_out", "seats": ["A-3"]},
        {"kind": "set_capacity", "area": "floor", "capacity": 7},
    ]
    assert desk.post(f"{path}/edits", {"edits": edits}).is_success
    added = desk.post(f"{path}/dates", {"starts_at": "2099-05-02T18:00:00Z"})
    assert added.status_code == 201, added.text
    second = ShowDesk(desk, added.json()["show"])
    before, after = first.availability(), second.availability()
    assert (after["total"], after["seat_map"]) == (before["total"], before["seat_map"])
    assert problem(second.hold("A-3")) == "unknown-seats"
    held = second.hold("A-1", ticket_types={"child": {"seats": ["A-1"]}})
    assert held.json()["price"]["face_value"] == 500
    assert desk.post(f"{second.path}/edits", {"edits": edits}).json()["edit"] is None
    told = [desk.http.get(f"{one.path}/price-steps").json()["steps"] for one in (first, second)]
    # As long before the new date, which is a day later.
    assert [step.pop("at")[:10] for step in told[1]] == ["2099-01-02", "2099-01-03"]
    assert [step.pop("at")[:10] for step in told[0]] == ["2099-01-01", "2099-01-02"]
    assert told[0] == told[1]


def test_another_date_takes_the_waiting_room_over_unless_told_not_to(desk: FrontDesk) -> None:
    """Once, however often it is asked for, and with the trail of one that is set by hand."""
    first = desk.new_show()
    rules = {"opens_at": "2020-01-01T00:00:00Z", "rate": 9, "checkout_max": 3, "pass_ttl_s": 90}
    assert desk.http.put(f"{first.path}/queue", json=rules).is_success
    body: Json = {"starts_at": "2099-05-02T18:00:00Z"}
    answers = [desk.post(f"{first.path}/dates", body, key="again").json() for _ in range(2)]
    assert answers[0] == answers[1]
    second = ShowDesk(desk, answers[0]["show"])
    refused = second.hold("A-1")
    assert (refused.status_code, problem(refused)) in {
        (403, "not-admitted"),
        (503, "show-recovering"),
    }
    told = desk.get(f"{second.path}/queue").json()
    before = desk.get(f"{first.path}/queue").json()
    same = ("mode", "rate", "burst", "checkout_max", "pass_ttl_s", "return_addresses")
    assert [told[name] for name in same] == [before[name] for name in same]
    entries = desk.http.get("/v1/trail", params={"object": second.id}).json()["entries"]
    made = [entry["action"] for entry in entries if entry["table"] == "queues"]
    assert made == ["created"]
    left_out = desk.post(f"{first.path}/dates", {**body, "waiting_room": False})
    third = ShowDesk(desk, left_out.json()["show"])
    assert problem(desk.get(f"{third.path}/queue")) == "no-queue"
    assert third.hold("A-1").status_code == 201


def test_a_date_that_opens_when_the_first_sells_out_lets_in_by_its_line(desk: FrontDesk) -> None:
    """From the first moment: its room is there before, and opens with its sale."""
    first = desk.new_show(max_per_buyer=50, max_per_hold=50)
    rules = {"opens_at": "2020-01-01T00:00:00Z", "rate": 200, "checkout_max": 50}
    assert desk.http.put(f"{first.path}/queue", json=rules).is_success
    body = {"starts_at": "2099-05-02T18:00:00Z", "opens": "when_first_sells_out"}
    second = ShowDesk(desk, desk.post(f"{first.path}/dates", body).json()["show"])
    line = f"{second.path}/queue"
    _until(lambda: desk.get(f"{line}/serving").json().get("state") == "off")
    assert problem(desk.post(line, {})) == "queue-closed"
    assert desk.http.put(f"{first.path}/queue", json={**rules, "mode": "off"}).is_success
    rows = [f"{row}-{n}" for row in "BCD" for n in range(1, 11)]
    every = [*(f"A-{n}" for n in range(1, 7)), *rows]
    # Once the process has heard that nobody needs a pass.
    held = _until_done(lambda: first.hold(*every, areas={"floor": 5}))
    assert first.purchase(held["hold"]).status_code == 201
    _until(lambda: _look(second)["state"] == "on_sale")
    assert second.hold("A-1").status_code in {403, 503}
    _until(lambda: desk.get(f"{line}/serving").json()["state"] == "running")
    assert problem(second.hold("A-1")) == "not-admitted"
    token = {"Queue-Token": desk.post(line, {}).json()["token"]}
    issued = _until_done(lambda: desk.post(f"{line}/pass", {"buyer": "b-1"}, **token))
    _until_done(lambda: second.hold("A-1", **{"pass": issued["pass"]}))


def test_places_and_prices_of_a_show_that_is_final_stay(
    shows_by_state: dict[str, ShowDesk],
) -> None:
    """A cancelled one has nothing to sell; its draft can be prepared as ever."""
    places, edit = {"seats": ["A-1"]}, {"kind": "take_out", "seats": ["A-2"]}
    for state, status in (("draft", 200), ("cancelled", 409)):
        show = shows_by_state[state]
        told = [
            show.desk.post(f"{show.path}/blocks", places),
            show.desk.post(f"{show.path}/blocks/release", places),
            show.desk.post(f"{show.path}/edits", {"edits": [edit]}),
            show.desk.http.put(f"{show.path}/price-steps", json={"steps": []}),
            show.desk.http.put(f"{show.path}/ticket-types", json={"ticket_types": []}),
        ]
        assert [one.status_code for one in told] == [status] * len(told)
    assert {problem(one) for one in told} == {"transition-refused"}
    prices = {level["price_level"]: 1 for level in _look(show)["price_levels"]}
    published = {"after_version": 1, "prices": prices}
    assert (
        problem(show.desk.http.put(f"{show.path}/prices", json=published)) == "transition-refused"
    )
