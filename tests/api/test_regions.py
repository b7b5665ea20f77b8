"""What belongs to another cell is answered with that cell's address, by every way in."""

import json
from http import HTTPStatus

import httpx
import pytest

from engine.platform.ids import HoldId, Ids, Prefix
from engine.tenancy.key_text import SecretKind, new_secret
from tests.api.front_desk import FrontDesk, ShowDesk

CELL = "https://far.onsale.example"
FAR = Ids("far", b"the secret of the far cell")
GONE = Ids("gone", b"the secret of the cell without an address")
NOBODYS = Ids("none", b"the secret of a cell that nobody named")
SECRET = "A" * 43


def _key_of(region: str) -> str:
    """Return a key that a cell might have handed out."""
    return new_secret(region, SecretKind.LIVE).text


def show_of(ids: Ids) -> str:
    """A show's id there."""
    return ids.entity(Prefix.SHOW, 4711)


def hold_of(ids: Ids) -> str:
    """A hold's id there."""
    return ids.hold(HoldId(bytes(range(16))))


def order_of(ids: Ids) -> str:
    """An order's id there."""
    return ids.order(4711, bytes(range(16)))


def is_sent_to(answer: httpx.Response, target: str) -> None:
    """Check that an answer names the other cell, and the same target there."""
    assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["type"] == "urn:onsale:problem:misdirected-request"
    assert (told["region"], told["cell"]) == ("far", CELL)
    assert answer.headers["location"] == CELL + target


CALLS: list[tuple[str, str, dict[str, object] | None]] = [
    ("GET", f"/v1/shows/{show_of(FAR)}", None),
    ("GET", f"/v1/shows/{show_of(FAR)}/availability", None),
    ("HEAD", f"/v1/shows/{show_of(FAR)}/availability", None),
    ("GET", f"/v1/shows/{show_of(FAR)}/seating-plan", None),
    ("GET", f"/v1/shows/{show_of(FAR)}/seats?limit=2", None),
    ("POST", f"/v1/shows/{show_of(FAR)}/holds", {"buyer": "b", "seats": ["A-1"]}),
    ("POST", f"/v1/shows/{show_of(FAR)}/purchases", {"hold": hold_of(FAR)}),
    ("POST", f"/v1/shows/{show_of(FAR)}/batch", {"commands": []}),
    ("DELETE", f"/v1/shows/{show_of(FAR)}/holds/{hold_of(FAR)}", None),
    ("POST", f"/v1/shows/{show_of(FAR)}/blocks", {"name": "x", "seats": ["A-1"]}),
    ("GET", f"/v1/orders/{order_of(FAR)}", None),
    ("POST", f"/v1/orders/{order_of(FAR)}/return", None),
    ("GET", f"/v1/shows?cursor={show_of(FAR)}", None),
]


@pytest.mark.parametrize(("method", "target", "body"), CALLS)
def test_an_id_of_another_cell_is_sent_there(
    desk: FrontDesk, method: str, target: str, body: object
) -> None:
    """Whatever route is asked for it, with the same target at the other address."""
    answer = desk.http.request(method, target, json=body, headers={"Idempotency-Key": "k"})
    if method == "HEAD":
        assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST
        assert answer.headers["location"] == CELL + target
    else:
        is_sent_to(answer, target)


@pytest.mark.parametrize(("method", "target", "body"), CALLS)
def test_the_credential_decides_first(
    desk: FrontDesk, method: str, target: str, body: object
) -> None:
    """Nobody learns anything about ids without one; a key of that cell sends to it by itself."""
    url = str(desk.http.base_url) + target

    def ask(key: str) -> httpx.Response:
        headers = {"Idempotency-Key": "k", "Authorization": f"Bearer {key}"}
        return httpx.request(method, url, json=body, headers=headers, timeout=20)

    assert ask(_key_of("dev")).status_code == HTTPStatus.UNAUTHORIZED
    assert ask(_key_of("far")).headers["location"] == CELL + target


@pytest.mark.parametrize("target", ["/v1/venues", f"/v1/shows/{show_of(FAR)}/availability"])
def test_a_key_of_another_cell_is_sent_there_before_any_look_up(
    desk: FrontDesk, target: str
) -> None:
    """By both applications."""
    base, headers = str(desk.http.base_url), {"Authorization": f"Bearer {_key_of('far')}"}
    is_sent_to(httpx.get(base + target, headers=headers), target)


