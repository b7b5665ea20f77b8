"""Whom workers look at: busy shows each time, the others in turns, none never."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from engine.catalog.listings import keep_listings
from engine.catalog.price_rules import NewPrices, NewStep
from engine.catalog.price_steps import find_waiting, put_steps
from engine.inventory.house import BlocksChanged
from engine.inventory.keys import WAKE_CHANNEL, Wake, read_wake, show_keys
from engine.inventory.rounds import Round, Stirred
from engine.inventory.shows import ShowBook
from engine.inventory.sweeping import Scheduled
from engine.inventory.tending import TendedShow, tended_shows
from engine.platform.database import Transaction
from engine.platform.redis import Store, subscribe_redis
from engine.platform.tables import price_steps, shows
from engine.runtime import open_serving
from engine.sales import freshness
from engine.sales.freshness import FreshCounts
from engine.sales.milestones import tell_on_sale
from engine.sales.terms import LedgerTerms
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS, World, open_world
from workers import sweeper as sweeper_module
from workers.sweeper import Sweeper


@pytest.fixture(scope="module")
async def ground(servers: Stack) -> AsyncIterator[Ground]:
    """A show that sells."""
    async with open_ground(servers.settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


def test_a_show_is_busy_for_a_while_and_the_latest_are_kept() -> None:
    """However many there are."""
    stirred = Stirred(most=2)
    for show in (1, 2, 1, 3):
        stirred.note(show)
    assert stirred.now() == [1, 3]
    over = Stirred(kept_s=0.0)
    over.note(1)
    assert over.now() == []


async def test_all_shows_have_their_turn_and_busy_ones_each_time(ground: Ground) -> None:
    """Before the first round is over nobody pauses; there is another when words may be lost."""
    engine, stirred = ground.working.recorder_engine, Stirred()
    known = {show.id for show in await tended_shows(engine)}
    busy, also = ground.show.id, min(known)
    stirred.note(busy)
    most = -(-len(known) // 3)
    looks = Round(engine, stirred, "test", most=most)
    seen: set[int] = set()
    for _ in range(8):
        found = [show.id for show in await looks.next([also])]
        assert len(found) == len(set(found)), "nobody twice in a look"
        assert {busy, also} <= set(found)
        assert len(found) <= most + 2
        seen |= set(found)
        if not looks.is_first:
            break
    assert not looks.is_first
    assert known <= seen
    stirred.note_loss()
    again: set[int] = set()
    for _ in range(8):
        again |= {show.id for show in await looks.next()}
        if not looks.is_first:
            break
    assert not looks.is_first
    assert known <= again, "all of them, from where it stood"


@pytest.mark.parametrize("fault", ["words are lost", "the task ends"])
async def test_a_fault_that_comes_again_and_again_keeps_no_show_from_its_turn(
    world: World, fault: str
) -> None:
    """Neither a connection that flaps nor a task that dies sends anyone back to the beginning."""
    made = [await world.new_show() for _ in range(5)]
    for show in made:
        await _set(world, show.id, state="on_sale")
    engine, stirred = world.recorder_engine, Stirred()
    known = {show.id for show in await tended_shows(engine)}
    most = len(known) // 3
    looks = Round(engine, stirred, "test", most=most)
    seen: set[int] = set()
    try:
        for _ in range(5):
            seen |= {show.id for show in await looks.next()}
            assert looks.is_first, "not all were looked at since the last fault"
            if fault == "words are lost":
                stirred.note_loss()
            else:
                looks = Round(engine, stirred, "test", most=most)
    finally:
        for show in made:
            await _set(world, show.id, state="draft")
    assert known <= seen


@asynccontextmanager
async def _heard(ground: Ground) -> AsyncGenerator[list[tuple[Wake, int]]]:
    """Collect what is said on the wake channel of the show."""
    subscriber = subscribe_redis(ground.settings.redis_url)
    heard: list[tuple[Wake, int]] = []
    async with subscriber.pubsub() as pubsub:
        await pubsub.subscribe(WAKE_CHANNEL)
        await pubsub.get_message(ignore_subscribe_messages=False, timeout=5.0)
        yield heard
        while message := await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.5):
            wake = read_wake(message["data"])
            if wake is not None and wake[1] == ground.show.id:
                heard.append(wake)
    await subscriber.aclose()


async def test_a_process_says_once_in_a_while_that_something_happens(ground: Ground) -> None:
    """With its first batch, and not again with the next."""
    async with open_serving(ground.settings) as serving, _heard(ground) as heard:
        other = replace(ground, serving=serving)
        for number in (1, 2):
            wanted = Wanted(seats=(ground.label(8 - number),))
            await other.hold(f"said-{number}", f"said-{number}", wanted)
    assert heard == [(Wake.STIR, ground.show.id)]


async def _nothing_kept(_transaction: Transaction, _changed: BlocksChanged) -> None:
    """Keep no answer: nobody repeats the request."""


async def test_a_change_of_the_house_is_said(ground: Ground) -> None:
    """So that what is left is counted anew at once."""
    async with _heard(ground) as heard:
        office = ground.serving.house_office
        await office.block(ground.show, Wanted(seats=(ground.label(9),)), "desk", _nothing_kept)
    assert heard == [(Wake.STIR, ground.show.id)]


async def test_what_ends_is_swept_when_it_does_though_nobody_says_anything(
    ground: Ground,
) -> None:
    """A show of which it is known when something ends need not wait for its turn."""
    stirred = Stirred(kept_s=0.2)
    sweeper = Sweeper(replace(ground.working, stirred=stirred), most=1)
    await ground.hold("brief", "bea", Wanted(seats=(ground.label(5),)), ttl_ms=400)
    stirred.note(ground.show.id)
    await sweeper.look()
    assert await ground.raw.getrange(ground.key("seats"), ground.seat(5), ground.seat(5)) == b"h"
    await asyncio.sleep(0.6)
    assert stirred.now() == []
    await sweeper.look()
    assert await ground.raw.getrange(ground.key("seats"), ground.seat(5), ground.seat(5)) == b"o"


async def test_a_show_that_was_archived_keeps_no_other_from_being_looked_at(
    ground: Ground, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was to end in it is forgotten: else it would be among those whose turn it is forever."""
    monkeypatch.setattr(sweeper_module, "KEPT_A_LOOK", 1)
    gone = await world.new_show()
    sweeper = Sweeper(replace(ground.working, stirred=Stirred()))
    await world.raw.zadd(show_keys(gone.id).expiry, {"ends": 1.0})
    await _set(world, gone.id, state="on_sale", epoch=1)
    looked: list[int] = []
    reading = sweeper_module.scheduled_shows

    async def scheduled(
        redis: Store, tended: Iterable[TendedShow]
    ) -> tuple[list[Scheduled], list[int]]:
        looked.extend(one.id for one in tended)
        return await reading(redis, tended)

    monkeypatch.setattr(sweeper_module, "scheduled_shows", scheduled)
    await sweeper.look()
    assert gone.id in looked
    await _set(world, gone.id, archived_at=datetime.now(UTC))
    asked: list[Collection[int]] = []
    looks = sweeper._looks  # pyright: ignore[reportPrivateUsage]
    going_on = looks.next

    async def following(also: Collection[int] = ()) -> list[TendedShow]:
        asked.append(also)
        return await going_on(also)

    monkeypatch.setattr(looks, "next", following)
    for _ in range(2):
        await sweeper.look()
    assert [gone.id in also for also in asked] == [True, False]
    await world.raw.delete(show_keys(gone.id).expiry)
    await _set(world, gone.id, state="draft")


