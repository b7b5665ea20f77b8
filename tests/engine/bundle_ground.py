"""Two shows, and coordinators of bundles that can be killed at each of their steps."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from msgspec import Struct
from redis.asyncio import Redis
from sqlalchemy import text

from engine.catalog.shows import NewShow, create_show
from engine.inventory.commands import Commit, Outcome, Purchase, Release
from engine.inventory.seating_plan import read_plan
from engine.inventory.shows import Show
from engine.platform.database import connect_once, create_engine
from engine.platform.ids import EntityId, Prefix, new_entity_id
from engine.platform.redis import Store
from engine.platform.settings import OWNER_ROLE, Settings
from engine.runtime import Serving, Working, open_serving, open_working
from engine.sales.box_office import BoxOffice
from engine.sales.bundle_finishing import BundleFinishing
from engine.sales.bundle_ledger import BundleLedger
from engine.sales.bundles import Bundle, BundledShow, BundleState
from engine.sales.bundling import Bundling, Wish
from engine.sales.wanted import Wanted
from engine.tenancy.resellers import create_reseller
from engine.waitingroom.lane import QueueLanes
from loadtests.generated_plans import arena_plan

TTL_MS = 600_000
REFERENCE = "pay-1"
_SOON_S = 0.2


BundlingT = TypeVar("BundlingT", bound=Bundling)


class KilledError(BaseException):
    """The coordinator is gone: nothing of it runs any more."""


class Life:
    """The steps that a coordinator has left, counted down; below 0 it never ends."""

    def __init__(self, dies_at: int) -> None:
        """Take how many are left."""
        self._left = dies_at

    def step_on(self) -> None:
        """Be gone, if there is none left."""
        if self._left == 0:
            raise KilledError
        self._left -= 1


class MortalLedger(BundleLedger):
    """A coordinator's ledger: it is gone right before or after a move of its own."""

    life = Life(-1)

    async def move(self, bundle: Bundle, to: BundleState, **values: Any) -> bool:  # noqa: ANN401 -- as it is
        """Move a bundle on, alive."""
        self.life.step_on()
        moved = await super().move(bundle, to, **values)
        self.life.step_on()
        return moved


class MortalFinishing(BundleFinishing):
    """A coordinator that is gone right before or after what it asks of a show."""

    life = Life(-1)

    async def _ask(
        self, bundle: Bundle, one: BundledShow, command: Commit | Purchase | Release
    ) -> Outcome:
        self.life.step_on()
        outcome = await super()._ask(bundle, one, command)
        self.life.step_on()
        return outcome

    async def _end_pass(self, one: BundledShow, number: int) -> bool:
        self.life.step_on()
        is_ended = await super()._end_pass(one, number)
        self.life.step_on()
        return is_ended


