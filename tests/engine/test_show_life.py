"""A show's rules are in both stores, whatever dies in between; facts tell each step once."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.changing import change_show
from engine.catalog.life import LifeChanged, Stores, act
from engine.catalog.shows import NewShow, ShowFaultsError, create_show
from engine.catalog.transitions import Action, ShowState
from engine.inventory.house import RulesChanged
from engine.platform.ids import EntityId, new_entity_id
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS, World, open_world
from workers.recovery import Ward


@pytest.fixture(scope="module")
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show that is on sale, in both stores."""
    async with open_ground(servers.settings) as ground:
        yield ground


@pytest.fixture
async def world(servers: Stack) -> AsyncGenerator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as world:
        yield world


def _stores(ground: Ground) -> Stores:
    return Stores(ground.serving.app_engine, ground.serving.redis, IDS, 60)


async def _take(ground: Ground, action: Action, **more: Any) -> LifeChanged:  # noqa: ANN401
    show = ground.show
    changed = await act(_stores(ground), show.reseller, show.id, action, **more)
    assert isinstance(changed, LifeChanged)
    return changed


async def _told(ground: Ground) -> dict[str, str]:
    found = await ground.raw.hgetall(ground.key("meta"))
    return {name.decode(): value.decode(errors="replace") for name, value in found.items()}


async def _agree(ground: Ground) -> str:
    """Let the workers look until both stores say the same; return the state that they say."""
    ward = Ward(ground.working, look_s=0.0)
    query = text("SELECT state, inventory_version FROM shows WHERE id = :show")
    told: dict[str, str] = {}
    for _ in range(200):
        await ward.visit()
        told = await _told(ground)
        async with ground.working.recorder_engine.connect() as connection:
            row = (await connection.execute(query, {"show": ground.show.id})).one()
        if (told["sale_state"], told["version"], told["state"]) == (
            *(row.state, str(row.inventory_version)),
            "open",
        ):
            return row.state
    raise AssertionError(told)


async def test_less_that_redis_alone_has_is_taken_back(ground: Ground) -> None:
    """The process died between the two: the ledger never had it, so nobody was told so."""

    async def die(_connection: AsyncConnection, _changed: RulesChanged) -> None:
        assert (await _told(ground))["sale_state"] == "paused"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await _take(ground, Action.PAUSE, finish=die)
    assert (await _told(ground))["sale_state"] == "paused"
    assert await _agree(ground) == "on_sale"


async def test_more_that_the_ledger_alone_has_is_completed(ground: Ground) -> None:
    """It is done once the ledger has it: the workers tell the store what it did not hear of."""
    await _take(ground, Action.PAUSE)
    resume = (
        "UPDATE shows SET state = 'on_sale', inventory_version = inventory_version + 1"
        " WHERE id = :show"
    )
    await ground.sql(resume)
    assert (await _told(ground))["sale_state"] == "paused"
    assert await _agree(ground) == "on_sale"


async def test_both_stores_have_a_step_before_it_is_answered(ground: Ground) -> None:
    """Towards less and towards more alike, with the limits that go with it."""
    show = ground.show
    for action, state in ((Action.PAUSE, "paused"), (Action.RESUME, "on_sale")):
        changed = await _take(ground, action)
        told = await _told(ground)
        assert (told["sale_state"], told["version"]) == (state, str(changed.inventory_version))
    closes_at = datetime.now(UTC) + timedelta(hours=3)
    columns = {"max_per_buyer": 3, "closes_at": closes_at}
    await change_show(_stores(ground), show.reseller, show.id, columns)
    told = await _told(ground)
    assert told["max_per_buyer"] == "3"
    assert told["closes_at"] == str(round(closes_at.timestamp() * 1000))
    columns = {"max_per_buyer": 6, "closes_at": None}
    await change_show(_stores(ground), show.reseller, show.id, columns)
    assert ((await _told(ground))["closes_at"], (await _agree(ground))) == ("0", "on_sale")


async def test_each_step_is_one_fact(ground: Ground) -> None:
    """In the order of the steps; a change that changes nothing is none."""
    before = await _facts(ground)
    show = ground.show
    for action in (Action.PAUSE, Action.RESUME, Action.CLOSE, Action.OPEN):
        await _take(ground, action)
    await change_show(_stores(ground), show.reseller, show.id, {"name": "Another evening"})
    await change_show(_stores(ground), show.reseller, show.id, {"name": "Another evening"})
    told = (await _facts(ground))[len(before) :]
    assert told == [
        *("show.paused", "show.resumed", "show.closed", "show.resumed", "show.changed"),
    ]


