"""The waiting room over HTTP: joining, the shared document, passes, and holds that need one."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from engine.waitingroom.credit import default_burst
from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem

_WITHIN_S = 15.0
_RULES: Json = {
    "opens_at": "2020-01-01T00:00:00Z",
    "rate": 200,
    "burst": 400,
    "checkout_max": 500,
}


def _with(text: str) -> dict[str, Any]:
    return {"pass": text}


class Line:
    """A show's waiting room as people's browsers reach it."""

    def __init__(self, show: ShowDesk, http: httpx.Client) -> None:
        """Take the show, and a client without a key."""
        self.show = show
        self.path = f"{show.path}/queue"
        self.http = http

    def put(self, **rules: object) -> Json:
        """Set the rules."""
        answer = self.show.desk.http.put(self.path, json=_RULES | rules)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def serving(self) -> httpx.Response:
        """Read the shared document."""
        return self.http.get(f"{self.path}/serving")

    def until(self, holds: Callable[[httpx.Response], bool]) -> httpx.Response:
        """Wait until the shared document is so."""
        deadline = time.monotonic() + _WITHIN_S
        while not holds(told := self.serving()):
            assert time.monotonic() < deadline, told.text
            time.sleep(0.05)
        return told

    def opened(self, state: str = "running") -> "Line":
        """Wait until it is in a state."""
        self.until(lambda told: told.status_code == 200 and told.json()["state"] == state)
        return self

    def join(self, **body: str) -> Json:
        """Join."""
        answer = self.http.post(self.path, json=body)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    def ask(
        self, method: str, noun: str, token: str | None, body: Json | None = None
    ) -> httpx.Response:
        """Ask something with a token."""
        headers = {} if token is None else {"Queue-Token": token}
        return self.http.request(method, f"{self.path}/{noun}", headers=headers, json=body)

    def until_position(self, token: str, standing: str) -> None:
        """Wait until a number's pass is told to stand so; each process is a moment behind."""
        deadline = time.monotonic() + _WITHIN_S
        while self.ask("GET", "position", token).json()["pass"] != standing:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def hold(self, seat: str, text: str, buyer: str = "b-1", **more: Any) -> httpx.Response:  # noqa: ANN401 - of a hold
        """Hold a seat with a pass, again while a process has not heard of the waiting room."""
        deadline = time.monotonic() + _WITHIN_S
        while True:
            answer = self.show.hold(seat, buyer=buyer, **_with(text), **more)
            if answer.status_code != 503 or time.monotonic() > deadline:
                return answer

    def claim(self, token: str, buyer: str = "b-1") -> httpx.Response:
        """Claim once."""
        return self.ask("POST", "pass", token, {"buyer": buyer})

    def claimed(self, token: str, buyer: str = "b-1") -> Json:
        """Claim until the pass is there."""
        deadline = time.monotonic() + _WITHIN_S
        while (answer := self.claim(token, buyer)).status_code != 200:
            assert problem(answer) in {"not-your-turn", "show-recovering"}, answer.text
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.05)
        return answer.json()


