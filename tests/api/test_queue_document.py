"""The document that a line polls: the same bytes for everybody, however they ask for it."""

import time
from datetime import UTC, datetime

import httpx
import pytest
from msgspec.structs import replace

from api.fastlane.queue_document import write_serving
from engine.waitingroom.standing import Standing
from engine.waitingroom.states import QueueState
from tests.api.front_desk import FrontDesk, ShowDesk
from tests.unit.test_queue_answers import new_queue

_RULES = {"opens_at": "2026-01-01T00:00:00Z", "rate": 5, "checkout_max": 50}
_PATIENCE_S = 10
# The short way is not counted: the limits are told on the longer one only.
_NOT_COMPARED = {"ratelimit", "ratelimit-policy", "x-request-id", "date"}


@pytest.fixture
def path(desk: FrontDesk, show: ShowDesk) -> str:
    """The document of a show whose waiting room is open."""
    put = desk.http.put(f"{show.path}/queue", json=_RULES)
    assert put.status_code == 200, put.text
    path = f"{show.path}/queue/serving"
    deadline = time.monotonic() + _PATIENCE_S
    while desk.http.get(path).status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    return path


def test_a_plain_request_is_answered_as_any_other(desk: FrontDesk, path: str) -> None:
    """Who names their request takes the longer way, and gets the same bytes and headers."""
    plain = named = desk.http.get(path)
    for _ in range(20):  # both within one second
        plain, named = desk.http.get(path), desk.http.get(path, headers={"X-Request-Id": "mine-1"})
        if plain.headers["etag"] == named.headers["etag"]:
            break
    assert plain.status_code == named.status_code == 200
    assert plain.content == named.content
    assert _compared(plain) == _compared(named)
    assert plain.headers["cache-control"] == "public, max-age=1"
    assert named.headers["x-request-id"] == "mine-1"
    again = desk.http.get(path)
    assert len({r.headers["x-request-id"] for r in (plain, named, again)}) == 3


def test_the_document_is_told_anew_each_second(desk: FrontDesk, path: str) -> None:
    """With the time, and hence another tag, though nothing else has changed."""
    told: dict[str, str] = {}
    deadline = time.monotonic() + _PATIENCE_S
    while len(set(told.values())) < 3 and time.monotonic() < deadline:
        response = desk.http.get(path)
        server_time = response.json()["server_time"]
        assert told.setdefault(response.headers["etag"], server_time) == server_time
        time.sleep(0.05)
    assert len(set(told.values())) == 3
    assert abs(datetime.fromisoformat(max(told.values())) - datetime.now(UTC)).total_seconds() < 5


def test_who_has_the_document_is_not_sent_it_again(desk: FrontDesk, path: str) -> None:
    """By its tag, in a list, or whatever it is; an older tag gets the new document."""
    for given in ("{}", 'W/"old", {}', "*"):
        assert _has_it(desk, path, given)
    assert desk.http.get(path, headers={"If-None-Match": 'W/"1.0.0.1"'}).status_code == 200


def test_what_is_no_plain_request_is_judged_as_elsewhere(desk: FrontDesk, path: str) -> None:
    """Another kind of answer, a parameter that is not known, only the head."""
    desk.http.get(path)
    assert desk.http.get(path, headers={"Accept": "text/html"}).status_code == 406
    assert desk.http.get(path, headers={"Accept": "application/json"}).status_code == 200
    assert desk.http.get(f"{path}?since=1").status_code == 422
    head = desk.http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 100
    assert desk.http.post(path).status_code == 405


def test_a_document_ends_with_its_waiting_room(desk: FrontDesk, path: str) -> None:
    """What was written a moment ago is not told any more."""
    assert desk.http.get(path).status_code == 200
    rules = f"{path.removesuffix('/serving')}"
    assert desk.http.put(rules, json=_RULES | {"mode": "off"}).status_code == 200
    deadline = time.monotonic() + _PATIENCE_S
    while desk.http.get(path).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    gone = desk.http.get(path)
    assert gone.status_code == 404
    assert gone.json()["type"].endswith(":no-queue")


def test_another_document_has_another_tag() -> None:
    """Whatever of it is another, also within a second."""
    standing = Standing(1, QueueState.RUNNING, 3, 9, 1.0, 1, None, None, None)
    first = new_queue()
    others = [
        (first, standing),
        (first, replace(standing, state=QueueState.PAUSED)),
        (first, replace(standing, rate=2.0)),
        (first, replace(standing, slow=1.0, fast=2.0)),
        (replace(first, skipped=((4, 6),)), standing),
        (replace(first, drawn_at=datetime.now(UTC), count=2), standing),
    ]
    tags = [write_serving(*other).kept.etag for other in others]
    assert len(set(tags)) == len(others)


def _has_it(desk: FrontDesk, path: str, given: str) -> bool:
    """Ask with the tag of a moment ago until both are within one second."""
    for _ in range(20):
        etag = desk.http.get(path).headers["etag"]
        again = desk.http.get(path, headers={"If-None-Match": given.format(etag)})
        if again.headers["etag"] == etag:
            assert again.content == b"" or again.status_code == 200
            return again.status_code == 304
    return False


def _compared(response: httpx.Response) -> dict[str, str]:
    return {n: value for n, value in response.headers.items() if n not in _NOT_COMPARED}
