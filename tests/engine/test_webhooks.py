"""Webhooks against real servers and a clock that is turned on: nothing is lost, order is kept."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from time import monotonic

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import WebhookVerificationError

from engine.facts.log import START, Cursor
from engine.facts.types import FactType
from engine.notify.deliveries import Deliveries, Replayed, Span
from engine.notify.endpoints import Changes
from engine.notify.fan_out import fan_out
from engine.notify.leases import claim_endpoints
from engine.notify.pruning import prune_deliveries
from ops.stack import Stack
from tests.engine.ledger_world import open_world
from tests.engine.webhook_world import (
    Desk,
    Message,
    Receiver,
    answer,
    attempts_of,
    open_desk,
    secrets_of,
    standing_of,
    status,
    verify,
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
    """410 disables, and says why; enabled again it gets what waited, and what is new."""
    endpoint = await desk.new_endpoint(receiver)
    receiver.behave = status(410)
    [refused, waiting] = await desk.happen("a", "b")
    worker = desk.worker()
    await desk.pass_time(worker, days=4)
    assert receiver.ids == [refused]
    stands = await standing_of(desk, endpoint)
    assert (stands.status, stands.reason) == ("disabled", "gone")
    [missed] = await desk.happen("c")
    await worker.settle()
    receiver.behave = well
    await desk.endpoints.change(desk.reseller, endpoint.id, Changes(enabled=True), desk.clock())
    [new] = await desk.happen("d")
    await worker.settle()
    assert receiver.ids == [refused, waiting, new]
    assert missed not in await desk.states(endpoint)


async def test_after_three_days_a_fact_is_given_up(desk: Desk, receiver: Receiver) -> None:
    """With attempts over all of them; after five days of nothing else the endpoint is disabled."""
    endpoint = await desk.new_endpoint(receiver)
    receiver.behave = status(500)
    began = desk.clock()
    [first, _second] = await desk.happen("a", "a")
    worker = desk.worker()
    await desk.pass_time(worker, hours=71)
    assert (await desk.states(endpoint))[first] == "pending"
    await desk.pass_time(worker, hours=2)
    assert set((await desk.states(endpoint)).values()) == {"failed"}
    attempts = await attempts_of(desk, endpoint)
    assert attempts[-1]["at"] - began >= timedelta(hours=72)
    assert {attempt["status"] for attempt in attempts} == {500}
    assert 10 < len(attempts) < 60
    assert set(receiver.ids) == {first}
    for _ in range(3):
        await desk.happen("b")
        await desk.pass_time(worker, days=1)
    stands = await standing_of(desk, endpoint)
    assert (stands.status, stands.reason) == ("disabled", "failing")


async def test_a_flapping_receiver_gets_everything_in_order(desk: Desk, receiver: Receiver) -> None:
    """Answers 500 to two of three: all arrive, and what was taken is in order per object."""
    endpoint = await desk.new_endpoint(receiver)
    taken: list[Message] = []
    counted = count()

    async def flap(_r: Receiver, message: Message, writer: asyncio.StreamWriter) -> None:
        if next(counted) % 3 == 2:
            taken.append(message)
            await answer(writer)
        else:
            await answer(writer, 500)

    receiver.behave = flap
    facts = [fact for _ in range(6) for fact in await desk.happen("a", "b", "c", "d")]
    await desk.pass_time(desk.worker(), until=lambda: len(taken) == len(facts), days=3)
    assert sorted(message.fact["id"] for message in taken) == sorted(facts)
    for thing in "abcd":
        told = [m.fact["sequence"] for m in taken if m.fact["object"] == thing]
        assert told == sorted(told)
        assert len(told) == 6
    assert set((await desk.states(endpoint)).values()) == {"delivered"}


async def test_a_failing_object_holds_up_no_other(desk: Desk, receiver: Receiver) -> None:
    """Its own later facts wait behind it."""
    await desk.new_endpoint(receiver)

    async def choose(_r: Receiver, message: Message, writer: asyncio.StreamWriter) -> None:
        await answer(writer, 400 if message.fact["object"] == "bad" else 204)

    receiver.behave = choose
    [bad, *good] = await desk.happen("bad", "good", "bad", "good", "fine")
    await desk.worker().settle()
    assert sorted(set(receiver.ids)) == sorted([bad, good[0], good[2], good[3]])
    assert receiver.ids.count(bad) == 1


@pytest.mark.parametrize(
    ("number", "headers", "least_s"), [(429, {"Retry_After": "90"}, 90), (503, {}, 5)]
)
async def test_who_asks_for_time_is_left_alone(
    desk: Desk, receiver: Receiver, number: int, headers: dict[str, str], least_s: int
) -> None:
    """Not one message before it is over, also of other objects."""
    await desk.new_endpoint(receiver)
    receiver.behave = status(number, **headers)
    worker = desk.worker()
    await desk.happen("a")
    await worker.settle()
    assert len(receiver.messages) == 1
    receiver.behave = well
    await desk.happen("b", "c")
    desk.clock.advance(seconds=least_s - 1)
    await worker.settle()
    assert len(receiver.messages) == 1
    desk.clock.advance(seconds=2)
    await desk.pass_time(worker, until=lambda: len(receiver.messages) == 4, minutes=10)
    assert len(receiver.messages) == 4


async def test_an_open_breaker_lets_one_probe_at_a_time_through(
    desk: Desk, receiver: Receiver
) -> None:
    """With a hundred facts waiting; once it answers, all of them go at once."""
    endpoint = await desk.new_endpoint(receiver)
    receiver.behave = status(500)
    worker = desk.worker()
    facts = await desk.happen(*(f"thing-{n}" for n in range(100)))
    await desk.pass_time(worker, hours=1)
    # Five until it opens; then pauses of 30 s and double each time up to a quarter of an hour.
    assert 8 < len(receiver.messages) < 20
    assert (await standing_of(desk, endpoint)).is_open
    receiver.behave = well
    before = len(receiver.messages)
    await desk.pass_time(
        worker, until=lambda: len(receiver.messages) == before + len(facts), minutes=16
    )
    assert sorted(receiver.ids[before:]) == sorted(facts)
    assert (await standing_of(desk, endpoint)).failures == 0


async def test_a_dead_workers_endpoints_are_taken_up(desk: Desk, receiver: Receiver) -> None:
    """Once its lease is over, not before."""
    endpoint = await desk.new_endpoint(receiver)
    [fact] = await desk.happen()
    engine = desk.world.recorder_engine
    await fan_out(engine, desk.clock())
    # It claims, and nothing is heard of it any more.
    leased = await claim_endpoints(engine, desk.clock(), doubtful=True, most=100)
    assert endpoint.id in {one.id for one in leased}
    worker = desk.worker()
    await worker.settle()
    assert not receiver.messages
    desk.clock.advance(seconds=61)
    await worker.settle()
    assert receiver.ids == [fact]
    assert await desk.states(endpoint) == {fact: "delivered"}


async def test_who_lost_their_lease_writes_nothing(desk: Desk, receiver: Receiver) -> None:
    """A worker that slept too long finds its endpoint taken; the other's word counts."""
    endpoint = await desk.new_endpoint(receiver)
    reached, release = asyncio.Event(), asyncio.Event()

    async def late(_r: Receiver, _m: Message, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await release.wait()
        await answer(writer, 500)

    receiver.behave = late
    [fact] = await desk.happen()
    asleep = asyncio.create_task(desk.worker().settle())
    await reached.wait()
    desk.clock.advance(seconds=61)
    receiver.behave = well
    await desk.worker().settle()
    assert await desk.states(endpoint) == {fact: "delivered"}
    release.set()
    await asleep
    assert await desk.states(endpoint) == {fact: "delivered"}
    assert [one["status"] for one in await attempts_of(desk, endpoint)] == [204]


async def test_two_workers_tell_each_fact_once(desk: Desk, receiver: Receiver) -> None:
    """Side by side, while facts are added: no duplicate where nobody dies."""
    other = Receiver()
    await other.start()
    endpoints = [await desk.new_endpoint(server) for server in (receiver, other, receiver, other)]
    workers = [asyncio.create_task(desk.worker().run()) for _ in range(2)]
    facts = [fact for n in range(40) for fact in await desk.happen("a", "b", f"c-{n}")]
    began = monotonic()
    while len(receiver.messages) + len(other.messages) < 4 * len(facts):
        await asyncio.sleep(0.02)
        assert monotonic() - began < 30
    for endpoint in endpoints:  # what came is noted a moment later
        while "pending" in (await desk.states(endpoint)).values():
            assert monotonic() - began < 30
    for working in workers:
        working.cancel()
    await asyncio.wait(workers)
    await other.stop()
    assert Counter(receiver.ids) == Counter(other.ids) == Counter(facts * 2)
    for endpoint in endpoints:
        assert set((await desk.states(endpoint)).values()) == {"delivered"}


async def test_only_what_is_wanted_is_told(desk: Desk, receiver: Receiver) -> None:
    """By type; and nothing of before the endpoint was made, nor of other resellers."""
    await desk.happen("before")
    await desk.new_endpoint(receiver, ("order.failed",))
    async with open_desk(desk.world) as other:
        await other.happen("theirs", kind=FactType.ORDER_FAILED)
    await desk.happen("unwanted")
    [wanted] = await desk.happen("wanted", kind=FactType.ORDER_FAILED)
    await desk.worker().settle()
    assert receiver.ids == [wanted]


async def test_facts_are_signed_with_both_secrets_during_a_rotation(
    desk: Desk, receiver: Receiver
) -> None:
    """Attempts after the overlap with the new one alone."""
    endpoint = await desk.new_endpoint(receiver)
    [old] = await secrets_of(desk, endpoint)
    await desk.endpoints.rotate_secrets(
        desk.reseller, endpoint.id, desk.clock(), timedelta(seconds=60)
    )
    [new, _] = await secrets_of(desk, endpoint)
    worker = desk.worker()
    await desk.happen()
    await worker.settle()
    for secret in (old, new):
        verify(receiver.messages[-1], secret.shared, secret.public)
    desk.clock.advance(seconds=61)
    await desk.happen()
    await worker.settle()
    verify(receiver.messages[-1], new.shared, new.public)
    with pytest.raises(WebhookVerificationError):
        verify(receiver.messages[-1], old.shared)


async def test_a_range_is_replayed_in_order(desk: Desk, receiver: Receiver) -> None:
    """With the same ids; what is pending is not doubled."""
    endpoint = await desk.new_endpoint(receiver)
    worker = desk.worker()
    facts = await desk.happen("a", "b", "a", "b", "a")
    await worker.settle()
    replays = Deliveries(desk.world.app)
    ever = datetime(2000, 1, 1, tzinfo=UTC)
    span = Span(START, Cursor(2**63 - 1, 2**63 - 1), ever, ever.replace(year=2200))
    for told in (len(facts), 0):
        replayed = await replays.replay_span(desk.reseller, endpoint.id, span, desk.clock())
        assert replayed == Replayed(told, None)
    await worker.settle()
    again = receiver.messages[len(facts) :]
    assert sorted(message.fact["id"] for message in again) == sorted(facts)
    for thing in "ab":
        told = [m.fact["sequence"] for m in again if m.fact["object"] == thing]
        assert told == sorted(told)
    one = await replays.replay_one(
        desk.reseller, endpoint.id, int(facts[0][-16:], 16), desk.clock()
    )
    assert one == Replayed(1, None)
    await worker.settle()
    assert receiver.ids[-1] == facts[0]


async def test_a_replay_of_nothing_waits_for_nobody(desk: Desk, receiver: Receiver) -> None:
    """And keeps nobody waiting: a long log is looked through before the endpoint is locked."""
    endpoint = await desk.new_endpoint(receiver)
    await desk.happen("a", "b")
    deliveries = Deliveries(desk.world.app)
    later = desk.clock() + timedelta(days=1)
    span = Span(START, Cursor(2**63 - 1, 2**63 - 1), later, later + timedelta(days=1))
    lock = text("SELECT id FROM webhook_endpoints WHERE id = :e FOR UPDATE")
    async with desk.world.owner.begin() as connection:
        await connection.execute(lock, {"e": endpoint.id})
        async with asyncio.timeout(3):
            replayed = await deliveries.replay_span(desk.reseller, endpoint.id, span, desk.clock())
    assert replayed == Replayed(0, None)


async def test_old_and_deleted_deliveries_are_forgotten(desk: Desk, receiver: Receiver) -> None:
    """After a month; of a deleted endpoint soon, with the endpoint."""
    endpoint = await desk.new_endpoint(receiver)
    await desk.happen()
    await desk.worker().settle()
    engine = desk.world.recorder_engine
    await prune_deliveries(engine, desk.clock() + timedelta(days=29))
    assert await desk.states(endpoint)
    assert await desk.endpoints.delete(desk.reseller, endpoint.id, desk.clock())
    await prune_deliveries(engine, desk.clock())
    assert await desk.states(endpoint)
    await prune_deliveries(engine, desk.clock() + timedelta(minutes=5))
    assert not await desk.states(endpoint)
    assert not await desk.world.rows(
        "SELECT id FROM webhook_endpoints WHERE id = :e", e=endpoint.id
    )
