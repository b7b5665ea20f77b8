"""A line's news as a stream, and how many of them, and of visitors, a process serves at a time."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, Literal, cast

import msgspec
import pytest
from litestar.datastructures import State
from structlog.testing import capture_logs

from api.context import RUNTIME
from api.credentials import CREDENTIALS
from api.fastlane.app import FastLane
from api.fastlane.bodies import BodyReader
from api.fastlane.streams import OF_ONE_ADDRESS_MAX
from api.limits import LIMITS, Limits
from api.server import BROKEN_OFF, Behind, Exchange, RequestScope
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import EntityId, Ids
from engine.tenancy.principals import EVERY_SCOPE, Principal, PrincipalKind
from engine.waitingroom.queues import NoQueueError, Queue
from engine.waitingroom.standing import Standing
from engine.waitingroom.states import QueueState
from tests.unit.test_queue_answers import new_queue

_IDS = Ids("dev", b"a secret of the tests")
_EVENTS = "/v1/shows/shw_dev_0000000000000007/queue/events"
_JOIN = "/v1/shows/shw_dev_0000000000000007/queue"
_HOLD = "/v1/shows/shw_dev_0000000000000007/holds"
_WITHIN_S = 8

_Found = tuple[Queue, Standing]


def _found(serving: int) -> _Found:
    standing = Standing(
        epoch=1,
        state=QueueState.RUNNING,
        serving=serving,
        next=9,
        rate=1.0,
        version=1,
        slow=None,
        fast=None,
        sale_opens_at_ms=None,
    )
    return new_queue(), standing


class _Room:
    """A room that is known at first; then it must be looked for."""

    def __init__(self, *later: _Found | Exception) -> None:
        self._first = _found(1)
        self._later = iter(later)
        self._is_known = True
        self._stays_known = not later
        self.changed = asyncio.Event()

    def known(self, _: EntityId) -> _Found | None:
        is_known = self._is_known
        self._is_known = self._stays_known
        return self._first if is_known else None

    async def look_in(self, _: EntityId) -> _Found:
        now = next(self._later)
        if isinstance(now, Exception):
            raise now
        return now

    def listen(self, _: EntityId) -> asyncio.Event:
        return self.changed

    def forget(self, _: EntityId, __: asyncio.Event) -> None:
        return


class _Exchange:
    """A request whose body never comes, and a client that reads so many parts of a stream."""

    def __init__(self, failure: Exception | None = None, parts_read: int = 2) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.sent: list[str] = []
        self.gone = asyncio.Event()
        self._failure = failure
        self._parts_read = parts_read

    async def __call__(self) -> bytes:
        await asyncio.Event().wait()
        return b""

    def response_bytes(self, status: int, _: object, body: bytes) -> None:
        self.answers.append((status, body))

    def response_stream(self, _: int, __: object) -> "_Exchange":
        return self

    async def send_str(self, data: str) -> None:
        if self._failure is not None and len(self.sent) == self._parts_read:
            raise self._failure
        self.sent.append(data)

    async def client_disconnect(self) -> None:
        await self.gone.wait()


class _Office:
    def known_show(self, _: EntityId, __: EntityId) -> object:
        return SimpleNamespace(id=7, reseller=5, manifest=None, has_queue=False)


class _Credentials:
    def recall(self, _: str | None) -> Principal:
        return Principal(EntityId(5), PrincipalKind.KEY, EntityId(6), EVERY_SCOPE)


class _Ground:
    """A process, and people who call it."""

    def __init__(self, room: _Room, requests_max: int = 8) -> None:
        settings = SimpleNamespace(trusted_proxies=0)
        runtime = SimpleNamespace(
            ids=_IDS, box_office=_Office(), waiting_room=room, settings=settings
        )
        state = State({RUNTIME: runtime, CREDENTIALS: _Credentials(), LIMITS: Limits(0, 0)})
        bodies = BodyReader(timeout_s=0.2)
        rest = cast("Behind", None)
        self._lane = FastLane(state, rest, bodies=bodies, requests_max=requests_max)

    async def ask(
        self, exchange: _Exchange, path: str = _EVENTS, client: str = "192.0.2.1:9"
    ) -> int | None:
        """Ask; return the status of a whole answer."""
        headers = [("content-type", "application/json"), ("content-length", "9")]
        scope = SimpleNamespace(
            method="GET" if path == _EVENTS else "POST",
            path=path,
            query_string="",
            client=client,
            headers=_Headers([*headers, ("idempotency-key", "k")]),
            http_version="1.1",
        )
        async with asyncio.timeout(_WITHIN_S):
            await self._lane.__rsgi__(cast("RequestScope", scope), cast("Exchange", exchange))
        return exchange.answers[0][0] if exchange.answers else None

    @asynccontextmanager
    async def listening(
        self, count: int, client: str = "192.0.2.1:9"
    ) -> AsyncGenerator[list[_Exchange]]:
        """Keep so many streams open."""
        exchanges = [_Exchange() for _ in range(count)]
        tasks = [asyncio.ensure_future(self.ask(one, client=client)) for one in exchanges]
        await _until(lambda: all(one.sent for one in exchanges))
        yield exchanges
        for one in exchanges:
            one.gone.set()
        await asyncio.gather(*tasks)


class _Headers(list[tuple[str, str]]):
    def items(self) -> list[tuple[str, str]]:
        return list(self)

    def get(self, name: str) -> str | None:
        return dict(self).get(name)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while not holds():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)


def _served(sent: list[str]) -> list[int]:
    """Return how far the line was served by each document that was sent."""
    documents = [
        line.removeprefix("data: ") for part in sent for line in part.split("\n") if "data" in line
    ]
    return [msgspec.json.decode(document)["serving"] for document in documents]


async def test_a_client_that_leaves_a_stream_is_no_error() -> None:
    """Nothing is logged, and no second answer is begun, wherever the server finds it out."""
    for parts_read in (0, 1):
        exchange = _Exchange(BROKEN_OFF[0](), parts_read)
        with capture_logs() as logs:
            assert await _Ground(_Room()).ask(exchange) is None
        assert (len(exchange.sent), logs) == (parts_read, [])


async def test_what_fails_a_stream_is_logged_and_not_answered() -> None:
    """The answer has begun: there can't be another one."""
    exchange = _Exchange(RuntimeError("the inner workings"), 1)
    with capture_logs() as logs:
        assert await _Ground(_Room()).ask(exchange) is None
    assert [one["log_level"] for one in logs] == ["error"]


