"""The page's requests, as any client may make them: no browser is needed here."""

import re
import socket
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import ToldRoom
from web.assets import ASSETS

_BYTES_MAX = 30 * 1024
_SHOP = "https://shop.example"


def _cookie(room: ToldRoom, number: int = 5) -> dict[str, str]:
    return {"Cookie": f"onsale-queue={room.token(number)}"}


def _own(room: ToldRoom) -> dict[str, str]:
    return {"Origin": str(room.http.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}


def test_joining_sends_the_browser_back_with_a_cookie_for_this_show_alone(room: ToldRoom) -> None:
    """HttpOnly, lax, bounded in age and path."""
    joined = room.http.post(room.path, headers=_own(room))
    assert (joined.status_code, joined.headers["location"]) == (303, room.path)
    cookie = joined.headers["set-cookie"]
    assert re.fullmatch(
        rf"onsale-queue={room.token(0)}; Max-Age=\d+; Path={room.path}; HttpOnly; SameSite=Lax",
        cookie,
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Proto": "https"},
        {"Origin": "https://onsale.example", "Host": "onsale.example"},
    ],
)
def test_behind_tls_the_cookie_is_secure(room: ToldRoom, headers: dict[str, str]) -> None:
    """Whether a proxy says so or the browser."""
    joined = room.http.post(room.path, headers=headers)
    assert joined.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize("form", ["", "/pass", "/leave"])
def test_forms_of_other_sites_do_nothing(
    room: ToldRoom, form: str, headers: dict[str, str]
) -> None:
    """Neither join, nor take a pass, nor leave."""
    room.tell(serving=9)
    asked = room.http.post(room.path + form, headers=headers | _cookie(room))
    assert asked.status_code == 403
    assert "set-cookie" not in asked.headers
    page = room.http.get(room.path, headers=_cookie(room)).text
    assert 'data-stage="admitted"' in page


def test_who_has_a_place_keeps_it_however_often_they_join(room: ToldRoom) -> None:
    """A second tab, a second click; a token that is none is no place."""
    again = room.http.post(room.path, headers=_cookie(room))
    assert (again.status_code, again.headers["location"]) == (303, room.path)
    assert "set-cookie" not in again.headers
    wrong = {"Cookie": "onsale-queue=" + "x" * 40}
    assert "set-cookie" in room.http.post(room.path, headers=wrong).headers


def test_a_pass_is_taken_to_a_named_address_only(room: ToldRoom) -> None:
    """There with what the shop needs to know; else the page itself tells it."""
    room.tell(serving=9, return_addresses=[_SHOP])
    asked = room.http.post(
        f"{room.path}/pass?return={_SHOP}/t?a=1", headers=_cookie(room) | _own(room)
    )
    wanted = f"{_SHOP}/t?a=1&onsale_pass=pass-5&onsale_show={room.show}&onsale_buyer=q-1f"
    assert (asked.status_code, asked.headers["location"]) == (303, wanted)
    evil = f"{room.path}?return=https%3A%2F%2Fevil.example%2F"
    asked = room.http.post(evil.replace("?", "/pass?"), headers=_cookie(room))
    assert asked.headers["location"] == evil
    page = room.http.get(evil, headers=_cookie(room))
    assert "You will not be sent there" in page.text
    assert "evil.example/?onsale" not in page.text
    assert "pass-5" in page.text
    assert page.headers["content-security-policy"].endswith("form-action 'self'")


def test_a_pass_that_is_not_ready_is_asked_for_again(room: ToldRoom) -> None:
    """After the time that the room names; the page without script does it too."""
    room.tell(serving=9, turn_in_s=7)
    asked = room.http.post(f"{room.path}/pass", headers=_cookie(room))
    assert asked.headers["location"] == f"{room.path}?retry=7"
    page = room.http.get(asked.headers["location"], headers=_cookie(room)).text
    assert 'data-retry="7"' in page
    assert "steady pace" in page


def test_leaving_gives_the_place_up_and_forgets_it(room: ToldRoom) -> None:
    """Whoever comes back may join anew."""
    left = room.http.post(f"{room.path}/leave", headers=_cookie(room))
    assert left.status_code == 303
    assert left.headers["set-cookie"].startswith("onsale-queue=; Max-Age=0; ")
    page = room.http.get(room.path, headers=_cookie(room)).text
    assert 'data-stage="ended"' in page
    assert "set-cookie" in room.http.post(
        room.path, data={"again": "1"}, headers=_cookie(room)
    ).headers  # fmt: skip


def test_one_person_has_one_turn_if_the_reseller_signed_for_them(room: ToldRoom) -> None:
    """No second number is offered."""
    room.tell(named=True, end=[room.token(5)])
    page = room.http.get(room.path, headers=_cookie(room)).text
    assert "Everybody has one turn" in page
    assert "<button>Join" not in page


def test_an_identity_travels_from_the_link_into_the_form_and_no_further(room: ToldRoom) -> None:
    """It stands in no address that the page makes."""
    page = room.http.get(f"{room.path}?identity=42&return={_SHOP}").text
    assert '<input type="hidden" name="identity" value="42">' in page
    assert "identity=" not in re.sub(r'name="identity" value="42"', "", page)
    joined = room.http.post(room.path, data={"identity": "42"})
    assert f"onsale-queue={room.token(42)};" in joined.headers["set-cookie"]
    for why, notice in (("identity", "not valid any more"), ("check", "does not have")):
        room.tell(join_fails=why)
        refused = room.http.post(room.path, data={"identity": "x"})
        assert refused.status_code == 403
        assert notice in refused.text


