"""A small show to audit: seats in every state, and ways to tamper with both stores."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct
from redis.asyncio import Redis
from sqlalchemy import text

from engine.catalog.shows import NewShow, create_show
from engine.inventory.commands import Done
from engine.inventory.house import BlocksChanged
from engine.inventory.seating_plan import read_plan
from engine.inventory.shows import Show
from engine.platform.database import Transaction, connect_once, create_engine
from engine.platform.ids import HoldId, new_entity_id
from engine.platform.settings import OWNER_ROLE, Settings
from engine.runtime import Serving, Working, open_serving, open_working
from engine.sales.asking import Asked
from engine.sales.views import HoldView, OrderView
from engine.sales.wanted import Wanted
from engine.tenancy.resellers import create_reseller
from loadtests.auditor import AuditResult, audit
from loadtests.generated_plans import arena_plan

TTL_MS: Final = 600_000
GRACE_S: Final = 1.0
PAUSE_S: Final = 0.05
_MAX_PER_BUYER: Final = 6


class Ground(Struct, frozen=True):
    """A show in which seats are sold, held, released and blocked, and ways to tamper with it."""

    settings: Settings
    serving: Serving
    working: Working
    raw: Any
    """A plain client: what the store's type does not allow is what a test does here."""
    show: Show
    orders: list[bytes]
    held: bytes

    def key(self, name: str) -> str:
        """Return a key of the show, spelt out."""
        return f"{{{self.show.id:016x}}}:{name}"

    async def audited(self) -> AuditResult:
        """Audit this show."""
        return await audit(self.settings, show=self.show.id, grace_s=GRACE_S, pause_s=PAUSE_S)

    async def sql(self, statement: str, **values: object) -> None:
        """Change the ledger as a superuser whom neither triggers nor foreign keys stop."""
        async with connect_once(self.settings.database_url) as connection:
            await connection.execute(text("SET session_replication_role = replica"))
            changed = await connection.execute(text(statement), {"show": self.show.id} | values)
            assert changed.rowcount > 0
            await connection.commit()

    async def hold(self, key: str, buyer: str, wanted: Wanted, ttl_ms: int = TTL_MS) -> HoldView:
        """Hold something that is open."""
        office = self.serving.box_office
        asked = office.ask_hold(
            self.show,
            key,
            buyer=buyer,
            ttl_ms=ttl_ms,
            wanted=wanted,
            fingerprint=lambda: len(key),
        )
        assert isinstance(asked, Asked)
        held = await office.tell(self.show, asked)
        assert isinstance(held, HoldView)
        return held

    async def release(self, hold: HoldId) -> None:
        """Give a hold back."""
        office = self.serving.box_office
        assert await office.tell(self.show, office.ask_release(self.show, hold)) == Done()

    async def sell(self, key: str, buyer: str, wanted: Wanted) -> bytes:
        """Sell something, up to its fact in the stream."""
        held = await self.hold(key, buyer, wanted)
        office = self.serving.box_office
        asked = await office.ask_purchase(self.show, held.hold, f"buy-{key}", 7, f"pay-{key}")
        order = await office.tell_purchase(self.show, asked)
        assert isinstance(order, OrderView)
        return held.hold

    async def record(self) -> None:
        """Bring the ledger up to date."""
        await self.working.recorder.record(self.show.id)

    async def state_of(self, seat: int, state: bytes) -> None:
        """Overwrite a byte of the seats string."""
        await self.raw.setrange(self.key("seats"), seat, state)

    def seat(self, n: int) -> int:
        """Return the position of the n-th seat from the back: none of them is sold."""
        label = [label for label in self.show.manifest.labels if label][-n]
        return self.show.manifest.index_by_label[label]

    def label(self, n: int) -> str:
        """Return the label of the n-th seat from the back."""
        return self.show.manifest.label_of(self.seat(n))


@asynccontextmanager
async def open_ground(settings: Settings) -> AsyncGenerator[Ground]:
    """Open a show of 60 seats and 20 places, and trade in it."""
    settings = msgspec.structs.replace(settings, confirm_timeout_ms=1)
    async with AsyncExitStack() as stack:
        serving = await stack.enter_async_context(open_serving(settings))
        working = await stack.enter_async_context(open_working(settings))
        raw = Redis.from_url(settings.redis_url)
        stack.push_async_callback(raw.aclose)
        show = await _create(settings, serving, working)
        ground = Ground(settings, serving, working, raw, show, [], b"")
        level = show.manifest.levels[0].slug
        ground.orders.append(await ground.sell("a", "ann", Wanted(best=((level, 4),))))
        ground.orders.append(await ground.sell("b", "bob", Wanted(areas=(("floor-1", 3),))))
        both = Wanted(seats=(ground.label(1), ground.label(2)), areas=(("floor-1", 1),))
        ground.orders.append(await ground.sell("c", "cat", both))
        camera = Wanted(seats=(ground.label(3),))
        await serving.house_office.block(show, camera, "camera", _remember_nothing)
        released = await ground.hold("d", "dan", Wanted(best=((level, 2),)))
        await ground.release(released.hold)
        held = await ground.hold("e", "eve", Wanted(best=((level, 2),), areas=(("floor-1", 2),)))
        await ground.record()
        current = await serving.book.get(serving.app_engine, show.reseller, show.id)
        yield msgspec.structs.replace(ground, show=current, held=held.hold)


async def _remember_nothing(_transaction: Transaction, _changed: BlocksChanged) -> None:
    """Keep no answer: nobody repeats the request."""


async def _create(settings: Settings, serving: Serving, working: Working) -> Show:
    owner = create_engine(settings, OWNER_ROLE)
    try:
        reseller = (await create_reseller(owner, settings.region, "auditor's tests")).reseller
    finally:
        await owner.dispose()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    new = NewShow(
        id=new_entity_id(),
        name="An evening",
        venue="A hall",
        starts_at=tomorrow,
        opens_at=tomorrow - timedelta(days=2),
        closes_at=None,
        currency="EUR",
        tax_bps=1900,
        prices={"vip": 9_900, "standing": 2_501},
        max_per_hold=6,
        max_per_buyer=_MAX_PER_BUYER,
        plan=read_plan(arena_plan(60, floor_areas=1, floor_capacity=20)),
    )
    show = await create_show(serving.app_engine, serving.redis, reseller, new)
    await working.recoverer.recover(show, "new")
    return await serving.book.get(serving.app_engine, reseller, show)
