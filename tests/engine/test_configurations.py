"""Configurations in the ledger: versions are numbered, dated and never changed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from engine.catalog.compact_table import read_table
from engine.catalog.configurations import (
    Configuration,
    NewConfiguration,
    NewVersion,
    Outrun,
    add_version,
    change_configuration,
    copy_configuration,
    create_configuration,
    find_configuration,
    find_version,
)
from engine.catalog.configurations import ConfigurationChanges as Changes
from engine.catalog.occupancy import overlapping_shows
from engine.catalog.pages import PublicAddress
from engine.catalog.venues import FutureShows, NewVenue, Venue, create_venue
from engine.catalog.versions import Version, VersionRow, version_for
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.manifest_format import unpack_manifest
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from ops.stack import Stack
from tests.engine.ledger_world import IDS, World, open_world

_PLAN = read_table("section,row,from,to,category\nHall,A,1,5,One\n", "Hall")


class Place(Struct, frozen=True):
    """A venue with a configuration that has no version yet."""

    world: World
    reseller: EntityId
    venue: Venue
    configuration: Configuration

    async def add(
        self, valid_from: date | None = None, *, follows: int | None = None
    ) -> int | Outrun:
        """Add a version, and return its number."""
        new = NewVersion(plan=_PLAN, valid_from=valid_from, follows=follows)
        app, of = self.world.app, self.configuration.id
        added = await add_version(app, IDS, self.reseller, of, new, _forget)
        if isinstance(added, Outrun):
            return added
        assert isinstance(added, Version)
        return added.version

    async def version(
        self, *, version: int | None = None, day: date | None = None, reseller: int | None = None
    ) -> VersionRow | None:
        """Return what a new show would be made from."""
        async with tenant_transaction(self.world.app, reseller or self.reseller) as connection:
            return await version_for(connection, self.configuration.id, version=version, day=day)

    async def show(self, **columns: Any) -> int:  # noqa: ANN401 - any column
        """Make a show of the first version, which owns nothing but its row."""
        made = await self.world.new_show(reseller=self.reseller)
        values = {"configuration_id": self.configuration.id, "configuration_version": 1, **columns}
        assigned = ", ".join(f"{name} = :{name}" for name in values)
        async with self.world.owner.begin() as connection:
            change = text(f"UPDATE shows SET {assigned} WHERE id = :show")  # noqa: S608 - our columns
            await connection.execute(change, {**values, "show": made.id})
        return made.id


async def _forget(*_: object) -> None:
    """Remember nothing of what was made."""


@pytest.fixture
async def place(servers: Stack) -> AsyncIterator[Place]:
    """One of a new reseller's."""
    async with open_world(servers.settings) as world:
        reseller = EntityId(await world.new_reseller())
        new = NewVenue(
            name="Hall",
            address=PublicAddress(city="Auckland"),
            country="NZ",
            latitude=None,
            longitude=None,
            time_zone="Pacific/Auckland",
        )
        venue = await create_venue(world.app, reseller, new, _forget)
        made = await create_configuration(
            world.app, reseller, venue.id, NewConfiguration(name="Seated"), _forget
        )
        assert isinstance(made, Configuration)
        yield Place(world, reseller, venue, made)


async def test_a_day_gets_the_newest_version_that_is_valid_by_then(place: Place) -> None:
    """Of two with one day the one that was added later; without a day the newest of all."""
    days = (date(2027, 1, 1), date(2028, 1, 1), date(2027, 6, 1), date(2027, 1, 1))
    assert [await place.add(day) for day in days] == [1, 2, 3, 4]
    expected = {
        date(2026, 12, 31): None,
        date(2027, 1, 1): 4,
        date(2027, 5, 31): 4,
        date(2027, 6, 1): 3,
        date(2027, 12, 31): 3,
        date(2030, 1, 1): 2,
    }
    for day, number in expected.items():
        row = await place.version(day=day)
        assert (row and row.version) == number, day
    newest, named = await place.version(), await place.version(version=1)
    assert (newest and newest.version, named and named.version) == (2, 1)
    assert newest is not None
    assert (newest.venue_id, newest.venue, newest.time_zone) == (
        *(place.venue.id, "Hall"),
        "Pacific/Auckland",
    )
    assert await place.version(version=9) is None
    assert await place.version(reseller=await place.world.new_reseller()) is None


async def test_a_version_is_valid_from_today_at_the_venue_unless_told(place: Place) -> None:
    """In Auckland it is often tomorrow."""
    await place.add()
    found = await find_version(place.world.app, place.reseller, place.configuration.id, None)
    assert isinstance(found, Version)
    offset = timedelta(hours=12)  # in winter; an hour more in summer
    there = {(datetime.now(UTC) + offset + timedelta(hours=n)).date() for n in (0, 1)}
    assert found.valid_from in there