async def _facts(ground: Ground) -> list[str]:
    query = text("SELECT type FROM facts WHERE show_id = :show ORDER BY xid, id")
    async with ground.working.recorder_engine.connect() as connection:
        return list(await connection.scalars(query, {"show": ground.show.id}))


_PLAN = '{"name": "Hall", "categories": [], "zones": []}'
_CATEGORY = '[{"price_level": "vip", "name": "VIP", "color": null, "seats": 2, "places": 0}]'


async def _a_configuration(world: World, reseller: int) -> tuple[EntityId, dict[int, EntityId]]:
    """Make a configuration with a version from 2030 on, and one from 2031 on."""
    venue, configuration = new_entity_id(), new_entity_id()
    plans = {1: new_entity_id(), 2: new_entity_id()}
    of = {"reseller": reseller, "venue": venue, "configuration": configuration, "plan": _PLAN}
    async with world.owner.begin() as connection:
        await connection.execute(text(_ADD_VENUE), of)
        await connection.execute(text(_ADD_CONFIGURATION), of)
        for version, manifest in plans.items():
            row = of | {"manifest": manifest, "version": version, "categories": _CATEGORY}
            row |= {"day": datetime(2029 + version, 1, 1, tzinfo=UTC).date()}
            await connection.execute(text(_ADD_MANIFEST), row)
            await connection.execute(text(_ADD_VERSION), row)
    return configuration, plans


_ADD_VENUE = (
    "INSERT INTO venues (id, reseller_id, name, address, city, country, time_zone)"
    " VALUES (:venue, :reseller, 'Old Hall', '{}', 'Auckland', 'NZ', 'Pacific/Auckland')"
)
_ADD_CONFIGURATION = (
    "INSERT INTO configurations (id, reseller_id, venue_id, name)"
    " VALUES (:configuration, :reseller, :venue, 'Seated')"
)
_ADD_MANIFEST = (
    "INSERT INTO manifests (id, reseller_id, name, plan, seat_count)"
    " VALUES (:manifest, :reseller, 'Hall', CAST(:plan AS jsonb), 2)"
)
_ADD_VERSION = (
    "INSERT INTO configuration_versions"
    " (configuration_id, version, reseller_id, manifest_id, valid_from, capacity, categories)"
    " VALUES (:configuration, :version, :reseller, :manifest, :day, 2,"
    " CAST(:categories AS jsonb))"
)


async def test_a_show_of_a_configuration_shares_the_version_of_its_day(world: World) -> None:
    """The day at the venue, where it is tomorrow already; no copy of the plan is made."""
    reseller = EntityId(await world.new_reseller())
    configuration, plans = await _a_configuration(world, reseller)
    new = NewShow(
        id=new_entity_id(),
        name="Evening",
        starts_at=datetime(2030, 12, 31, 12, 30, tzinfo=UTC),
        opens_at=datetime(2029, 1, 1, tzinfo=UTC),
        closes_at=None,
        currency="NZD",
        tax_bps=0,
        prices={"vip": 100},
        max_per_hold=1,
        max_per_buyer=1,
        configuration=configuration,
        state=ShowState.DRAFT,
    )
    for show, version in (
        (new, 2),
        (replace(new, id=new_entity_id(), starts_at=new.starts_at - timedelta(hours=3)), 1),
        (replace(new, id=new_entity_id(), configuration_version=1), 1),
    ):
        await create_show(world.app, world.redis, reseller, show)
        (row,) = await world.rows("SELECT * FROM shows WHERE id = :show", show=show.id)
        assert (row["configuration_version"], row["manifest_id"]) == (version, plans[version])
        assert row["venue"] == "Old Hall"
    faulty = replace(new, id=new_entity_id(), configuration_version=9, venue="Elsewhere")
    with pytest.raises(ShowFaultsError) as refused:
        await create_show(world.app, world.redis, reseller, faulty)
    pointers = {fault.pointer for fault in refused.value.faults}
    assert pointers == {"/venue", "/configuration_version"}
    rival = EntityId(await world.new_reseller())
    with pytest.raises(ShowFaultsError):
        await create_show(world.app, world.redis, rival, replace(new, id=new_entity_id()))
