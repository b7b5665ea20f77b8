"""Events and performers are kept, billed, and put away while nothing of them sells."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.events import (
    Event,
    EventChanges,
    EventType,
    NewEvent,
    NotPerformers,
    UnknownEvent,
    archive_event,
    change_event,
    create_event,
    event_exists,
    find_event,
    list_events,
    restore_event,
)
from engine.catalog.performers import (
    NewPerformer,
    Performer,
    PerformerChanges,
    UnknownPerformer,
    archive_performer,
    change_performer,
    create_performer,
    list_performers,
)
from engine.catalog.selling import StillSelling
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import shows
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world


class Promoter:
    """A reseller who keeps events."""

    def __init__(self, world: World, reseller: int) -> None:
        """Take whose they are."""
        self.world = world
        self.app = world.app
        self.id = EntityId(reseller)

    async def performer(self, name: str = "The Kettles") -> EntityId:
        """Make a performer."""
        return (await create_performer(self.app, self.id, NewPerformer(name=name), _forget)).id

    async def event(self, *performers: EntityId, **more: Any) -> EntityId:  # noqa: ANN401
        """Make an event that bills them."""
        new = NewEvent(name="First Light", type=EventType.CONCERT, performers=performers, **more)
        made = await create_event(self.app, self.id, new, _forget)
        assert isinstance(made, Event)
        return made.id

    async def show(self, event: EntityId, **values: Any) -> int:  # noqa: ANN401
        """Make a show of an event, to come, of which nothing is sold."""
        show = await self.world.new_show(reseller=self.id)
        async with self.world.owner.begin() as connection:
            named = update(shows).where(shows.c.id == show.id)
            await connection.execute(named.values(event_id=event, **values))
        return show.id

    async def billed(self, event: EntityId) -> list[str]:
        """Return who is billed."""
        found = await find_event(self.app, self.id, event)
        assert isinstance(found, Event)
        return [name for _, name in found.bill]


async def _forget(_transaction: AsyncConnection, _made: Event | Performer) -> None:
    """Keep no answer."""


@pytest.fixture
async def promoter(servers: Stack) -> AsyncIterator[Promoter]:
    """A fresh reseller."""
    async with open_world(servers.settings) as world:
        yield Promoter(world, await world.new_reseller())


async def test_a_bill_is_replaced_as_a_whole(promoter: Promoter) -> None:
    """In the order given; other changes leave it, and its performers' names are those of now."""
    one, two, three = [await promoter.performer(name) for name in ("One", "Two", "Three")]
    event = await promoter.event(one, two)
    assert await promoter.billed(event) == ["One", "Two"]
    await change_event(promoter.app, promoter.id, event, EventChanges(performers=(three, two, one)))
    assert await promoter.billed(event) == ["Three", "Two", "One"]
    await change_event(promoter.app, promoter.id, event, EventChanges(name="Second Light"))
    await change_performer(promoter.app, promoter.id, two, PerformerChanges(name="Zwei"))
    assert await promoter.billed(event) == ["Three", "Zwei", "One"]
    await change_event(promoter.app, promoter.id, event, EventChanges(performers=()))
    assert await promoter.billed(event) == []


async def test_others_performers_are_unknown(promoter: Promoter) -> None:
    """So is who was never made, and who is archived unless they are on that bill already."""
    stranger = Promoter(promoter.world, await promoter.world.new_reseller())
    theirs, gone, mine = await stranger.performer(), await promoter.performer(), EntityId(7)
    event = await promoter.event(gone)
    await archive_performer(promoter.app, promoter.id, gone)
    wanted = (gone, theirs, mine)
    changed = await change_event(promoter.app, promoter.id, event, EventChanges(performers=wanted))
    assert changed == NotPerformers([theirs, mine])
    new = NewEvent(name="Another", type=EventType.FILM, performers=wanted)
    assert await create_event(promoter.app, promoter.id, new, _forget) == NotPerformers(
        [gone, theirs, mine]
    )
    assert await promoter.billed(event) == ["The Kettles"]


