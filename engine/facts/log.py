"""The log of facts: an outbox, written in the transaction of what it tells.

Nothing is told that was not committed, and nothing that was committed is left out. Readers go by
the transaction's number and then the fact's id, and no further than the oldest transaction that is
still under way: what it may yet add comes before nothing that was read. By the id alone a reader
would pass over facts whose transaction drew its ids early and committed late.

Who adds facts first locks what they are about and then writes: so the facts of one object stand in
the order of their commits. docs/decisions/0035-facts.md has the reasons.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.facts.types import FactData, FactType, pack_data
from engine.platform.ids import EntityId
from engine.platform.unnest import columns_of

SCANNED_MAX: Final = 5000
"""Facts that one page looks at for those that are wanted."""

_ADDED: Final = ("type", "show_id", "object", "data", "occurred_at")
# In the order of the arrays: ids are drawn in it.
_ADD: Final = text(
    "INSERT INTO facts (reseller_id, type, show_id, object, data, occurred_at)"
    " SELECT CAST(:reseller AS BIGINT), type, show_id, object, CAST(data AS JSONB), occurred_at"
    " FROM unnest(CAST(:type AS TEXT[]), CAST(:show_id AS BIGINT[]), CAST(:object AS TEXT[]),"
    " CAST(:data AS TEXT[]), CAST(:occurred_at AS TIMESTAMPTZ[])) WITH ORDINALITY"
    " AS added(type, show_id, object, data, occurred_at, place) ORDER BY place"
)
_COLUMNS: Final = (
    "reseller_id, CAST(CAST(xid AS TEXT) AS BIGINT) AS xid, id, type, show_id, object, data,"
    " occurred_at"
)
# Nothing that is under way, or is yet to begin, can commit a fact before these.
_SETTLED: Final = (
    "(xid, id) > (CAST(CAST(:xid AS TEXT) AS XID8), CAST(:id AS BIGINT))"
    " AND xid < pg_snapshot_xmin(pg_current_snapshot())"
)
_OF_TYPES: Final = "(CAST(:types AS TEXT[]) IS NULL OR type = ANY(CAST(:types AS TEXT[])))"
_READ: Final = text(
    f"SELECT {_COLUMNS} FROM facts WHERE {_SETTLED} AND {_OF_TYPES}"  # noqa: S608 - our own names
    " ORDER BY facts.xid, id LIMIT :most"
).columns(data=JSONB)
_SCAN: Final = text(
    f"WITH scanned AS MATERIALIZED (SELECT {_COLUMNS} FROM facts"  # noqa: S608 - our own names
    f" WHERE {_SETTLED} ORDER BY facts.xid, id LIMIT :scanned),"
    " judged AS (SELECT *, row_number() OVER (ORDER BY xid, id) AS place,"
    f" count(*) OVER () AS of_all, {_OF_TYPES}"
    " AND (CAST(:object AS TEXT) IS NULL OR object = :object)"
    " AND (CAST(:show AS BIGINT) IS NULL OR show_id = :show) AS fits FROM scanned)"
    " SELECT * FROM judged WHERE fits OR place = of_all ORDER BY xid, id LIMIT :most + 1"
).columns(data=JSONB)
_HORIZON: Final = text(
    "SELECT CAST(CAST(xid AS TEXT) AS BIGINT) AS xid, id FROM fact_horizons"
    " WHERE reseller_id = :reseller"
)
_NOW: Final = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)")
# Only what comes before the first that is kept: a log has no holes.
_PRUNE: Final = text(
    "WITH first AS (SELECT xid, id, recorded_at FROM facts"
    " WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY xid, id LIMIT :most),"
    " old AS (SELECT xid, id FROM (SELECT *, bool_and(recorded_at < :before)"
    " OVER (ORDER BY xid, id) AS is_old FROM first) AS judged WHERE is_old),"
    " gone AS (DELETE FROM facts USING old WHERE facts.xid = old.xid AND facts.id = old.id"
    " RETURNING facts.reseller_id, facts.xid, facts.id, facts.recorded_at),"
    " moved AS (INSERT INTO fact_horizons AS known (reseller_id, xid, id, forgotten_until)"
    " SELECT DISTINCT ON (reseller_id) reseller_id, xid, id,"
    " max(recorded_at) OVER (PARTITION BY reseller_id) FROM gone"
    " ORDER BY reseller_id, xid DESC, id DESC"
    " ON CONFLICT (reseller_id) DO UPDATE SET xid = excluded.xid, id = excluded.id,"
    " forgotten_until = greatest(known.forgotten_until, excluded.forgotten_until))"
    " SELECT count(*) FROM gone"
)


class Cursor(NamedTuple):
    """A place in the log: behind the fact that has these two, and all before it."""

    xid: int
    id: int


START: Final = Cursor(0, 0)
"""Before every fact that ever was."""


class NewFact(Struct, frozen=True):
    """A fact that is to be told."""

    type: FactType
    object: str
    """The id, as it looks outside, of what it is about."""
    data: FactData
    show: int | None
    occurred_at: datetime


class Fact(Struct, frozen=True, kw_only=True):
    """A fact as the log has it."""

    reseller: EntityId
    cursor: Cursor
    id: int
    type: FactType
    object: str
    show: EntityId | None
    data: dict[str, Any]
    occurred_at: datetime

    @property
    def sequence(self) -> int:
        """Return a number that rises from fact to fact of one object."""
        return self.id


class Wanted(Struct, frozen=True):
    """Which facts a page is to have; None: all."""

    types: Collection[FactType] | None = None
    object: str | None = None
    show: int | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self.types is None and self.object is None and self.show is None


class Page(Struct, frozen=True):
    """Facts in their order, and where to read on, also if there are none."""

    facts: list[Fact]
    cursor: Cursor
    has_more: bool
    """Whether there is more to be read at once."""


class CursorExpiredError(LookupError):
    """Facts behind the cursor were forgotten; `oldest` is where the log begins now."""

    def __init__(self, oldest: Cursor) -> None:
        """Take the place before the first fact that is kept."""
        super().__init__("facts behind the cursor were forgotten")
        self.oldest = oldest


async def add_facts(connection: AsyncConnection, reseller: int, new: Iterable[NewFact]) -> None:
    """Add facts of one reseller in the caller's transaction, in their order.

    The caller has locked what they are about before it wrote anything: see above.

    Raises:
        sqlalchemy.exc.DBAPIError: PostgreSQL refused them, or is away.
    """
    columns = columns_of(_ADDED, _rows(new))
    if columns["type"]:
        await connection.execute(_ADD, columns | {"reseller": reseller})


async def read_facts(
    connection: AsyncConnection,
    after: Cursor | None,
    limit: int,
    types: Collection[FactType] | None = None,
) -> list[Fact]:
    """Return the facts that come next, of all resellers whose rows the connection sees.

    Only those behind which nothing can be committed any more: whoever goes on after the last of
    them misses none.

    Raises:
        sqlalchemy.exc.DBAPIError: PostgreSQL is away.
    """
    named = None if types is None else list(types)
    asked = _place(after or START) | {"types": named, "most": limit}
    return [_fact(row) for row in await connection.execute(_READ, asked)]


async def read_page(
    connection: AsyncConnection, reseller: int, after: Cursor | None, limit: int, wanted: Wanted
) -> Page:
    """Return one reseller's next facts among a bounded number, and where to go on.

    `connection` is in a transaction of that reseller's. Without `after` it begins with the oldest.

    Raises:
        CursorExpiredError: there were facts behind `after` that are not kept any more.
        sqlalchemy.exc.DBAPIError: PostgreSQL is away.
    """
    start = after or START
    scanned = limit + 1 if wanted.is_all else SCANNED_MAX
    asked = _place(start) | {
        "types": None if wanted.types is None else list(wanted.types),
        "object": wanted.object,
        "show": wanted.show,
        "scanned": scanned,
        "most": limit,
    }
    rows = (await connection.execute(_SCAN, asked)).all()
    # Asked afterwards: what is forgotten between the two was read.
    if after is not None:
        horizon = (await connection.execute(_HORIZON, {"reseller": reseller})).one_or_none()
        if horizon is not None and after < Cursor(*horizon):
            raise CursorExpiredError(Cursor(*horizon))
    fitting = [row for row in rows if row.fits]
    found = [_fact(row) for row in fitting[:limit]]
    if len(fitting) > limit:
        return Page(found, found[-1].cursor, has_more=True)
    if not rows:
        return Page([], start, has_more=False)
    last = rows[-1]
    return Page(found, Cursor(last.xid, last.id), has_more=last.of_all == scanned)


async def current_cursor(connection: AsyncConnection) -> Cursor:
    """Return the place behind which come all facts of transactions that are yet to end."""
    return Cursor((await connection.execute(_NOW)).scalar_one(), 0)


async def prune_facts(connection: AsyncConnection, before: datetime, most: int) -> int:
    """Forget up to `most` facts that were recorded before a moment; return how many.

    `connection` is in a transaction of the recorder's role.
    """
    asked = {"before": before, "most": most}
    return int((await connection.execute(_PRUNE, asked)).scalar_one())


def _rows(new: Iterable[NewFact]) -> Iterator[Sequence[Any]]:
    for one in new:
        yield (one.type, one.show, one.object, pack_data(one.data), one.occurred_at)


def _place(cursor: Cursor) -> dict[str, Any]:
    return {"xid": str(cursor.xid), "id": cursor.id}


def _fact(row: Any) -> Fact:  # noqa: ANN401 - a row
    return Fact(
        reseller=EntityId(row.reseller_id),
        cursor=Cursor(row.xid, row.id),
        id=row.id,
        type=FactType(row.type),
        object=row.object,
        show=None if row.show_id is None else EntityId(row.show_id),
        data=row.data,
        occurred_at=row.occurred_at,
    )