def test_too_many_from_one_network_are_told_when_to_come_again(room: ToldRoom) -> None:
    """In a page that comes again by itself."""
    room.tell(join_fails="often")
    refused = room.http.post(room.path)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "7")
    assert f'content="{7}; url={room.path}"' in refused.text


def test_what_people_wrote_is_shown_as_text(room: ToldRoom) -> None:
    """Names, notices and addresses are escaped."""
    room.tell(name="<script>alert(1)</script>")
    page = room.http.get(f"{room.path}?return=%22%3E%3Cscript%3E&identity=%22%3E%3Cb%3E").text
    assert "<script>alert" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_page_style_and_script_are_small_and_keep_to_their_policy(room: ToldRoom) -> None:
    """Below 30 KiB before compression; nothing inline; the edge's other headers as ever."""
    room.tell(serving=2, wait=[60, 120], draws_in_s=5)
    page = room.http.get(room.path, headers=_cookie(room))
    names = ("queue.css", "queue.js", "icon.svg")
    assert len(page.content) + sum(len(ASSETS[name].content) for name in names) < _BYTES_MAX
    assert not re.search(r"<script>|<style|\sstyle=|\son\w+=|javascript:", page.text)
    assert not re.search(r'(?:src|href|action)="(?!/queue/)', page.text)
    assert page.headers["content-security-policy"].startswith("default-src 'self'; ")
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "same-origin"
    for address in re.findall(r'(?:src|href)="(/queue/static/[^"]+)"', page.text):
        sent = room.http.get(address)
        assert sent.status_code == 200
        assert "immutable" in sent.headers["cache-control"]
        assert room.http.get(address.partition("?")[0]).headers["cache-control"].endswith("=300")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /queue/%00", 404),
        ("GET /queue/%ff", 404),
        ("GET /queue/%E2%80%AE", 404),
        ("GET /queue/..%2f..%2fetc", 404),
        ("GET /queue/" + "x" * 3000, 404),
        ("GET /queue/" + "x" * 9000, 414),
        ("GET /queue/static/%2e%2e%2fqueue_page.py", 404),
        ("GET /queue/static/nothing.js", 404),
        ("GET /queue/{show}?return=%ff%00&retry=%d9%a3&identity=" + "y" * 5000, 200),
        ("GET /queue/{show}?" + "a=1&" * 900, 200),
        ("GET /queue/{show}?retry=99999999999999999", 200),
        ("HEAD /queue/{show}", 200),
        ("HEAD /queue/static/queue.js", 200),
        ("PUT /queue/{show}", 405),
        ("DELETE /queue/{show}", 405),
        ("GET /queue/{show}/pass", 405),
        ("GET /queue/{show}/nothing", 404),
        ("GET /queue/", 404),
        ("GET /queue", 404),
        ("POST /queue/shw_dev_0000000000000000", 404),
        ("POST /queue/%00/pass", 404),
        ("POST /queue/%00/leave", 303),
    ],
)
def test_weird_addresses_and_methods_get_an_answer(
    room: ToldRoom, request_line: str, status: int
) -> None:
    """And never a 500."""
    assert _status(room, request_line.replace("{show}", room.show)) == status


@pytest.mark.parametrize(
    "header",
    [
        b"Cookie: onsale-queue",
        b"Cookie: onsale-queue=",
        b"Cookie: =;=;;;onsale-queue=a b",
        b"Cookie: onsale-queue=\xff\xfe",
        b"Cookie: onsale-queue=" + b"x" * 6000,
        b"Cookie: onsale-queue=1; onsale-queue=2",
        b"Origin: \xff",
        b"Sec-Fetch-Site: \xff",
        b"X-Forwarded-Proto: \xe4",
        b"Accept: application/json",
        b"Content-Type: application/json",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_weird_headers_get_an_answer(room: ToldRoom, method: str, header: bytes) -> None:
    """Odd cookies above all: whatever is no token is none."""
    assert _status(room, f"{method} {room.path}", header) in {200, 303, 403}


@pytest.mark.parametrize("body", [b"\xff\x00=%zz&&&==", b"a=1&" * 900, b'{"again": 1}'])
def test_weird_forms_get_an_answer(room: ToldRoom, body: bytes) -> None:
    """Whatever is no field of the form is left alone."""
    assert room.http.post(room.path, content=body).status_code == 303
    assert room.http.post(room.path, content=b"a" * 20_000).status_code == 413


def test_a_room_that_is_down_or_broken_keeps_the_place(room: ToldRoom) -> None:
    """`503` in a page that tries again by itself; only what nobody foresaw is a 500, as a page."""
    room.tell(is_down=True)
    for method in ("GET", "POST"):
        page = room.http.request(method, room.path, headers=_cookie(room))
        assert page.status_code == 503
        assert page.headers["content-type"].startswith("text/html")
        assert "your place is kept" in page.text
        assert f"url={room.path}" in page.text
        assert "set-cookie" not in page.headers
    room.tell(is_down=False, breaks=True)
    page = room.http.get(room.path)
    assert page.status_code == 500
    assert "LookupError" not in page.text


def _status(room: ToldRoom, request_line: str, *headers: bytes) -> int:
    url = urlsplit(str(room.http.base_url))
    lines = [
        f"{request_line} HTTP/1.1".encode(),
        b"Host: " + url.netloc.encode(),
        b"Connection: close",
        *headers,
        *([b"Content-Length: 0"] if request_line.startswith("POST") else []),
    ]
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        answer = b""
        while part := connection.recv(65536):
            answer += part
    if request_line.startswith("HEAD"):
        assert answer.endswith(b"\r\n\r\n")
    return int(answer.split(b" ", 2)[1])
