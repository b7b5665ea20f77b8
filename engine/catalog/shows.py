"""Creates shows: from a seating plan of their own, or from a venue's configuration.

A show that is no draft opens when the workers first see it.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.events import event_exists
from engine.catalog.transitions import ShowState
from engine.catalog.versions import VersionRow, version_for
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.house import wake_recovery
from engine.inventory.manifest_format import pack_manifest
from engine.inventory.seating_plan import SeatingPlan, export_plan
from engine.inventory.seating_plan_faults import below
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, new_entity_id
from engine.platform.legible import list_some
from engine.platform.money import MoneyError, check_currency
from engine.platform.redis import Store
from engine.platform.tables import (
    configuration_versions,
    configurations,
    fee_schedules,
    manifests,
    price_versions,
    shows,
    venues,
)

FACE_VALUE_MAX: Final = 10_000_000
"""Minor units: what one ticket may cost before fee and tax."""

LIMIT_MAX: Final = 100
"""The most that a limit per hold may be: it bounds what one command makes the script do."""

BUYER_LIMIT_MAX: Final = 10_000
HOLD_TTL_S_MIN: Final = 30
HOLD_TTL_S_MAX: Final = 3600
HOLD_TTL_USUAL_S: Final = 600
DURATION_MIN_MAX: Final = 60 * 24 * 31


class Visibility(StrEnum):
    """Who may see a show that is no draft."""

    PUBLIC = "public"
    HIDDEN = "hidden"
    """Only its reseller, and whom they tell its id."""


class PaymentMethod(StrEnum):
    """How a show may be paid for, as its reseller offers it."""

    CARD = "card"
    PAYPAL = "paypal"
    APPLE_PAY = "apple_pay"
    GOOGLE_PAY = "google_pay"
    BANK_TRANSFER = "bank_transfer"
    SEPA_DEBIT = "sepa_debit"
    ON_ACCOUNT = "on_account"
    """By an invoice to a customer with an agreement."""
    CASH_ON_ARRIVAL = "cash_on_arrival"
    VOUCHER = "voucher"


METHODS_USUAL: Final = (PaymentMethod.CARD,)


class ShowFault(Struct, frozen=True):
    """What is wrong with a show: the field as a JSON pointer, and why."""

    pointer: str
    reason: str


class ShowFaultsError(ValueError):
    """A show can't be so; all that is wrong with it, at once."""

    def __init__(self, faults: list[ShowFault]) -> None:
        """Take what is wrong."""
        super().__init__("; ".join(f"{fault.pointer}: {fault.reason}" for fault in faults))
        self.faults = faults


class NewShow(Struct, frozen=True, kw_only=True):
    """A show to create. Prices are face values in minor units by price level slug.

    It has either a `plan` with a `venue`, or a `configuration`, of which the version that is named
    or, without, that is valid on the show's day.
    """

    id: EntityId
    name: str
    venue: str | None = None
    starts_at: datetime
    opens_at: datetime
    closes_at: datetime | None
    currency: str
    tax_bps: int
    prices: dict[str, int]
    max_per_hold: int
    max_per_buyer: int
    plan: SeatingPlan | None = None
    configuration: EntityId | None = None
    configuration_version: int | None = None
    event: EntityId | None = None
    doors_at: datetime | None = None
    duration_min: int | None = None
    visibility: Visibility = Visibility.PUBLIC
    public_from: datetime | None = None
    hold_ttl_s: int = HOLD_TTL_USUAL_S
    payment_methods: tuple[PaymentMethod, ...] = METHODS_USUAL
    state: ShowState = ShowState.ON_SALE
    amiss: tuple[ShowFault, ...] = ()
    """What is already known to be wrong with it: it is not created, and all else is told, too."""

    def names(self, field: str) -> bool:
        """Tell whether it came with a field, even with one that can't be read."""
        place = f"/{field}"
        return getattr(self, field) is not None or any(
            fault.pointer == place or fault.pointer.startswith(f"{place}/") for fault in self.amiss
        )


class _Source(Struct, frozen=True):
    """What a show is made from."""

    levels: frozenset[str]
    venue: str
    manifest_id: EntityId | None = None
    """None: its plan is yet to be kept."""
    seat_count: int = 0
    plan: object = None
    compiled: bytes = b""
    version: VersionRow | None = None


_NOTHING: Final = _Source(frozenset(), "")


