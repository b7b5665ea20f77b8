"""Counting what is left of listed shows: one that can't be counted keeps no other from it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from engine.inventory.shows import ShowBook, UnknownShowError
from engine.platform.redis import connect_redis
from engine.platform.tables import shows
from engine.sales import freshness
from engine.sales.freshness import FreshCounts
from engine.sales.terms import LedgerTerms
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world
from tests.engine.test_listings import Catalogue, new_catalogue


@pytest.fixture
async def world(own_servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role; nobody else counts anything here."""
    async with open_world(own_servers.settings) as opened:
        yield opened


async def _unreadable(world: World) -> Catalogue:
    """Make a show that is said to be stored, and whose plan nobody can read."""
    made = await new_catalogue(world)
    async with world.owner.begin() as connection:
        opened = update(shows).where(shows.c.id == made.show).values(epoch=1, inventory_version=1)
        await connection.execute(opened)
    return made


async def test_shows_that_can_not_be_counted_are_each_tried_once(
    world: World, own_servers: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few go at once, and again when the ledger has another version."""
    monkeypatch.setattr(freshness, "_COUNTED_AT_ONCE", 1)
    made = [await _unreadable(world) for _ in range(3)]
    store = connect_redis(
        own_servers.settings.redis_url, answer_timeout_ms=2000, connections_max=64
    )
    book = ShowBook()
    counts = FreshCounts(
        store, world.recorder_engine, book, LedgerTerms(world.recorder_engine, book)
    )
    read: list[int] = []
    reading = book.read

    async def recorded(connection: object, show: int) -> object:
        read.append(show)
        return await reading(connection, show)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(book, "read", recorded)
    try:
        for _ in range(6):
            await counts.keep()
        assert sorted(read) == sorted(one.show for one in made)
        await made[1].change("shows", made[1].show, inventory_version=2)
        await counts.keep()
        assert read[3:] == [made[1].show]
    finally:
        await store.aclose()


async def test_busy_shows_that_take_long_keep_no_quiet_one_from_being_counted(
    world: World, own_servers: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a look has time for one, the others have their turn as well."""
    monkeypatch.setattr(freshness, "_READ_AT_ONCE", 1)
    busy, quiet = [await _unreadable(world) for _ in range(2)]
    store = connect_redis(
        own_servers.settings.redis_url, answer_timeout_ms=2000, connections_max=64
    )
    book = ShowBook()
    terms = LedgerTerms(world.recorder_engine, book)
    read: list[int] = []

    async def read_slowly(_: object, show: int) -> object:
        read.append(show)
        await asyncio.sleep(0.2)
        raise UnknownShowError(str(show))

    monkeypatch.setattr(book, "read", read_slowly)
    engine = world.recorder_engine
    counts = FreshCounts(store, engine, book, terms, counting_s=0.1, busy=lambda: [busy.show])
    try:
        for _ in range(8):
            await counts.keep()
        assert {busy.show, quiet.show} <= set(read)
    finally:
        await store.aclose()


async def test_quiet_shows_rest_between_looks_and_busy_ones_do_not(
    world: World, own_servers: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are on sale, to look at them all takes the worker a part of its time."""
    busy, quiet = [await _unreadable(world) for _ in range(2)]
    store = connect_redis(
        own_servers.settings.redis_url, answer_timeout_ms=2000, connections_max=64
    )
    book = ShowBook()
    terms = LedgerTerms(world.recorder_engine, book)
    read: list[int] = []

    async def read_in_vain(_: object, show: int) -> object:
        read.append(show)
        raise UnknownShowError(str(show))

    monkeypatch.setattr(book, "read", read_in_vain)
    engine = world.recorder_engine

    def counts(quiet_every_s: float) -> FreshCounts:
        parts = (store, engine, book, terms)
        return FreshCounts(*parts, busy=lambda: [busy.show], quiet_every_s=quiet_every_s)

    patient, eager = counts(600.0), counts(0.3)
    try:
        for one in (patient, eager):
            read.clear()
            await one.keep()
            assert {busy.show, quiet.show} <= set(read)
        read.clear()
        await patient.keep()
        assert read == [busy.show]
        async with asyncio.timeout(10):
            while quiet.show not in read:
                await eager.keep()
    finally:
        await store.aclose()
