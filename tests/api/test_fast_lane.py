"""The fast lane alone, in front of another application, and on a real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from litestar.datastructures import State

from api.context import RUNTIME
from api.credentials import CREDENTIALS
from api.fastlane.app import FastLane
from api.fastlane.bodies import BodyReader
from api.limits import LIMITS, Limits
from api.server import BROKEN_OFF, Behind, Exchange, RequestScope
from engine.inventory.commands import Done
from engine.inventory.shows import Show
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import EntityId, HoldId, Ids
from engine.tenancy.principals import EVERY_SCOPE, Principal, PrincipalKind
from engine.waitingroom.room import NotAdmitted
from tests.api.front_desk import FrontDesk, ShowDesk, problem

_IDS = Ids("dev", b"a secret of the tests")
_SHOW = "shw_dev_0000000000000007"
_JSON = [("content-type", "application/json"), ("idempotency-key", "k")]
_LENGTH = ("content-length", "1")


class _Credentials:
    def recall(self, _: str | None) -> Principal:
        return Principal(EntityId(5), PrincipalKind.KEY, EntityId(6), EVERY_SCOPE)


class _Office:
    def known_show(self, _: EntityId, __: EntityId) -> Show:
        return cast(
            "Show",
            SimpleNamespace(id=7, reseller=5, seller=None, asker=5, manifest=None, has_queue=False),
        )

    async def show_to_sell(self, _: EntityId, __: EntityId) -> Show:
        return self.known_show(_, __)

    def is_full(self, _: Show) -> bool:
        return False


class _Rest:
    async def serve(self, _: object, exchange: "_Exchange") -> None:
        exchange.response_bytes(299, [], b"{}")


class _Headers(list[tuple[str, str]]):
    def __len__(self) -> int:
        return len({name for name, _ in self})

    def items(self) -> list[tuple[str, str]]:
        return list(self)


class _Exchange:
    """A request whose body's parts come from a function; None is a client that went away."""

    def __init__(self, part: Callable[[], Awaitable[bytes | None]]) -> None:
        self._part = part
        self.answers: list[tuple[int, dict[str, str], bytes]] = []

    async def __call__(self) -> bytes:
        body = b""
        while part := await self._part():
            body += part
        if part is None:
            raise BROKEN_OFF[0]
        return body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self._part():
            yield part
        yield b""  # as the server ends every body,
        if part is None:
            yield b""  # and one that is broken off

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answers.append((status, dict(headers), body))


def _lane(office: object = None, *, requests_max: int = 10, room: object = None) -> FastLane:
    runtime = SimpleNamespace(ids=_IDS, box_office=office or _Office(), waiting_room=room)
    state = State({RUNTIME: runtime, CREDENTIALS: _Credentials(), LIMITS: Limits(0, 0)})
    bodies = BodyReader(timeout_s=0.1)
    return FastLane(state, cast("Behind", _Rest()), bodies=bodies, requests_max=requests_max)


async def _nothing() -> bytes:
    await asyncio.Event().wait()
    return b""


async def _ask(  # noqa: PLR0913 -- a request's parts, by name
    lane: FastLane,
    part: Callable[[], Awaitable[bytes | None]] = _nothing,
    *,
    method: str = "POST",
    path: str = f"/v1/shows/{_SHOW}/holds",
    headers: Sequence[tuple[str, str]] = _JSON,
    query: str = "",
) -> tuple[int, dict[str, str], Any]:
    scope = SimpleNamespace(
        method=method, path=path, query_string=query, headers=_Headers(headers), http_version="1.1"
    )
    exchange = _Exchange(part)
    async with asyncio.timeout(10):
        await lane.__rsgi__(cast("RequestScope", scope), cast("Exchange", exchange))
    [(status, told, body)] = exchange.answers
    return status, told, msgspec.json.decode(body or b"null")


def _once(body: bytes) -> Callable[[], Awaitable[bytes]]:
    parts = iter([body])

    async def part() -> bytes:
        return next(parts, b"")

    return part


@pytest.mark.parametrize("headers", [_JSON, [*_JSON, _LENGTH]], ids=["in parts", "whole"])
async def test_a_body_that_does_not_come_is_not_waited_for(
    headers: list[tuple[str, str]],
) -> None:
    """408, and the process is free for the next one."""
    lane = _lane()
    answers = await asyncio.gather(*(_ask(lane, headers=headers) for _ in range(5)))
    assert [(status, told["type"]) for status, _, told in answers] == [
        (408, "urn:onsale:problem:request-timeout")
    ] * 5
    status, _, _ = await _ask(lane)
    assert status == 408


