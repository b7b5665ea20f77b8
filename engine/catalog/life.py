"""Takes a show from one state to another: the table decides, both stores have it, a fact tells.

Every way to change a show's state comes through `act`, under the lock of the show's row.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, cast

from msgspec import Struct
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.transitions import Action, Refused, ShowState, Times, allowed_in, decide
from engine.facts.log import NewFact, add_facts
from engine.facts.types import (
    FactData,
    FactType,
    ShowAnnounced,
    ShowChanged,
    ShowClosed,
    ShowEnded,
    ShowPaused,
    ShowResumed,
)
from engine.inventory.commands import Recovering
from engine.inventory.house import Finish, RulesChange, RulesChanged, change_rules
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Ids, Prefix
from engine.platform.redis import Store

Told = tuple[FactType, FactData]


class LifeChanged(Struct, frozen=True):
    """A show is in this state now, in both stores."""

    state: ShowState
    inventory_version: int
    row: Mapping[str, Any]
    at_ms: int
    """When, by the show's clock."""

    @property
    def allowed(self) -> tuple[Action, ...]:
        """What may be done next."""
        return allowed_in(self.state)


class RefusedError(Exception):
    """Rolls the transaction back, and carries why."""

    def __init__(self, refusal: Refused) -> None:
        """Take why."""
        super().__init__(refusal.reason)
        self.refusal = refusal


class Stores(Struct, frozen=True):
    """What a change of a show's life goes to, and what shows are called in what is told of it."""

    engine: AsyncEngine
    redis: Store
    ids: Ids


async def act(  # noqa: PLR0913 - a request's parts
    stores: Stores,
    reseller: EntityId,
    show: EntityId,
    action: Action,
    *,
    columns: Mapping[str, Any] | None = None,
    tell: Callable[[RowMapping], Told] | None = None,
    finish: Finish | None = None,
) -> LifeChanged | Refused | Recovering:
    """Take a show of the reseller's to where an action leads.

    With it the row gets these `columns`; `tell` says what its fact is, unless the action's own.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """

    async def change(connection: AsyncConnection, row: RowMapping) -> RulesChange:
        state = step(row, action)
        told = tell(row) if tell is not None else _own_fact(action, row)
        if told is not None:
            await tell_of(connection, stores.ids, row, told)
        entry = _ON_ENTRY.get(action, {})
        return RulesChange(
            {"state": state, **entry, **(columns or {})}, is_less=state is not ShowState.ON_SALE
        )

    try:
        changed = await change_rules(
            partial(tenant_transaction, stores.engine, reseller),
            stores.redis,
            show,
            change,
            finish,
        )
    except RefusedError as error:
        return error.refusal
    return changed if isinstance(changed, Recovering) else life_of(changed)


def life_of(changed: RulesChanged) -> LifeChanged:
    """Return what a changed row says of the show's life."""
    row = changed.row
    return LifeChanged(ShowState(row["state"]), row["inventory_version"], row, changed.at_ms)


def step(row: RowMapping, action: Action) -> ShowState:
    """Return the state that an action leads to.

    Raises:
        RefusedError: it is refused.
    """
    times = Times(datetime.now(UTC), row["starts_at"], row["opens_at"], row["closes_at"])
    outcome = decide(ShowState(row["state"]), action, times)
    if isinstance(outcome, Refused):
        raise RefusedError(outcome)
    return outcome


async def tell_of(connection: AsyncConnection, ids: Ids, row: RowMapping, told: Told) -> None:
    """Add the fact of a change, in its transaction, which has the show's row."""
    kind, data = told
    named = ids.entity(Prefix.SHOW, row["id"])
    new = NewFact(kind, named, data, row["id"], datetime.now(UTC))
    await add_facts(connection, row["reseller_id"], [new])


def _own_fact(action: Action, row: RowMapping) -> Told | None:
    """Return what is told of an action that says nothing of its own."""
    if action in {Action.OPEN, Action.RESUME}:
        return _sold_from_now_on(row["state"])
    make = _OWN_FACTS.get(action)
    return None if make is None else make(row)


def _sold_from_now_on(before: str) -> Told:
    if before in {ShowState.DRAFT, ShowState.ANNOUNCED}:
        # That its sale begins is told when it does.
        return FactType.SHOW_CHANGED, ShowChanged(changed=("state",))
    after = cast("Literal['paused', 'off_sale', 'rescheduled']", before)
    return FactType.SHOW_RESUMED, ShowResumed(after=after)


def _announced(row: RowMapping) -> Told:
    starts_at, opens_at = _utc(row["starts_at"]), _utc(row["opens_at"])
    return FactType.SHOW_ANNOUNCED, ShowAnnounced(starts_at=starts_at, opens_at=opens_at)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


_ON_ENTRY: Final[Mapping[Action, Mapping[str, Any]]] = {
    # A show that was archived is the inventory store's again.
    Action.OPEN: {"archived_at": None, "opens_when_first_sells_out": False},
    Action.CANCEL: {"opens_when_first_sells_out": False},
    Action.END: {"opens_when_first_sells_out": False},
}
_OWN_FACTS: Final[Mapping[Action, Callable[[RowMapping], Told]]] = {
    Action.ANNOUNCE: _announced,
    Action.PAUSE: lambda _: (FactType.SHOW_PAUSED, ShowPaused()),
    Action.CLOSE: lambda _: (FactType.SHOW_CLOSED, ShowClosed()),
    Action.END: lambda row: (FactType.SHOW_ENDED, ShowEnded(starts_at=_utc(row["starts_at"]))),
}
