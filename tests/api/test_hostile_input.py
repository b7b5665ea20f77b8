"""Whatever a client can send: an answer of the 400s, never a 500, and the server lives on."""

import re
import socket
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

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


def _talk(desk: FrontDesk, raw: bytes) -> tuple[list[int], bytes]:
    """Send bytes as they are; return all statuses and all that came within a second or so."""
    url = urlsplit(str(desk.http.base_url))
    answer = b""
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(raw)
        connection.settimeout(1.0)
        try:
            while part := connection.recv(65536):
                answer += part
        except TimeoutError:
            answer += b"<still open>"
        except ConnectionError:
            answer += b"<cut>"
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)], answer


def _head(desk: FrontDesk, line: bytes, *headers: bytes) -> bytes:
    given = [b"Host: onsale", b"Authorization: Bearer " + desk.key.encode(), *headers]
    return b"\r\n".join([line, *given, b"", b""])


_HOLD = b'{"buyer":"smuggler","seats":["B-1"]}'
_CHUNKED_HOLD = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_HOLD), _HOLD)
_CHUNKED = b"Transfer-Encoding: chunked"
_LENGTH = b"Content-Length: %d" % len(_HOLD)
_REFUSED_FRAMING: dict[str, tuple[list[bytes], bytes]] = {
    "two lengths": ([_LENGTH, b"Content-Length: 3"], _HOLD),
    "a list of lengths": ([_LENGTH + b", 3"], _HOLD),
    "a length with a sign": ([b"Content-Length: +36"], _HOLD),
    "a negative length": ([b"Content-Length: -1"], _HOLD),
    "a length in hex": ([b"Content-Length: 0x24"], _HOLD),
    "a length that no integer holds": ([b"Content-Length: " + b"9" * 30], _HOLD),
    "an unknown coding": ([b"Transfer-Encoding: xchunked"], _CHUNKED_HOLD),
    "chunked and another after it": ([b"Transfer-Encoding: chunked, identity"], _CHUNKED_HOLD),
    "chunked, then another header": ([_CHUNKED, b"Transfer-Encoding: identity"], _CHUNKED_HOLD),
    "identity with a length": ([b"Transfer-Encoding: identity", _LENGTH], _HOLD),
    "a tab before the coding": ([b"Transfer-Encoding: \x0bchunked"], _CHUNKED_HOLD),
    "a space before the colon": ([b"Transfer-Encoding : chunked"], _CHUNKED_HOLD),
    "a folded line": ([b"X-A: b\r\n c", _LENGTH], _HOLD),
    "a folded coding": ([b"Transfer-Encoding:\r\n chunked"], _CHUNKED_HOLD),
    "a bare CR": ([b"X-A: b\rc", _LENGTH], _HOLD),
    "a NUL in a value": ([b"X-A: b\0c", _LENGTH], _HOLD),
    "a NUL in a name": ([b"X\0A: b", _LENGTH], _HOLD),
    "a name out of grammar": ([b"X[A]: b", _LENGTH], _HOLD),
    "two hosts": ([b"Host: other.example", _LENGTH], _HOLD),
    "a negative chunk": ([_CHUNKED], b"-1\r\n" + _HOLD + b"\r\n0\r\n\r\n"),
    "a chunk in 0x": ([_CHUNKED], b"0x24\r\n" + _HOLD + b"\r\n0\r\n\r\n"),
    "a chunk that no integer holds": ([_CHUNKED], b"f" * 18 + b"\r\n" + _HOLD + b"\r\n0\r\n\r\n"),
    "a chunk that is too short": ([_CHUNKED], b"5\r\n" + _HOLD + b"\r\n0\r\n\r\n"),
    "a bare LF after a chunk's extension": (
        [_CHUNKED],
        b"%x;\n%b\r\n0\r\n\r\n" % (len(_HOLD), _HOLD),
    ),
    "trailers": ([_CHUNKED], _CHUNKED_HOLD[:-2] + b"Content-Length: 5\r\n\r\n"),
}


_WITH_AN_END = {"two hosts", "trailers"}
"""What is refused for another reason than that nobody knows where it ends."""


@pytest.mark.parametrize("name", _REFUSED_FRAMING)
@pytest.mark.parametrize("path", ["holds", "blocks"])
def test_a_request_whose_end_can_be_read_in_two_ways_is_refused(
    desk: FrontDesk, path: str, name: str
) -> None:
    """400, nothing done, and what follows on the connection is answered to nobody."""
    headers, content = _REFUSED_FRAMING[name]
    show = desk.new_show()
    line = f"POST {show.path}/{path} HTTP/1.1".encode()
    smuggled = _head(desk, b"GET /health/live HTTP/1.1")
    sent = _head(desk, line, _JSON, _KEY, *headers) + content + smuggled
    statuses, told = _talk(desk, sent)
    assert statuses[:1] == [400], told
    assert b"alive" not in told or name in _WITH_AN_END
    total = desk.get(f"{show.path}/availability").json()["total"]
    assert (total["held"], total["blocked"]) == (0, 0)


