"""Live seats over a real server: who may watch, what they are told, and what is never left out."""

import socket
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from engine.platform.ids import EntityId
from engine.tenancy.watch_tokens import WatchTokens
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, ShowDesk, problem, small_plan
from tests.api.live_watcher import LiveWatcher, watching

_OF_ONE_ADDRESS_MAX = 256
_NOBODY = EntityId(7)
_CUT_OFF_WITHIN_S = 30


def _token(show: ShowDesk, **body: int) -> str:
    answer = show.desk.post(f"{show.path}/live/tokens", body)
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


@contextmanager
def _watching(show: ShowDesk, query: str = "", last: str | None = None) -> Generator[LiveWatcher]:
    headers = {} if last is None else {"Last-Event-ID": last}
    path = f"{show.path}/live?token={_token(show)}{query}"
    with watching(str(show.desk.http.base_url), path, headers) as watcher:
        yield watcher


def _states(show: ShowDesk) -> str:
    return show.availability()["seat_map"]["states"]


def _position(show: ShowDesk, label: str) -> int:
    seats = show.desk.get(f"{show.path}/seats").json()["seats"]
    return next(seat["position"] for seat in seats if seat["seat"] == label)


def test_a_snapshot_comes_first_and_then_what_changes(show: ShowDesk) -> None:
    """Held, sold, given back, withheld: the watcher knows what availability tells."""
    show.availability()
    with _watching(show) as watcher:
        name, told = watcher.next()
        assert (name, told["epoch"], told["inventory_version"]) == ("snapshot", 1, 1)
        assert watcher.id == told["sequence"]
        assert set(watcher.states.values()) == {"o", "b"}  # separators are not for sale
        hold = show.held("A-1", "A-2", areas={"floor": 2})
        name, told = watcher.next()
        assert (name, len(told["held"])) == ("delta", 2)
        assert told["areas"] == [{"area": "floor", "open": 3, "held": 2, "sold": 0, "blocked": 0}]
        show.purchase(hold)
        show.release(show.held("B-1", buyer="b-2"))
        watcher.until_known(_states(show))
        assert watcher.areas["floor"]["sold"] == 2


def test_a_change_of_the_house_brings_a_fresh_snapshot(show: ShowDesk) -> None:
    """With the next inventory version."""
    show.availability()
    with _watching(show) as watcher:
        assert watcher.until("snapshot")["inventory_version"] == 1
        show.desk.post(f"{show.path}/blocks", {"seats": ["A-6"], "areas": {"floor": 1}})
        assert watcher.until("snapshot")["inventory_version"] == 2
        assert watcher.areas["floor"]["blocked"] == 1
        watcher.until_known(_states(show))


def test_who_comes_back_is_told_what_they_missed_and_nothing_else(show: ShowDesk) -> None:
    """Also the first to come back to a process that had forgotten the show."""
    show.availability()
    with _watching(show) as watcher:
        watcher.until("snapshot")
        kept = watcher.states
        last = watcher.id
    time.sleep(0.3)  # the process follows it no more
    hold = show.held("A-3")
    show.held("B-4", buyer="b-2")
    show.purchase(hold)
    now = last
    for _ in range(2):
        with _watching(show, last=last) as watcher, _watching(show) as beside:
            beside.until("snapshot")
            watcher.states = dict(kept)
            name, told = watcher.next()
            assert name == "delta"
            assert (len(told["held"]), len(told["sold"])) == (1, 1)
            watcher.until_known(_states(show))
            now = watcher.id
    with _watching(show, f"&last_event_id={now}") as watcher:
        show.held("B-9", buyer="b-3")
        assert watcher.next()[0] == "delta", "nothing was missed"


def test_a_show_that_is_cancelled_is_told_as_one(show: ShowDesk) -> None:
    """To who watches, who joins and who comes back: nothing of it is open, nor gets open again."""
    hold = show.held("A-1", areas={"floor": 2})
    with _watching(show) as watcher:
        assert watcher.until("snapshot")["state"] == "on_sale"
        last = watcher.id
        assert show.desk.post(f"{show.path}/cancel", {}).status_code == 200
        assert watcher.until("snapshot")["state"] == "cancelled"
        with _watching(show) as joining, _watching(show, last=last) as back:
            for one in (watcher, joining, back):
                if one is not watcher:
                    name, told = one.next()
                    assert (name, told["state"]) == ("snapshot", "cancelled")
                assert "o" not in one.states.values()
                assert one.areas["floor"]["open"] == 0
            show.release(hold)
            for one in (watcher, joining, back):
                told = one.until("delta")
                assert "open" not in told
                one.until_known(_states(show))
                assert one.areas["floor"]["blocked"] == 5


