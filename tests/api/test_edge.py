"""What holds for every request, whatever it asks for."""

import re

import msgspec
import pytest

from ops.stack import Stack
from tests.api.front_desk import FrontDesk, ShowDesk, problem


def test_a_request_id_is_echoed(desk: FrontDesk) -> None:
    """So that a client can find its request in the logs."""
    assert desk.get("/", {"X-Request-Id": "abc-123"}).headers["x-request-id"] == "abc-123"


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129])
def test_a_request_without_a_fit_id_gets_one(desk: FrontDesk, given: str | None) -> None:
    """Visible ASCII, 128 characters at the most; on errors too."""
    headers = {} if given is None else {"X-Request-Id": given}
    made = [desk.get(path, headers).headers["x-request-id"] for path in ("/", "/nothing")]
    assert all(re.fullmatch(r"[0-9a-f]{16}", request_id) for request_id in made)
    assert made[0] != made[1]


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/v1/shows", "/v1/venues", "/schema/openapi.json"]
)
def test_answers_carry_security_headers(desk: FrontDesk, path: str) -> None:
    """Nothing is sniffed, framed or kept by a cache."""
    headers = desk.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/schema/nothing", "/v1/shows/a/b/c"])
def test_an_unknown_address_is_a_problem(desk: FrontDesk, path: str) -> None:
    """In the same form as every other."""
    response = desk.get(path)
    assert (response.status_code, problem(response)) == (404, "not-found")


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE", "TRACE", "BREW"])
def test_a_method_that_is_not_there_names_those_that_are(desk: FrontDesk, method: str) -> None:
    """In Allow, with HEAD where there is GET."""
    response = desk.http.request(method, "/v1/shows")
    assert (response.status_code, problem(response)) == (405, "method-not-allowed")
    assert {"GET", "HEAD", "POST"} <= set(response.headers["allow"].split(", "))


@pytest.mark.parametrize("path", ["/v1/shows", "/v1/events", "/v1/shows/x", "/v1/imports/prices"])
@pytest.mark.parametrize("authorization", ["Bearer nobody", ""])
def test_anybody_may_ask_which_methods_there_are(
    desk: FrontDesk, path: str, authorization: str
) -> None:
    """By OPTIONS, which needs no credential and does nothing."""
    response = desk.http.options(path, headers={"Authorization": authorization})
    assert (response.status_code, response.content) == (204, b"")
    assert "OPTIONS" in response.headers["allow"]


def test_head_is_get_without_a_body(desk: FrontDesk, show: ShowDesk) -> None:
    """Everywhere, problems too."""
    for path, status in ((show.path, 200), ("/health/live", 200), ("/nothing", 404)):
        head = desk.http.head(path)
        assert (head.status_code, head.content) == (status, b"")
        assert head.headers["content-length"] == desk.get(path).headers["content-length"]


@pytest.mark.parametrize(
    ("content_type", "fits"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ("application/json;charset=UTF-8", True),
        ("application/merge-patch+json", True),
        ("application/json; charset=latin-1", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("", False),
    ],
)
def test_a_body_says_that_it_is_json(show: ShowDesk, content_type: str, *, fits: bool) -> None:
    """415 for everything else, and the way out is told."""
    response = show.desk.http.post(
        f"{show.path}/holds",
        content=msgspec.json.encode({"buyer": "b", "seats": ["B-1"]}),
        headers={"Content-Type": content_type, "Idempotency-Key": "k"},
    )
    assert response.status_code == (201 if fits else 415)
    assert fits or problem(response) == "unsupported-media-type"


@pytest.mark.parametrize(
    ("accept", "fits"),
    [
        ("*/*", True),
        ("application/*;q=0.1", True),
        ("text/html, application/json;q=0.5", True),
        ("application/problem+json", True),
        ("text/html", False),
        ("application/json;q=0", False),
    ],
)
def test_who_takes_no_json_is_told_so(desk: FrontDesk, accept: str, *, fits: bool) -> None:
    """406, before anything is done."""
    for path in ("/v1/shows", "/v1/venues"):
        response = desk.get(path, {"Accept": accept})
        assert response.status_code == (200 if fits else 406)
        assert fits or problem(response) == "not-acceptable"


def test_bodies_end_at_64_kib(show: ShowDesk) -> None:
    """White space counts too; 413 names the kind."""
    body = msgspec.json.encode({"buyer": "b", "seats": ["B-1"]})
    for size, status in ((64 * 1024, 201), (64 * 1024 + 1, 413)):
        response = show.desk.http.post(
            f"{show.path}/holds",
            content=body.ljust(size),
            headers={"Content-Type": "application/json", "Idempotency-Key": "k"},
        )
        assert response.status_code == status
    assert problem(response) == "body-too-large"


def test_health_tells_of_both_stores(stack: Stack, desk: FrontDesk) -> None:
    """Without a key; and the root points to the document."""
    assert desk.get("/health/live").json() == {"status": "alive"}
    assert desk.get("/health/ready").json() == {
        "status": "ready",
        "redis": "ok",
        "postgresql": "ok",
    }
    assert desk.get(desk.get("/").json()["openapi"]).json()["info"]["title"] == "Onsale"
    assert "onsale_dev_" not in (stack.logs / "api.log").read_text(encoding="utf-8")
