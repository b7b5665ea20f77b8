"""What the tests of the ledger share: shows made by hand, facts as the script writes them."""

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, cast

from msgspec import Struct
from redis.asyncio import Redis
from sqlalchemy import RowMapping, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.facts import SeatsSold, write_sale
from engine.inventory.keys import show_keys
from engine.platform.database import create_engine
from engine.platform.ids import HoldId, Ids, new_entity_id
from engine.platform.redis import Store, connect_redis
from engine.platform.settings import (
    APP_ROLE,
    AUDITOR_ROLE,
    OWNER_ROLE,
    RECORDER_ROLE,
    Settings,
)
from engine.platform.tables import manifests, price_versions, resellers, shows
from engine.sales.pricing import FeeSchedule, Tariff
from engine.sales.recorder import Publish, Recorder
from engine.sales.terms import AreaPlace, SeatPlace, Terms

SOLD_AT_MS = 1_767_225_600_000
PRICES = {"vip": 10_000, "std": 4_550, "floor": 6_000}
FEES = FeeSchedule(fee_bps=350, fee_fixed=79)
TAX_BPS = 700
IDS = Ids("dev", bytes(16))
# Of no seats: whoever audits all shows must be able to read it.
_PLAN: dict[str, object] = {"name": "Hall", "categories": [], "zones": []}
AREA_CAPACITY = 10

_keys = count(1)


class Hall:
    """Seats 0 to 9 are vip, 10 to 9 999 are std; area 0 is the floor."""

    def seat(self, position: int) -> SeatPlace:
        """Return a seat."""
        if position >= 10_000:
            raise IndexError(position)
        return SeatPlace(f"A-{position}", "vip" if position < 10 else "std")

    def area(self, index: int) -> AreaPlace:
        """Return an area."""
        if index != 0:
            raise IndexError(index)
        return AreaPlace("floor", "floor", AREA_CAPACITY)


class HallTerms:
    """The hall's terms, for whichever show is asked for."""

    def __init__(self, reseller: int, prices: dict[str, int] | None = None) -> None:
        """Take whose show it is."""
        tariff = Tariff(currency="EUR", prices=prices or PRICES, fees=FEES, tax_bps=TAX_BPS)
        self._terms = Terms(reseller=reseller, places=Hall(), tariffs={1: tariff})

    async def terms(self, show: int, price_versions: frozenset[int]) -> Terms:
        """Return them."""
        del show, price_versions
        return self._terms


class World(Struct, frozen=True):
    """The stores, one engine per role."""

    settings: Settings
    redis: Store
    raw: "Redis"
    owner: AsyncEngine
    app: AsyncEngine
    recorder_engine: AsyncEngine
    auditor: AsyncEngine

    async def new_reseller(self) -> int:
        """Make a reseller."""
        reseller = new_entity_id()
        async with self.owner.begin() as connection:
            await connection.execute(insert(resellers).values(id=reseller, name="Halle Nord"))
        return reseller

    async def new_show(self, *, reseller: int | None = None, epoch: int = 1) -> "TestedShow":
        """Make a show in the ledger, under an epoch; Redis knows nothing of it."""
        reseller = reseller or await self.new_reseller()
        manifest, show = new_entity_id(), new_entity_id()
        now = datetime.now(UTC)
        async with self.owner.begin() as connection:
            await connection.execute(
                insert(manifests).values(
                    id=manifest, reseller_id=reseller, name="Hall", plan=_PLAN, seat_count=10_000
                )
            )
            await connection.execute(
                insert(shows).values(
                    id=show,
                    reseller_id=reseller,
                    manifest_id=manifest,
                    name="Evening",
                    venue="Hall",
                    starts_at=now + timedelta(days=30),
                    opens_at=now,
                    # A draft: the workers of other tests leave it alone.
                    state="draft",
                    currency="EUR",
                    tax_bps=TAX_BPS,
                    fee_schedule_version=1,
                    max_per_buyer=10,
                    max_per_hold=10,
                    epoch=epoch,
                )
            )
            await connection.execute(
                insert(price_versions).values(
                    show_id=show, version=1, reseller_id=reseller, prices=PRICES
                )
            )
        return TestedShow(world=self, id=show, reseller=reseller)

    async def rows(self, statement: str, **arguments: Any) -> list[RowMapping]:  # noqa: ANN401
        """Read the ledger as the auditor does."""
        async with self.auditor.connect() as connection:
            return list((await connection.execute(text(statement), arguments)).mappings())


