"""The ledger is away or behind: selling goes on within a bound, and all of it is recorded later."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import pytest

from ops.child import Child
from ops.port import Port
from ops.stack import Stack
from tests.faults.reseller_desk import ResellerDesk, metrics, open_desk, told

_BACKLOG_MAX = 10
_SEATS = [f"A-{row}-{seat}" for row in (1, 2) for seat in range(1, 9)]


class _Counter:
    """Asks once, without the patience of a buyer's device."""

    def __init__(self, desk: ResellerDesk, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._path = f"{desk.stack.base_url}/v1/shows/{desk.show}"
        self._headers = {"Authorization": f"Bearer {desk.key}"}

    async def ask(
        self, method: str, path: str, body: object = None, key: str = ""
    ) -> tuple[int, dict[str, Any], str | None]:
        headers = self._headers | {"Idempotency-Key": key or uuid4().hex}
        async with self._session.request(
            method,
            self._path + path,
            data=msgspec.json.encode(body) if body is not None else None,
            headers=headers | {"Content-Type": "application/json"},
        ) as response:
            content = await response.read()
            told = msgspec.json.decode(content, type=dict[str, Any]) if content else {}
            return response.status, told, response.headers.get("Retry-After")

    async def hold(self, seat: str, key: str = "") -> tuple[int, dict[str, Any], str | None]:
        body = {"seats": [seat], "buyer": f"b-{seat}", "ttl_s": 600}
        return await self.ask("POST", "/holds", body, key)

    async def buy(self, hold: str) -> tuple[int, dict[str, Any], str | None]:
        body = {"hold": hold, "payment_reference": f"pay {hold}"}
        return await self.ask("POST", "/purchases", body, f"buy-{hold[-20:]}")


@pytest.fixture(scope="module")
def bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform with a bound that a test reaches."""
    with Port("127.0.0.1", 0) as port:
        number = port.number
    environment = {
        "ONSALE_RECORD_BACKLOG_MAX": str(_BACKLOG_MAX),
        "ONSALE_CONFIRM_TIMEOUT_MS": "300",
        "ONSALE_METRICS_PORT": str(number),
    }
    with Stack(tmp_path_factory.mktemp("bounded"), environment=environment) as stack:
        yield stack


@pytest.fixture
async def desk(bounded: Stack) -> AsyncIterator[ResellerDesk]:
    """A reseller with a show in the real hall."""
    async with open_desk(bounded) as desk:
        yield desk


@pytest.mark.parametrize("child", ["postgres", "worker"])
async def test_selling_goes_on_within_the_bound_and_all_is_recorded_later(
    desk: ResellerDesk, child: str
) -> None:
    """Holds stop first, then purchases; what was answered before is answered as ever."""
    await desk.sell("B-1-1")
    away: Child = getattr(desk.stack, child)
    async with aiohttp.ClientSession() as session:
        counter = _Counter(desk, session)
        holds = [told(await desk.hold(seat, buyer=f"b-{seat}"), 201)["hold"] for seat in _SEATS]
        again = uuid4().hex
        first = (await counter.hold("C-1-1", again))[1]
        await asyncio.sleep(1.5)  # the gauge is of the shows that were there at the last look
        away.kill(restart=False)
        try:
            orders = await _sell_up_to_nine_tenths(counter, holds)
            await _refuses_holds(counter, holds)
            tenth = await counter.buy(holds[9])
            assert tenth[0] == 202, tenth
            orders.append(tenth[1]["order"])
            await _refuses_purchases(counter, holds)
            if child == "postgres":
                assert await _until(lambda: _backlog(desk), _BACKLOG_MAX)
            await _answers_as_ever(counter, holds, orders, (again, first))
        finally:
            away.start()
        for order in orders:
            assert await _until(lambda order=order: _status(desk, order), "confirmed")
        told(await desk.purchase(holds[11], key=f"buy-{holds[11][-20:]}"), 201)
        await desk.sell("C-1-2", buyer="b-late")
        assert await _until(lambda: _backlog(desk), 0)
    assert (await desk.counts())["sold"] == 13
    await desk.assert_clean()


async def _sell_up_to_nine_tenths(counter: _Counter, holds: list[str]) -> list[str]:
    answers = [await counter.buy(hold) for hold in holds[:9]]
    assert {(status, body.get("status")) for status, body, _ in answers} == {(202, "recording")}
    return [body["order"] for _, body, _ in answers]


async def _refuses_holds(counter: _Counter, holds: list[str]) -> None:
    _is_refused(await counter.hold("C-1-2"))
    path = f"/holds/{holds[10]}"
    _is_refused(await counter.ask("PUT", path, {"seats": [_SEATS[10], "C-1-3"]}))
    as_many = await counter.ask("PUT", path, {"seats": ["C-1-4"]})
    assert as_many[0] == 200, as_many
    taken = await counter.hold(_SEATS[0])
    assert taken[0] == 409, "what can't be had anyway is told as such"


async def _refuses_purchases(counter: _Counter, holds: list[str]) -> None:
    _is_refused(await counter.buy(holds[11]))
    _is_refused(await counter.hold("C-1-2"))


async def _answers_as_ever(
    counter: _Counter, holds: list[str], orders: list[str], held: tuple[str, dict[str, Any]]
) -> None:
    replayed = await counter.buy(holds[0])
    assert (replayed[0], replayed[1]["order"]) == (202, orders[0])
    key, first = held
    assert (await counter.hold("C-1-1", key))[1]["hold"] == first["hold"]
    assert (await counter.ask("GET", f"/holds/{holds[11]}"))[1]["status"] == "held"
    assert (await counter.ask("DELETE", f"/holds/{holds[15]}"))[0] == 204


def _is_refused(answer: tuple[int, dict[str, Any], str | None]) -> None:
    status, body, retry_after = answer
    assert (status, body["type"]) == (503, "urn:onsale:problem:overloaded"), body
    assert "ledger is behind" in body["detail"]
    assert retry_after == "5"


async def _status(desk: ResellerDesk, order: str) -> str:
    return (await desk.order(order))["status"]


async def _backlog(desk: ResellerDesk) -> int:
    return int((await metrics(desk.stack)).get("onsale_record_backlog", -1))


async def _until(ask: Callable[[], Awaitable[object]], wanted: object) -> bool:
    """Ask for 20 s until the answer is this."""
    async with asyncio.timeout(20):
        while await ask() != wanted:  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.1)
    return True
