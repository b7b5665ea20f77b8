"""The read model: what changes in the tables is listed, and the public finds what is public."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import insert, update

from engine.catalog.finding import public_page, public_shows_of
from engine.catalog.listings import keep_listings
from engine.catalog.pages import EventPage, PerformerPage, VenuePage
from engine.platform.ids import new_entity_id
from engine.platform.tables import (
    configuration_versions,
    configurations,
    event_performers,
    events,
    manifests,
    metadata,
    performers,
    shows,
    venues,
)
from ops.stack import Stack
from tests.engine.ledger_world import IDS, World, open_world


class Catalogue(Struct, frozen=True):
    """An event of a performer's, at a venue, with a show."""

    world: World
    reseller: int
    venue: int
    performer: int
    event: int
    show: int

    async def change(self, table: str, one: int, **values: Any) -> None:
        """Change a row, and list what follows from it."""
        changed = metadata.tables[table]
        async with self.world.owner.begin() as connection:
            await connection.execute(update(changed).where(changed.c.id == one).values(**values))
        await list_all(self.world)

    async def seen(self) -> set[str]:
        """Return what the public sees of it."""
        of = {"event": self.event, "performer": self.performer, "venue": self.venue}
        pages = {kind for kind, one in of.items() if await public_page(self.world.app, kind, one)}
        found = await public_shows_of(self.world.app, "event", self.event)
        return pages | {"show" for _ in found}


EVERYTHING = {"event", "performer", "venue", "show"}


async def list_all(world: World) -> None:
    """List until no mark is left."""
    while await keep_listings(world.recorder_engine, IDS):
        pass


async def new_catalogue(world: World) -> Catalogue:
    """Make one, and list it."""
    reseller = await world.new_reseller()
    venue, performer, event, one, show = (new_entity_id() for _ in range(5))
    of, now = {"reseller_id": reseller}, datetime.now(UTC)
    rows: list[tuple[Any, dict[str, Any]]] = [
        (manifests, {"id": one, "name": "Hall", "plan": {}, "seat_count": 10}),
        (
            venues,
            {
                "id": venue,
                "name": "Kühlhaus",
                "address": {"line_1": "Am Speicher 11"},
                "city": "Görlitz",
                "country": "DE",
                "latitude": 51.14,
                "longitude": 14.97,
                "time_zone": "Europe/Berlin",
            },
        ),
        (configurations, {"id": one, "venue_id": venue, "name": "Seated"}),
        (
            configuration_versions,
            {
                "configuration_id": one,
                "version": 1,
                "manifest_id": one,
                "valid_from": now.date(),
                "capacity": 10,
            },
        ),
        (performers, {"id": performer, "name": "The Kettles"}),
        (events, {"id": event, "name": "First Light", "type": "concert"}),
        (event_performers, {"event_id": event, "billing_no": 1, "performer_id": performer}),
        (
            shows,
            {
                "id": show,
                "manifest_id": one,
                "name": "Friday",
                "venue": "Kühlhaus",
                "starts_at": now + timedelta(days=30),
                "opens_at": now,
                "state": "on_sale",
                "currency": "EUR",
                "tax_bps": 700,
                "fee_schedule_version": 1,
                "max_per_buyer": 10,
                "max_per_hold": 10,
                "event_id": event,
                "configuration_id": one,
                "configuration_version": 1,
            },
        ),
    ]
    async with world.owner.begin() as connection:
        for table, row in rows:
            await connection.execute(insert(table).values(**row, **of))
    await list_all(world)
    return Catalogue(world, reseller, venue, performer, event, show)


@pytest.fixture(scope="module")
async def world(own_servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role; nobody else lists anything here."""
    async with open_world(own_servers.settings) as opened:
        yield opened


async def test_what_is_public_is_found_by_everybody(world: World) -> None:
    """Each with its page, as the rows have it; the show with where and when it is."""
    of = await new_catalogue(world)
    event = await public_page(world.app, "event", of.event)
    performer = await public_page(world.app, "performer", of.performer)
    venue = await public_page(world.app, "venue", of.venue)
    assert isinstance(event, EventPage)
    assert isinstance(performer, PerformerPage)
    assert isinstance(venue, VenuePage)
    assert (event.name, event.type) == ("First Light", "concert")
    assert [billed.name for billed in event.performers] == ["The Kettles"] == [performer.name]
    assert venue.address.line_1 == "Am Speicher 11"
    for kind, one in (("event", of.event), ("performer", of.performer), ("venue", of.venue)):
        (show,) = await public_shows_of(world.app, kind, one)
        assert (show.show_id, show.name, show.show_name) == (of.show, "First Light", "Friday")
        assert (show.venue, show.city, show.performers) == ("Kühlhaus", "Görlitz", ["The Kettles"])
        assert show.state == "on_sale"


HIDING: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "a draft": ("show", {"state": "draft"}, {"event", "performer"}),
    "a hidden show": ("show", {"visibility": "hidden"}, {"event", "performer"}),
    "a hidden event": ("event", {"visibility": "hidden"}, set()),
    "an archived event": ("event", {"archived_at": datetime(2026, 1, 1, tzinfo=UTC)}, set()),
    "a suspended reseller": ("reseller", {"status": "suspended"}, set()),
    "a sandbox": ("reseller", {"mode": "sandbox"}, set()),
    "a show that is not told yet": (
        "show",
        {"public_from": datetime(2099, 1, 1, tzinfo=UTC)},
        {"event", "performer"},
    ),
}


@pytest.mark.parametrize("why", HIDING)
async def test_what_is_not_public_is_found_by_nobody(world: World, why: str) -> None:
    """Whatever hides it, nothing that depends on it is seen."""
    of = await new_catalogue(world)
    assert await of.seen() == EVERYTHING
    what, values, left = HIDING[why]
    await of.change(f"{what}s", getattr(of, what), **values)
    assert await of.seen() == left


async def test_what_becomes_public_at_a_time_is_found_from_then_on(world: World) -> None:
    """Nothing marks it but the time itself."""
    of = await new_catalogue(world)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    await of.change("events", of.event, public_from=soon)
    assert await of.seen() == set()
    while datetime.now(UTC) <= soon:
        await list_all(world)
    await list_all(world)
    assert await of.seen() == EVERYTHING