async def test_a_body_that_comes_drop_by_drop_is_not_waited_for() -> None:
    """408: each part is in time, and the whole is not."""

    async def drip() -> bytes:
        await asyncio.sleep(0.01)
        return b" "

    status, _, told = await _ask(_lane(), drip)
    assert (status, told["type"]) == (408, "urn:onsale:problem:request-timeout")


async def test_a_body_without_a_length_is_read_up_to_its_bound() -> None:
    """413, without keeping what came."""

    async def flood() -> bytes:
        return b" " * 10_000

    status, _, told = await _ask(_lane(), flood)
    assert (status, told["type"]) == (413, "urn:onsale:problem:body-too-large")


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    """413 by the header alone."""
    headers = [*_JSON, ("content-length", "65537")]
    status, _, told = await _ask(_lane(), headers=headers)
    assert (status, told["type"]) == (413, "urn:onsale:problem:body-too-large")


@pytest.mark.parametrize("headers", [_JSON, [*_JSON, _LENGTH]], ids=["in parts", "whole"])
async def test_a_client_that_goes_away_is_no_error_of_ours(
    headers: list[tuple[str, str]],
) -> None:
    """400, to nobody."""

    async def gone() -> None:
        return None

    status, _, told = await _ask(_lane(), gone, headers=headers)
    assert (status, told["type"]) == (400, "urn:onsale:problem:malformed-request")


async def test_more_calls_than_a_process_works_on_are_turned_away_at_once() -> None:
    """503 with Retry-After, while those that are under way go on."""
    lane = _lane(requests_max=3)
    answers = await asyncio.gather(*(_ask(lane) for _ in range(5)))
    assert sorted(status for status, _, _ in answers) == [408, 408, 408, 503, 503]
    overloaded = [(headers, told) for status, headers, told in answers if status == 503]
    assert {told["type"] for _, told in overloaded} == {"urn:onsale:problem:overloaded"}
    assert {headers["retry-after"] for headers, _ in overloaded} == {"1"}


@pytest.mark.parametrize("call", ["holds", "batch"])
async def test_a_show_with_too_much_waiting_turns_calls_away_unread(call: str) -> None:
    """503 with Retry-After: to read them would take the time in which the show could decide."""

    class _Full(_Office):
        def is_full(self, _: Show) -> bool:
            return True

    lane = _lane(_Full())
    path = f"/v1/shows/{_SHOW}/{call}"
    status, headers, told = await _ask(lane, _once(b"no JSON at all"), path=path)
    assert (status, told["type"]) == (503, "urn:onsale:problem:overloaded")
    assert headers["retry-after"] == "1"


@pytest.mark.parametrize("call", ["holds", "batch"])
async def test_a_slow_body_does_not_slip_by_a_waiting_room(call: str) -> None:
    """It began before there was one: what counts is what is known once it is there."""

    class _Moved(_Office):
        has_queue = False

        def known_show(self, _: EntityId, __: EntityId) -> Show:
            show = SimpleNamespace(
                id=7, reseller=5, manifest=None, has_queue=self.has_queue, hold_ttl_s=600
            )
            return cast("Show", show)

    class _Room:
        async def check_pass(self, *_: object) -> NotAdmitted:
            return NotAdmitted("it came without a pass")

    office = _Moved()
    hold: dict[str, Any] = {"buyer": "b", "seats": ["A-1"]}
    batch = {"commands": [{"op": "hold", "key": "k", **hold}]}
    parts = iter([msgspec.json.encode(hold if call == "holds" else batch)])

    async def slowly() -> bytes:
        office.has_queue = True
        return next(parts, b"")

    path = f"/v1/shows/{_SHOW}/{call}"
    _, _, told = await _ask(_lane(office, room=_Room()), slowly, path=path)
    refused = told if call == "holds" else told["answers"][0]["body"]
    assert refused["type"] == "urn:onsale:problem:not-admitted"


async def test_whatever_goes_wrong_is_told_without_its_details() -> None:
    """500, and the next request is served."""

    class _Broken(_Office):
        def known_show(self, _: EntityId, __: EntityId) -> Show:
            msg = "the inner workings"
            raise RuntimeError(msg)

    status, _, told = await _ask(_lane(_Broken()))
    assert (status, told["type"]) == (500, "urn:onsale:problem:internal-error")
    assert "inner" not in str(told)


