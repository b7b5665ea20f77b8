"""Whatever a client can send: an answer of the 400s, never a 500, and the server lives on."""

import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, openapi

from api.app import create_app
from tests.api.front_desk import FrontDesk, ShowDesk, problem, show_body

_JSON = b"Content-Type: application/json"
_KEY = b"Idempotency-Key: k"


@pytest.fixture(scope="module")
def show(desk: FrontDesk) -> ShowDesk:
    """One show for all of them: it has to live through everything."""
    return desk.new_show()


def _send(desk: FrontDesk, head: bytes, *headers: bytes, body: bytes = b"") -> tuple[int, bytes]:
    """Send bytes as they are, and return status and body."""
    length = [b"Content-Length: %d" % len(body)] if body else []
    answer = _send_raw(desk, head, *headers, *length, content=body)
    status = re.match(rb"HTTP/1.1 (\d{3}) ", answer)
    assert status, answer
    return int(status[1]), answer.partition(b"\r\n\r\n")[2]


def _send_raw(
    desk: FrontDesk, head: bytes, *headers: bytes, content: bytes, breaks_off: bool = False
) -> bytes:
    """Send bytes as they are, then nothing ever again if it breaks off; return all that comes."""
    lines = [
        head + b" HTTP/1.1",
        b"Host: onsale",
        b"Connection: close",
        b"Authorization: Bearer " + desk.key.encode(),
        *headers,
    ]
    url = urlsplit(str(desk.http.base_url))
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + content)
        if breaks_off:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def test_plans_that_come_slowly_keep_nobody_elses_from_being_read(desk: FrontDesk) -> None:
    """The turn to work on a large plan is taken when its body is there, not before."""
    url = urlsplit(str(desk.http.base_url))
    head = b"\r\n".join(
        [
            b"POST /v1/shows HTTP/1.1",
            b"Host: onsale",
            b"Authorization: Bearer " + desk.key.encode(),
            _JSON,
            b"Content-Length: 60000",
        ]
    )
    with ExitStack() as stack:
        for _ in range(3):
            slow = socket.create_connection((url.hostname, url.port), timeout=10)
            stack.enter_context(slow)
            slow.sendall(head + b"\r\n\r\n{")
        assert desk.post("/v1/shows", show_body(name="Quick")).status_code == 201


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/v1/shows/%00", 404),
        (b"/v1/shows/%ff", 404),
        (b"/v1/shows/%zz", 404),
        (b"/v1/shows/%", 404),
        (b"/v1/shows/\xc3\xa9", 404),
        (b"/v1/shows/a%2fb", 404),
        (b"/v1/shows/..%2f..%2fetc%2fpasswd", 404),
        (b"/v1/shows/%E2%80%AE", 404),
        (b"/v1/shows/shw_dev_0000000000000000", 404),
        (b"/v1/shows/shw_dev_ffffffffffffffff", 404),
        (b"/v1/shows/shw_dev_" + b"f" * 400, 404),
        (b"/v1/shows/shw_xx_0000000000000001", 404),
        (b"/v1/orders/ord_dev_" + b"0" * 48, 404),
        (b"/v1/orders/ord_dev_" + b"f" * 48, 404),
        (b"/v1/orders/%00", 404),
        (b"/v1/shows/" + b"x" * 9000, 414),
        (b"/v1/shows?cursor=%00", 422),
        (b"/v1/shows?cursor=" + b"x" * 200, 422),
        (b"/v1/shows?limit=" + b"9" * 5000, 422),
        (b"/v1/shows?limit=%d9%a3", 422),
        (b"/v1/shows?" + b"a=1&" * 1000, 422),
        (b"/v1/shows?%ff=%ff", 422),
        (b"*", 404),
    ],
)
def test_weird_addresses(desk: FrontDesk, path: bytes, status: int) -> None:
    """NUL, broken encodings, ids of other kinds, far too much of everything."""
    assert _send(desk, b"GET " + path)[0] == status


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (b"cursor=%ff", 422),
        (b"cursor=p9999999999", 200),
        (b"cursor=p%d9%a3", 422),
        (b"cursor=p-1", 422),
        (b"price_level=%00", 422),
        (b"price_level=%ff", 422),
        (b"price_max=99999999999999999999999", 422),
        (b"price_max=NaN", 422),
        (b"status=%00", 422),
    ],
)
def test_weird_filters(show: ShowDesk, query: bytes, status: int) -> None:
    """Of the list of seats."""
    head = b"GET " + show.path.encode() + b"/seats?" + query
    assert _send(show.desk, head)[0] == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"\0", 400),
        (b"null", 422),
        (b"[]", 422),
        (b'"hold"', 422),
        (b"{", 400),
        (b"{}{}", 400),
        (b'{"buyer":"\xff"}', 400),
        (b'{"buyer":"\\ud800","seats":["B-1"]}', 400),
        (b'{"buyer":"\\udc00","seats":["B-1"]}', 400),
        (b"\xef\xbb\xbf{}", 400),
        (b"[" * 60_000, 400),
        (b'{"seats":' * 7_000, 400),
        (b'{"buyer":' + b"[" * 30_000 + b"]" * 30_000 + b"}", 400),
        (b'{"buyer":"b","seats":["B-1"],"ttl_s":NaN}', 400),
        (b'{"buyer":"b","seats":["B-1"],"ttl_s":Infinity}', 400),
        (b'{"buyer":"b","seats":["B-1"],"ttl_s":1e999}', 422),
        (b'{"buyer":"b","seats":["B-1"],"ttl_s":-1e999}', 422),
        (b'{"buyer":"b","seats":["B-1"],"ttl_s":' + b"9" * 5_000 + b"}", 422),
        (b'{"buyer":"b","areas":{"floor":9223372036854775808}}', 422),
        (b'{"buyer":"b","seats":["\\u0000"]}', 422),
        (b'{"buyer":"b","seats":[""]}', 422),
        (b'{"buyer":"b","seats":["' + b"x" * 60_000 + b'"]}', 422),
        (b'{"buyer":"b","seats":[' + b'"x",' * 10_000 + b'"x"]}', 422),
        (b'{"buyer":"b","areas":{"\\u0000":1}}', 422),
        (b'{"buyer":"b","areas":{"__proto__":1}}', 422),
        (b'{"buyer":"b","best_available":[]}', 422),
        (b'{"' + b"k" * 60_000 + b'":1}', 422),
    ],
)
@pytest.mark.parametrize("path", ["holds", "blocks"])
def test_weird_bodies(show: ShowDesk, path: str, body: bytes, status: int) -> None:
    """Truncated, nested, out of range, of another kind."""
    head = f"POST {show.path}/{path}".encode()
    told, answer = _send(show.desk, head, _JSON, _KEY, body=body)
    # What a block has no field for is refused as that.
    assert told in ({status} if path == "holds" else {status, 422}), answer


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([b"Authorization: Bearer other"], 400),
        ([b"X-Request-Id: \xff\xfe"], 200),
        ([b"Accept: \xff"], 406),
        ([b"Accept: ;;;,,,"], 406),
        ([b"Accept-Encoding: \xff;q=\xff"], 200),
        ([b'If-None-Match: \xff,"'], 200),
        ([b"Cookie: \xff=\xff"], 200),
        ([b"X-Long: " + b"x" * 30_000], 200),
    ],
)
def test_weird_headers(show: ShowDesk, headers: list[bytes], status: int) -> None:
    """Twice, not ASCII, out of grammar."""
    head = b"GET " + show.path.encode() + b"/availability"
    assert _send(show.desk, head, *headers)[0] == status