class Ground(Struct, frozen=True):
    """Two shows of a reseller, without a worker: nothing happens by itself but recording."""

    settings: Settings
    serving: Serving
    working: Working
    raw: Any
    shows: tuple[Show, Show]

    @property
    def reseller(self) -> EntityId:
        """Whose they are."""
        return self.shows[0].reseller

    @property
    def bundling(self) -> Bundling:
        """A coordinator, as the API has it."""
        return self.serving.bundling

    def coordinator(self, kind: type[BundlingT]) -> BundlingT:
        """Return a coordinator of another kind."""
        serving = self.serving
        ledger = BundleLedger(serving.app_engine, serving.ids)
        finishing = BundleFinishing(ledger, *self._parts(), serving.ids)
        return kind(ledger, finishing, serving.box_office, serving.ids)

    def mortal(self, dies_at: int) -> Bundling:
        """Return a coordinator that is gone right before or after its n-th step, counted from 0.

        Steps are the ones that others see: what it asks of a show, what it moves in the ledger.
        """
        serving = self.serving
        ledger = MortalLedger(serving.app_engine, serving.ids)
        finishing = MortalFinishing(ledger, *self._parts(), serving.ids)
        ledger.life = finishing.life = Life(dies_at)
        return Bundling(ledger, finishing, serving.box_office, serving.ids)

    def _parts(self) -> tuple[Store, BoxOffice, QueueLanes]:
        serving = self.serving
        return serving.redis, serving.box_office, QueueLanes(serving.redis, replicas=0)

    def wishes(self, seats: int = 1) -> list[Wish]:
        """Return so many seats together in each show, for a buyer of their own."""
        buyer = secrets.token_hex(4)
        return [
            Wish(
                show,
                buyer,
                TTL_MS,
                Wanted(best=((show.manifest.levels[0].slug, seats),)),
                lambda: 7,
            )
            for show in self.shows
        ]

    async def hold(
        self, by: Bundling | None = None, wishes: Sequence[Wish] | None = None
    ) -> Bundle:
        """Return a bundle that is held."""
        key = secrets.token_hex(8)
        made = await (by or self.bundling).hold(self.reseller, key, 7, wishes or self.wishes())
        assert isinstance(made, Bundle), made
        assert made.state is BundleState.HELD
        return made

    async def purchase(self, bundle: Bundle, by: Bundling | None = None) -> Bundle:
        """Buy a bundle, as the API does; return how it stands."""
        office = by or self.bundling
        await office.begin_purchase(bundle, bytes(32), 1, REFERENCE)
        found = await office.finish(self.reseller, bundle.id, within_s=20)
        assert found is not None
        return found

    async def take_up(self, bundle: Bundle) -> Bundle:
        """Let a worker finish a bundle; return how it stands."""
        found = await self.working.finishing.take_up(self.reseller, bundle.id, within_s=20)
        assert found is not None
        return found

    async def where(self, bundle: Bundle) -> list[str]:
        """Return of each show what has become of its part, by the store and by the ledger.

        `sold`, `held` or `open` in both; `returned` in the ledger, whatever the store has yet.
        """
        orders: dict[bytes, str] = {}
        async with self.working.recorder_engine.connect() as connection:
            holds = [UUID(bytes=one.hold) for one in bundle.shows]
            statement = text("SELECT id, status FROM orders WHERE id = ANY(:holds)")
            for row in await connection.execute(statement, {"holds": holds}):
                orders[row.id.bytes] = row.status
        told: list[str] = []
        for one, show in zip(bundle.shows, self.shows, strict=True):
            packed: bytes = await self.raw.hget(show.keys.holds, one.hold) or bytes([35])
            state = {1: "held", 2: "sold", 7: "held", 8: "held"}.get(packed[0] - 32, "open")
            status = orders.get(one.hold)
            assert (state == "sold") == (status is not None), (state, orders)
            told.append("returned" if status == "returned" else state)
        return told

    async def told(self, bundle: Bundle) -> list[tuple[str, Any]]:
        """Return type and data of the facts about a bundle, in their order."""
        statement = text("SELECT type, data FROM facts WHERE object = :object ORDER BY xid, id")
        named = self.serving.ids.entity(Prefix.BUNDLE, bundle.id)
        async with self.working.recorder_engine.connect() as connection:
            rows = await connection.execute(statement, {"object": named})
            return [(row.type, row.data) for row in rows]

    async def paid(self, bundle: Bundle) -> int:
        """Return what a bundle's orders cost in all, by the ledger."""
        holds = [UUID(bytes=one.hold) for one in bundle.shows]
        statement = text("SELECT coalesce(sum(total), 0) FROM orders WHERE id = ANY(:holds)")
        async with self.working.recorder_engine.connect() as connection:
            return int((await connection.execute(statement, {"holds": holds})).scalar_one())

    async def open_seats(self) -> list[int]:
        """Return how many seats of each show are open in the store."""
        return [(await self.raw.get(show.keys.seats)).count(b"o") for show in self.shows]

    async def pass_time(self, show: Show, seconds: int) -> None:
        """Move a show's time on: the store's is never before what it has seen."""
        at = max(
            int(await self.raw.hget(show.keys.meta, "time")),
            round(datetime.now(UTC).timestamp() * 1000),
        )
        await self.raw.hset(show.keys.meta, "time", at + 1000 * seconds)

    async def sql(self, statement: str, **values: object) -> None:
        """Change the ledger as a superuser."""
        async with connect_once(self.settings.database_url) as connection:
            assert (await connection.execute(text(statement), values)).rowcount > 0
            await connection.commit()


@asynccontextmanager
async def open_ground(settings: Settings) -> AsyncGenerator[Ground]:
    """Open two shows of 60 seats, which are recorded meanwhile."""
    async with AsyncExitStack() as stack:
        serving = await stack.enter_async_context(open_serving(settings))
        working = await stack.enter_async_context(open_working(settings))
        raw = Redis.from_url(settings.redis_url)
        stack.push_async_callback(raw.aclose)
        owner = create_engine(settings, OWNER_ROLE)
        try:
            reseller = (await create_reseller(owner, settings.region, "bundles' tests")).reseller
        finally:
            await owner.dispose()
        first = await _create(serving, working, reseller)
        second = await _create(serving, working, reseller)
        recording = asyncio.create_task(_record(working, first, second))
        try:
            yield Ground(settings, serving, working, raw, (first, second))
        finally:
            recording.cancel()
            await asyncio.gather(recording, return_exceptions=True)


async def _record(working: Working, *shows: Show) -> None:
    while True:
        for show in shows:
            await working.recorder.record(show.id)
        await asyncio.sleep(_SOON_S / 10)


async def _create(serving: Serving, working: Working, reseller: EntityId) -> Show:
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
        max_per_buyer=6,
        plan=read_plan(arena_plan(60, floor_areas=1, floor_capacity=20)),
    )
    show = await create_show(serving.app_engine, serving.redis, reseller, new)
    await working.recoverer.recover(show, "new")
    return await serving.book.get(serving.app_engine, reseller, show)
