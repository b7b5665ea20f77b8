"""Changes what a show is: its name, times, limits, who sees it, how it is paid for."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.events import event_exists
from engine.catalog.life import (
    LifeChanged,
    RefusedError,
    Stores,
    life_of,
    step,
    tell_of,
)
from engine.catalog.shows import (
    ShowFault,
    ShowFaultsError,
    all_amiss,
    faults_of_limits,
    faults_of_times,
    no_such_event,
)
from engine.catalog.transitions import Action, Refused, ShowState, allowed_in
from engine.facts.types import FactType, ShowChanged
from engine.inventory.commands import Recovering
from engine.inventory.house import RulesChange, RulesChanged, change_rules
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId

_UNSOLD: Final = frozenset({ShowState.DRAFT, ShowState.ANNOUNCED})
_SELLING: Final = frozenset({ShowState.ON_SALE, ShowState.PAUSED})
_TOLD_AS: Final = {"event_id": "event"}


class _UnchangedError(Exception):
    """Rolls the transaction back: everything is so already."""

    def __init__(self, row: RowMapping) -> None:
        self.row = row


async def change_show(
    stores: Stores,
    reseller: EntityId,
    show: EntityId,
    columns: Mapping[str, Any],
    amiss: Sequence[ShowFault] = (),
) -> LifeChanged | Refused | Recovering:
    """Change columns of a show's row, all or none.

    `amiss` is what is already known to be wrong with the change: then none is made, and all else
    is told, too. What the show's state refuses is told before, alone: put right, all else would be
    refused again.

    Raises:
        ShowFaultsError: with all that would not fit the rest of the show.
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """

    async def change(connection: AsyncConnection, row: RowMapping) -> RulesChange:
        step(row, Action.CHANGE)
        changed = {name: value for name, value in columns.items() if row[name] != value}
        if not changed and not amiss:
            raise _UnchangedError(row)
        _check_state(row, changed)
        await _check(connection, {**row, **changed}, changed, amiss)
        named = tuple(sorted(_TOLD_AS.get(name, name) for name in changed))
        told = FactType.SHOW_CHANGED, ShowChanged(changed=named)
        await tell_of(connection, stores.ids, row, told)
        return RulesChange(changed, is_less=_is_less(row, changed))

    open_ledger = partial(tenant_transaction, stores.engine, reseller)
    try:
        changed = await change_rules(open_ledger, stores.redis, show, change)
    except RefusedError as error:
        return error.refusal
    except _UnchangedError as unchanged:
        return life_of(RulesChanged(unchanged.row, 0))
    return changed if isinstance(changed, Recovering) else life_of(changed)


def _check_state(row: RowMapping, changed: Mapping[str, Any]) -> None:
    """Refuse what a show's state does not allow to be changed.

    Raises:
        RefusedError: with all the reasons.
    """
    state = ShowState(row["state"])
    reasons: list[str] = []
    if "starts_at" in changed and state not in _UNSOLD:
        reasons.append("`starts_at` is what was sold: reschedule it")
    if "opens_at" in changed and state in _SELLING and row["opens_at"] <= datetime.now(UTC):
        reasons.append("`opens_at` is past, the sale has begun: close it first")
    if reasons:
        refusal = Refused(state, Action.CHANGE, "; ".join(reasons), allowed_in(state))
        raise RefusedError(refusal)


async def _check(
    connection: AsyncConnection,
    after: Mapping[str, Any],
    changed: Mapping[str, Any],
    amiss: Sequence[ShowFault],
) -> None:
    faults = [
        *faults_of_times(
            after["starts_at"], after["opens_at"], after["closes_at"], after["doors_at"]
        ),
        *faults_of_limits(after["max_per_hold"], after["max_per_buyer"]),
    ]
    now = datetime.now(UTC)
    if "starts_at" in changed and after["starts_at"] <= now:
        faults.append(ShowFault("/starts_at", "is past"))
    if "opens_at" in changed and after["state"] == ShowState.ANNOUNCED and after["opens_at"] <= now:
        reason = "is past: to sell an announced show at once, open it with `now=true`"
        faults.append(ShowFault("/opens_at", reason))
    event = changed.get("event_id")
    if event is not None and not await event_exists(connection, event):
        faults.append(no_such_event())
    if faults := all_amiss(faults, amiss):
        raise ShowFaultsError(faults)


def _is_less(row: RowMapping, changed: Mapping[str, Any]) -> bool:
    """Whether any of it means less for sale: then all of it is to be in the store first."""
    closes_at = changed.get("closes_at")
    return (
        changed.get("opens_at", row["opens_at"]) > row["opens_at"]
        or (closes_at is not None and (row["closes_at"] is None or closes_at < row["closes_at"]))
        or any(
            changed.get(name, row[name]) < row[name] for name in ("max_per_hold", "max_per_buyer")
        )
    )
