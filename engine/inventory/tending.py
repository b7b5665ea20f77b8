"""Which shows need a recovery: those whose state in Redis is not what PostgreSQL says.

Looked at all together: one query and one round trip, however many shows there are.
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.keys import show_keys
from engine.inventory.shows import DRAFT
from engine.platform.database import single_statements
from engine.platform.redis import Store

_VERSION: Final = "inventory version"
_FAILED_SALE: Final = "a sale failed: what it took goes back on sale"
_FIELDS: Final = ("state", "epoch", "version", "run_id", "replid")
# What an epoch has of failed sales is looked up by the show, not gathered of all shows: LIMIT keeps
# the planner from that. States stand in the text, so that it knows the index which has no others.
_TENDED: Final = (
    "SELECT shows.id, shows.epoch, shows.inventory_version, shows.price_version, coalesce("  # noqa: S608 - our own word
    "(SELECT true FROM conflicts WHERE conflicts.show_id = shows.id"
    " AND conflicts.epoch = shows.epoch LIMIT 1),"
    " (SELECT true FROM stranded_facts WHERE stranded_facts.show_id = shows.id"
    " AND stranded_facts.stream_epoch = shows.epoch LIMIT 1), false) AS has_failed_sale,"
    f" shows.return_no FROM shows WHERE shows.state <> '{DRAFT}' AND shows.archived_at IS NULL"
)
_ALL: Final = text(_TENDED)
_OF_THESE: Final = text(f"{_TENDED} AND shows.id = ANY(CAST(:only AS BIGINT[]))")
_NEXT: Final = text(f"{_TENDED} AND shows.id > :after ORDER BY shows.id LIMIT :most")
_UNOPENED: Final = text(
    f"SELECT id FROM shows WHERE state <> '{DRAFT}' AND archived_at IS NULL AND epoch = 0"  # noqa: S608 - our own word
    " LIMIT 1000"
)


class TendedShow(Struct, frozen=True):
    """A show as PostgreSQL has it."""

    id: int
    epoch: int
    inventory_version: int
    price_version: int
    has_failed_sale: bool
    """Whether a sale of this epoch became no order: its places stand as sold, and are nobody's."""
    return_no: int = 0
    """The last of its returns."""


class Ailing(Struct, frozen=True):
    """A show to recover, and why."""

    show: TendedShow
    reason: str
    may_pass: bool
    """Whether a change of the house that is under way looks like this, too."""


async def tended_shows(
    engine: AsyncEngine, only: Collection[int] | None = None
) -> list[TendedShow]:
    """Return every show that the inventory store is to have, or which of these it is.

    As the recorder's role sees them: all but drafts and archived ones.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    if only is not None and not only:
        return []
    query = _ALL if only is None else _OF_THESE
    return await _read(engine, query, {} if only is None else {"only": list(only)})


async def tended_after(engine: AsyncEngine, after: int, most: int) -> list[TendedShow]:
    """Return so many of these shows by their ids, from behind one of them: 0 is before all.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    return await _read(engine, _NEXT, {"after": after, "most": most})


async def unopened_shows(engine: AsyncEngine) -> list[int]:
    """Return shows that the store never had and is to have: the first thousand.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with single_statements(engine) as connection:
        return list((await connection.execute(_UNOPENED)).scalars())


async def _read(
    engine: AsyncEngine, query: TextClause, parameters: Mapping[str, object]
) -> list[TendedShow]:
    async with single_statements(engine) as connection:
        return [TendedShow(*row) for row in (await connection.execute(query, parameters)).all()]


class Examined(Struct, frozen=True):
    """What a look at shows came to."""

    ailing: list[Ailing]
    """Those that can't sell as they stand."""
    unasked: list[int]
    """Those whose server did not answer."""


async def find_ailing(redis: Store, tended: list[TendedShow]) -> list[Ailing]:
    """Return the shows that can't sell as they stand, of those whose server answers.

    Raises:
        redis.RedisError, OSError: the store could not be asked of any.
    """
    return (await examine(redis, tended)).ailing


async def examine(redis: Store, tended: list[TendedShow]) -> Examined:
    """Return the shows that can't sell as they stand, and those of which that is not known.

    Raises:
        redis.RedisError, OSError: the store could not be asked of any.
    """
    by_server: dict[str, list[TendedShow]] = {}
    failures: list[Exception] = []
    examined = Examined([], [])
    for show in tended:
        try:
            server = await redis.server_of(show_keys(show.id).meta, surely=True)
        except RedisError as error:
            failures.append(error)
            examined.unasked.append(show.id)
        else:
            by_server.setdefault(server, []).append(show)
    looks = [_examine(redis, shows) for shows in by_server.values()]
    answers = await asyncio.gather(*looks, return_exceptions=True)
    for shows, found in zip(by_server.values(), answers, strict=True):
        if isinstance(found, Examined):
            examined.ailing.extend(found.ailing)
            examined.unasked.extend(found.unasked)
        elif isinstance(found, RedisError | OSError):
            failures.append(found)
            examined.unasked.extend(show.id for show in shows)
        else:
            raise found
    if failures and len(examined.unasked) == len(tended):
        raise failures[0]
    return examined


async def _examine(redis: Store, tended: list[TendedShow]) -> Examined:
    """Look at the shows of one server."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.info("server", "replication")
    for show in tended:
        pipeline.hmget(show_keys(show.id).meta, list(_FIELDS))
    info, *metas = await pipeline.execute(raise_on_error=False)
    if isinstance(info, Exception):
        raise info
    examined = Examined([], [])
    for show, meta in zip(tended, metas, strict=True):
        if isinstance(meta, ResponseError):
            reason = f"the store can't tell: {meta}"
        elif isinstance(meta, Exception):
            reason = None  # nobody could be asked
            examined.unasked.append(show.id)
        else:
            reason = _reason(show, info, [value and value.decode() for value in meta])
        if reason is not None:
            ailing = Ailing(show, reason, may_pass=reason.startswith(_VERSION))
            examined.ailing.append(ailing)
    return examined


def _reason(show: TendedShow, info: dict[str, str], meta: list[str | None]) -> str | None:
    state, epoch, version, run_id, replid = meta
    if state is None:
        return "the store does not know it"
    if state != "open":
        return "a recovery was not finished"
    if run_id != info["run_id"] or replid != info["master_replid"]:
        return "the server restarted or is another"
    if epoch != str(show.epoch):
        return f"epoch {epoch} in the store, {show.epoch} in the ledger"
    if version != str(show.inventory_version):
        return f"{_VERSION} {version} in the store, {show.inventory_version} in the ledger"
    # Once for each: the recovery raises the epoch.
    return _FAILED_SALE if show.has_failed_sale else None