@pytest.fixture(scope="module")
def eager_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform whose API lets any number join from one address."""
    environment = {
        "ONSALE_JOIN_RATE_MAX": "0",
        "ONSALE_ADDRESS_RATE_MAX": "0",
        "ONSALE_API_WORKERS": "2",
    }
    with Stack(tmp_path_factory.mktemp("eager"), environment=environment) as stack:
        yield stack


@pytest.fixture(scope="module")
def eager(eager_stack: Stack) -> Iterator[FrontDesk]:
    """A reseller there."""
    yield from _new_desk(eager_stack, "Eager")


@pytest.fixture(scope="module")
def partner(eager_stack: Stack) -> Iterator[FrontDesk]:
    """Another reseller there."""
    yield from _new_desk(eager_stack, "Partner")


def _new_desk(stack: Stack, name: str) -> Iterator[FrontDesk]:
    desk = FrontDesk(stack.base_url, asyncio.run(new_key(stack.settings, name)))
    with desk.http:
        yield desk


@pytest.fixture(scope="module")
def browser(eager: FrontDesk) -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with httpx.Client(base_url=eager.http.base_url, timeout=10) as http:
        yield http


@pytest.fixture
def line(eager: FrontDesk, browser: httpx.Client) -> Line:
    """A fresh show with a waiting room in which nobody has to wait for long."""
    return _new_line(eager, browser)


@pytest.fixture
def other(eager: FrontDesk, browser: httpx.Client) -> Line:
    """Another."""
    return _new_line(eager, browser)


def _new_line(desk: FrontDesk, browser: httpx.Client) -> Line:
    line = Line(desk.new_show(), browser)
    line.put()
    return line.opened()


def _signed(claims: Json, key: str) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(key))


def _deadline(told: Json) -> datetime:
    return datetime.fromisoformat(told["expires_at"])


def test_a_person_joins_waits_claims_holds_and_buys(line: Line) -> None:
    """The whole way; the pass ends with its purchase."""
    joined = line.join()
    assert (joined["number"], joined["drawn"], joined["place"]) == (0, True, 0)
    issued = line.claimed(joined["token"])
    assert (issued["number"], issued["buyer"], issued["show"]) == (0, "b-1", line.show.id)
    assert line.claimed(joined["token"]) == issued
    line.until_position(joined["token"], "live")
    held = line.hold("B-1", issued["pass"])
    assert held.status_code == 201, held.text
    hold = held.json()["hold"]
    body = {"hold": hold, "payment_reference": "p", "pass": issued["pass"]}
    bought = line.show.desk.post(f"{line.show.path}/purchases", body)
    assert bought.status_code == 201, bought.text
    line.until_position(joined["token"], "ended")
    assert problem(line.claim(joined["token"])) == "pass-ended"
    refused = line.hold("B-2", issued["pass"])
    assert (refused.status_code, problem(refused)) == (403, "not-admitted")


def test_a_hold_by_another_reseller_needs_a_pass_as_well(line: Line, partner: FrontDesk) -> None:
    """Of places that were released to it; the purchase ends the pass, in the buyer's own words."""
    seller = partner.get("/v1/allotments/received").json()["reseller"]
    body = {"name": "Rest", "for": [{"reseller": seller}], "places": {"seats": ["B-1"]}}
    assert line.show.desk.post(f"{line.show.path}/allotments", body).status_code == 201
    line.opened()
    other = ShowDesk(partner, line.show.id)
    assert problem(other.hold("B-1")) == "not-admitted"
    token = line.join()["token"]
    issued = line.claimed(token)
    held = other.hold("B-1", **_with(issued["pass"]))
    assert held.status_code == 201, held.text
    paid = {"hold": held.json()["hold"], "payment_reference": "pay-1", "pass": issued["pass"]}
    assert partner.post(f"{other.path}/purchases", paid).status_code in {201, 202}
    assert problem(line.claim(token)) == "pass-ended"


def test_a_hold_needs_a_pass_that_lives(line: Line, other: Line) -> None:
    """None, forged, another buyer's, another show's, left: refused with the line's address."""
    token = line.join()["token"]
    own = line.claimed(token)["pass"]
    foreign = other.claimed(other.join()["token"])["pass"]
    assert line.hold("B-1", own).status_code == 201
    assert line.ask("DELETE", "pass", token).status_code == 204
    attempts: list[tuple[str, Json]] = [
        ("b-1", {}),
        ("b-1", {"pass": ""}),
        ("b-1", {"pass": own}),
        ("b-2", {"pass": own}),
        ("b-1", {"pass": foreign}),
        ("b-1", {"pass": own[:-3] + "AAA"}),
        ("b-1", {"pass": "\x00"}),
    ]
    for buyer, body in attempts:
        refused = line.hold("C-1", str(body.get("pass", "")), buyer)
        assert (refused.status_code, problem(refused)) == (403, "not-admitted"), body
        assert refused.json()["queue"] == line.path
    commands = [
        {"op": "hold", "key": f"k-{n}", "buyer": buyer, "seats": ["C-1"], **body}
        for n, (buyer, body) in enumerate(attempts)
    ]
    again = line.claimed(line.join()["token"], "b-9")["pass"]
    commands.append({"op": "hold", "key": "k", "buyer": "b-9", "seats": ["C-1"], "pass": again})
    told = line.show.desk.post(f"{line.show.path}/batch", {"commands": commands}).json()
    assert [one["status"] for one in told["answers"]] == [403] * len(attempts) + [201]


