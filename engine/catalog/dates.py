"""Adds another date of a show: a show of its own, which takes everything over from the first."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, cast

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, RowMapping, Table, func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.life import RefusedError, Stores, step, tell_of
from engine.catalog.shows import ShowFault, ShowFaultsError, faults_of_times
from engine.catalog.transitions import Action, Refused, ShowState
from engine.facts.types import FactType, ShowDateAdded
from engine.inventory.house import lock_in_order, wake_recovery
from engine.inventory.overlay import Overlay
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Prefix
from engine.platform.tables import (
    area_blocks,
    area_sales,
    price_steps,
    price_versions,
    seat_blocks,
    show_edits,
    shows,
    ticket_types,
)


class Opens(StrEnum):
    """When a date that is added opens."""

    NOW = "now"
    AT = "at"
    """At its `opens_at`."""
    WHEN_FIRST_SELLS_OUT = "when_first_sells_out"


class NewDate(Struct, frozen=True, kw_only=True):
    """Another date; what is None is taken over, times as they lie to `starts_at`."""

    id: EntityId
    starts_at: datetime
    opens: Opens
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    doors_at: datetime | None = None
    name: str | None = None
    is_draft: bool = False
    """Of one that opens when the first sells out: not announced until then."""


TakeOver = Callable[[AsyncConnection, RowMapping, Mapping[str, Any]], Awaitable[None]]
"""Takes over what stands above the catalogue, in the transaction: of the show's row, and the new.

