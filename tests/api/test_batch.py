"""Many commands in one request: each is answered as if it had come alone."""

from typing import Any

import httpx
import pytest

from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem


def _batch(desk: FrontDesk, show: ShowDesk, *commands: Json) -> httpx.Response:
    return desk.post(f"{show.path}/batch", {"commands": list(commands)})


def _hold(key: str, *seats: str, **more: Any) -> Json:  # noqa: ANN401 -- any field
    return {"op": "hold", "key": key, "buyer": "b-1", "seats": list(seats)} | more


def _answers(response: httpx.Response) -> list[Json]:
    assert response.status_code == 200, response.text
    return response.json()["answers"]


def test_each_command_has_the_status_and_the_body_of_the_single_call(
    desk: FrontDesk, show: ShowDesk
) -> None:
    """Holds, refusals, purchases and releases, in their order."""
    first, taken, unknown = _answers(
        _batch(
            desk,
            show,
            _hold("k-1", "B-1", "B-2"),
            _hold("k-2", "B-2", "B-3", buyer="b-2"),
            _hold("k-3", "Z-99"),
        )
    )
    assert (first["status"], taken["status"], unknown["status"]) == (201, 409, 422)
    assert first["body"] == show.look(first["body"]["hold"]).json()
    assert taken["body"]["type"] == "urn:onsale:problem:seats-taken"
    assert taken["body"]["seats"] == ["B-2"]
    assert unknown["body"]["type"] == "urn:onsale:problem:unknown-seats"

    hold = first["body"]["hold"]
    sold, released, never = _answers(
        _batch(
            desk,
            show,
            {"op": "purchase", "key": "p-1", "hold": hold, "payment_reference": "pay-1"},
            {"op": "release", "hold": hold},
            {"op": "release", "hold": "hld_dev_" + "0" * 32},
        )
    )
    assert (sold["status"], sold["body"]["status"]) == (201, "confirmed")
    assert sold["body"]["payment_reference"] == "pay-1"
    assert released["body"]["type"] == "urn:onsale:problem:already-purchased"
    assert never["body"]["type"] == "urn:onsale:problem:hold-not-found"


def test_a_command_and_the_single_call_of_its_key_are_one(desk: FrontDesk, show: ShowDesk) -> None:
    """A reseller's queue may repeat in a batch what it sent alone, and the other way round."""
    alone = desk.post(f"{show.path}/holds", {"buyer": "b-1", "seats": ["B-1"]}, key="k-1")
    (again,) = _answers(_batch(desk, show, _hold("k-1", "B-1")))
    assert again == {"status": 201, "body": alone.json()}

    full = {"areas": {"floor": 1}, "ttl_s": 300}
    (first,) = _answers(_batch(desk, show, _hold("k-2", "B-2", **full)))
    alone = desk.post(f"{show.path}/holds", {"buyer": "b-1", "seats": ["B-2"], **full}, key="k-2")
    assert alone.json() == first["body"]

    (other,) = _answers(_batch(desk, show, _hold("k-1", "B-3")))
    assert other["body"]["type"] == "urn:onsale:problem:key-reused"

    purchase = {"hold": first["body"]["hold"], "payment_reference": "pay"}
    bought = desk.post(f"{show.path}/purchases", purchase, key="p-1")
    (again,) = _answers(_batch(desk, show, {"op": "purchase", "key": "p-1", **purchase}))
    assert again == {"status": 201, "body": bought.json()}


def test_a_release_has_no_body(desk: FrontDesk, show: ShowDesk) -> None:
    """As the single call's 204."""
    answers = _answers(_batch(desk, show, {"op": "release", "hold": show.held("B-1")}))
    assert answers == [{"status": 204, "body": None}]


def test_many_commands_are_all_answered_in_their_order(desk: FrontDesk) -> None:
    """Five hundred, more than one batch of the lane takes."""
    show = desk.new_show(max_per_buyer=500)
    commands = [_hold(f"k-{n}", f"B-{n % 10 + 1}", buyer=f"b-{n}") for n in range(500)]
    answers = _answers(_batch(desk, show, *commands))
    assert [answer["status"] for answer in answers] == [201] * 10 + [409] * 490
    assert [answer["body"]["buyer"] for answer in answers[:10]] == [f"b-{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("commands", "pointer"),
    [
        ([], "/commands"),
        ([{"op": "release", "hold": "h"}] * 501, "/commands"),
        ([{"op": "refund", "hold": "h"}], "/commands/0/op"),
        ([{"hold": "h"}], "/commands/0"),
        ([{"op": ["hold"], "hold": "h"}], "/commands/0/op"),
        ([_hold("k", "B-1", buyer="a\0")], "/commands/0/buyer"),
        ([_hold("k", "B-1"), {"op": "release"}], "/commands/1"),
        ([_hold("k", "B-1"), _hold("with space", "B-1")], "/commands/1/key"),
        ([_hold("k", "B-1"), _hold("k", "B-1", "B-1")], "/commands/1/seats/1"),
        ([_hold("k")], "/commands/0"),
    ],
)
def test_what_does_not_fit_refuses_the_whole_request(
    desk: FrontDesk, show: ShowDesk, commands: list[Json], pointer: str
) -> None:
    """Before anything is done, and with the place of the fault and of no other."""
    refused = _batch(desk, show, *commands)
    assert problem(refused) == "invalid-request"
    assert all(fault["pointer"].startswith(pointer) for fault in refused.json()["errors"])
    assert show.availability()["total"]["held"] == 0


def test_a_body_that_is_too_large_is_refused(desk: FrontDesk, show: ShowDesk) -> None:
    """By its length alone."""
    refused = _batch(desk, show, _hold("k" * 600_000, "B-1"))
    assert problem(refused) == "body-too-large"


def test_other_resellers_shows_are_not_there(rival: FrontDesk, show: ShowDesk) -> None:
    """As for every other call."""
    assert problem(_batch(rival, show, _hold("k-1", "B-1"))) == "show-not-found"