async def test_a_stream_looks_again_for_what_is_not_known_any_more() -> None:
    """As after a change of the rules: no old document is told, and an outage is waited for."""
    away = StoreUnavailableError("for a moment")
    room = _Room(_found(5), away, _found(6), NoQueueError())
    room.changed = _AlwaysSet()
    exchange = _Exchange()
    await _Ground(room).ask(exchange)
    assert _served(exchange.sent) == [1, 5, 6]
    assert exchange.sent[3].startswith(": ")


class _AlwaysSet(asyncio.Event):
    """There is always something new."""

    def is_set(self) -> bool:
        return True

    async def wait(self) -> Literal[True]:
        return True


async def test_one_address_gets_so_many_streams_and_others_theirs() -> None:
    """503 beyond; there is room again when one of them leaves."""
    ground = _Ground(_Room())
    async with ground.listening(OF_ONE_ADDRESS_MAX) as exchanges:
        assert await ground.ask(_Exchange()) == 503
        async with ground.listening(1, "192.0.2.2:9"):
            exchanges[0].gone.set()
            await asyncio.sleep(0.1)
        async with ground.listening(1):
            assert await ground.ask(_Exchange()) == 503
    async with ground.listening(OF_ONE_ADDRESS_MAX):
        assert await ground.ask(_Exchange()) == 503


@pytest.mark.parametrize("visitors", [2, 30])
async def test_slow_visitors_shut_nobody_out_who_has_a_key(visitors: int) -> None:
    """Bodies that never come take a quarter of the places, and streams none."""
    ground = _Ground(_Room(), requests_max=8)
    asked: list[Awaitable[Any]] = [ground.ask(_Exchange(), _JOIN) for _ in range(visitors)]
    asked += [ground.ask(_Exchange(), _HOLD) for _ in range(9)]
    async with ground.listening(9):
        statuses = await asyncio.gather(*asked)
    joins, holds = statuses[:visitors], statuses[visitors:]
    assert sorted(joins) == [408] * 2 + [503] * (visitors - 2)
    assert sorted(holds) == [408] * 8 + [503]