class TestedShow(Struct, frozen=True):
    """A show whose facts the tests write."""

    __test__ = False

    world: World
    id: int
    reseller: int

    async def sell(
        self,
        seats: Sequence[int] = (),
        areas: Sequence[tuple[int, int]] = (),
        *,
        hold: bytes | None = None,
        epoch: int = 1,
        **others: Any,  # noqa: ANN401
    ) -> bytes:
        """Write a fact as the script does, and return its hold."""
        hold = hold or secrets.token_bytes(16)
        await self.add(write_sale(a_sale(hold, seats, areas, **others)), epoch=epoch)
        return hold

    async def add(self, fields: dict[bytes, bytes], *, epoch: int = 1) -> None:
        """Write an entry to the stream."""
        await self.world.raw.xadd(show_keys(self.id).sales, cast("Any", fields), id=f"{epoch}-*")

    async def raise_epoch(self) -> None:
        """Do what a recovery does first."""
        async with self.world.owner.begin() as connection:
            statement = text("UPDATE shows SET epoch = epoch + 1 WHERE id = :show")
            await connection.execute(statement, {"show": self.id})

    def hall_terms(self, prices: dict[str, int] | None = None) -> HallTerms:
        """Return what it sells on."""
        return HallTerms(self.reseller, prices)

    def recorder(
        self, *, publish: Publish | None = None, prices: dict[str, int] | None = None
    ) -> Recorder:
        """Return a recorder of this show."""
        world = self.world
        terms = self.hall_terms(prices)
        return Recorder(world.recorder_engine, world.redis, terms, IDS, publish=publish)

    async def orders(self) -> dict[bytes, str]:
        """Return the status of every order."""
        found = await self.world.rows("SELECT * FROM orders WHERE show_id = :show", show=self.id)
        return {row["id"].bytes: row["status"] for row in found}

    async def seats(self) -> dict[int, bytes]:
        """Return who has which seat."""
        found = await self.world.rows(
            "SELECT seat_index, order_id FROM tickets"
            " WHERE show_id = :show AND status = 'active' AND seat_index IS NOT NULL",
            show=self.id,
        )
        return {row["seat_index"]: row["order_id"].bytes for row in found}

    async def stranded(self) -> dict[bytes | None, str]:
        """Return the reason by hold of every stranded fact."""
        found = await self.world.rows(
            "SELECT hold_id, reason FROM stranded_facts WHERE show_id = :show", show=self.id
        )
        return {row["hold_id"].bytes if row["hold_id"] else None: row["reason"] for row in found}

    async def balance(self) -> dict[str, int]:
        """Return the sum of every account."""
        found = await self.world.rows(
            "SELECT account, sum(amount)::bigint AS amount FROM postings"
            " JOIN journal_entries ON id = entry_id WHERE show_id = :show GROUP BY account",
            show=self.id,
        )
        return {row["account"]: row["amount"] for row in found}


def a_sale(
    hold: bytes,
    seats: Sequence[int] = (),
    areas: Sequence[tuple[int, int]] = (),
    *,
    buyer: str = "b-17",
    price_version: int = 1,
) -> SeatsSold:
    """Return a fact."""
    return SeatsSold(
        hold=HoldId(hold),
        buyer=buyer,
        seats=tuple(seats),
        areas=tuple(areas),
        price_version=price_version,
        sold_at_ms=SOLD_AT_MS,
        purchase_key=f"key-{next(_keys)}",
        body_fp=17,
        payment_reference="pay-1",
        hold_fp=18,
    )


@asynccontextmanager
async def open_world(settings: Settings) -> AsyncGenerator[World]:
    """Connect to both stores in every role."""
    engines = {
        role: create_engine(settings, role)
        for role in (OWNER_ROLE, APP_ROLE, RECORDER_ROLE, AUDITOR_ROLE)
    }
    redis = connect_redis(settings.redis_url, answer_timeout_ms=2000, connections_max=16)
    raw = Redis.from_url(settings.redis_url, socket_timeout=5)
    try:
        yield World(
            settings=settings,
            redis=redis,
            raw=raw,
            owner=engines[OWNER_ROLE],
            app=engines[APP_ROLE],
            recorder_engine=engines[RECORDER_ROLE],
            auditor=engines[AUDITOR_ROLE],
        )
    finally:
        await redis.aclose()
        await raw.aclose()
        for engine in engines.values():
            await engine.dispose()