@pytest.mark.parametrize(("action", "state"), [("pause", "paused"), ("close", "off_sale")])
def test_the_state_of_a_show_is_told_with_the_picture(
    show: ShowDesk, action: str, state: str
) -> None:
    """Open seats of a show that rests can't be held; who comes back hears of it, too."""
    with _watching(show) as watcher:
        assert watcher.until("snapshot")["state"] == "on_sale"
        last = watcher.id
    assert show.desk.post(f"{show.path}/{action}", {}).status_code == 200
    for came_from in (None, last):
        with _watching(show, last=came_from) as watcher:
            name, told = watcher.next()
            assert (name, told["state"]) == ("snapshot", state)
            watcher.until_known(_states(show))


@pytest.mark.parametrize("last", ["1-999999", "2-0", "0-0", "nonsense", "1", "-", "9" * 39])
def test_whoever_was_told_something_else_gets_a_snapshot(show: ShowDesk, last: str) -> None:
    """Another epoch's, a later one, one that nobody was ever told."""
    show.availability()
    show.held("A-1")
    with _watching(show, last=last) as watcher:
        assert watcher.next()[0] == "snapshot"


def test_a_gap_brings_a_fresh_snapshot(stack: Stack, show: ShowDesk) -> None:
    """Deltas that were trimmed before they were read are not passed over in silence."""
    import redis  # noqa: PLC0415 - only here

    show.availability()
    digits = show.id.rpartition("_")[2]
    with (
        _watching(show) as watcher,
        redis.Redis.from_url(stack.settings.redis_url, socket_timeout=5) as store,
    ):
        watcher.until("snapshot")
        store.xadd(f"{{{digits}}}:deltas", {"d": b"x"}, id="1-500")
        assert watcher.next()[0] == "snapshot"


def test_a_part_is_told_of_itself_only(show: ShowDesk) -> None:
    """Some seats, a price level with its areas, a zone."""
    show.availability()
    with (
        _watching(show, "&seats=A-2,B-1") as seats,
        _watching(show, "&level=standing") as level,
        _watching(show, "&zone=Hall") as zone,
    ):
        told = seats.until("snapshot")
        assert told["labels"] == {label: _position(show, label) for label in ("A-2", "B-1")}
        assert set(seats.states) == set(told["labels"].values())
        assert told["areas"] == []
        assert level.until("snapshot")["ranges"] == []
        assert [area["area"] for area in level.areas.values()] == ["floor"]
        assert zone.until("snapshot")["areas"] == []
        show.held("A-1", areas={"floor": 1})
        began = time.monotonic()
        show.held("A-2", buyer="b-2")
        name, told = seats.next()
        assert (name, told["held"]) == ("delta", [_position(show, "A-2")])
        assert time.monotonic() - began < 5
        assert level.until("delta")["areas"][0]["held"] == 1
        zone.until_known(_states(show))


@pytest.mark.parametrize(
    "query",
    [
        *("seats=", "seats=A-99", "seats=" + ",".join(["A-1"] * 51), "level=nothing", "zone=Moon"),
        *("seats=A-1&level=vip", "level=vip&level=vip", "rows=3"),
    ],
)
def test_parts_that_do_not_exist_are_refused(show: ShowDesk, query: str) -> None:
    """So is what is misspelt."""
    refused = show.desk.get(f"{show.path}/live?{query}")
    assert problem(refused) == "invalid-request"


def test_a_watch_token_is_one_shows_and_runs_out(
    stack: Stack, show: ShowDesk, rival: FrontDesk
) -> None:
    """Forged, altered, of another show, of another region, too old: all the same 403."""
    other = show.desk.new_show()
    key = stack.settings.queue_keys()
    ids = (int(show.desk.get(show.path).json()["show"].rpartition("_")[2], 16),)
    tokens = {
        "altered": _token(show)[:-1] + ("A" if _token(show)[-1] != "A" else "E"),
        "another show's": _token(other),
        "forged": WatchTokens([b"x" * 32], region="dev").sign(_NOBODY, ids[0], 60)[0],
        "another region's": WatchTokens(key, region="eu").sign(_NOBODY, ids[0], 60)[0],
        "old": WatchTokens(key, region="dev", clock=lambda: time.time() - 90).sign(
            _NOBODY,
            ids[0],
            60,
        )[0],
        "nothing": "",
        "a key": show.desk.key,
    }
    for what, token in tokens.items():
        refused = httpx.get(f"{show.desk.http.base_url}{show.path}/live", params={"token": token})
        assert (refused.status_code, problem(refused)) == (403, "watch-token-invalid"), what
    foreign = rival.post(f"{show.path}/live/tokens", {})
    assert problem(foreign) == "show-not-found"


