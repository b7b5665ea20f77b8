"""An import of prices keeps others from its shows while it is written; the recorder only last."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.price_rules import NewPrices
from engine.catalog.prices import PricesPublished, publish_prices
from engine.catalog.sheets.importing import Imported, import_sheet
from engine.catalog.sheets.price_import import ImportedPrices, PriceImport
from engine.inventory.price_versions import Prices, read_price_version
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Prefix
from engine.sales.recorder import Turn
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground

_OTHERS = {"vip": 4_200, "standing": 1_700}
_WAITING = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended('many shows', :reseller))")


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show in trade."""
    async with open_ground(servers.settings) as ground:
        yield ground


def _sheet(ground: Ground, price: str, *, version: str = "") -> bytes:
    show = ground.serving.ids.entity(Prefix.SHOW, ground.show.id)
    return (
        "show,from,price_version,price_level,price\n"
        f"{show},,{version},vip,{price}\n"
        f"{show},2098-01-01T20:00:00Z,{version},vip,99.00\n"
    ).encode()


def _import_of(ground: Ground, kind: type[PriceImport] = PriceImport) -> PriceImport:
    serving = ground.serving
    return kind(
        app=serving.app_engine,
        redis=serving.redis,
        ids=serving.ids,
        reseller=ground.show.reseller,
    )


async def _import(ground: Ground, sheet: bytes) -> Imported[ImportedPrices]:
    return await import_sheet(_import_of(ground), sheet, is_xlsx=False)


async def test_sales_are_recorded_while_an_import_is_written(ground: Ground) -> None:
    """Only the last statement needs the shows' rows to itself; nobody changes them before it."""
    await ground.sell("late", "fay", Wanted(seats=(ground.label(9),)))
    turns: list[Turn] = []
    changers: list[asyncio.Task[object]] = []

    class Watched(PriceImport, frozen=True):
        async def _take(
            self, connection: AsyncConnection, priced: Sequence[tuple[EntityId, Prices]]
        ) -> None:
            turns.append((await ground.working.recorder.record(ground.show.id)).turn)
            new = NewPrices(_OTHERS, {})
            app, redis = ground.serving.app_engine, ground.serving.redis
            publishing = publish_prices(app, redis, ground.serving.ids, ground.show, new, 2)
            changers.append(asyncio.create_task(publishing))
            await asyncio.sleep(0.2)
            assert not changers[0].done()
            await super()._take(connection, priced)

    imported = await import_sheet(
        _import_of(ground, Watched), _sheet(ground, "55.00"), is_xlsx=False
    )
    assert [one.price_version for one in imported.done] == [2]
    assert turns == [Turn.CAUGHT_UP]
    # It followed the version that the import made, which it had to wait for.
    assert await changers[0] == PricesPublished(3)
    assert [await _vip(ground, version) for version in (2, 3)] == [5_500, 4_200]


async def test_what_was_changed_while_an_import_waited_is_looked_at_again(ground: Ground) -> None:
    """It follows what there is by then; a sheet that names another version is refused."""
    show, serving = ground.show, ground.serving
    async with tenant_transaction(serving.app_engine, show.reseller) as connection:
        await connection.execute(_ONE_AT_A_TIME, {"reseller": show.reseller})
        following = asyncio.create_task(_import(ground, _sheet(ground, "55.00")))
        named = asyncio.create_task(_import(ground, _sheet(ground, "66.00", version="1")))
        async with asyncio.timeout(10):
            while (await connection.execute(_WAITING)).scalar_one() < 2:
                await connection.execute(text("SELECT pg_sleep(0.02)"))
        new = NewPrices(_OTHERS, {})
        published = await publish_prices(
            serving.app_engine, serving.redis, serving.ids, show, new, 1
        )
        assert published == PricesPublished(2)
    assert [one.price_version for one in (await following).done] == [3]
    refused = await named
    assert {one.column for one in refused.problems} == {"price_version"}
    assert [await _vip(ground, version) for version in (2, 3)] == [4_200, 5_500]


async def test_a_sheet_with_a_mistake_keeps_nobody_from_its_shows(ground: Ground) -> None:
    """All that is wrong is told without a lock."""
    show = ground.show
    async with tenant_transaction(ground.serving.app_engine, show.reseller) as connection:
        lock = text("SELECT id FROM shows WHERE id = :show FOR UPDATE")
        await connection.execute(lock, {"show": show.id})
        async with asyncio.timeout(3):
            refused = await _import(ground, _sheet(ground, "55.00", version="7"))
    assert len(refused.problems) == 1


async def _vip(ground: Ground, version: int) -> int:
    show = ground.show
    async with tenant_transaction(ground.serving.app_engine, show.reseller) as connection:
        return (await read_price_version(connection, show.id, version)).face_values["vip"]