def test_a_hold_lasts_no_longer_than_its_pass(line: Line) -> None:
    """However long it is asked for, also by a buyer who holds something already."""
    line.put(pass_ttl_s=60)
    time.sleep(1)
    issued = line.claimed(line.join()["token"])
    for seat in ("B-1", "B-2", "B-3"):
        held = line.hold(seat, issued["pass"], ttl_s=600)
        assert held.status_code == 201, held.text
        assert _deadline(held.json()) <= _deadline(issued)


class _Holder:
    """Holds and releases a place without a pass, over and over."""

    def __init__(self, show: ShowDesk, buyer: str) -> None:
        self.begun: list[float] = []
        """When each hold that was accepted was asked for."""
        self.refused: set[str] = set()
        self.stopped = threading.Event()
        self._show = show
        self._buyer = buyer

    def run(self) -> None:
        desk = self._show.desk
        with httpx.Client(base_url=desk.http.base_url, headers=desk.http.headers) as http:
            while not self.stopped.is_set():
                begun = time.monotonic()
                answer = http.post(
                    f"{self._show.path}/holds",
                    json={"buyer": self._buyer, "areas": {"floor": 1}},
                    headers={"Idempotency-Key": f"{self._buyer}-{begun}"},
                )
                if answer.status_code == 201:
                    self.begun.append(begun)
                    http.delete(f"{self._show.path}/holds/{answer.json()['hold']}")
                elif answer.status_code != 409:
                    self.refused.add(problem(answer))


def test_no_hold_without_a_pass_is_accepted_from_the_moment_that_there_is_a_room(
    eager: FrontDesk, browser: httpx.Client
) -> None:
    """Whichever process is asked, while many hold: what was asked for before may be refused."""
    for _ in range(3):
        line = Line(eager.new_show(), browser)
        holders = [_Holder(line.show, f"b-{n}") for n in range(8)]
        with ThreadPoolExecutor(len(holders)) as pool:
            running = [pool.submit(holder.run) for holder in holders]
            deadline = time.monotonic() + _WITHIN_S
            while sum(len(holder.begun) for holder in holders) < 20:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            line.put()
            answered = time.monotonic()
            time.sleep(1)
            for holder in holders:
                holder.stopped.set()
            for one in running:
                one.result()
        begun = [moment for holder in holders for moment in holder.begun]
        assert begun, {word for holder in holders for word in holder.refused}
        assert max(begun) < answered
        assert {word for holder in holders for word in holder.refused} <= {
            "not-admitted",
            "show-recovering",
        }


def test_the_shared_document_is_the_same_for_all_and_kept(line: Line) -> None:
    """Cache-Control, ETag and 304; nobody's key or token is needed."""
    told = line.serving()
    assert told.headers["cache-control"] == "public, max-age=1"
    assert "set-cookie" not in told.headers
    same = line.http.get(f"{line.path}/serving", headers={"If-None-Match": told.headers["etag"]})
    assert same.status_code == 304 or same.headers["etag"] != told.headers["etag"]
    document = told.json()
    assert {"show", "state", "serving", "next", "rate", "epoch", "drawn", "skipped"} <= set(
        document
    )


