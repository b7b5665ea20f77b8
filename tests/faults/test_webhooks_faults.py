"""Webhooks on the whole platform: every sale is told, verified, also if the worker is killed."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import msgspec
import pytest

from ops.stack import Stack
from tests.engine.webhook_world import Message, Receiver, answer, verify, well
from tests.faults.reseller_desk import ResellerDesk, open_desk, told

_ENDPOINTS = "/v1/webhook-endpoints"


@pytest.fixture(scope="module")
def telling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform that may tell this machine."""
    environment = {"ONSALE_WEBHOOK_PRIVATE": "on"}
    with Stack(tmp_path_factory.mktemp("telling"), environment=environment) as stack:
        yield stack


@pytest.fixture
async def desk(telling: Stack) -> AsyncGenerator[ResellerDesk]:
    """A reseller with a show in the real hall."""
    async with open_desk(telling) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver]:
    """Their server."""
    server = Receiver()
    await server.start()
    yield server
    await server.stop()


async def hook(desk: ResellerDesk, receiver: Receiver, *types: str) -> dict[str, Any]:
    """Make an endpoint."""
    body = {"url": receiver.url, "types": list(types)}
    return told(await desk.ask("POST", _ENDPOINTS, body), 201)


async def sell(desk: ResellerDesk, seat: str) -> str:
    """Sell a seat; return the order."""
    hold = told(await desk.hold(seat, buyer=f"b-{seat}"), 201)["hold"]
    answered = await desk.ask("POST", f"/v1/shows/{desk.show}/purchases", {"hold": hold})
    assert answered.status in {201, 202}, answered
    return msgspec.json.decode(answered.body)["order"]


async def seats_of(desk: ResellerDesk, count: int) -> list[str]:
    """Return labels of seats that are on sale."""
    path = f"/v1/shows/{desk.show}/seats?status=open&limit={count}"
    return [seat["seat"] for seat in told(await desk.ask("GET", path), 200)["seats"]]


async def wait_for_all(receiver: Receiver, orders: list[str], within_s: float) -> list[Message]:
    """Return the messages once every order was told of."""
    async with asyncio.timeout(within_s):
        while not set(orders) <= {message.fact["object"] for message in receiver.messages}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return receiver.messages


async def test_every_sale_is_told_and_verified(desk: ResellerDesk, receiver: Receiver) -> None:
    """Once each, by both signatures."""
    made = await hook(desk, receiver, "order.confirmed")
    [secret] = made["secrets"]
    orders = [await sell(desk, seat) for seat in await seats_of(desk, 5)]
    messages = await wait_for_all(receiver, orders, 20)
    for message in messages:
        verify(message, secret["secret"], secret["public_key"])
    assert sorted(message.fact["object"] for message in messages) == sorted(orders)


async def test_a_killed_workers_messages_are_told_by_the_next(
    desk: ResellerDesk, receiver: Receiver
) -> None:
    """It is killed while a message is on its way: that one is told again, none is lost."""
    made = await hook(desk, receiver, "order.confirmed")
    [secret] = made["secrets"]
    reached = asyncio.Event()

    async def hang(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await asyncio.sleep(30)
        await answer(writer)

    receiver.behave = hang
    seats = await seats_of(desk, 4)
    orders = [await sell(desk, seats[0])]
    async with asyncio.timeout(20):
        await reached.wait()
    desk.stack.worker.kill()
    receiver.behave = well
    orders += [await sell(desk, seat) for seat in seats[1:]]
    messages = await wait_for_all(receiver, orders, 60)
    async with asyncio.timeout(60):
        while [m.fact["object"] for m in messages].count(orders[0]) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    for message in messages:
        verify(message, secret["secret"], secret["public_key"])
    ids = {message.fact["object"]: message.headers["webhook-id"] for message in messages}
    assert {m.headers["webhook-id"] for m in messages} == set(ids.values())