async def create_show(app: AsyncEngine, redis: Store, reseller: EntityId, new: NewShow) -> EntityId:
    """Create a show, and wake the worker that opens it unless it is a draft.

    One of its id that exists already is left as it is: the request came before, and its answer
    was lost.

    Raises:
        ShowFaultsError: it contradicts its plan or itself, or names what is not there.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed.
    """
    own = None
    if new.plan is not None:
        # Seconds of work for the largest halls: beside the event loop, not on it.
        own = await asyncio.to_thread(_compile, new.plan, new.venue or "")
    async with tenant_transaction(app, reseller) as connection:
        exists = select(shows.c.id).where(shows.c.id == new.id)
        if (await connection.execute(exists)).first() is None:
            faults = _faults_of_form(new)
            source = own or await _configured(connection, new, faults)
            if source is not _NOTHING:
                faults += _faults_of_prices(new, source.levels)
            if new.event is not None and not await event_exists(connection, new.event):
                faults.append(no_such_event())
            if faults := all_amiss(faults, new.amiss):
                raise ShowFaultsError(faults)
            await _insert(connection, reseller, new, source)
    if new.state is not ShowState.DRAFT:
        await wake_recovery(redis, new.id)
    return new.id


def all_amiss(faults: Sequence[ShowFault], amiss: Sequence[ShowFault]) -> list[ShowFault]:
    """Return all that is wrong; of a place that was amiss already, only that."""
    places = {fault.pointer for fault in amiss}
    return [*(fault for fault in faults if fault.pointer not in places), *amiss]


def no_such_event() -> ShowFault:
    """Return the fault of an event that is not there, is archived, or is somebody else's."""
    return ShowFault("/event", "you have no event with this id that is not archived")


def faults_of_times(
    starts_at: datetime, opens_at: datetime, closes_at: datetime | None, doors_at: datetime | None
) -> list[ShowFault]:
    """List what of a show's times contradicts the others."""
    faults: list[ShowFault] = []
    if closes_at is not None and closes_at <= opens_at:
        faults.append(ShowFault("/closes_at", "must be after opens_at"))
    if doors_at is not None and doors_at > starts_at:
        faults.append(ShowFault("/doors_at", "must not be after starts_at"))
    return faults


def faults_of_limits(max_per_hold: int, max_per_buyer: int) -> list[ShowFault]:
    """List the limits that are out of bounds."""
    faults: list[ShowFault] = []
    if not 1 <= max_per_hold <= LIMIT_MAX:
        faults.append(ShowFault("/max_per_hold", f"1 to {LIMIT_MAX}"))
    if not 1 <= max_per_buyer <= BUYER_LIMIT_MAX:
        faults.append(ShowFault("/max_per_buyer", f"1 to {BUYER_LIMIT_MAX}"))
    return faults


def _faults_of_form(new: NewShow) -> list[ShowFault]:
    faults = _faults_of_source(new)
    try:
        check_currency(new.currency)
    except MoneyError as error:
        faults.append(ShowFault("/currency", str(error)))
    if not 0 <= new.tax_bps <= 10_000:  # noqa: PLR2004 - a whole, in basis points
        faults.append(ShowFault("/tax_bps", "0 to 10000 basis points"))
    faults += faults_of_limits(new.max_per_hold, new.max_per_buyer)
    faults += faults_of_times(new.starts_at, new.opens_at, new.closes_at, new.doors_at)
    now = datetime.now(UTC)
    if new.state is not ShowState.DRAFT and new.starts_at <= now:
        faults.append(ShowFault("/starts_at", "is past: such a show can only be a draft"))
    if new.state is ShowState.ANNOUNCED and new.opens_at <= now:
        faults.append(ShowFault("/opens_at", "is past: a show that is announced is not sold yet"))
    return faults


def _faults_of_source(new: NewShow) -> list[ShowFault]:
    has_plan, configured = new.names("plan"), new.names("configuration")
    if has_plan == configured:
        return [ShowFault("", "name exactly one of plan and configuration")]
    faults: list[ShowFault] = []
    if has_plan and new.venue is None:
        faults.append(ShowFault("/venue", "a show with a plan of its own says where it is"))
    if configured and new.venue is not None:
        faults.append(ShowFault("/venue", "is the configuration's: leave it out"))
    if has_plan and new.configuration_version is not None:
        faults.append(ShowFault("/configuration_version", "of a configuration, which is not named"))
    return faults


