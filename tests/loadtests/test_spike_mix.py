"""Who asks for what: the same mix from the script for wrk and from the generator in Python."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lupa.luajit21 import LuaRuntime

from loadtests.spike.buyers import BOUGHT_MAX, Buyers, Kind, bought_by_now
from loadtests.spike.generating import SCRIPT, read_receipts
from loadtests.spike.groups import share_out
from loadtests.spike.seconds import count, read_seconds

GROUPS = 300


class Office:
    """A box office that holds, sells and releases groups of seats, and keeps count."""

    def __init__(self) -> None:
        """Open with nothing held."""
        self.owner: dict[str, str] = {}
        self.sold: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.keys: set[str] = set()

    def hold(self, key: str, seats: list[str]) -> tuple[int, bytes]:
        """Hold seats that nobody has."""
        self.asked["hold"] += 1
        assert key not in self.keys, "every hold has a key of its own"
        self.keys.add(key)
        if any(seat in self.owner for seat in seats):
            return 409, b'{"type":"urn:onsale:problem:seats-taken"}'
        hold = f"hld_{len(self.keys)}"
        self.owner |= dict.fromkeys(seats, hold)
        return 201, b'{"hold":"%s","show":"shw_1"}' % hold.encode()

    def purchase(self, hold: str) -> tuple[int, bytes]:
        """Sell what is held."""
        self.asked["purchase"] += 1
        seats = [seat for seat, owner in self.owner.items() if owner == hold]
        assert seats, "only holds that were won are bought"
        self.sold |= dict.fromkeys(seats, hold)
        return 201, b'{"order":"ord_%s","status":"confirmed"}' % hold.encode()

    def release(self, hold: str) -> tuple[int, bytes]:
        """Give back what is held."""
        self.asked["release"] += 1
        seats = [seat for seat, owner in self.owner.items() if owner == hold]
        assert seats, "only holds that were won are released"
        assert hold not in self.sold.values()
        for seat in seats:
            del self.owner[seat]
        return 204, b""


class Wrk:
    """Runs the script as wrk would: one thread's callbacks, and nothing else of wrk."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, requests: int, threads: int
    ) -> None:
        """Prepare the environment that the script reads."""
        self.folder = folder
        environment = {
            "TARGET_API_KEY": "osk_1",
            "TARGET_SHOW": "shw_1",
            "SPIKE_FOLDER": str(folder),
            "SPIKE_REQUESTS": str(requests),
            "SPIKE_THREADS": str(threads),
            "SPIKE_RUN": "0123abcd",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        lines = [f'["A-{n}-1","A-{n}-2"]\n' for n in range(GROUPS)]
        (folder / "groups.txt").write_text("".join(lines), encoding="ascii")

    def start(self, number: int) -> Any:  # noqa: ANN401 -- Lua's globals
        """Return a thread's callbacks; nothing is killed when it is done."""
        make: Any = LuaRuntime  # its stubs know of no way to hand on bytes
        lua = make(encoding=None)
        lua.execute(b'wrk = {host = "h", port = "1", thread = {stop = function() end}}')
        lua.execute(SCRIPT.read_bytes().replace(b"ffi.C.kill(", b"(function() end)("))
        thread = lua.globals()
        thread[b"number"] = number
        thread[b"init"]()
        thread[b"headers_of"] = lua.eval(b'function(id) return {["x-request-id"] = id} end')
        if number == 0:
            assert b"GET / " in thread[b"request"](), "wrk tries one request without sending it"
        return thread


def _answer(office: Office, text: bytes) -> tuple[bytes, int, bytes]:
    """Serve one request as it is on the wire; return its id, the status and the body."""
    head, _, body = text.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    headers = dict(header.split(b": ", 1) for header in lines)
    assert headers[b"Authorization"] == b"Bearer osk_1"
    assert headers[b"Host"] == b"h:1"
    method, path, _ = line.decode().split(" ")
    if method == "DELETE":
        status, told = office.release(path.removeprefix("/v1/shows/shw_1/holds/"))
        return headers[b"X-Request-Id"], status, told
    assert int(headers[b"Content-Length"]) == len(body)
    asked = msgspec.json.decode(body)
    if path == "/v1/shows/shw_1/purchases":
        status, told = office.purchase(asked["hold"])
    else:
        assert path == "/v1/shows/shw_1/holds"
        status, told = office.hold(headers[b"Idempotency-Key"].decode(), asked["seats"])
    return headers[b"X-Request-Id"], status, told


def _run(thread: Any, office: Office, at_once: int) -> Iterator[int]:  # noqa: ANN401 -- Lua's globals
    """Let a thread send over some connections; yield each status."""
    under_way = [text for _ in range(at_once) if (text := thread[b"request"]())]
    while under_way:
        request_id, status, body = _answer(office, under_way.pop(0))
        yield status
        thread[b"response"](status, thread[b"headers_of"](request_id), body)
        if text := thread[b"request"]():
            under_way.append(text)


def test_wrks_script_sends_exactly_what_it_was_told_and_sells_the_hall_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads, ten connections each: 10 000 requests at 300 groups."""
    wrk, office = Wrk(tmp_path, monkeypatch, 10_000, 2), Office()
    statuses = Counter(
        status for number in (0, 1) for status in _run(wrk.start(number), office, 10)
    )
    assert statuses.total() == office.asked.total() == 10_000
    assert len(office.sold) == 2 * GROUPS
    assert (tmp_path / "finished").read_text() == "xx", "the last of two ends wrk"
    _assert_mix(office.asked, statuses[409])
    counted = count(read_seconds(tmp_path))
    assert counted.answered == counted.all_took.count == 10_000
    assert counted.answers["hold"] == {
        "201": office.asked["hold"] - statuses[409],
        "409": statuses[409],
    }
    tally = read_receipts(tmp_path, [(f"A-{n}-1", f"A-{n}-2") for n in range(GROUPS)])
    assert tally.tickets == 2 * GROUPS
    assert tally.sold_twice() == set()
    for receipt in tally.receipts.values():
        hold = receipt.order.removeprefix("ord_")
        assert [office.sold[seat] for seat in receipt.seats] == [hold, hold]


def test_the_generator_in_python_has_the_same_mix() -> None:
    """The same office, the same numbers of requests."""
    office, refused = Office(), 0
    buyers = Buyers(GROUPS, 10_000, "0123abcd", random.Random(3))  # noqa: S311 -- dice
    while (asked := buyers.ask()) is not None:
        calls: dict[Kind, Callable[[], tuple[int, bytes]]] = {
            Kind.HOLD: lambda asked=asked: office.hold(asked.key, [f"A-{asked.group}"]),
            Kind.PURCHASE: lambda asked=asked: office.purchase(asked.hold),
            Kind.RELEASE: lambda asked=asked: office.release(asked.hold),
        }
        status, body = calls[asked.kind]()
        refused += status == 409
        buyers.learn(asked, status, body)
    assert office.asked.total() == 10_000
    assert len(office.sold) == GROUPS == len(buyers.receipts)
    _assert_mix(office.asked, refused)


def _assert_mix(asked: Counter[str], refused: int) -> None:
    """The mix that docs/LOADTESTS.md tells, for 1 000 000 at 60 000 seats and in proportion."""
    assert asked["hold"] / asked.total() == pytest.approx(0.67, abs=0.04)
    assert asked["release"] / asked.total() == pytest.approx(0.30, abs=0.04)
    assert asked["purchase"] / asked.total() == pytest.approx(0.03, abs=0.002)
    assert refused / asked["hold"] == pytest.approx(0.52, abs=0.06)


def test_a_follow_up_that_was_turned_away_is_repeated_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 decides nothing: the next request is the same one, and both are counted."""
    wrk = Wrk(tmp_path, monkeypatch, 40, 1)
    thread = wrk.start(0)
    _, status, body = _answer(Office(), hold := thread[b"request"]())
    assert status == 201
    thread[b"response"](201, thread[b"headers_of"](_id_of(hold)), body)
    step = thread[b"request"]()
    overloaded = b'{"type":"urn:onsale:problem:overloaded","status":503}'
    thread[b"response"](503, thread[b"headers_of"](_id_of(step)), overloaded)
    again = thread[b"request"]()
    assert again == step
    thread[b"response"](503, thread[b"headers_of"](_id_of(again)), b'{"type":"...:in-doubt"}')
    assert thread[b"request"]() == step
    thread[b"response"](200, thread[b"headers_of"](b"99"), b"<html>")
    assert thread[b"answered"] == 4
    for _ in range(36):
        hold = thread[b"request"]()
        thread[b"response"](409, thread[b"headers_of"](_id_of(hold)), b"{}")
    answers = count(read_seconds(tmp_path)).answers
    kind = "release" if b"DELETE" in step else "purchase"
    assert answers[kind]["overloaded"] == answers[kind]["503"] == 1
    assert answers["hold"]["nameless"] == 1, "what is not the API's answer is an error"


def _id_of(text: bytes) -> bytes:
    return text.partition(b"X-Request-Id: ")[2].partition(b"\r\n")[0]


def test_purchases_are_spread_over_the_run_and_never_more_than_the_holds_allow() -> None:
    """The hall is sold out at nine tenths; of few holds 45 % are bought."""
    assert bought_by_now(30_000, 0.45, 10**6) == pytest.approx(15_000)
    assert bought_by_now(30_000, 0.9, 10**6) == pytest.approx(30_000)
    assert bought_by_now(30_000, 0.9, 1000) == BOUGHT_MAX * 1000


def test_a_hall_is_shared_out_into_pairs_of_neighbours() -> None:
    """No pair reaches over an aisle, no seat is left out, an odd one is by itself."""
    labels = ["A1", "A2", "A3", "", "A4", "A5", "", "", "B1"]
    assert list(share_out(labels)) == [("A1", "A2"), ("A3",), ("A4", "A5"), ("B1",)]
