"""The read model: what changes in the tables is listed, and the public finds what is public."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import func, insert, select, update

from engine.catalog.finding import public_page, public_shows_of
from engine.catalog.listings import keep_listings
from engine.catalog.pages import EventPage, PerformerPage, VenuePage
from engine.platform.ids import new_entity_id
from engine.platform.tables import (
    catalog_marks,
    configuration_versions,
    configurations,
    event_performers,
    events,
    listing_counts,
    listings,
    manifests,
    metadata,
    performers,
    show_changes,
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

    async def change(self, table: str, one: int, **values: object) -> None:
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


async def test_a_show_that_was_moved_says_when_it_was_to_begin(world: World) -> None:
    """Before it was moved the last time, and nothing once it is back where it was."""
    of = await new_catalogue(world)
    (first,) = await public_shows_of(world.app, "show", of.show)
    assert first.former_starts_at is None
    days = [first.starts_at + timedelta(days=n) for n in (0, 7, 14)]
    for number, (before, after) in enumerate([(days[0], days[1]), (days[1], days[2])], start=1):
        async with world.owner.begin() as connection:
            await connection.execute(
                insert(show_changes).values(
                    show_id=of.show,
                    change_no=number,
                    reseller_id=of.reseller,
                    kind="rescheduled",
                    offered=["keep", "refund"],
                    default_choice="keep",
                    choose_by=after,
                    starts_at_before=before,
                    starts_at=after,
                    sold_until=before,
                )
            )
        await of.change("shows", of.show, starts_at=after)
        (moved,) = await public_shows_of(world.app, "show", of.show)
        assert (moved.starts_at, moved.former_starts_at) == (after, before)
    await of.change("shows", of.show, starts_at=days[1])
    (back,) = await public_shows_of(world.app, "show", of.show)
    assert back.former_starts_at is None


POISON: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "a page": ("performer", {"links": {"no": "list"}}, {"event", "venue", "show"}),
    "a listing": (
        "show",
        {"name": " ".join(f"{n:0>2000}" for n in range(700))},
        {"event", "performer", "venue"},
    ),
}


@pytest.mark.parametrize("what", POISON)
async def test_what_can_not_be_listed_stops_nothing_else(world: World, what: str) -> None:
    """It is not told any more, as nobody knows whether it may be; all others are listed on."""
    broken, other = await new_catalogue(world), await new_catalogue(world)
    kind, values, left = POISON[what]
    async with world.owner.begin() as connection:
        for table, one, changed in (
            (f"{kind}s", getattr(broken, kind), values),
            ("events", other.event, {"name": "Second Light"}),
        ):
            of = metadata.tables[table]
            await connection.execute(update(of).where(of.c.id == one).values(**changed))
    await list_all(world)
    assert await broken.seen() == left
    assert await other.seen() == EVERYTHING
    page = await public_page(world.app, "event", other.event)
    assert isinstance(page, EventPage)
    assert page.name == "Second Light"


async def test_a_change_waits_for_nothing_that_follows_from_another(world: World) -> None:
    """However much that is; and what follows several times is marked once."""
    much, other = await new_catalogue(world), await new_catalogue(world)
    marks = [
        {"reseller_id": much.reseller, "kind": "show", "id": much.show, "is_derived": True}
    ] * 20
    async with world.owner.begin() as connection:
        await connection.execute(insert(catalog_marks), marks)
        await connection.execute(
            update(events).where(events.c.id == other.event).values(name="Second Light")
        )
    await keep_listings(world.recorder_engine, IDS, most=2)
    page = await public_page(world.app, "event", other.event)
    assert isinstance(page, EventPage)
    assert page.name == "Second Light"
    await list_all(world)
    again = {"reseller_id": much.reseller, "kind": "event", "id": much.event}
    async with world.owner.begin() as connection:
        await connection.execute(insert(catalog_marks), [again] * 5)
    for _ in range(5):
        await keep_listings(world.recorder_engine, IDS, most=1)
    async with world.owner.connect() as connection:
        left = await connection.scalar(select(func.count()).select_from(catalog_marks))
    assert left is not None
    assert left <= 3
    await list_all(world)


@pytest.mark.parametrize(
    ("table", "changed"),
    [
        ("venues", {"city": "Zittau", "country": "PL", "latitude": 50.9, "longitude": 14.81}),
        ("venues", {"latitude": None, "longitude": None}),
        ("events", {"type": "opera"}),
        ("events", {"visibility": "hidden"}),
        ("shows", {"state": "cancelled"}),
        ("shows", {"starts_at": datetime(2031, 5, 1, 19, tzinfo=UTC)}),
    ],
)
async def test_narrow_rows_are_as_the_listing_is(
    world: World, table: str, changed: dict[str, Any]
) -> None:
    """Whatever changes: searches read the one, and whole listings are told from the other."""
    made = await new_catalogue(world)
    of = {"venues": made.venue, "events": made.event, "shows": made.show}
    await made.change(table, of[table], **changed)
    same = ("starts_at", "item_id", "venue_id", "type", "city", "city_key", "country", "currency")
    async with world.owner.connect() as connection:
        listing = (
            (await connection.execute(select(listings).where(listings.c.show_id == made.show)))
            .mappings()
            .one()
        )
        narrow = (
            (
                await connection.execute(
                    select(listing_counts).where(listing_counts.c.show_id == made.show)
                )
            )
            .mappings()
            .one()
        )
    for name in (*same, "state", "place"):
        assert narrow[name] == listing[name], name
    assert narrow["listed_at"] == listing["changed_at"]
    is_found = listing["is_public"] and listing["state"] not in {"draft", "cancelled", "past"}
    assert narrow["is_found"] == is_found
    assert is_found == ("visibility" not in changed and "state" not in changed)
