"""Cancels shows and moves them to another time, with what holders of tickets may choose then."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import RowMapping, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.life import LifeChanged, Stores, Tell, Told, act
from engine.catalog.shows import ShowFault, ShowFaultsError, faults_of_times
from engine.catalog.transitions import Action, Refused, ShowState
from engine.facts.types import FactType, ShowCancelled, ShowRescheduled
from engine.inventory.commands import Recovering
from engine.inventory.house import Finish, RulesChanged
from engine.platform.ids import EntityId, Prefix
from engine.platform.tables import show_changes, shows
from engine.sales.choices import Choice, affect_orders, latest_change

CHOOSE_WITHIN: Final = timedelta(days=14)
CHOOSE_WITHIN_MAX: Final = timedelta(days=366)


class Offer(Struct, frozen=True, kw_only=True):
    """What holders of tickets may choose, until when, and what they get who choose nothing."""

    offered: tuple[Choice, ...]
    default: Choice
    choose_by: datetime
    note: str = ""
    new_show: EntityId | None = None
    """The show that a voucher is for, if that is another."""


class Moved(Struct, frozen=True, kw_only=True):
    """A show's new times; None leaves one as it is, but for `closes_at` and `doors_at`."""

    starts_at: datetime
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    doors_at: datetime | None = None


async def cancel_show(
    stores: Stores,
    reseller: EntityId,
    show: EntityId,
    offer: Offer,
    finish: Finish | None = None,
) -> LifeChanged | Refused | Recovering:
    """Cancel a show for good.

    Raises:
        ShowFaultsError: what is offered contradicts itself, or names a show that is not there.
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """
    faults = _faults_of_offer(offer)
    if Choice.KEEP in offer.offered:
        faults.append(ShowFault("/offered", "there is nothing to keep a ticket for"))
    if Choice.VOUCHER in offer.offered and offer.new_show is None:
        faults.append(ShowFault("/new_show", "name the show that a voucher is for"))

    async def tell(connection: AsyncConnection, row: RowMapping) -> Told:
        contradictions = faults + await _faults_of_new_show(connection, row, offer)
        if contradictions:
            raise ShowFaultsError(contradictions)
        new = offer.new_show
        return FactType.SHOW_CANCELLED, ShowCancelled(
            note=offer.note,
            offered=offer.offered,
            default=offer.default,
            choose_by=offer.choose_by.astimezone(UTC),
            new_show=None if new is None else stores.ids.entity(Prefix.SHOW, new),
        )

    return await _upset(stores, reseller, show, Action.CANCEL, {}, offer, tell, finish)


async def reschedule_show(  # noqa: PLR0913, PLR0917 - a request's parts
    stores: Stores,
    reseller: EntityId,
    show: EntityId,
    moved: Moved,
    offer: Offer,
    finish: Finish | None = None,
) -> LifeChanged | Refused | Recovering:
    """Move a show to another time; its sale rests until it is opened again.

    Raises:
        ShowFaultsError: as of `cancel_show`, or the new times contradict each other.
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """
    faults = _faults_of_offer(offer)
    if moved.starts_at <= datetime.now(UTC):
        faults.append(ShowFault("/starts_at", "is past"))
    elif offer.choose_by > moved.starts_at:
        faults.append(ShowFault("/choose_by", "must not be after the new starts_at"))
    columns: dict[str, Any] = {"starts_at": moved.starts_at}
    columns |= {"closes_at": moved.closes_at, "doors_at": moved.doors_at}
    if moved.opens_at is not None:
        columns["opens_at"] = moved.opens_at

    async def tell(connection: AsyncConnection, row: RowMapping) -> Told:
        opens_at = columns.get("opens_at", row["opens_at"])
        contradictions = faults + await _faults_of_new_show(connection, row, offer)
        contradictions += faults_of_times(
            moved.starts_at, opens_at, moved.closes_at, moved.doors_at
        )
        if contradictions:
            raise ShowFaultsError(contradictions)
        return FactType.SHOW_RESCHEDULED, ShowRescheduled(
            starts_at_before=row["starts_at"].astimezone(UTC),
            starts_at=moved.starts_at.astimezone(UTC),
            note=offer.note,
            offered=offer.offered,
            default=offer.default,
            choose_by=offer.choose_by.astimezone(UTC),
        )

    return await _upset(stores, reseller, show, Action.RESCHEDULE, columns, offer, tell, finish)


async def _upset(  # noqa: PLR0913, PLR0917 - the parts of one decision
    stores: Stores,
    reseller: EntityId,
    show: EntityId,
    action: Action,
    columns: Mapping[str, Any],
    offer: Offer,
    tell: Tell,
    finish: Finish | None,
) -> LifeChanged | Refused | Recovering:
    before: list[datetime] = []

    async def tell_and_note(connection: AsyncConnection, row: RowMapping) -> Told:
        before.append(row["starts_at"])
        return await tell(connection, row)

    async def note(connection: AsyncConnection, changed: RulesChanged) -> None:
        last = await latest_change(connection, show)
        await connection.execute(
            insert(show_changes).values(
                show_id=show,
                change_no=1 if last is None else last["change_no"] + 1,
                reseller_id=reseller,
                kind="cancelled" if action is Action.CANCEL else "rescheduled",
                offered=list(offer.offered),
                default_choice=offer.default,
                choose_by=offer.choose_by,
                starts_at_before=before[0],
                starts_at=columns.get("starts_at"),
                new_show_id=offer.new_show,
                note=offer.note,
                sold_until=datetime.fromtimestamp(changed.at_ms / 1000, UTC),
            )
        )
        row = await latest_change(connection, show)
        assert row is not None  # noqa: S101 - it was just inserted
        await affect_orders(connection, row)
        if finish is not None:
            await finish(connection, changed)

    return await act(
        stores,
        reseller,
        show,
        action,
        columns=columns,
        tell=tell_and_note,
        finish=note,
        # So of two shows that are each other's new one, only one can be cancelled.
        beside=None if offer.new_show == show else offer.new_show,
    )


def _faults_of_offer(offer: Offer) -> list[ShowFault]:
    faults: list[ShowFault] = []
    now = datetime.now(UTC)
    if not offer.offered:
        faults.append(ShowFault("/offered", "offer at least one choice"))
    if offer.default not in offer.offered:
        faults.append(ShowFault("/default", "must be one of what is offered"))
    if not now < offer.choose_by <= now + CHOOSE_WITHIN_MAX:
        faults.append(ShowFault("/choose_by", "must be in the future, and within a year"))
    return faults


async def _faults_of_new_show(
    connection: AsyncConnection, row: RowMapping, offer: Offer
) -> list[ShowFault]:
    """List what speaks against the show of vouchers, which is locked."""
    if offer.new_show is None:
        return []
    query = select(shows.c.state).where(shows.c.id == offer.new_show)
    state = (await connection.execute(query)).scalar_one_or_none()
    if state is None or offer.new_show == row["id"]:
        return [ShowFault("/new_show", "you have no other show with this id")]
    if state in {ShowState.CANCELLED, ShowState.PAST}:
        return [ShowFault("/new_show", f"is {state}: a voucher is for a show to come")]
    return []
