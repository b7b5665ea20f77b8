"""Queues as PostgreSQL has them: the rules, the draw, and how far was given out.

Numbers and `serving` have ceilings that are committed before anybody is told of what lies below
them; a store that lost its end goes on behind them. So a number is never given twice.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy import (
    ColumnElement,
    RowMapping,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.facts.log import NewFact, add_facts
from engine.facts.types import FactType, QueueDrawRevealed
from engine.inventory.keys import QueueKeys, queue_keys
from engine.inventory.shows import Show
from engine.platform.database import (
    VISITED_SHOW_SETTING,
    local_transaction,
    single_statements,
    tenant_transaction,
)
from engine.platform.ids import EntityId, entity_hex
from engine.platform.tables import queues, shows
from engine.waitingroom.draw import Draw, commitment, derive_key, make_secret
from engine.waitingroom.rules import DRAND, Beacon, Mode, QueueRules

_FIND: Final = select(queues).where(queues.c.show_id == bindparam("show"))
# One that was switched off is tended for a while, so that every process hears of it.
_TENDED: Final = (
    select(
        queues,
        # Of a date that waits for the first to sell out nobody knows it.
        case((shows.c.opens_when_first_sells_out.is_(False), shows.c.opens_at)).label(
            "show_opens_at"
        ),
    )
    .join(shows, shows.c.id == queues.c.show_id)
    .where(
        shows.c.starts_at > func.now() - text("interval '1 day'"),
        shows.c.archived_at.is_(None),
        or_(
            queues.c.mode != Mode.OFF,
            queues.c.changed_at > func.now() - text("interval '1 hour'"),
        ),
    )
)
_DRAWS_REMEMBERED: Final = 256
_SKIPPED_MAX: Final = 100
_OF_THE_DRAW: Final = ("opens_at", "draws_at", "beacon")
_LOCK: Final = (
    select(queues.c.show_id).where(queues.c.show_id == bindparam("show")).with_for_update()
)
_SALE_OPENS: Final = (
    select(shows.c.opens_at).where(shows.c.id == queues.c.show_id).scalar_subquery()
)
_NOTHING: Final = text("'null'::jsonb")
_LOCK_SHOW: Final = text("SELECT id FROM shows WHERE id = :show FOR NO KEY UPDATE")
_BOUND_THE_WAIT: Final = text("SET LOCAL lock_timeout = '5s'")


_log = structlog.get_logger(__name__)


class NoQueueError(LookupError):
    """The show has no waiting room, or there is no such show."""


class DrawSetError(Exception):
    """Rolls the transaction back: what people joined for can't be changed any more."""


class Queue(Struct, frozen=True, kw_only=True):
    """One show's waiting room, as of a version."""

    show: EntityId
    show_text: str
    """The show's id as it looks outside: what the draw's key is derived with."""
    reseller: EntityId
    rules: QueueRules
    secret: bytes
    commitment: bytes
    beacon_value: bytes | None
    count: int | None
    """Entries, once they are closed."""
    closed_at: datetime | None
    """When the entries were closed: the beacon's value must not have been known by then."""
    drawn_at: datetime | None
    digest: bytes | None
    epoch: int
    numbers_ceiling: int
    serving_ceiling: int
    skipped: tuple[tuple[int, int], ...]
    """Numbers that nobody has, each from the first to before the last."""
    version: int
    keys: QueueKeys

    @property
    def draw(self) -> Draw | None:
        """The draw, once places are drawn; work, where this process has not had it lately."""
        if self.drawn_at is None or self.count is None:
            return None
        return draw_of(self.show_text, self.secret, self.count, self.beacon_value)

    @property
    def vacant(self) -> tuple[tuple[int, int], ...]:
        """Places that nobody has, as `skipped`: behind the draw a number is its place.

        Of skipped numbers that were drawn nobody can say where they went without looking at all.
        """
        drawn = self.count or 0
        return tuple((max(first, drawn), end) for first, end in self.skipped if end > drawn)

    @property
    def is_active(self) -> bool:
        """Whether holds need a pass."""
        return self.rules.mode is not Mode.OFF

    def place(self, number: int) -> int | None:
        """Return where a number stands in line; None while that is not drawn."""
        if self.rules.draws_at is None and self.count is None:
            return number
        if self.count is not None and number >= self.count:
            return number
        draw = self.draw
        return None if draw is None else draw.place(number)


@lru_cache(_DRAWS_REMEMBERED)
def draw_of(show_text: str, secret: bytes, count: int, beacon_value: bytes | None) -> Draw:
    """Return the draw of a queue whose entries are closed, ready to be asked for many places.

    A fifteenth of a second of work for a million entries, the first time.
    """
    draw = Draw(derive_key(secret, show_text, count, beacon_value or b""), count)
    draw.prepare()
    return draw


