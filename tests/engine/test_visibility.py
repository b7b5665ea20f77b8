"""What is public of the catalogue: everything that must be so is, and nothing else."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import Struct
from sqlalchemy import Table, insert, select, text, update

from engine.catalog.visibility import (
    event_is_public,
    event_turns_public_at,
    performer_is_public,
    show_is_public,
    show_turns_public_at,
    venue_is_public,
)
from engine.platform.tables import events, performers, resellers, shows, venues
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world
from tests.engine.rows_by_hand import a_catalogue

_TOMORROW = datetime.now(UTC) + timedelta(days=1)
_YESTERDAY = datetime.now(UTC) - timedelta(days=1)


class Promoted(Struct, frozen=True):
    """A reseller with one of each: a show on sale, its event, performer and venue."""

    world: World
    reseller: int
    show: int
    one: int
    """The id of all the others."""

    async def change(self, table: Table, **values: Any) -> None:  # noqa: ANN401 - any column
        """Change the row of a table that is theirs."""
        ids = {"resellers": self.reseller, "shows": self.show}
        async with self.world.owner.begin() as connection:
            named = table.c.id == ids.get(table.name, self.one)
            await connection.execute(update(table).where(named).values(**values))

    async def is_public(self) -> dict[str, bool]:
        """Tell of each whether it is public."""
        asked = {
            "show": select(show_is_public).where(shows.c.id == self.show).select_from(shows),
            "event": select(event_is_public).where(events.c.id == self.one).select_from(events),
            "performer": select(performer_is_public)
            .where(performers.c.id == self.one)
            .select_from(performers),
            "venue": select(venue_is_public).where(venues.c.id == self.one).select_from(venues),
        }
        async with self.world.recorder_engine.connect() as connection:
            return {
                kind: (await connection.execute(query)).scalar_one()
                for kind, query in asked.items()
            }

    async def turns_public_at(self) -> tuple[datetime | None, datetime | None]:
        """Return when time makes the event and the show public."""
        of_event = select(event_turns_public_at).where(events.c.id == self.one)
        of_show = select(show_turns_public_at).where(shows.c.id == self.show)
        async with self.world.recorder_engine.connect() as connection:
            return (
                (await connection.execute(of_event.select_from(events))).scalar_one(),
                (await connection.execute(of_show.select_from(shows))).scalar_one(),
            )


@pytest.fixture
async def promoted(servers: Stack) -> AsyncIterator[Promoted]:
    """All of it public."""
    async with open_world(servers.settings) as world:
        show = await world.new_show()
        manifest = await world.rows(
            "SELECT manifest_id AS id FROM shows WHERE id = :id", id=show.id
        )
        rows = a_catalogue(show.reseller, manifest[0]["id"])
        async with world.owner.begin() as connection:
            for name, row in rows.items():
                await connection.execute(insert(shows.metadata.tables[name]).values(**row))
        one = rows["events"]["id"]
        made = Promoted(world, show.reseller, show.id, one)
        await made.change(
            shows,
            event_id=one,
            configuration_id=one,
            configuration_version=1,
            state="announced",
            # Workers of other tests have nothing to open.
            opens_at=_TOMORROW,
        )
        yield made


_ALL = {"show", "event", "performer", "venue"}


_CASES: list[tuple[Table, dict[str, Any], set[str]]] = [
    (shows, {"state": "announced"}, _ALL),
    (shows, {"state": "draft"}, {"event", "performer"}),
    (shows, {"state": "cancelled"}, _ALL),
    (shows, {"visibility": "hidden"}, {"event", "performer"}),
    (shows, {"public_from": _TOMORROW}, {"event", "performer"}),
    (shows, {"public_from": _YESTERDAY}, _ALL),
    (shows, {"event_id": None}, _ALL),
    (shows, {"configuration_id": None, "configuration_version": None}, _ALL - {"venue"}),
    (events, {"visibility": "hidden"}, set()),
    (events, {"public_from": _TOMORROW}, set()),
    (events, {"public_from": _YESTERDAY}, _ALL),
    (events, {"archived_at": _YESTERDAY}, set()),
    (performers, {"archived_at": _YESTERDAY}, _ALL - {"performer"}),
    (venues, {"archived_at": _YESTERDAY}, _ALL - {"venue"}),
    (resellers, {"status": "pending"}, set()),
    (resellers, {"status": "suspended"}, set()),
    (resellers, {"mode": "sandbox"}, set()),
]


@pytest.mark.parametrize(("table", "values", "public"), _CASES)
async def test_what_is_public(
    promoted: Promoted, table: Table, values: dict[str, Any], public: set[str]
) -> None:
    """By everything that it belongs to."""
    await promoted.change(table, **values)
    told = await promoted.is_public()
    assert {kind for kind, is_public in told.items() if is_public} == public


async def test_a_performer_of_no_event_is_not_public(promoted: Promoted) -> None:
    """Nobody learns of them before they are announced."""
    async with promoted.world.owner.begin() as connection:
        await connection.execute(
            text("DELETE FROM event_performers WHERE event_id = :one"), {"one": promoted.one}
        )
    assert not (await promoted.is_public())["performer"]


async def test_when_time_makes_it_public(promoted: Promoted) -> None:
    """The later of the show's time and its event's, and never where time is not what it lacks."""
    assert await promoted.turns_public_at() == (None, None)
    later = _TOMORROW + timedelta(days=1)
    await promoted.change(events, public_from=_TOMORROW)
    assert await promoted.turns_public_at() == (_TOMORROW, _TOMORROW)
    await promoted.change(shows, public_from=later)
    assert await promoted.turns_public_at() == (_TOMORROW, later)
    await promoted.change(events, visibility="hidden")
    assert await promoted.turns_public_at() == (None, None)
