"""API keys over HTTP: who may make which, and what a key that has ended opens."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.front_desk import FrontDesk, ShowDesk, problem

_SHOWS = "shows:read"
Opened = Callable[[str], FrontDesk]


def make(desk: FrontDesk, *scopes: str, **more: Any) -> httpx.Response:  # noqa: ANN401
    """Ask for a key."""
    return desk.post("/v1/keys", {"name": "shop", "scopes": list(scopes) or [_SHOWS]} | more)


@pytest.fixture
def opened(desk: FrontDesk) -> Iterator[Opened]:
    """Make counters for who has another key."""
    with ExitStack() as clients:

        def open_desk(text: str) -> FrontDesk:
            other = FrontDesk(str(desk.http.base_url), text)
            clients.enter_context(other.http)
            return other

        yield open_desk


def test_a_new_key_opens_what_its_scopes_say(
    desk: FrontDesk, show: ShowDesk, opened: Opened
) -> None:
    """And nothing else, in the fast lane and behind it."""
    made = make(desk)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()
    assert made.headers["location"] == f"/v1/keys/{key['key']}"
    assert key["text"].startswith("onsale_dev_live_")
    assert key["text"].startswith(key["prefix"])
    shop = opened(key["text"])
    assert shop.get(show.path).status_code == 200
    assert shop.get(f"{show.path}/availability").status_code == 200
    for refused in (
        ShowDesk(shop, show.id).hold("B-1"),
        shop.get("/v1/keys"),
        make(shop),
        shop.post("/v1/shows", {}),
    ):
        assert (refused.status_code, problem(refused)) == (403, "insufficient-scope")
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


def test_a_keys_text_is_told_once(desk: FrontDesk) -> None:
    """Not by looking, not by listing, not by repeating the call that made it."""
    repeated = secrets.token_hex(8)
    body = {"name": "once", "scopes": [_SHOWS]}
    first = desk.post("/v1/keys", body, key=repeated)
    again = desk.post("/v1/keys", body, key=repeated)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json() | {"text": None}
    text = first.json()["text"]
    looked = desk.get(f"/v1/keys/{first.json()['key']}")
    assert "text" not in looked.json()
    assert text not in looked.text + desk.get("/v1/keys").text + again.text


def test_nobody_hands_out_more_than_they_have(desk: FrontDesk, opened: Opened) -> None:
    """By a new key, or by rotating one that may do more."""
    manager = opened(make(desk, "keys:manage", _SHOWS).json()["text"])
    assert make(manager, _SHOWS).status_code == 201
    refused = make(manager, _SHOWS, "buyers:read")
    assert (refused.status_code, problem(refused)) == (403, "insufficient-scope")
    assert refused.json()["scope"] == "buyers:read"
    wide = make(desk, "orders:write").json()["key"]
    refused = manager.post(f"/v1/keys/{wide}/rotate", {})
    assert problem(refused) == "insufficient-scope"
    assert manager.http.delete(f"/v1/keys/{wide}").status_code == 204


def test_a_key_is_rotated_with_overlap(desk: FrontDesk, show: ShowDesk, opened: Opened) -> None:
    """The old one opens for as long as was said."""
    old = make(desk).json()
    rotated = desk.post(f"/v1/keys/{old['key']}/rotate", {"overlap_s": 3600})
    assert rotated.status_code == 201
    new = rotated.json()
    assert (new["scopes"], new["name"]) == (old["scopes"], old["name"])
    for text in (old["text"], new["text"]):
        assert opened(text).get(show.path).status_code == 200
    looked = desk.get(f"/v1/keys/{old['key']}").json()
    assert looked["replaced_by"] == new["key"]
    left = datetime.fromisoformat(looked["overlap_until"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(hours=1)
    again = desk.post(f"/v1/keys/{old['key']}/rotate", {})
    assert (again.status_code, problem(again)) == (409, "credential-ended")


def test_a_revoked_key_opens_nothing(desk: FrontDesk, show: ShowDesk, opened: Opened) -> None:
    """Revoking it again is no error."""
    key = make(desk).json()
    for _ in range(2):
        assert desk.http.delete(f"/v1/keys/{key['key']}").status_code == 204
    refused = opened(key["text"]).get(show.path)
    assert (refused.status_code, problem(refused)) == (401, "unauthorized")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert desk.get(f"/v1/keys/{key['key']}").json()["revoked_at"]


def test_a_key_can_be_renamed(desk: FrontDesk) -> None:
    """What is left out stays."""
    key = make(desk).json()["key"]
    assert desk.http.patch(f"/v1/keys/{key}", json={"name": "till 4"}).json()["name"] == "till 4"
    assert desk.http.patch(f"/v1/keys/{key}", json={}).json()["name"] == "till 4"
    for change in ({"scopes": [_SHOWS]}, {"name": "till\u200b 4"}, {"name": "4\u202ellit"}):
        refused = desk.http.patch(f"/v1/keys/{key}", json=change)
        assert problem(refused) == "invalid-request"


def test_other_resellers_keys_are_unknown(desk: FrontDesk, rival: FrontDesk) -> None:
    """In the same words as keys that never were."""
    key = make(desk).json()["key"]
    never = rival.get("/v1/keys/key_dev_0123456789abcdef")
    assert problem(never) == "key-not-found"
    for refused in (
        rival.get(f"/v1/keys/{key}"),
        rival.http.patch(f"/v1/keys/{key}", json={"name": "x"}),
        rival.post(f"/v1/keys/{key}/rotate", {}),
        rival.http.delete(f"/v1/keys/{key}"),
        rival.get("/v1/keys/key_dev_zz"),
    ):
        assert (refused.status_code, refused.content) == (404, never.content)
    assert key not in rival.get("/v1/keys?limit=200").text


def test_keys_are_listed_page_by_page(rival: FrontDesk) -> None:
    """None is left out, none comes twice."""
    made = {make(rival).json()["key"] for _ in range(5)}
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = rival.get("/v1/keys?limit=2" + (f"&cursor={cursor}" if cursor else "")).json()
        seen += [key["key"] for key in page["keys"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert made <= set(seen)
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["everything"]}, "/scopes/0"),
        ({"scopes": [_SHOWS, _SHOWS]}, "/scopes/1"),
        ({"scopes": _SHOWS}, "/scopes"),
        ({"name": ""}, "/name"),
        ({"name": "a\u0000b"}, "/name"),
        ({"name": "\u202ereganam"}, "/name"),
        ({"name": "sh\u200bop"}, "/name"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2999-01-01T00:00:00Z"}, "/expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
        ({"region": "eu"}, "/region"),
    ],
)
def test_what_no_key_can_have_is_refused(
    desk: FrontDesk, change: dict[str, Any], pointer: str
) -> None:
    """With the place of the fault."""
    refused = desk.post("/v1/keys", {"name": "shop", "scopes": [_SHOWS]} | change)
    assert (refused.status_code, problem(refused)) == (422, "invalid-request")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == [pointer]