async def visit_queue(app: AsyncEngine, show: EntityId, show_text: str) -> Queue:
    """Read a queue for somebody who has no key.

    Raises:
        NoQueueError: there is none.
    """
    async with local_transaction(app, VISITED_SHOW_SETTING, str(show)) as connection:
        row = (await connection.execute(_FIND, {"show": show})).mappings().one_or_none()
    if row is None:
        raise NoQueueError(show)
    return read_row(row, show_text)


async def put_queue(connection: AsyncConnection, show: Show, rules: QueueRules) -> bool:
    """Write a queue's rules; the first time its secret is made. Tell whether it was there.

    `connection` is in a transaction of the show's reseller.

    Raises:
        DrawSetError: they change what people joined for.
    """
    await connection.execute(_BOUND_THE_WAIT)
    values = _columns(rules)
    if (await connection.execute(_LOCK, {"show": show.id})).one_or_none() is not None:
        changed = await connection.execute(
            update(queues)
            .where(queues.c.show_id == show.id, _keeps_its_word(values))
            .values(**values, version=queues.c.version + 1, changed_at=func.now())
        )
        if not changed.rowcount:
            raise DrawSetError
        return True
    await make_queue(connection, show.id, show.reseller, rules)
    return False


async def make_queue(
    connection: AsyncConnection, show: int, reseller: int, rules: QueueRules
) -> None:
    """Write the queue of a show that has none, with a secret of its own."""
    secret = make_secret()
    await connection.execute(
        insert(queues).values(
            show_id=show,
            reseller_id=reseller,
            secret=secret,
            commitment=commitment(secret),
            **_columns(rules),
        )
    )


async def find_rules(connection: AsyncConnection, show: int) -> QueueRules | None:
    """Return the rules of a show's queue, also of one that is off; None: it never had one."""
    row = (await connection.execute(_FIND, {"show": show})).mappings().one_or_none()
    return None if row is None else _rules(row)


def _keeps_its_word(values: Mapping[str, Any]) -> ColumnElement[bool]:
    """Tell whether a queue may become so: people join for the draw that they were told of.

    It is asked by the clock of the moment, with the row locked: neither the transaction's beginning
    nor what its writer knew of the queue counts.
    """
    given = {name: literal(values[name], queues.c[name].type) for name in _OF_THE_DRAW}
    now = func.clock_timestamp()
    opens_at, draws_at = queues.c.opens_at, queues.c.draws_at
    may_change = and_(queues.c.count.is_(None), now < opens_at)
    if values["draws_at"] is not None:
        # Whoever is served by their number must not be drawn afterwards.
        may_change = and_(may_change, now < _SALE_OPENS)
    put_off = and_(queues.c.count.is_(None), now < draws_at, given["draws_at"] > draws_at)
    stays = and_(
        opens_at == given["opens_at"],
        func.coalesce(queues.c.beacon, _NOTHING) == func.coalesce(given["beacon"], _NOTHING),
        or_(draws_at.is_not_distinct_from(given["draws_at"]), put_off),
    )
    return or_(may_change, stays)


async def give_beacon_value(app: AsyncEngine, queue: Queue, value: bytes) -> bool:
    """Note a beacon's value that its reseller tells.

    False if there is one already, the entries are not closed, or it is a beacon that is fetched.
    """
    async with tenant_transaction(app, queue.reseller) as connection:
        noted = await connection.execute(
            update(queues)
            .where(
                queues.c.show_id == queue.show,
                queues.c.beacon_value.is_(None),
                queues.c.count.is_not(None),
                queues.c.beacon["name"].astext != DRAND,
            )
            .values(beacon_value=value, version=queues.c.version + 1)
        )
    return noted.rowcount == 1


# What the workers do ------------------------------------------------------------------------------


class TendedQueue(Struct, frozen=True):
    """A queue that is not off, or was not a while ago, and when the sale begins."""

    queue: Queue
    show_opens_at: datetime | None
    """None: once another show sells out, whenever that is."""


async def tended_queues(
    engine: AsyncEngine, show_text: Callable[[EntityId], str]
) -> list[TendedQueue]:
    """Return every queue whose show is not over and that is not long off, for the recorder's role.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with single_statements(engine) as connection:
        rows = (await connection.execute(_TENDED)).mappings().all()
    tended: list[TendedQueue] = []
    for row in rows:
        try:
            queue = read_row(row, show_text(row["show_id"]))
        except msgspec.ValidationError as error:
            # One that can't be read keeps no other from being served.
            _log.error("queue can't be read", show=entity_hex(row["show_id"]), error=str(error))
        else:
            tended.append(TendedQueue(queue, row["show_opens_at"]))
    return tended


async def raise_ceilings(
    engine: AsyncEngine, show: int, epoch: int, *, numbers: int, serving: int
) -> bool:
    """Commit that numbers and `serving` may go this far; False if another recovery came between."""
    return await _change(
        engine,
        show,
        epoch,
        same_version=True,
        numbers_ceiling=func.greatest(queues.c.numbers_ceiling, numbers),
        serving_ceiling=func.greatest(queues.c.serving_ceiling, serving),
    )


class Begun(Struct, frozen=True):
    """A queue's new epoch, and behind what it goes on."""

    epoch: int
    first: int
    """The next number to be given."""
    serving: int
    count: int | None