def test_who_has_no_token_of_this_line_is_told_so(line: Line, other: Line) -> None:
    """None, none that was ever made, another show's, a pass: 403."""
    issued = line.claimed(line.join()["token"])["pass"]
    for token in (None, "", "x", other.join()["token"], issued, "é", "A" * 5000):
        for method, noun in (("GET", "position"), ("POST", "pass"), ("DELETE", "pass")):
            headers = [] if token is None else [(b"queue-token", token.encode())]
            refused = line.http.request(method, f"{line.path}/{noun}", headers=headers)
            assert refused.status_code in {403, 400, 431}, (token, refused.text)
            if refused.status_code == 403:
                assert problem(refused) == "queue-token-invalid"


def test_a_signed_person_has_one_number(line: Line) -> None:
    """201, then 200 with the same number; the pass is for whom the reseller named."""
    key = line.put()["identity_key"]
    now = int(time.time())
    claims = {"sub": "cust-7", "show": line.show.id, "exp": now + 60}
    identity = _signed(claims, key)
    first = line.http.post(line.path, json={"identity": identity})
    second = line.http.post(line.path, json={"identity": identity})
    assert (first.status_code, second.status_code) == (201, 200), (first.text, second.text)
    assert first.json()["number"] == second.json()["number"]
    token = second.json()["token"]
    assert problem(line.claim(token, "somebody")) == "pass-ended"
    assert line.claimed(token, "cust-7")["buyer"] == "cust-7"
    forged = _signed(claims, key + "x")
    refused = line.http.post(line.path, json={"identity": forged})
    assert (refused.status_code, problem(refused)) == (403, "identity-invalid")


def test_rules_are_told_to_their_reseller_only(line: Line, eager: FrontDesk) -> None:
    """Who has no key is asked for one; a show without a waiting room has none for anybody."""
    for answer in (line.http.get(line.path), line.http.put(line.path, json=_RULES)):
        assert (answer.status_code, problem(answer)) == (401, "unauthorized")
    assert eager.get(line.path).json()["rate"] == _RULES["rate"]
    bare = f"{eager.new_show().path}/queue"
    for answer in (line.http.post(bare), eager.get(bare), line.http.get(f"{bare}/draw")):
        assert (answer.status_code, problem(answer)) == (404, "no-queue")


