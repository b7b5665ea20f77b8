"""Dated versions and calls that are to go, on a real server: routes of the fast lane and others."""

import asyncio
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from api.deprecation import Deprecated
from api.versions import CURRENT
from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk, ShowDesk, problem
from tests.api.stand_in_app import OLD_VERSION

_VERSION = "Onsale-Version"


@pytest.fixture(scope="module")
def counter(stand_in: Stack) -> Iterator[FrontDesk]:
    """A reseller where there is an older version."""
    desk = FrontDesk(stand_in.base_url, asyncio.run(new_key(stand_in.settings, "Old hands")))
    with desk.http:
        yield desk


@pytest.fixture(scope="module")
def played(counter: FrontDesk) -> ShowDesk:
    """A show of theirs."""
    return counter.new_show()


def _paths(show: ShowDesk) -> list[str]:
    return ["/v1/shows", show.path, f"{show.path}/availability", "/v1/nothing", "/v1/shows/x/y/z"]


def test_every_answer_says_its_version(show: ShowDesk) -> None:
    """Problems too, of both lanes; and with the version named or not."""
    for path in [*_paths(show), f"{show.path}/queue/serving", f"{show.path}/queue/events"]:
        for headers in ({}, {_VERSION: CURRENT}):
            answer = show.desk.get(path, headers)
            assert answer.headers.get_list(_VERSION) == [CURRENT], path
    assert _VERSION not in show.desk.get("/health/live").headers
    assert show.hold("Z-1").headers[_VERSION] == CURRENT


@pytest.mark.parametrize(
    "asked", ["2020-01-01", "2026-11-23", "2026-11-2", "latest", "v1", "", "x" * 5000, "\u00e4"]
)
def test_a_version_that_is_not_there_is_refused(show: ShowDesk, asked: str) -> None:
    """By both lanes, with those that are there."""
    for path in _paths(show):
        refused = show.desk.http.get(path, headers=[(_VERSION.encode(), asked.encode())])
        assert (refused.status_code, problem(refused)) == (400, "unknown-version"), path
        assert refused.json()["versions"] == [CURRENT]
        assert len(refused.content) < 1000
        assert refused.headers["x-request-id"]
    refused = show.desk.post(f"{show.path}/holds", {}, **{_VERSION: "2020-01-01"})
    assert problem(refused) == "unknown-version"


def test_outside_v1_a_version_means_nothing(desk: FrontDesk) -> None:
    """There is one of everything there."""
    assert desk.get("/health/live", {_VERSION: "2020-01-01"}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/shows", "/v1/shows/x/availability"])
def test_two_versions_in_one_request_are_refused(desk: FrontDesk, path: str) -> None:
    """No reader knows which is meant."""
    url = urlsplit(str(desk.http.base_url))
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        twice = f"{_VERSION}: {CURRENT}\r\n{_VERSION}: 2020-01-01\r\n\r\n"
        connection.sendall((head + twice).encode())
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_an_older_version_asks_and_is_answered_in_its_own_words(played: ShowDesk) -> None:
    """In the fast lane: a body is made today's, and the answer yesterday's."""
    older = {_VERSION: OLD_VERSION}
    body = {"customer": "b-7", "seats": ["B-1"]}
    key = "a hold of January".replace(" ", "-")
    made = played.desk.post(f"{played.path}/holds", body, key=key, **older)
    assert made.status_code == 201, made.text
    assert made.headers.get_list(_VERSION) == [OLD_VERSION]
    assert int(made.headers["content-length"]) == len(made.content)
    told = made.json()
    assert told["customer"] == "b-7"
    assert "buyer" not in told
    today = played.look(told["hold"]).json()
    assert today["buyer"] == "b-7"
    again = played.desk.post(f"{played.path}/holds", {"buyer": "b-7", "seats": ["B-1"]}, key=key)
    assert again.json()["hold"] == told["hold"], "it is the same request by both names"


def test_an_older_version_of_a_call_behind_the_fast_lane(played: ShowDesk) -> None:
    """Litestar's answers are translated the same, compressed or not."""
    listed = played.desk.get("/v1/shows", {_VERSION: OLD_VERSION})
    assert listed.headers[_VERSION] == OLD_VERSION
    assert played.id in {show["show"] for show in listed.json()["items"]}
    assert "shows" in played.desk.get("/v1/shows", {_VERSION: CURRENT}).json()


def test_what_did_not_change_is_the_same_in_an_older_version(played: ShowDesk) -> None:
    """But for the version that it says."""
    for path in (played.path, f"{played.path}/availability", f"{played.path}/seating-plan"):
        older = played.desk.get(path, {_VERSION: OLD_VERSION})
        assert (older.status_code, older.headers[_VERSION]) == (200, OLD_VERSION)
        assert older.json() == played.desk.get(path).json()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 5000])
def test_what_no_translation_understands_is_refused_as_ever(played: ShowDesk, body: bytes) -> None:
    """By the route, which says what is wrong."""
    refused = played.desk.http.post(
        f"{played.path}/holds",
        content=body,
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": "odd",
            _VERSION: OLD_VERSION,
        },
    )
    assert refused.status_code in {400, 422}
    assert refused.headers[_VERSION] == OLD_VERSION
    assert problem(refused) in {"malformed-json", "invalid-request"}


def test_a_body_that_is_too_large_is_so_in_every_version(played: ShowDesk) -> None:
    """And is not made smaller by a translation."""
    refused = played.desk.http.post(
        f"{played.path}/holds",
        content=b'{"customer":"' + b"x" * 70_000 + b'"}',
        headers={
            "Content-Type": "application/json",
            "Idempotency-Key": "large",
            _VERSION: OLD_VERSION,
        },
    )
    assert (refused.status_code, problem(refused)) == (413, "body-too-large")


def test_the_known_versions_are_named_from_the_oldest(played: ShowDesk) -> None:
    """Where there are two."""
    refused = played.desk.get("/v1/shows", {_VERSION: "2025-01-01"})
    assert refused.json()["versions"] == [OLD_VERSION, CURRENT]


def test_a_call_that_is_to_go_says_so(played: ShowDesk) -> None:
    """RFC 9745 and RFC 8594, in both lanes, on refusals too; other calls say nothing."""
    going = [
        played.desk.get("/v1/old"),
        played.desk.get("/v1/old", {_VERSION: OLD_VERSION}),
        played.desk.get(f"{played.path}/availability"),
        played.desk.get("/v1/shows/unknown/availability"),
        played.desk.get(f"{played.path}/availability", {_VERSION: OLD_VERSION}),
    ]
    for answer in going:
        match = re.fullmatch(r"@(\d+)", answer.headers["deprecation"])
        assert match
        assert datetime.fromtimestamp(int(match[1]), UTC).isoformat()[:10] == "2026-12-01"
        assert parsedate_to_datetime(answer.headers["sunset"]).year == 2027
        assert 'rel="deprecation"' in answer.headers["link"]
    for path in ("/v1/shows", played.path, f"{played.path}/seating-plan"):
        assert "deprecation" not in played.desk.get(path).headers
    operation = played.desk.get("/schema").json()["paths"]["/v1/old"]["get"]
    assert operation["deprecated"]
    assert "2027-06-01" in operation["description"]


def test_a_deprecation_says_what_it_knows() -> None:
    """A sunset and a link may be missing."""
    since = datetime(2026, 12, 1, tzinfo=UTC)
    assert Deprecated(since).headers() == (("deprecation", "@1796083200"),)
    assert "since 2026-12-01" in Deprecated(since).words()
