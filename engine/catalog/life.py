"""Takes a show from one state to another: the table decides, both stores have it, a fact tells.

Every way to change a show's state comes through `act`, under the lock of the show's row.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Literal, cast

from msgspec import Struct
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.catalog.transitions import (
    LASTS_S,
    Action,
    Refused,
    ShowState,
    Times,
    allowed_in,
    decide,
)
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
Tell = Callable[[AsyncConnection, RowMapping], Awaitable[Told]]
"""Says what the fact of a change is, of the show's row before it, which is locked."""


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
    archive_after_s: int
    """For how long the inventory store keeps a show that is over or cancelled."""
    show_lasts_s: int = LASTS_S
    """How long a show lasts that does not say."""


async def act(  # noqa: PLR0913 - a request's parts
    stores: Stores,
    reseller: EntityId,
    show: EntityId,
    action: Action,
    *,
    columns: Mapping[str, Any] | None = None,
    opens_now: bool = False,
    still: Callable[[RowMapping], bool] | None = None,
    tell: Tell | None = None,
    finish: Finish | None = None,
    beside: EntityId | None = None,
) -> LifeChanged | Refused | Recovering:
    """Take a show of the reseller's to where an action leads.

    With it the row gets these `columns`, and by `opens_now` an `opens_at` that is not to come.
    `tell` says what its fact is, unless the action's own. `still` says, of the locked row, whether
    what it is done for holds. The show `beside` it, if one is named, is locked, too, so that `tell`
    may rest on it.

    Raises:
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
    """

    async def change(connection: AsyncConnection, row: RowMapping) -> RulesChange:
        state = step(row, action, stores.show_lasts_s)
        if still is not None and not still(row):
            now = ShowState(row["state"])
            reason = "what it was asked for holds no longer"
            raise RefusedError(Refused(now, action, reason, allowed_in(now)))
        amended = _opened_now(row) if opens_now else {}
        told = _own_fact(action, row, amended) if tell is None else await tell(connection, row)
        if told is not None:
            await tell_of(connection, stores.ids, row, told)
        entered = {"state": state, **_entry(stores, row, action), **(columns or {}), **amended}
        return RulesChange(entered, is_less=state is not ShowState.ON_SALE)

    try:
        changed = await change_rules(
            partial(tenant_transaction, stores.engine, reseller),
            stores.redis,
            show,
            change,
            finish,
            beside=beside,
        )
    except RefusedError as error:
        return error.refusal
    return changed if isinstance(changed, Recovering) else life_of(changed)


def life_of(changed: RulesChanged) -> LifeChanged:
    """Return what a changed row says of the show's life."""
    row = changed.row
    return LifeChanged(ShowState(row["state"]), row["inventory_version"], row, changed.at_ms)


def step(row: RowMapping, action: Action, lasts_s: int = LASTS_S) -> ShowState:
    """Return the state that an action leads to; a show lasts `lasts_s` that does not say.

    Raises:
        RefusedError: it is refused.
    """
    named = ("starts_at", "opens_at", "closes_at", "duration_min")
    times = Times(datetime.now(UTC), *(row[name] for name in named), lasts_s=lasts_s)
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


def _opened_now(row: RowMapping) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {"opens_at": now} if row["opens_at"] > now else {}


def _own_fact(action: Action, row: RowMapping, amended: Mapping[str, Any]) -> Told | None:
    """Return what is told of an action that says nothing of its own."""
    if action in {Action.OPEN, Action.RESUME}:
        return _sold_from_now_on(row["state"], amended)
    make = _OWN_FACTS.get(action)
    return None if make is None else make(row)


def _sold_from_now_on(before: str, amended: Mapping[str, Any]) -> Told:
    if before in {ShowState.DRAFT, ShowState.ANNOUNCED}:
        # That its sale begins is told when it does.
        return FactType.SHOW_CHANGED, ShowChanged(changed=(*amended, "state"))
    after = cast("Literal['paused', 'off_sale', 'rescheduled']", before)
    return FactType.SHOW_RESUMED, ShowResumed(after=after)


def _announced(row: RowMapping) -> Told:
    starts_at, opens_at = _utc(row["starts_at"]), _utc(row["opens_at"])
    return FactType.SHOW_ANNOUNCED, ShowAnnounced(starts_at=starts_at, opens_at=opens_at)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _entry(stores: Stores, row: RowMapping, action: Action) -> dict[str, Any]:
    """Return what an action sets beside the state."""
    now = datetime.now(UTC)
    match action:
        case Action.OPEN:
            # A show that was archived is the inventory store's again.
            return {
                "archive_from": None,
                "archived_at": None,
                "opens_when_first_sells_out": False,
            }
        case Action.ARCHIVE:
            return {"archive_from": now}
        case Action.RESCHEDULE:
            # It was to leave the store for good, and is to be sold again.
            return {"archive_from": None}
        case Action.CANCEL | Action.END:
            until = now + timedelta(seconds=stores.archive_after_s)
            # The store never had a draft, and need not have it from now on.
            never = row["state"] == ShowState.DRAFT
            gone = {"archived_at": now} if never else {}
            return {"archive_from": until, "opens_when_first_sells_out": False, **gone}
        case _:
            return {}


_OWN_FACTS: Final[Mapping[Action, Callable[[RowMapping], Told]]] = {
    Action.ANNOUNCE: _announced,
    Action.PAUSE: lambda _: (FactType.SHOW_PAUSED, ShowPaused()),
    Action.CLOSE: lambda _: (FactType.SHOW_CLOSED, ShowClosed()),
    Action.END: lambda row: (FactType.SHOW_ENDED, ShowEnded(starts_at=_utc(row["starts_at"]))),
}