async def test_others_events_are_unknown(promoter: Promoter) -> None:
    """Whatever is asked of them."""
    stranger = Promoter(promoter.world, await promoter.world.new_reseller())
    event, performer = await stranger.event(), await stranger.performer()
    app, me = promoter.app, promoter.id
    assert isinstance(await find_event(app, me, event), UnknownEvent)
    assert isinstance(await change_event(app, me, event, EventChanges(name="x")), UnknownEvent)
    assert isinstance(await archive_event(app, me, event), UnknownEvent)
    assert isinstance(await restore_event(app, me, event), UnknownEvent)
    assert isinstance(await archive_performer(app, me, performer), UnknownPerformer)
    async with tenant_transaction(app, me) as connection:
        assert not await event_exists(connection, event)


_SOON = datetime.now(UTC) + timedelta(days=2)
_AGO = datetime.now(UTC) - timedelta(days=2)


@pytest.mark.parametrize(
    ("state", "starts_at", "sells"),
    [
        ("draft", _SOON, False),
        ("announced", _SOON, True),
        ("paused", _SOON, True),
        ("rescheduled", _SOON, True),
        ("off_sale", _SOON, False),
        ("cancelled", _SOON, False),
        ("announced", _AGO, False),
        ("past", _AGO, False),
    ],
)
async def test_nothing_is_archived_of_which_a_show_sells(
    promoter: Promoter, state: str, starts_at: datetime, *, sells: bool
) -> None:
    """Neither the event nor who is billed on it; the shows are named."""
    performer = await promoter.performer()
    event = await promoter.event(performer)
    show = await promoter.show(event, state=state, starts_at=starts_at)
    archived = await archive_event(promoter.app, promoter.id, event)
    put_away = await archive_performer(promoter.app, promoter.id, performer)
    if not sells:
        assert isinstance(archived, Event)
        assert archived.archived_at is not None
        assert isinstance(put_away, Performer)
        return
    for refused in (archived, put_away):
        assert isinstance(refused, StillSelling)
        assert [one.id for one in refused.shows] == [show]


async def test_archiving_is_undone_and_done_twice_without_harm(promoter: Promoter) -> None:
    """The time of the first stays; lists have one or the other."""
    event, app = await promoter.event(), promoter.app
    first = await archive_event(app, promoter.id, event)
    assert await archive_event(app, promoter.id, event) == first
    assert await list_events(app, promoter.id, after=None, limit=9) == []
    assert await list_events(app, promoter.id, after=None, limit=9, archived=True) == [first]
    restored = await restore_event(app, promoter.id, event)
    assert await list_events(app, promoter.id, after=None, limit=9) == [restored]


async def test_a_show_that_names_an_event_keeps_it_from_being_archived_meanwhile(
    promoter: Promoter,
) -> None:
    """Who archives waits for the show's transaction, and sees the show; a change does not wait."""
    event = await promoter.event()
    async with tenant_transaction(promoter.app, promoter.id) as connection:
        assert await event_exists(connection, event)
        async with asyncio.timeout(5):
            changes = EventChanges(name="Second Light")
            assert isinstance(await change_event(promoter.app, promoter.id, event, changes), Event)
        archiving = asyncio.create_task(archive_event(promoter.app, promoter.id, event))
        await promoter.show(event, state="announced")
        assert not archiving.done()
    assert isinstance(await archiving, StillSelling)


async def test_an_archived_event_can_be_named_by_no_show(promoter: Promoter) -> None:
    """Until it is restored."""
    event = await promoter.event()
    for act, there in ((archive_event, False), (restore_event, True)):
        await act(promoter.app, promoter.id, event)
        async with tenant_transaction(promoter.app, promoter.id) as connection:
            assert await event_exists(connection, event) == there


async def test_lists_come_in_pages(promoter: Promoter) -> None:
    """The newest first, each once."""
    made = [await promoter.performer(f"No {n}") for n in range(5)]
    seen: list[EntityId] = []
    after = None
    while page := await list_performers(promoter.app, promoter.id, after=after, limit=2):
        seen += [performer.id for performer in page]
        after = seen[-1]
    assert seen == made[::-1]


async def test_what_is_not_remembered_is_not_made(promoter: Promoter) -> None:
    """The answer to a key and the event are there together, or neither is."""

    async def fail(_transaction: AsyncConnection, _made: Event) -> None:
        raise ConnectionError

    new = NewEvent(name="First Light", type=EventType.CONCERT)
    with pytest.raises(ConnectionError):
        await create_event(promoter.app, promoter.id, new, fail)
    assert await list_events(promoter.app, promoter.id, after=None, limit=9) == []
