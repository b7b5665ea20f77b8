"""What was compiled of a plan is kept beside it, and read instead of the plan."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import event, insert, update

from engine.catalog.shows import NewShow, create_show
from engine.catalog.transitions import ShowState
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.manifest import Manifest
from engine.inventory.manifest_format import FORMAT, pack_manifest
from engine.inventory.seating_plan import read_plan
from engine.inventory.shows import ShowBook
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.tables import manifests, shows
from loadtests.generated_plans import arena_plan
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world

_PLAN = arena_plan(300)
_OTHER_PLAN = arena_plan(200)


@pytest.fixture
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
def asked(world: World) -> list[str]:
    """Return the questions for a plan, in their order."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "manifests.plan" in statement:
            found.append(statement)

    event.listen(world.app.sync_engine, "before_cursor_execute", note)
    return found


def _compiled(plan: bytes) -> Manifest:
    return compile_manifest(read_plan(plan))


async def _show_of(world: World, compiled: bytes | None) -> tuple[EntityId, EntityId, EntityId]:
    """Make a show of a plan of its own; return its reseller, it, and its manifest."""
    made = await world.new_show()
    manifest = new_entity_id()
    reseller = EntityId(made.reseller)
    row = {"id": manifest, "reseller_id": reseller, "name": "Hall", "seat_count": 300}
    row |= {"plan": msgspec.json.decode(_PLAN), "compiled": compiled}
    async with world.owner.begin() as connection:
        await connection.execute(insert(manifests).values(row))
        moved = update(shows).where(shows.c.id == made.id).values(manifest_id=manifest)
        await connection.execute(moved)
    return reseller, EntityId(made.id), manifest


async def test_a_show_of_its_own_plan_keeps_what_was_compiled(
    world: World, asked: list[str]
) -> None:
    """In the row that has the plan."""
    reseller = EntityId(await world.new_reseller())
    new = NewShow(
        id=new_entity_id(),
        name="Evening",
        venue="Hall",
        starts_at=datetime(2090, 12, 31, tzinfo=UTC),
        opens_at=datetime(2029, 1, 1, tzinfo=UTC),
        closes_at=None,
        currency="EUR",
        tax_bps=0,
        prices={level.slug: 100 for level in _compiled(_PLAN).levels},
        max_per_hold=1,
        max_per_buyer=1,
        plan=read_plan(_PLAN),
        state=ShowState.DRAFT,
    )
    await create_show(world.app, world.redis, reseller, new)
    found = await ShowBook().get(world.app, reseller, new.id)
    assert found.manifest == _compiled(_PLAN)
    assert not asked


async def test_no_plan_is_read_to_sell_from_it(world: World, asked: list[str]) -> None:
    """A large one takes a process half a second, and each of them would need it."""
    reseller, show, _ = await _show_of(world, pack_manifest(_compiled(_PLAN)))
    found = await ShowBook().get(world.app, reseller, show)
    assert found.manifest == _compiled(_PLAN)
    assert not asked


@pytest.mark.parametrize("compiled", [None, bytes([FORMAT + 1]) + b"of a later version"])
async def test_a_plan_is_compiled_where_nothing_is_kept_that_can_be_read(
    world: World, asked: list[str], compiled: bytes | None
) -> None:
    """As of shows that were made by another version."""
    reseller, show, _ = await _show_of(world, compiled)
    found = await ShowBook().get(world.app, reseller, show)
    assert found.manifest == _compiled(_PLAN)
    assert len(asked) == 1


async def test_what_was_compiled_of_another_plan_is_forgotten(
    world: World, asked: list[str]
) -> None:
    """Only the database's owner can change a plan; no show is sold from what it was before."""
    reseller, show, manifest = await _show_of(world, pack_manifest(_compiled(_PLAN)))
    changed = {"plan": msgspec.json.decode(_OTHER_PLAN)}
    async with world.owner.begin() as connection:
        await connection.execute(
            update(manifests).where(manifests.c.id == manifest).values(changed)
        )
    found = await ShowBook().get(world.app, reseller, show)
    assert found.manifest == _compiled(_OTHER_PLAN)
    assert len(asked) == 1


async def test_shows_go_with_the_manifest_that_they_sell_from(world: World) -> None:
    """Beyond the bound the least used is forgotten, and all others stay."""
    shows_of = [await _show_of(world, pack_manifest(_compiled(_PLAN))) for _ in range(3)]
    (reseller, one, _), (second, two, _), (third, three, _) = shows_of
    book = ShowBook(seats_cached_max=2_000)
    for whose, show in ((reseller, one), (second, two), (reseller, one), (third, three)):
        await book.get(world.app, whose, show)
    assert book.known(reseller, one) is not None
    assert book.known(second, two) is None
    assert book.known(third, three) is not None
    await book.get(world.app, second, two)
    assert book.known(reseller, one) is None