async def _set(world: World, show: int, **values: object) -> None:
    async with world.owner.begin() as connection:
        await connection.execute(update(shows).where(shows.c.id == show).values(values))


async def test_a_step_is_found_by_its_time_and_one_that_counts_by_its_show(
    ground: Ground, world: World
) -> None:
    """So nobody reads all steps to come each second."""
    engine, soon = ground.working.recorder_engine, datetime.now(UTC) + timedelta(hours=1)
    prices = NewPrices({"vip": 7_000}, {})
    steps = [
        NewStep(at=soon, after_sold=None, price_level=None, prices=prices),
        NewStep(at=None, after_sold=900, price_level=None, prices=prices),
    ]
    await put_steps(ground.serving.app_engine, ground.show, steps)
    show = ground.show.id
    assert show not in {one.id for one in await find_waiting(engine, [])}
    [counted] = [one for one in await find_waiting(engine, [show]) if one.id == show]
    assert counted.counts
    assert not counted.is_due
    async with world.owner.begin() as connection:
        of_show = price_steps.c.show_id == show, price_steps.c.at.is_not(None)
        await connection.execute(update(price_steps).where(*of_show).values(at=datetime.now(UTC)))
    [due] = [one for one in await find_waiting(engine, []) if one.id == show]
    assert due.is_due
    await put_steps(ground.serving.app_engine, ground.show, [])