Raises `ShowFaultsError` where that can't be.
"""

# What is the new date's own, or begins anew.
_OWN: Final = (
    *("id", "name", "starts_at", "opens_at", "closes_at", "doors_at", "state", "epoch"),
    *("inventory_version", "price_version", "return_no", "created_at", "follows_show_id"),
    *("opens_when_first_sells_out", "archive_from", "archived_at"),
)


async def add_date(
    stores: Stores,
    reseller: EntityId,
    show: EntityId,
    new: NewDate,
    take_over: TakeOver | None = None,
) -> EntityId | Refused:
    """Add another date; one of its id that exists is left as it is: the request came before.

    What `take_over` writes is there as soon as the date is.

    Raises:
        ShowFaultsError: with all that contradicts itself.
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed, and has nothing.
    """
    try:
        async with tenant_transaction(stores.engine, reseller) as connection:
            # The new row refers to the first date, which never becomes another.
            first = select(shows.c.follows_show_id).where(shows.c.id == show)
            follows = (await connection.execute(first)).scalar_one()
            row = await lock_in_order(connection, show, follows)
            exists = select(shows.c.id).where(shows.c.id == new.id)
            if (await connection.execute(exists)).first() is None:
                step(row, Action.ADD_DATE)
                columns = await _copy(connection, stores, row, new)
                if take_over is not None:
                    await take_over(connection, row, columns)
    except RefusedError as error:
        return error.refusal
    await wake_recovery(stores.redis, new.id)
    return new.id


async def _copy(
    connection: AsyncConnection, stores: Stores, row: RowMapping, new: NewDate
) -> dict[str, Any]:
    """Write the new date; return its row."""
    columns = _columns(row, new)
    if new.opens is Opens.WHEN_FIRST_SELLS_OUT:
        await _check_first(connection, columns["follows_show_id"])
    await connection.execute(insert(shows).values(columns))
    newest = price_versions.c.version == row["price_version"]
    await _copy_rows(connection, price_versions, row["id"], new.id, newest, version=1)
    for table in (ticket_types, seat_blocks, area_blocks):
        await _copy_rows(connection, table, row["id"], new.id)
    await _copy_steps(connection, row, new)
    await _copy_edits(connection, row, new.id)
    told = ShowDateAdded(
        new_show=stores.ids.entity(Prefix.SHOW, new.id),
        starts_at=new.starts_at.astimezone(UTC),
        opens=new.opens.value,
    )
    await tell_of(connection, stores.ids, row, (FactType.SHOW_DATE_ADDED, told))
    return columns


async def _check_first(connection: AsyncConnection, first: int) -> None:
    """Refuse a date that would wait for ever.

    Raises:
        ShowFaultsError: the first is over, or does not take place.
    """
    state = (
        await connection.execute(select(shows.c.state).where(shows.c.id == first))
    ).scalar_one()
    if state in {ShowState.CANCELLED, ShowState.PAST}:
        reason = f"the first is {state}: it sells out no more"
        raise ShowFaultsError([ShowFault("/opens", reason)])


def _columns(row: RowMapping, new: NewDate) -> dict[str, Any]:
    """Return the new date's row.

    Raises:
        ShowFaultsError: with all that contradicts itself.
    """
    now = datetime.now(UTC)
    moved = new.starts_at - row["starts_at"]
    opens_at = {Opens.NOW: now, Opens.AT: new.opens_at}.get(new.opens, row["opens_at"]) or now
    closes_at = new.closes_at or (row["closes_at"] and row["closes_at"] + moved)
    doors_at = new.doors_at or (row["doors_at"] and row["doors_at"] + moved)
    faults = faults_of_times(new.starts_at, opens_at, closes_at, doors_at)
    if new.starts_at <= now:
        faults.append(ShowFault("/starts_at", "is past"))
    if (new.opens is Opens.AT) != (new.opens_at is not None):
        faults.append(ShowFault("/opens_at", "is for a date that opens `at` a time"))
    if new.is_draft and new.opens is not Opens.WHEN_FIRST_SELLS_OUT:
        faults.append(ShowFault("/state", "only what waits for the first to sell out is a draft"))
    if faults:
        raise ShowFaultsError(faults)
    waits = new.opens is Opens.WHEN_FIRST_SELLS_OUT
    waiting = ShowState.DRAFT if new.is_draft else ShowState.ANNOUNCED
    return {
        **{column.name: row[column.name] for column in shows.c if column.name not in _OWN},
        "id": new.id,
        "name": new.name or row["name"],
        "starts_at": new.starts_at,
        "opens_at": opens_at,
        "closes_at": closes_at,
        "doors_at": doors_at,
        "state": waiting if waits else ShowState.ON_SALE,
        # Of a chain of dates all follow the first.
        "follows_show_id": row["follows_show_id"] or row["id"],
        "opens_when_first_sells_out": waits,
    }


async def _copy_steps(connection: AsyncConnection, row: RowMapping, new: NewDate) -> None:
    """Copy the price steps that have not come, counted from 1: what came is in the prices.

    They come as long before the new date as before the first.
    """
    show = row["id"]
    came = select(func.count()).where(
        price_steps.c.show_id == show, price_steps.c.came_at.is_not(None)
    )
    moved = price_steps.c.at + (new.starts_at - row["starts_at"])
    number = price_steps.c.step_no - (await connection.execute(came)).scalar_one()
    to_come = price_steps.c.came_at.is_(None)
    await _copy_rows(connection, price_steps, show, new.id, to_come, step_no=number, at=moved)


async def _copy_edits(connection: AsyncConnection, row: RowMapping, new: int) -> None:
    """Begin the new date with the map as the first's edits have left it, as one edit."""
    newest = select(show_edits).where(show_edits.c.show_id == row["id"])
    newest = newest.order_by(show_edits.c.edit_no.desc()).limit(1)
    edit = (await connection.execute(newest)).mappings().one_or_none()
    if edit is None:
        return
    overlay = msgspec.convert(edit["overlay"], Overlay).without_shares()
    changed: dict[str, Any] = {
        "show_id": new,
        "edit_no": 1,
        "inventory_version": 1,
        "price_version": 1,
        "reason": "as on the first date",
        "asked": [],
        "seats_moved": sum(end - start for start, end, _ in overlay.levels),
        "seats_taken_out": overlay.seats_removed,
        "seats_put_back": 0,
    }
    kept = {name: edit[name] for name in ("reseller_id", "seats_removed")}
    kept["overlay"] = msgspec.to_builtins(overlay)
    await connection.execute(insert(show_edits).values(changed | kept))
    if overlay.capacities:  # what the ledger's last fence counts by
        areas = [
            {
                "reseller_id": edit["reseller_id"],
                "show_id": new,
                "area_index": n,
                "capacity": places,
            }
            for n, places in overlay.capacities
        ]
        await connection.execute(insert(area_sales).values([{**area, "sold": 0} for area in areas]))


async def _copy_rows(
    connection: AsyncConnection,
    table: Table,
    show: int,
    new: int,
    only: Any = None,  # noqa: ANN401 - a condition
    **other: object,
) -> None:
    """Copy a table's rows of one show for another, all columns but those that are told."""
    own = {"show_id": new, **other}
    values: list[ColumnElement[Any]] = [
        cast("ColumnElement[Any]", value) if isinstance(value, ColumnElement) else literal(value)
        for value in own.values()
    ]
    names: Sequence[str] = [c.name for c in table.c if c.name not in {*own, "created_at"}]
    query = select(*(table.c[name] for name in names), *values)
    query = query.where(table.c.show_id == show)
    if only is not None:
        query = query.where(only)
    await connection.execute(insert(table).from_select([*names, *own], query))