@pytest.mark.parametrize(
    "headers",
    [
        [_KEY, b"Idempotency-Key: other"],
        [b"Idempotency-Key: \xff"],
        [b"Idempotency-Key: a\tb"],
        [_KEY, b"Content-Length: 3"],
        [_KEY, b"Content-Length: x"],
    ],
)
def test_weird_headers_of_a_hold(show: ShowDesk, headers: list[bytes]) -> None:
    """The key above all: of two, no reader knows which is meant."""
    head = f"POST {show.path}/holds".encode()
    status, _ = _send(show.desk, head, _JSON, *headers, body=b'{"buyer":"b","seats":["B-1"]}')
    assert status == 400


@pytest.mark.parametrize("others", [[], [b"X-A: 1", b"X-A: 2", b"X-B: 1", b"X-B: 2"]])
def test_a_key_that_is_nonsense_is_not_taken_for_none(desk: FrontDesk, others: list[bytes]) -> None:
    """A show would be made again by the repeat."""
    key = b"Idempotency-Key: \xff"
    status, answer = _send(desk, b"POST /v1/shows", _JSON, key, *others, body=b"{}")
    assert status == 400
    assert b"idempotency-key-invalid" in answer


@pytest.mark.parametrize("path", ["/v1/shows", "/schema", "/health/live", "/nothing"])
def test_a_query_in_raw_utf_8_is_answered(desk: FrontDesk, path: str) -> None:
    """Whatever it asks for."""
    status, _ = _send(desk, f"GET {path}?x=\u20ac".encode())
    assert status in {200, 404, 422}


_BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "no end": lambda body: b"%x\r\n%b\r\n" % (len(body), body),
    "a part of a chunk": lambda body: b"1000\r\n" + body,
    "no chunk": lambda body: b"%x\r\n%b\r\nZZZ\r\n" % (len(body), body),
}


@pytest.mark.parametrize("broken", _BROKEN.values(), ids=_BROKEN.keys())
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("holds", b'{"buyer":"broken","seats":["C-1"]}'),
        ("blocks", b'{"seats":["C-1"],"reason":"broken"}'),
    ],
)
def test_a_chunked_body_that_is_broken_off_has_no_effect(
    desk: FrontDesk, path: str, body: bytes, broken: Callable[[bytes], bytes]
) -> None:
    """Whoever broke it off may have thought better of it."""
    show = desk.new_show()
    head = f"POST {show.path}/{path}".encode()
    chunked = b"Transfer-Encoding: chunked"
    before = desk.get(f"{show.path}/availability").json()["total"]
    _send_raw(desk, head, _JSON, _KEY, chunked, content=broken(body), breaks_off=True)
    assert desk.get(f"{show.path}/availability").json()["total"] == before
    whole = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    told = _send_raw(desk, head, _JSON, _KEY, chunked, content=whole)
    assert re.match(rb"HTTP/1.1 20[01] ", told), told


def test_a_body_that_is_announced_and_too_large_is_not_waited_for(show: ShowDesk) -> None:
    """413 at once, whatever follows."""
    head = f"POST {show.path}/holds".encode()
    status, _ = _send(show.desk, head, _JSON, _KEY, b"Content-Length: 999999999999")
    assert status == 413


def test_a_plan_of_nothing_but_brackets_is_refused(desk: FrontDesk) -> None:
    """Before it could take the memory of the process."""
    for plan in (b"[" + b"[]," * 2_000_000 + b"[]]", b"[" * 1_000_000):
        refused = desk.http.post(
            "/v1/shows",
            content=b'{"plan":' + plan + b',"name":"x"}',
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        assert problem(refused) in {"invalid-request", "malformed-json"}


_DOCUMENT: dict[str, Any] = create_app().openapi_schema.to_schema()
_SCHEMA: Any = openapi.from_dict(_DOCUMENT)
# The first request of a worker is slow; so is filtering what schemathesis makes.
_UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
_OPERATIONS = [
    (path, method)
    for path, methods in _DOCUMENT["paths"].items()
    for method in methods
    # A stream of events lasts for minutes; test_waiting_room.py has what is unfit for one.
    if path.startswith("/v1") and not path.endswith("/events")
]


def _can_be_unfit(path: str, method: str) -> bool:
    """Tell whether there is more to be wrong than an id, which may be any text."""
    operation = _DOCUMENT["paths"][path][method]
    parameters = operation.get("parameters", [])
    return (
        operation.get("security") != [{}]
        or "requestBody" in operation
        or any(parameter["in"] != "path" for parameter in parameters)
    )


_WAYS = [
    pytest.param(path, method, mode, id=f"{path}-{method}-{mode.value}")
    for path, method in _OPERATIONS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or _can_be_unfit(path, method)
]


@pytest.mark.parametrize(("path", "method", "mode"), _WAYS)
def test_requests_made_from_the_document_meet_no_500(
    show: ShowDesk, path: str, method: str, mode: GenerationMode
) -> None:
    """Generated requests, fit and unfit, half of them for a show that is there."""
    operation = _SCHEMA[path][method.upper()]

    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=_UNHURRIED,
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def ask(case: Any, *, real: bool) -> None:  # noqa: ANN401 -- schemathesis' own
        if real and "show" in case.path_parameters:
            case.path_parameters["show"] = show.id
        response = case.call(
            base_url=str(show.desk.http.base_url),
            headers={"Authorization": f"Bearer {show.desk.key}"},
            timeout=20,
        )
        assert response.status_code < 500, response.content
        kind = response.headers.get("content-type", [""])[0]
        if response.status_code >= 400:
            assert kind == "application/problem+json", response.content

    ask()