def _faults_of_prices(new: NewShow, levels: Collection[str]) -> list[ShowFault]:
    faults = [
        ShowFault("/prices", f"price level {slug!r} of the seating plan has no price")
        for slug in sorted(set(levels) - new.prices.keys())
    ]
    for slug, face_value in new.prices.items():
        if slug not in levels:
            known = list_some(sorted(levels))
            reason = f"no such price level in the seating plan; it has {known}"
            faults.append(ShowFault(below("/prices", slug), reason))
        elif not 0 <= face_value <= FACE_VALUE_MAX:
            faults.append(ShowFault(below("/prices", slug), f"0 to {FACE_VALUE_MAX} minor units"))
    return faults


def _compile(plan: SeatingPlan, venue: str) -> _Source:
    manifest = compile_manifest(plan)
    return _Source(
        levels=frozenset(level.slug for level in manifest.levels),
        venue=venue,
        seat_count=manifest.seat_count,
        plan=msgspec.json.decode(export_plan(plan)),
        compiled=pack_manifest(manifest),
    )


async def _configured(
    connection: AsyncConnection, new: NewShow, faults: list[ShowFault]
) -> _Source:
    """Return what the configuration's version gives; a fault more if there is none."""
    if new.configuration is None:
        return _NOTHING
    day = None
    if new.configuration_version is None:
        if any(fault.pointer == "/starts_at" for fault in new.amiss):
            return _NOTHING  # on which day it is, nobody knows
        zone = (await connection.execute(_time_zone(new.configuration))).scalar_one_or_none()
        day = None if zone is None else new.starts_at.astimezone(ZoneInfo(zone)).date()
    found = await version_for(
        connection, new.configuration, version=new.configuration_version, day=day
    )
    if found is None:
        if new.configuration_version is not None:
            reason = "no such version of a configuration of yours that is not archived"
            faults.append(ShowFault("/configuration_version", reason))
        else:
            reason = "you have none with this id that is not archived and valid on the show's day"
            faults.append(ShowFault("/configuration", reason))
        return _NOTHING
    one = configuration_versions.c
    query = select(one.categories).where(
        one.configuration_id == found.configuration, one.version == found.version
    )
    categories: list[dict[str, Any]] = (await connection.execute(query)).scalar_one()
    return _Source(
        levels=frozenset(category["price_level"] for category in categories),
        venue=found.venue,
        manifest_id=found.manifest_id,
        version=found,
    )


def _time_zone(configuration: EntityId) -> Any:  # noqa: ANN401 - SQLAlchemy's
    return (
        select(venues.c.time_zone)
        .join(configurations, configurations.c.venue_id == venues.c.id)
        .where(configurations.c.id == configuration)
    )


async def _insert(
    connection: AsyncConnection, reseller: EntityId, new: NewShow, source: _Source
) -> None:
    manifest_id = source.manifest_id
    if manifest_id is None:
        assert new.plan is not None  # noqa: S101 - where no version is named, a plan is
        manifest_id = new_entity_id()
        row = {"id": manifest_id, "reseller_id": reseller, "name": new.plan.name}
        row |= {"plan": source.plan, "compiled": source.compiled, "seat_count": source.seat_count}
        await connection.execute(insert(manifests).values(row))
    version = source.version
    fees = select(func.max(fee_schedules.c.version)).scalar_subquery()
    await connection.execute(
        insert(shows).values(
            id=new.id,
            reseller_id=reseller,
            manifest_id=manifest_id,
            name=new.name,
            venue=source.venue,
            starts_at=new.starts_at,
            opens_at=new.opens_at,
            closes_at=new.closes_at,
            state=new.state,
            currency=new.currency,
            tax_bps=new.tax_bps,
            fee_schedule_version=fees,
            max_per_hold=new.max_per_hold,
            max_per_buyer=new.max_per_buyer,
            price_version=1,
            event_id=new.event,
            configuration_id=None if version is None else version.configuration,
            configuration_version=None if version is None else version.version,
            doors_at=new.doors_at,
            duration_min=new.duration_min,
            visibility=new.visibility,
            public_from=new.public_from,
            hold_ttl_s=new.hold_ttl_s,
            payment_methods=list(new.payment_methods),
        )
    )
    await connection.execute(
        insert(price_versions).values(
            show_id=new.id, reseller_id=reseller, version=1, prices=new.prices
        )
    )
