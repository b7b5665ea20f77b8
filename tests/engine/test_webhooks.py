"""Webhooks against real servers and a clock that is turned on: nothing is lost, order is kept."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from ops.stack import Stack
from tests.engine.ledger_world import open_world
from tests.engine.webhook_world import (
    Desk,
    Receiver,
    open_desk,
    status,
    verify,
)


@pytest.fixture
async def desk(servers: Stack) -> AsyncIterator[Desk]:
    """A reseller."""
    async with open_world(servers.settings) as world, open_desk(world) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A server of theirs."""
    server = Receiver()
    await server.start()
    yield server
    await server.stop()


async def test_a_fact_is_told_once_and_signed(desk: Desk, receiver: Receiver) -> None:
    """Body, headers and both signatures are what the specification and the log say."""
    endpoint = await desk.new_endpoint(receiver)
    [fact] = await desk.happen("thing")
    worker = desk.worker()
    for _ in range(3):
        await worker.settle()
    [message] = receiver.messages
    assert message.headers["webhook-id"] == message.fact["id"] == fact
    assert message.headers["content-type"] == "application/json"
    assert (message.fact["type"], message.fact["object"]) == ("show.cancelled", "thing")
    secrets = await desk.endpoints.secrets(desk.reseller, endpoint.id, desk.clock())
    assert isinstance(secrets, list)
    verify(message, secrets[0].shared, secrets[0].public)
    assert await desk.states(endpoint) == {fact: "delivered"}


async def test_down_for_three_days_loses_nothing(desk: Desk, receiver: Receiver) -> None:
    """And whoever is back is told all of it soon, each object's facts in their order."""
    endpoint = await desk.new_endpoint(receiver)
    worker = desk.worker()
    await receiver.stop()
    facts: list[str] = []
    for day in range(3):
        for thing in ("a", "b", "c"):
            facts += await desk.happen(thing, f"{thing}-{day}")
        await desk.pass_time(worker, days=1)
    assert not receiver.messages
    await receiver.start()
    await desk.pass_time(worker, until=lambda: len(receiver.messages) == len(facts), hours=1)
    assert sorted(receiver.ids) == sorted(facts)
    for thing in ("a", "b", "c"):
        told = [m.fact["sequence"] for m in receiver.messages if m.fact["object"] == thing]
        assert len(told) == 3
        assert told == sorted(told)
    assert set((await desk.states(endpoint)).values()) == {"delivered"}


async def test_one_that_is_gone_is_told_nothing_any_more(desk: Desk, receiver: Receiver) -> None:
    """410 disables, and says why."""
    endpoint = await desk.new_endpoint(receiver)
    receiver.behave = status(410)
    await desk.happen("a", "b")
    worker = desk.worker()
    await desk.pass_time(worker, days=4)
    assert len(receiver.messages) == 1
    found = await desk.endpoints.find(desk.reseller, endpoint.id)
    assert (found.standing.status, found.standing.reason) == ("disabled", "gone")
    await asyncio.sleep(0)