async def begin_epoch(
    engine: AsyncEngine, queue: Queue, *, known_next: int | None, ahead: int
) -> Begun | None:
    """Commit the next epoch, and which numbers nobody gets; None if another did before.

    `known_next` is what the store has, None if it has lost all; ceilings were committed at most
    `ahead` beyond it. All is decided from the row as it is now, since ceilings rise in between.
    """
    async with engine.begin() as connection:
        await connection.execute(_BOUND_THE_WAIT)
        found = await connection.execute(_FIND.with_for_update(), {"show": queue.show})
        row = found.mappings().one()
        if row["epoch"] != queue.epoch:
            return None
        first, skipped = row["numbers_ceiling"], row["skipped"]
        behind = first - ahead if known_next is None else known_next
        behind = max(0, behind, row["count"] or 0, *(end for _, end in skipped))
        if behind < first and len(skipped) < _SKIPPED_MAX:
            skipped = [*skipped, [behind, first]]
        epoch = row["epoch"] + 1
        await connection.execute(
            update(queues)
            .where(queues.c.show_id == queue.show)
            .values(epoch=epoch, skipped=skipped, version=queues.c.version + 1)
        )
    return Begun(epoch, first, row["serving_ceiling"], row["count"])


async def note_count(
    engine: AsyncEngine, queue: Queue, count: int, closed_at: datetime, beacon: Beacon | None
) -> bool:
    """Commit how many entries there are, since when, and which value their draw waits for."""
    named = None if beacon is None else msgspec.to_builtins(beacon)
    return await _change(
        engine, queue.show, queue.epoch, count=count, closed_at=closed_at, beacon=named
    )


async def note_draw(engine: AsyncEngine, queue: Queue, drawn_at: datetime, digest: bytes) -> bool:
    """Commit that places are drawn, and tell it."""
    data = QueueDrawRevealed(count=queue.count or 0, digest=digest.hex())
    told = NewFact(
        FactType.QUEUE_DRAW_REVEALED, queue.show_text, data, queue.show, occurred_at=drawn_at
    )
    values = {"drawn_at": drawn_at, "digest": digest}
    async with engine.begin() as connection:
        await connection.execute(_BOUND_THE_WAIT)
        # First of all, as by everyone who tells of the show.
        await connection.execute(_LOCK_SHOW, {"show": queue.show})
        noted = await _change_within(connection, queue.show, queue.epoch, values)
        if noted:
            await add_facts(connection, queue.reseller, [told])
    return noted


async def note_beacon(engine: AsyncEngine, show: int, epoch: int, value: bytes) -> bool:
    """Commit a beacon's value that was fetched."""
    return await _change(engine, show, epoch, beacon_value=value)


async def _change(
    engine: AsyncEngine, show: int, in_epoch: int, *, same_version: bool = False, **values: object
) -> bool:
    async with engine.begin() as connection:
        return await _change_within(connection, show, in_epoch, values, same_version=same_version)


async def _change_within(
    connection: AsyncConnection,
    show: int,
    in_epoch: int,
    values: Mapping[str, object],
    *,
    same_version: bool = False,
) -> bool:
    version = {} if same_version else {"version": queues.c.version + 1}
    await connection.execute(_BOUND_THE_WAIT)
    changed = await connection.execute(
        update(queues)
        .where(queues.c.show_id == show, queues.c.epoch == in_epoch)
        .values(**values, **version)
    )
    return changed.rowcount == 1


def _columns(rules: QueueRules) -> dict[str, Any]:
    columns = msgspec.structs.asdict(rules)
    columns["mode"] = rules.mode.value
    columns["return_addresses"] = list(rules.return_addresses)
    columns["beacon"] = None if rules.beacon is None else msgspec.to_builtins(rules.beacon)
    return columns


def _rules(row: RowMapping) -> QueueRules:
    given: dict[str, Any] = {name: row[name] for name in QueueRules.__struct_fields__}
    return msgspec.convert(given, QueueRules)


def read_row(row: RowMapping, show_text: str) -> Queue:
    """Return the queue of a row."""
    return Queue(
        show=EntityId(row["show_id"]),
        show_text=show_text,
        reseller=EntityId(row["reseller_id"]),
        rules=_rules(row),
        secret=row["secret"],
        commitment=row["commitment"],
        beacon_value=row["beacon_value"],
        count=row["count"],
        closed_at=row["closed_at"],
        drawn_at=row["drawn_at"],
        digest=row["digest"],
        epoch=row["epoch"],
        numbers_ceiling=row["numbers_ceiling"],
        serving_ceiling=row["serving_ceiling"],
        skipped=tuple((first, end) for first, end in row["skipped"]),
        version=row["version"],
        keys=queue_keys(row["show_id"]),
    )
