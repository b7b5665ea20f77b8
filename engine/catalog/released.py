"""What other resellers released to one, as the ledger has it: whose a show is, and what of it.

Who asks sees no row of these resellers: functions of the database tell what was released to them,
and nothing else (`migrations/versions/0022_released_allotments.py`).
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.allotments import Ranges, Share
from engine.inventory.shows import Show
from engine.platform.database import tenant_transaction
from engine.platform.errors import StoreUnavailableError, store_failures
from engine.platform.ids import EntityId
from engine.platform.sharing import SharedReads
from engine.platform.tables import allotments

FRESH_S: Final = 30
"""That a reseller was suspended is known everywhere after this long, as of its keys."""

_GRACE_S: Final = 900
_REMEMBERED_MAX: Final = 10_000

_RELEASED_BY: Final = text("SELECT released_by(:show)")
_MAY_SELL: Final = text("SELECT may_sell_for_me(:seller)")
_TO_ME: Final = text("SELECT * FROM released_to_me(:behind, :most)").columns(
    asked=JSONB, seats=JSONB, shares=JSONB
)


class Released(Struct, frozen=True, kw_only=True):
    """An allotment of another reseller's show, as the one is told it whom it was released to."""

    id: EntityId
    reseller_id: EntityId
    show_id: EntityId
    name: str
    asked: dict[str, Any]
    seats: Ranges
    shares: tuple[Share, ...]
    begins_at: datetime | None
    ends_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    show_name: str
    venue: str
    starts_at: datetime
    state: str

    @property
    def seat_count(self) -> int:
        """Return how many seats it has."""
        return sum(end - start for start, end in self.seats)

    @property
    def place_count(self) -> int:
        """Return how many places of areas it was made with."""
        return sum(share.places for share in self.shares)


async def list_released(
    app: AsyncEngine, reseller: EntityId, *, behind: EntityId | None, most: int
) -> list[Released]:
    """Return what was released to a reseller, the newest first, from behind one of it.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with tenant_transaction(app, reseller) as connection:
        rows = await connection.execute(_TO_ME, {"behind": behind, "most": most})
        return [msgspec.convert(dict(row), Released) for row in rows.mappings()]


async def read_sellers(app: AsyncEngine, show: Show) -> list[EntityId]:
    """Return which other resellers anything of a reseller's own show is, or was, released to.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    named = func.unnest(allotments.c.sellers).label("seller")
    query = select(named).where(allotments.c.show_id == show.id).distinct()
    async with tenant_transaction(app, show.reseller) as connection:
        return list((await connection.scalars(query)).all())


async def may_sell(connection: AsyncConnection, seller: int) -> bool:
    """Tell whether a reseller is there to sell for the one whose transaction it is.

    It is another one, of the same kind, and the operator lets it sell.
    """
    return bool((await connection.execute(_MAY_SELL, {"seller": seller})).scalar_one())


class _Known(Struct):
    reseller: EntityId
    fresh_until: float
    usable_until: float


class Grants:
    """Whose the shows are that resellers sell for others: a short memory, as that of keys."""

    def __init__(self, app: AsyncEngine, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what asks PostgreSQL, and a clock in seconds."""
        self._app = app
        self._clock = clock
        self._known: OrderedDict[tuple[int, int], _Known] = OrderedDict()
        self._reads: SharedReads[tuple[int, int], EntityId | None] = SharedReads()

    def recall(self, seller: EntityId, show: EntityId) -> EntityId | None:
        """Return whose a show is that was released to a seller, if that was asked lately."""
        known = self._known.get((seller, show))
        return known.reseller if known is not None and self._clock() < known.fresh_until else None

    async def find(self, seller: EntityId, show: EntityId) -> EntityId | None:
        """Return whose a show is of which anything was ever released to a seller; None: nobody's.

        While PostgreSQL can't be asked, what was so within the last minutes stays so.

        Raises:
            StoreUnavailableError: PostgreSQL can't be asked, and was not lately.
        """
        recalled = self.recall(seller, show)
        if recalled is not None:
            return recalled
        ask = partial(self._ask, seller, show)
        try:
            found = await self._reads.get((seller, show), ask)
        except StoreUnavailableError:
            known = self._known.get((seller, show))
            if known is None or self._clock() >= known.usable_until:
                raise
            return known.reseller
        if found is None:
            self._known.pop((seller, show), None)
            return None
        now = self._clock()
        self._known[seller, show] = _Known(found, now + FRESH_S, now + _GRACE_S)
        self._known.move_to_end((seller, show))
        if len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)
        return found

    async def _ask(self, seller: EntityId, show: EntityId) -> EntityId | None:
        with store_failures():
            async with tenant_transaction(self._app, seller) as connection:
                return (await connection.execute(_RELEASED_BY, {"show": show})).scalar_one()