@pytest.mark.parametrize("path", ["holds", "batch", "blocks"])
@pytest.mark.parametrize("order", [1, -1])
def test_of_length_and_coding_the_coding_counts_and_the_connection_ends(
    desk: FrontDesk, path: str, order: int
) -> None:
    """As RFC 9112, 6.3 has it: what follows is no request."""
    show = desk.new_show()
    both = [b"Content-Length: 4", _CHUNKED][::order]
    line = f"POST {show.path}/{path} HTTP/1.1".encode()
    smuggled = _head(desk, b"GET /health/live HTTP/1.1")
    statuses, told = _talk(desk, _head(desk, line, _JSON, _KEY, *both) + _CHUNKED_HOLD + smuggled)
    assert len(statuses) == 1, told
    assert statuses[0] < 500
    assert b"alive" not in told
    assert b"<still open>" not in told


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /v1/shows HTTP/3.7", 400),
        (b"GET  /v1/shows HTTP/1.1", 400),
        (b"GET /v1/shows\0 HTTP/1.1", 400),
        (b"GET http://other.example/v1/shows HTTP/1.1", 200),
        (b"GET https://other.example:443/v1/shows HTTP/1.1", 200),
        (b"GET http://other.example/v1/nothing HTTP/1.1", 404),
        (b"GET /v1/shows#fragment HTTP/1.1", 200),
        (b"GET /health/../v1/shows HTTP/1.1", 404),
        (b"GET /%2e%2e/v1/shows HTTP/1.1", 404),
        (b"get /v1/shows HTTP/1.1", 405),
        (b"CONNECT onsale:443 HTTP/1.1", 405),
        (b"G" * 5000 + b" /v1/shows HTTP/1.1", 405),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1", 414),
    ],
)
def test_weird_request_lines(desk: FrontDesk, line: bytes, status: int) -> None:
    """In absolute form, of another protocol, out of grammar, far too long."""
    statuses, told = _talk(desk, _head(desk, line, b"Connection: close"))
    assert statuses == [status], told[:300]


@pytest.mark.parametrize(
    "headers", [[b"X-Long: " + b"x" * 1_000_000], [b"X-%d: 1" % n for n in range(2000)]]
)
def test_too_many_headers_are_refused(desk: FrontDesk, headers: list[bytes]) -> None:
    """431, by the server."""
    statuses, told = _talk(desk, _head(desk, b"GET /v1/shows HTTP/1.1", *headers))
    assert statuses == [431], told[:300]


def test_an_override_of_the_method_means_nothing(show: ShowDesk) -> None:
    """What stands in front may have let a GET pass."""
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = show.desk.get(show.path, {name: "DELETE"})
        assert answer.status_code == 200


def test_of_a_member_that_comes_twice_the_last_counts(desk: FrontDesk) -> None:
    """As docs/API.md says; and the two are not one request with the first."""
    show = desk.new_show()
    head = f"POST {show.path}/holds".encode()
    twice = b'{"buyer":"first","buyer":"last","seats":["B-1"]}'
    status, told = _send(desk, head, _JSON, _KEY, body=twice)
    assert status == 201
    assert b'"buyer":"last"' in told
    status, told = _send(desk, head, _JSON, _KEY, body=b'{"buyer":"first","seats":["B-1"]}')
    assert (status, b"key-reused" in told) == (422, True)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("Op\u00e9ra", 201),
        ("\u6771\u4eac\u516c\u6f14 \U0001f3ab", 201),
        ("\u05e9\u05dc\u05d5\u05dd", 201),
        ("a\u0000b", 422),
        ("a\u001bb", 422),
        ("a\u0085b", 422),
        ("", 422),
        (" ", 422),
        ("\u3000", 422),
        ("x" * 201, 422),
    ],
)
def test_names_of_all_scripts_are_kept_as_they_are_and_controls_refused(
    desk: FrontDesk, name: str, status: int
) -> None:
    """What comes back is what was sent, letter by letter."""
    answer = desk.post("/v1/shows", show_body(name=name))
    assert answer.status_code == status, answer.text
    if status == 201:
        assert answer.json()["name"] == name