def test_the_events_tell_what_the_documents_tell(line: Line) -> None:
    """serving, position and admitted, for whoever has a token in the query."""
    token = line.join()["token"]
    line.until(lambda told: told.json()["serving"] >= 1)
    seen: set[str] = set()
    with line.http.stream("GET", f"{line.path}/events", params={"token": token}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for text in stream.iter_lines():
            if text.startswith("event: "):
                seen.add(text.removeprefix("event: "))
            if "admitted" in seen:
                break
    assert {"serving", "position", "admitted"} <= seen


def test_events_are_told_to_nobody_who_asks_amiss(line: Line) -> None:
    """A token that is none, two of them, a parameter that there is not."""
    path = f"{line.path}/events"
    token = line.join()["token"]
    asked = [
        line.http.get(path, params={"token": "x"}),
        line.http.get(path, headers={"Queue-Token": "x"}),
        line.http.get(path, params={"token": token}, headers={"Queue-Token": token}),
        line.http.get(path, params={"tokens": token}),
        line.http.get(f"{path}?token={token}&token={token}"),
    ]
    assert [answer.status_code for answer in asked] == [403, 403, 422, 422, 422]


def test_the_draw_is_committed_to_before_anybody_joins(line: Line) -> None:
    """The secret is told by nobody until places are drawn; the time is UTC's."""
    answer = line.http.get(f"{line.path}/draw")
    assert answer.headers["cache-control"] == "public, max-age=1"
    told = answer.json()
    assert len(bytes.fromhex(told["commitment"])) == 32
    assert (told["drawn"], told["secret"], told["key"]) == (False, None, None)
    server_time = datetime.fromisoformat(line.serving().json()["server_time"])
    assert abs((server_time - datetime.now(UTC)).total_seconds()) < 5


def _refused(desk: FrontDesk, show: ShowDesk, **rules: object) -> list[str]:
    """Put rules that are refused; return the fields that are told."""
    answer = desk.http.put(f"{show.path}/queue", json=_RULES | rules)
    assert (answer.status_code, problem(answer)) == (422, "invalid-request"), answer.text
    return [fault["pointer"] for fault in answer.json()["errors"]]


def test_people_do_not_join_sooner_than_their_tokens_last(eager: FrontDesk) -> None:
    """Six days before the sale at the most; once it has begun nobody waits for it."""
    sale = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
    show = eager.new_show(opens_at=sale.isoformat())
    early = sale - timedelta(days=6, seconds=1)
    assert _refused(eager, show, opens_at=early.isoformat()) == ["/opens_at"]
    assert _refused(eager, show) == ["/opens_at"]
    soon = sale - timedelta(days=6)
    Line(show, eager.http).put(opens_at=soon.isoformat())


def test_moments_that_no_clock_can_tell_are_refused(eager: FrontDesk) -> None:
    """As those of a show, and before a beacon's round is reckoned from them."""
    show = eager.new_show()
    drand = {"name": "drand"}
    last = "9999-12-31T23:59:59Z"
    assert _refused(eager, show, draws_at=last, beacon=drand) == ["/draws_at"]
    assert _refused(eager, show, opens_at="0001-01-01T00:00:00+14:00") == ["/opens_at"]


def test_a_value_that_is_fetched_is_told_by_nobody(eager: FrontDesk) -> None:
    """Of drand, that is; any other beacon's is the seller's to tell."""
    show = eager.new_show()
    draws_at = "2020-01-01T00:10:00Z"
    told = {"draws_at": draws_at, "beacon_value": "ab" * 8}
    assert _refused(eager, show, beacon={"name": "drand"}, **told) == ["/beacon_value"]
    Line(show, eager.http).put(beacon={"name": "dice"}, **told)


def test_a_burst_is_at_least_what_is_kept_to(eager: FrontDesk) -> None:
    """Two; where none is named it is what the controller itself would take."""
    show = eager.new_show()
    assert "/burst" in _refused(eager, show, burst=1.9)
    put = Line(show, eager.http).put
    assert put(burst=2)["burst"] == 2
    assert put(burst=None, rate=5)["burst"] == default_burst(5) == 12


def test_who_joined_keeps_the_draw_that_they_joined_for(eager: FrontDesk) -> None:
    """409 for what is not put off but changed; all other rules may change."""
    sale = datetime.now(UTC) + timedelta(hours=2)
    show = eager.new_show(opens_at=sale.isoformat())
    opens_at = datetime.now(UTC) - timedelta(minutes=1)
    rules = {
        "opens_at": opens_at.isoformat(),
        "draws_at": (sale - timedelta(hours=1)).isoformat(),
        "beacon": {"name": "dice"},
    }
    line = Line(show, eager.http)
    line.put(**rules)
    others: list[Json] = [
        {"opens_at": (opens_at - timedelta(seconds=1)).isoformat()},
        {"draws_at": (sale - timedelta(hours=1, seconds=1)).isoformat()},
        {"draws_at": None, "beacon": None},
        {"beacon": None},
        {"beacon": {"name": "cards"}},
    ]
    for other in others:
        answer = eager.http.put(line.path, json=_RULES | rules | other)
        assert (answer.status_code, problem(answer)) == (409, "already-drawn"), other
    assert line.put(**rules, rate=7)["rate"] == 7
    later = sale - timedelta(minutes=30)
    line.put(**rules | {"draws_at": later.isoformat()})