@pytest.mark.parametrize(
    "key",
    [_key_of("none"), f"onsale_far_live_{SECRET}AAAAAA", "onsale_far_short", "onsale_far_"],
    ids=["another cell", "a wrong checksum", "short", "nothing"],
)
def test_a_key_of_no_known_cell_is_an_unknown_key(desk: FrontDesk, key: str) -> None:
    """Or one that could be no key anywhere."""
    for target in ("/v1/venues", f"/v1/shows/{show_of(FAR)}/availability"):
        answer = httpx.get(
            str(desk.http.base_url) + target, headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize(
    ("show", "status"),
    [
        (show_of(NOBODYS), HTTPStatus.NOT_FOUND),
        (show_of(FAR) + "0", HTTPStatus.NOT_FOUND),
        (show_of(FAR).replace("shw", "ord"), HTTPStatus.NOT_FOUND),
        (show_of(FAR).upper(), HTTPStatus.NOT_FOUND),
        (show_of(GONE), HTTPStatus.MISDIRECTED_REQUEST),
    ],
)
def test_what_is_no_id_of_a_known_cell_is_unknown(
    desk: FrontDesk, show: str, status: HTTPStatus
) -> None:
    """As is what is not well formed."""
    for target in (f"/v1/shows/{show}", f"/v1/shows/{show}/availability"):
        answer = desk.http.get(target)
        assert answer.status_code == status
        assert "cell" not in answer.json()
        assert "location" not in answer.headers


def test_a_hold_of_another_cell_is_told_in_purchases_and_batches(
    desk: FrontDesk, show: ShowDesk
) -> None:
    """A batch's other commands go on."""
    path = f"/v1/shows/{show.id}"
    body = {"hold": hold_of(FAR)}
    answer = desk.http.post(f"{path}/purchases", json=body, headers={"Idempotency-Key": "p"})
    assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST
    commands = [
        {"op": "release", "hold": hold_of(FAR)},
        {"op": "release", "hold": hold_of(NOBODYS)},
    ]
    answers = desk.http.post(f"{path}/batch", json={"commands": commands}).json()["answers"]
    assert [one["status"] for one in answers] == [421, 404]
    assert answers[0]["body"]["cell"] == CELL


@pytest.mark.parametrize(
    ("method", "tail"),
    [
        ("POST", ""),
        ("GET", "/serving"),
        ("GET", "/position"),
        ("POST", "/pass"),
        ("DELETE", "/pass"),
        ("GET", "/events"),
        ("GET", "/draw"),
    ],
)
def test_a_waiting_room_of_another_cell_is_there(desk: FrontDesk, method: str, tail: str) -> None:
    """Without any key."""
    target = f"/v1/shows/{show_of(FAR)}/queue{tail}"
    answer = httpx.request(method, str(desk.http.base_url) + target, timeout=20)
    is_sent_to(answer, target)


@pytest.mark.parametrize(
    ("method", "tail"), [("GET", ""), ("POST", ""), ("POST", "/pass"), ("GET", "/verify")]
)
def test_people_find_a_link_to_the_right_cell(desk: FrontDesk, method: str, tail: str) -> None:
    """On every page of the waiting room, to the page that they can load."""
    page = f"/queue/{show_of(FAR)}"
    url = f"{desk.http.base_url}{page}{tail}?return=https://shop.example/"
    answer = httpx.request(method, url)
    assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST
    linked = page + ("/verify" if tail == "/verify" else "")
    assert f'href="{CELL}{linked}?return=https://shop.example/"' in answer.text
    gone = httpx.get(f"{desk.http.base_url}/queue/{show_of(GONE)}")
    assert gone.status_code == HTTPStatus.MISDIRECTED_REQUEST
    assert "Go to its waiting room" not in gone.text


def test_everybody_can_ask_for_the_cells(desk: FrontDesk) -> None:
    """This one and those it knows."""
    answer = httpx.get(f"{desk.http.base_url}/v1/cells")
    assert answer.json() == {
        "region": "dev",
        "cells": [{"region": "far", "address": CELL}, {"region": "gone", "address": None}],
    }
    assert (
        httpx.get(f"{desk.http.base_url}/v1/cells?x=1").status_code
        == HTTPStatus.UNPROCESSABLE_ENTITY
    )


def test_what_was_asked_is_quoted_in_the_address(desk: FrontDesk) -> None:
    """So that nothing of it becomes a header of its own."""
    page = f"{desk.http.base_url}/v1/shows/{show_of(FAR)}/availability?a=%0d%0aX-Bad:1"
    answer = desk.http.get(page)
    assert "x-bad" not in answer.headers
    assert json.loads(answer.content)["status"] in (421, 422)