def test_a_token_of_a_reseller_without_the_show_shows_nothing(stack: Stack, show: ShowDesk) -> None:
    """The show is looked up as the reseller whom the token names."""
    tokens = WatchTokens(stack.settings.queue_keys(), region="dev")
    token, _ = tokens.sign(_NOBODY, int(show.id.rpartition("_")[2], 16), 60)
    refused = httpx.get(f"{show.desk.http.base_url}{show.path}/live", params={"token": token})
    assert problem(refused) == "show-not-found"


def test_a_stream_ends_with_its_token(show: ShowDesk) -> None:
    """For how long a token may be good is bounded."""
    for body in ({"ttl_s": 59}, {"ttl_s": 86_401}, {"ttl_s": "1"}):
        assert problem(show.desk.post(f"{show.path}/live/tokens", body)) == "invalid-request"
    answer = show.desk.post(f"{show.path}/live/tokens", {"ttl_s": 86_400}).json()
    assert answer["url"] == f"{show.path}/live?token={answer['token']}"


def test_resellers_watch_with_their_key_and_others_not_at_all(
    show: ShowDesk, rival: FrontDesk
) -> None:
    """No key, a key and a token, another reseller's show, no show."""
    base_url = str(show.desk.http.base_url)
    key = {"Authorization": f"Bearer {show.desk.key}"}
    with watching(base_url, f"{show.path}/live", key) as watcher:
        watcher.until("snapshot")
    assert problem(httpx.get(f"{base_url}{show.path}/live")) == "unauthorized"
    both = show.desk.get(f"{show.path}/live?token={_token(show)}")
    assert problem(both) == "invalid-request"
    assert problem(rival.get(f"{show.path}/live")) == "show-not-found"
    assert problem(rival.get("/v1/shows/shw_dev_00000000000000aa/live")) == "show-not-found"
    assert problem(rival.get("/v1/shows/nothing/live")) == "show-not-found"


def _connect(stack: Stack, target: str, receive_bytes: int | None = None) -> socket.socket:
    address = urlsplit(stack.base_url)
    connection = socket.socket()
    connection.settimeout(10)
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect((address.hostname, address.port))
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    return connection


@pytest.mark.timeout(120)
def test_who_does_not_read_is_cut_off_and_others_are_told_on(stack: Stack, desk: FrontDesk) -> None:
    """The server would keep for them all that they do not read."""
    show = desk.new_show(plan=small_plan(rows=20, seats=600))
    show.availability()
    target = f"{show.path}/live?token={_token(show)}"
    began = time.monotonic()
    with _connect(stack, target, 2048) as slow, _watching(show) as watcher:
        watcher.until("snapshot")
        time.sleep(1)
        number = 0
        while not _is_cut_off(slow):
            number += 1
            seats = [f"B-{seat}" for seat in range(number % 10 * 8 + 1, number % 10 * 8 + 9)]
            show.release(show.held(*seats, buyer=f"slow-{number}"))
            assert time.monotonic() - began < _CUT_OFF_WITHIN_S
            time.sleep(0.2)
        watcher.until_known(_states(show))


def _is_cut_off(connection: socket.socket) -> bool:
    """Tell whether the other side has ended it, without reading."""
    connection.settimeout(0.01)
    # TCP_INFO's first byte: 1 as long as neither side has ended it.
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) != b"\x01"


@pytest.mark.timeout(60)
def test_one_address_has_so_many_streams(stack: Stack, show: ShowDesk) -> None:
    """Beyond them 503; there is room again when one of them leaves."""
    show.availability()
    target = f"{show.path}/live?token={_token(show)}"
    with ExitStack() as streams:
        connection = streams.enter_context(_connect(stack, target))
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        for _ in range(_OF_ONE_ADDRESS_MAX - 1):
            connection = streams.enter_context(_connect(stack, target))
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        with _connect(stack, target) as refused:
            assert refused.recv(4096).startswith(b"HTTP/1.1 503")
        connection.close()
        time.sleep(0.5)
        with _connect(stack, target) as again:
            assert again.recv(4096).startswith(b"HTTP/1.1 200")
