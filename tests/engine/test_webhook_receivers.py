"""Webhooks to receivers that lie, hang and drip: a failure like any other, and nobody else's."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from time import monotonic

import pytest

from engine.facts.types import FactType
from engine.notify import courier
from engine.notify.endpoints import Endpoint
from engine.notify.slots import Bounds
from ops.stack import Stack
from tests.engine.ledger_world import open_world
from tests.engine.webhook_world import (
    Behaviour,
    Desk,
    Message,
    Receiver,
    answer,
    attempts_of,
    open_desk,
    status,
    well,
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


async def test_a_redirect_is_not_followed(desk: Desk, receiver: Receiver) -> None:
    """It is a failure, and leads nowhere."""
    elsewhere = Receiver()
    await elsewhere.start()
    endpoint = await desk.new_endpoint(receiver)
    receiver.behave = status(307, Location=elsewhere.url)
    [fact] = await desk.happen()
    await desk.worker().settle()
    await elsewhere.stop()
    assert elsewhere.connections == 0
    assert await desk.states(endpoint) == {fact: "pending"}
    assert [attempt["status"] for attempt in await attempts_of(desk, endpoint)] == [307]


async def _no_http(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff SMTP 220 hello\r\n\r\n")
    await writer.drain()


async def _endless_header(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    for _ in range(1000):
        writer.write(b"x" * 65_536)
        await writer.drain()


async def _endless_headers(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for n in range(100_000):
        writer.write(b"X-%d: y\r\n" % n)
        await writer.drain()


async def _closes(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _cut_off(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 20")
    writer.close()


@pytest.mark.parametrize("behave", [_no_http, _endless_header, _endless_headers, _closes, _cut_off])
async def test_garbage_is_a_failure_like_any_other(
    desk: Desk, receiver: Receiver, behave: Behaviour
) -> None:
    """Noted, and tried again."""
    endpoint = await desk.new_endpoint(receiver)
    receiver.behave = behave
    [fact] = await desk.happen()
    worker = desk.worker()
    await worker.settle()
    [attempt] = await attempts_of(desk, endpoint)
    assert attempt["status"] is None
    assert attempt["error"]
    receiver.behave = well
    await desk.pass_time(worker, minutes=1)
    assert await desk.states(endpoint) == {fact: "delivered"}


async def _huge(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    for _ in range(2000):
        writer.write(b"z" * 65_536)
        await writer.drain()


async def _bomb(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
    packed = zlib.compress(bytes(50_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: {len(packed)}\r\n\r\n"
    writer.write(head.encode() + packed)
    await writer.drain()


async def _drips_body(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(200):
        writer.write(b"z")
        await writer.drain()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("behave", [_huge, _bomb, _drips_body])
async def test_what_follows_a_good_status_changes_nothing(
    desk: Desk, receiver: Receiver, behave: Behaviour
) -> None:
    """Of a body without end a kilobyte is kept at most, and it is waited for a second."""
    endpoint = await desk.new_endpoint(receiver)
    receiver.behave = behave
    [fact] = await desk.happen()
    began = monotonic()
    await desk.worker().settle()
    assert monotonic() - began < 5
    assert await desk.states(endpoint) == {fact: "delivered"}
    [attempt] = await attempts_of(desk, endpoint)
    assert len(attempt["response"]) <= 1024


async def _hangs(_r: Receiver, _m: Message, _w: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def _drips_head(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 600:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def test_who_hangs_or_drips_is_given_fifteen_seconds(desk: Desk) -> None:
    """Both at once: neither waits for the other."""
    hanging, dripping = Receiver(), Receiver()
    hanging.behave, dripping.behave = _hangs, _drips_head
    endpoints: list[Endpoint] = []
    for server in (hanging, dripping):
        await server.start()
        endpoints.append(await desk.new_endpoint(server))
    await desk.happen()
    began = monotonic()
    await desk.worker().settle()
    assert 14 < monotonic() - began < 25
    for endpoint in endpoints:
        assert [one["error"] for one in await attempts_of(desk, endpoint)] == ["no answer in time"]
    for server in (hanging, dripping):
        await server.stop()


async def test_fifty_that_hang_hold_up_nobody(desk: Desk, receiver: Receiver) -> None:
    """One that is well gets a hundred facts while they hang, with hardly more slots than they."""
    async with AsyncExitStack() as stack:
        hanging = Receiver()
        hanging.behave = _hangs
        await hanging.start()
        desks = [await stack.enter_async_context(open_desk(desk.world)) for _ in range(5)]
        for other in desks:
            other.clock = desk.clock
            for _ in range(10):
                await other.new_endpoint(hanging)
        await desk.new_endpoint(receiver)
        for other in desks:
            await other.happen("a", "b", "c")
        facts = [
            fact for n in range(20) for fact in await desk.happen(*(f"{n}-{m}" for m in "abcde"))
        ]
        bounds = Bounds(most=60, doubtful_most=55, extra_most=58)
        working = asyncio.create_task(desk.worker(bounds).run())
        began = monotonic()
        while len(receiver.messages) < len(facts):
            await asyncio.sleep(0.02)
            assert monotonic() - began < 10
        assert hanging.connections == 50
        working.cancel()
        await asyncio.wait([working])
        await hanging.stop()


async def test_slow_ones_with_much_to_hear_take_turns(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They answer well, and late: whoever comes after them waits for a turn, not for all of it."""
    monkeypatch.setattr(courier, "TURN_S", 0.4, raising=False)
    slow = Receiver()
    slow.behave = _answers_late
    await slow.start()
    for _ in range(2):
        await desk.new_endpoint(slow, ("show.cancelled",))
    await desk.new_endpoint(receiver, ("show.recovered",))
    await desk.happen("before", kind=FactType.SHOW_RECOVERED)
    worker = desk.worker(Bounds(most=2, doubtful_most=2))
    await worker.settle()
    await desk.happen(*(f"thing-{n}" for n in range(60)))
    working = asyncio.create_task(worker.run())
    await asyncio.sleep(0.5)
    desk.clock.advance(seconds=1)
    await desk.happen("another", kind=FactType.SHOW_RECOVERED)
    began = monotonic()
    while len(receiver.messages) < 2 and monotonic() - began < 5:
        desk.clock.advance(seconds=0.02)
        await asyncio.sleep(0.02)
    working.cancel()
    await asyncio.wait([working])
    await slow.stop()
    assert len(receiver.messages) == 2


async def _answers_late(
    _receiver: Receiver, _message: Message, writer: asyncio.StreamWriter
) -> None:
    await asyncio.sleep(0.2)
    await answer(writer)