async def test_versions_that_come_at_once_are_numbered_one_after_the_other(place: Place) -> None:
    """And edits of one that is not the last any more are not done."""
    numbers = await asyncio.gather(*(place.add() for _ in range(4)))
    assert sorted(number for number in numbers if isinstance(number, int)) == [1, 2, 3, 4]
    assert isinstance(await place.add(follows=3), Outrun)
    assert await place.add(follows=4) == 5
    facts = await place.world.rows(
        "SELECT data FROM facts WHERE reseller_id = :reseller ORDER BY id", reseller=place.reseller
    )
    assert [row["data"]["version"] for row in facts] == [1, 2, 3, 4, 5]


async def test_a_version_keeps_what_was_compiled_of_its_plan(place: Place) -> None:
    """Beside it: shows are opened from that."""
    await place.add()
    (row,) = await place.world.rows(
        "SELECT compiled FROM manifests WHERE reseller_id = :reseller", reseller=place.reseller
    )
    assert unpack_manifest(row["compiled"]) == compile_manifest(_PLAN)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE configuration_versions SET valid_from = '2030-01-01'",
        "DELETE FROM configuration_versions",
        "UPDATE manifests SET plan = '{}'",
    ],
)
async def test_nobody_may_change_a_version(place: Place, statement: str) -> None:
    """Nor the plan that it is of: what a show was made from stays as it was."""
    await place.add()
    async with tenant_transaction(place.world.app, place.reseller) as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(text(statement))
        await connection.rollback()


async def test_a_show_keeps_its_version_when_others_come(place: Place) -> None:
    """Its manifest and its version; only what is made anew gets the new one."""
    await place.add(date(2026, 1, 1))
    show = await place.show()
    ask = "SELECT to_jsonb(shows) AS row FROM shows WHERE id = :show"
    before = await place.world.rows(ask, show=show)
    await place.add(date(2026, 1, 1))
    assert await place.world.rows(ask, show=show) == before
    newest = await place.version(day=date(2026, 1, 1))
    assert newest is not None
    assert newest.version == 2


async def test_a_copy_begins_with_a_version_and_goes_its_own_way(place: Place) -> None:
    """Both have the same plan; what is added to one is not in the other."""
    await place.add(date(2027, 1, 1))
    await place.add(date(2027, 2, 1))
    copied = await copy_configuration(
        place.world.app,
        IDS,
        place.reseller,
        place.configuration.id,
        NewConfiguration(name="Winter"),
        version=1,
        valid_from=date(2028, 1, 1),
        remember=_forget,
    )
    assert isinstance(copied, Configuration)
    assert (copied.name, copied.venue, copied.version) == ("Winter", place.venue.id, 1)
    app, reseller = place.world.app, place.reseller
    original = await find_version(app, reseller, place.configuration.id, 1)
    copy = await find_version(app, reseller, copied.id, None)
    assert isinstance(original, Version)
    assert isinstance(copy, Version)
    assert (copy.manifest_id, copy.categories) == (original.manifest_id, original.categories)
    assert copy.valid_from == date(2028, 1, 1)
    await place.add()
    again = await find_configuration(app, reseller, copied.id)
    assert isinstance(again, Configuration)
    assert again.version == 1


async def test_archiving_waits_for_a_show_that_is_being_made(place: Place) -> None:
    """And is refused then: nobody makes a show of what is archived meanwhile."""
    await place.add()
    app, reseller, named = place.world.app, place.reseller, place.configuration.id
    async with tenant_transaction(app, reseller) as connection:
        assert await version_for(connection, named, version=None, day=None) is not None
        archiving = asyncio.create_task(
            change_configuration(app, reseller, named, Changes(), archived=True)
        )
        await asyncio.sleep(0.3)
        assert not archiving.done()
    assert isinstance(await archiving, Configuration)
    assert await place.version() is None


async def test_shows_overlap_from_their_doors_to_their_end(place: Place) -> None:
    """At any configuration of the venue; a cancelled show takes no time, a draft does."""
    await place.add()
    at = datetime(2099, 5, 1, 20, 0, tzinfo=UTC)
    minute = timedelta(minutes=1)
    early = await place.show(
        starts_at=at, doors_at=at - timedelta(hours=1), duration_min=60, state="announced"
    )
    late = await place.show(starts_at=at + timedelta(hours=4))
    await place.show(starts_at=at, state="cancelled")

    async def found(begins: datetime, ends: datetime) -> list[int]:
        async with tenant_transaction(place.world.app, place.reseller) as connection:
            there = await overlapping_shows(connection, place.venue.id, begins, ends)
        return [show.id for show in there]

    doors, ends = at - timedelta(hours=1), at + timedelta(hours=1)
    assert await found(doors - minute, doors) == []
    assert await found(doors - minute, doors + minute) == [early]
    assert await found(ends, at + timedelta(hours=4)) == []
    assert await found(ends - minute, at + timedelta(hours=7)) == [early, late]
    assert await found(at + timedelta(hours=7), at + timedelta(hours=9)) == []
    archived = await change_configuration(
        place.world.app, place.reseller, place.configuration.id, Changes(), archived=True
    )
    assert isinstance(archived, FutureShows)
    assert [show.id for show in archived.shows] == [early, late]
