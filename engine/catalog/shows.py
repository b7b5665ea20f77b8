"""Creates and lists shows. A show that is on sale opens when the workers first see it."""

import asyncio
from datetime import datetime
from typing import Final

import msgspec
import structlog
from msgspec import Struct
from redis.exceptions import RedisError
from sqlalchemy import func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.keys import WAKE_CHANNEL, Wake, wake_call
from engine.inventory.manifest import Manifest
from engine.inventory.seating_plan import SeatingPlan, export_plan
from engine.inventory.seating_plan_faults import below
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.money import MoneyError, check_currency
from engine.platform.redis import Store
from engine.platform.tables import fee_schedules, manifests, price_versions, shows

PAGE_MAX: Final = 200
FACE_VALUE_MAX: Final = 10_000_000
"""Minor units: what one ticket may cost before fee and tax."""

LIMIT_MAX: Final = 100
"""The most that a limit per hold may be: it bounds what one command makes the script do."""

BUYER_LIMIT_MAX: Final = 10_000
_log = structlog.get_logger(__name__)
_ON_SALE: Final = "on_sale"


class NewShow(Struct, frozen=True, kw_only=True):
    """A show to create. Prices are face values in minor units by price level slug."""

    id: EntityId
    name: str
    venue: str
    starts_at: datetime
    opens_at: datetime
    closes_at: datetime | None
    currency: str
    tax_bps: int
    prices: dict[str, int]
    max_per_hold: int
    max_per_buyer: int
    plan: SeatingPlan


class ShowFault(Struct, frozen=True):
    """What is wrong with a new show: the field as a JSON pointer, and why."""

    pointer: str
    reason: str


class ShowFaultsError(ValueError):
    """A new show can't be created; all that is wrong with it, at once."""

    def __init__(self, faults: list[ShowFault]) -> None:
        """Take what is wrong."""
        super().__init__("; ".join(f"{fault.pointer}: {fault.reason}" for fault in faults))
        self.faults = faults


class ListedShow(Struct, frozen=True, kw_only=True):
    """A show in a list."""

    id: EntityId
    name: str
    venue: str
    starts_at: datetime
    opens_at: datetime
    closes_at: datetime | None
    state: str
    currency: str
    seat_count: int
    created_at: datetime


def check_show(new: NewShow, manifest: Manifest) -> None:  # noqa: C901 - a list of checks
    """Check what a plan alone can't tell.

    Raises:
        ShowFaultsError: with all that is wrong.
    """
    faults: list[ShowFault] = []

    def fault(pointer: str, reason: str) -> None:
        faults.append(ShowFault(pointer, reason))

    try:
        check_currency(new.currency)
    except MoneyError as error:
        fault("/currency", str(error))
    if not 0 <= new.tax_bps <= 10_000:  # noqa: PLR2004 - a whole, in basis points
        fault("/tax_bps", "0 to 10000 basis points")
    if not 1 <= new.max_per_hold <= LIMIT_MAX:
        fault("/max_per_hold", f"1 to {LIMIT_MAX}")
    if not 1 <= new.max_per_buyer <= BUYER_LIMIT_MAX:
        fault("/max_per_buyer", f"1 to {BUYER_LIMIT_MAX}")
    if new.closes_at is not None and new.closes_at <= new.opens_at:
        fault("/closes_at", "must be after opens_at")
    levels = {level.slug for level in manifest.levels}
    for slug in sorted(levels - new.prices.keys()):
        fault("/prices", f"price level {slug!r} of the seating plan has no price")
    for slug, face_value in new.prices.items():
        if slug not in levels:
            known = ", ".join(sorted(levels))
            fault(
                below("/prices", slug), f"no such price level in the seating plan; it has {known}"
            )
        elif not 0 <= face_value <= FACE_VALUE_MAX:
            fault(below("/prices", slug), f"0 to {FACE_VALUE_MAX} minor units")
    if faults:
        raise ShowFaultsError(faults)


async def create_show(app: AsyncEngine, redis: Store, reseller: EntityId, new: NewShow) -> EntityId:
    """Create a show that is on sale from its `opens_at`, and wake the worker that opens it.

    One of its id that exists already is left as it is: the request came before, and its answer
    was lost.

    Raises:
        ShowFaultsError: it contradicts its plan or itself.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed.
    """
    # Seconds of work for the largest halls: beside the event loop, not on it.
    manifest, plan = await asyncio.to_thread(_compile, new.plan)
    check_show(new, manifest)
    async with tenant_transaction(app, reseller) as connection:
        exists = select(shows.c.id).where(shows.c.id == new.id)
        if (await connection.execute(exists)).first() is None:
            await _insert(connection, reseller, new, manifest.seat_count, plan)
    try:
        await redis.publish(WAKE_CHANNEL, wake_call(Wake.RECOVER, new.id))
    except (RedisError, OSError, TimeoutError) as error:
        # It is created; the workers look at every show each second.
        _log.warning("could not wake the workers", error=repr(error))
    return new.id


async def _insert(
    connection: AsyncConnection, reseller: EntityId, new: NewShow, seat_count: int, plan: object
) -> None:
    plan_id = new_entity_id()
    fees = select(func.max(fee_schedules.c.version)).scalar_subquery()
    await connection.execute(
        insert(manifests).values(
            id=plan_id,
            reseller_id=reseller,
            name=new.plan.name,
            plan=plan,
            seat_count=seat_count,
        )
    )
    await connection.execute(
        insert(shows).values(
            id=new.id,
            reseller_id=reseller,
            manifest_id=plan_id,
            name=new.name,
            venue=new.venue,
            starts_at=new.starts_at,
            opens_at=new.opens_at,
            closes_at=new.closes_at,
            state=_ON_SALE,
            currency=new.currency,
            tax_bps=new.tax_bps,
            fee_schedule_version=fees,
            max_per_hold=new.max_per_hold,
            max_per_buyer=new.max_per_buyer,
            price_version=1,
        )
    )
    await connection.execute(
        insert(price_versions).values(
            show_id=new.id, reseller_id=reseller, version=1, prices=new.prices
        )
    )


async def list_shows(
    app: AsyncEngine, reseller: EntityId, *, after: EntityId | None, limit: int
) -> list[ListedShow]:
    """Return a reseller's shows, the newest first, from behind the show `after`."""
    query = (
        select(*(shows.c[name] for name in _LISTED), manifests.c.seat_count)
        .join(manifests, manifests.c.id == shows.c.manifest_id)
        .order_by(shows.c.created_at.desc(), shows.c.id.desc())
        .limit(min(limit, PAGE_MAX))
    )
    if after is not None:
        place = select(shows.c.created_at, shows.c.id).where(shows.c.id == after).subquery()
        query = query.where(
            tuple_(shows.c.created_at, shows.c.id)
            < select(place.c.created_at, place.c.id).scalar_subquery()
        )
    async with tenant_transaction(app, reseller) as connection:
        rows = (await connection.execute(query)).mappings().all()
    return [ListedShow(**row) for row in rows]


def _compile(plan: SeatingPlan) -> tuple[Manifest, object]:
    return compile_manifest(plan), msgspec.json.decode(export_plan(plan))


_LISTED: Final = (
    "id",
    "name",
    "venue",
    "starts_at",
    "opens_at",
    "closes_at",
    "state",
    "currency",
    "created_at",
)