async def test_a_sale_that_began_long_ago_is_told_when_its_turn_comes(world: World) -> None:
    """One that begins now without a turn."""
    long_ago, now = await world.new_show(), await world.new_show()
    began = {long_ago.id: timedelta(hours=3), now.id: timedelta(seconds=5)}
    async with world.owner.begin() as connection:
        for show, ago in began.items():
            opened = {"state": "on_sale", "opens_at": datetime.now(UTC) - ago}
            await connection.execute(update(shows).where(shows.c.id == show).values(opened))

    async def told() -> set[int]:
        rows = await world.rows("SELECT show_id FROM facts WHERE type = 'show.on_sale'")
        return {row["show_id"] for row in rows} & began.keys()

    try:
        await tell_on_sale(world.recorder_engine, IDS, [])
        assert await told() == {now.id}
        await tell_on_sale(world.recorder_engine, IDS, [long_ago.id])
        assert await told() == {now.id, long_ago.id}
    finally:
        async with world.owner.begin() as connection:
            ended = update(shows).where(shows.c.id.in_(began)).values(state="draft")
            await connection.execute(ended)


async def test_a_busy_show_is_counted_without_its_turn_and_by_no_other_worker_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a count was taken from is kept with it."""
    working, show = ground.working, ground.show.id
    while await keep_listings(working.recorder_engine, IDS):
        pass  # what other tests have marked, too
    book = ShowBook()
    terms = LedgerTerms(working.recorder_engine, book)
    read: list[int] = []
    reading = book.read

    async def recorded(connection: object, one: int) -> object:
        read.append(one)
        return await reading(connection, one)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(book, "read", recorded)
    monkeypatch.setattr(freshness, "LOOKED_AT_ONCE", 1)

    def counting() -> FreshCounts:
        redis, engine = working.redis, working.recorder_engine
        return FreshCounts(redis, engine, book, terms, busy=lambda: [show])

    await counting().keep()
    assert show in read
    read.clear()
    await counting().keep()
    assert show not in read
    await ground.hold("counted", "cy", Wanted(seats=(ground.label(4),)))
    await counting().keep()
    assert show in read


async def test_what_is_listed_no_more_is_forgotten_however_many_are(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one look does not come to all of them."""
    working, show = ground.working, ground.show.id
    while await keep_listings(working.recorder_engine, IDS):
        pass  # what other tests have marked, too
    book = ShowBook()
    terms = LedgerTerms(working.recorder_engine, book)
    counts = FreshCounts(working.redis, working.recorder_engine, book, terms)
    monkeypatch.setattr(freshness, "LOOKED_AT_ONCE", 1)

    def is_known() -> bool:
        return show in counts._seen  # pyright: ignore[reportPrivateUsage]

    async with asyncio.timeout(60):
        while not is_known():
            await counts.keep()
        await ground.sql("UPDATE shows SET state = 'cancelled' WHERE id = :show")
        try:
            while is_known():
                await counts.keep()
        finally:
            await ground.sql("UPDATE shows SET state = 'on_sale' WHERE id = :show")