async def test_a_store_that_fails_one_command_of_a_batch_leaves_the_others_their_answers() -> None:
    """503 in its own answer: the others had their effect, and are told of it."""
    good, bad = (_IDS.derive_hold(5, 7, key) for key in ("good", "bad"))

    class _HalfDown(_Office):
        async def show_to_sell(self, _: EntityId, __: EntityId) -> Show:
            return self.known_show(_, __)

        def ask_release(self, _: Show, hold: HoldId) -> HoldId:
            return hold

        async def tell(self, _: Show, asked: HoldId) -> Done:
            if asked == bad:
                msg = "a store is unavailable"
                raise StoreUnavailableError(msg)
            return Done()

    commands = [{"op": "release", "hold": _IDS.hold(hold)} for hold in (good, bad, good)]
    body = msgspec.json.encode({"commands": commands})

    status, _, told = await _ask(
        _lane(_HalfDown()), _once(body), path=f"/v1/shows/{_SHOW}/batch", headers=_JSON
    )
    assert status == 200
    assert [answer["status"] for answer in told["answers"]] == [204, 503, 204]
    assert told["answers"][1]["body"]["type"] == "urn:onsale:problem:unavailable"


@pytest.mark.parametrize(
    "headers",
    [
        [("idempotency-key", "a"), ("idempotency-key", "b")],
        [_LENGTH, ("transfer-encoding", "chunked")],
    ],
    ids=["a key twice", "two lengths"],
)
async def test_headers_that_contradict_each_other_are_refused(
    headers: list[tuple[str, str]],
) -> None:
    """One reader would take the first, another the last."""
    status, _, told = await _ask(_lane(), headers=headers)
    assert (status, told["type"]) == (400, "urn:onsale:problem:malformed-request")


async def test_an_unknown_parameter_is_refused() -> None:
    """As everywhere."""
    status, _, told = await _ask(_lane(), query="dry_run=1&dry_run=2")
    assert (status, told["type"]) == (422, "urn:onsale:problem:invalid-request")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1/shows/{_SHOW}/holds"),
        ("POST", f"/v1/shows/{_SHOW}/availability"),
        ("POST", f"/v1/shows/{_SHOW}/holds/"),
        ("PATCH", f"/v1/shows/{_SHOW}/holds/hld_dev_1"),
        ("POST", "/v1/shows"),
        ("GET", "/v1/shows/"),
        ("PATCH", f"/v1/shows/{_SHOW}"),
        ("GET", f"/v1/shows/{_SHOW}/holds/{'x' * 600}"),
        ("GET", "/"),
    ],
)
async def test_other_requests_are_passed_on(method: str, path: str) -> None:
    """Litestar answers them: 405, 404, or what the route says."""
    assert (await _ask(_lane(), method=method, path=path))[0] == 299


def test_an_address_that_is_not_quite_the_documented_one_is_not_found(show: ShowDesk) -> None:
    """Litestar's route of a call is there for the document alone."""
    body = {"buyer": "b", "seats": ["A-1"]}
    assert problem(show.desk.post(f"{show.path}/holds/", body)) == "not-found"


def test_a_sold_out_show_is_refused_without_its_buyers_losing_their_holds(
    desk: FrontDesk,
) -> None:
    """From memory or not, the answers are the same; a repeated hold of a buyer is theirs."""
    show = desk.new_show(max_per_buyer=100)
    bought: list[tuple[str, str]] = []
    seats = [f"A-{n}" for n in range(1, 7)]
    for n, seat in enumerate(seats):
        hold = show.hold(seat, buyer=f"b-{n}", key=f"key-{n}").json()["hold"]
        assert show.purchase(hold).status_code == 201
        bought.append((seat, hold))
    for turn in range(60):
        refused = show.hold("A-1", "A-2", buyer="late", key=f"late-{turn}")
        assert problem(refused) == "seats-taken"
        assert refused.json()["seats"] == ["A-1", "A-2"]
        level = show.hold(
            best_available={"price_level": "vip", "quantity": 1}, buyer="late", key=f"best-{turn}"
        )
        assert problem(level) == "none-together"
        again = show.hold(seats[turn % 6], buyer=f"b-{turn % 6}", key=f"key-{turn % 6}")
        assert (again.status_code, again.json()["hold"]) == (201, bought[turn % 6][1])
