"""The queries for pages of results: the first one, and those behind a place in the order.

The first row of an event in an order is its best. So a first page is made of so many candidates, of
which each event's first are taken; how they are come by depends on the order, and on how many there
are. A page behind a place looks at each event's other shows instead.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from engine.catalog.finding import COLUMNS
from engine.catalog.search_sources import Source
from engine.catalog.search_terms import CHORD, NEAR_BALL, NEAR_BOX, PLACED, Phase
from engine.platform.driver import Row, Statement, prepare

SHOWS_COUNTED_MAX: Final = 100
"""The most shows of one event that are counted."""

LATE_MAX: Final = 1500
"""So many shows are sorted sooner than those that are found are picked out of an order of all."""

_STATE: Final = next(column for column in COLUMNS if column.endswith(" AS state"))
_TOLD: Final = ("show_id", "listed_at", "available", "price_min", "price_max")


class Candidates(Struct, frozen=True):
    """How many shows of a first page are looked at, and how they are come by."""

    most: int
    halls: int | None = None
    """By those of so many halls, the nearest ones; None: in their own order."""
    is_late: bool = False
    """By date: all that there are."""

    def may_lack(self, found: Sequence[Row], wanted: int) -> bool:
        """Tell whether others belong to the page instead of these."""
        if self.is_late:
            return bool(found) and found[0]["is_cut"]
        if len(found) >= wanted:
            return False
        # Where the nearest halls have nothing, others may.
        return found[0]["is_cut"] if found else self.halls is not None


def of_row(alias: str, *conditions: str) -> str:
    """Return conditions about a row by its alias."""
    return " AND ".join(conditions).replace("@.", f"{alias}.")


@lru_cache(maxsize=1024)
def page_of(
    conditions: tuple[str, ...],
    parts: tuple[Phase, ...],
    *,
    has_place: bool,
    source: Source,
    limit: int,
) -> Statement:
    """Return the query for results of the last of these phases, behind a place in it."""
    rows, phase = source.rows, parts[-1]
    named = ", ".join(f"{key} AS key_{i}" for i, key in enumerate(phase.keys))
    keys, told = ", ".join(phase.keys), ", ".join(f"key_{i}" for i in range(len(phase.keys)))
    before, after, direction = (">", "<", "DESC") if phase.is_descending else ("<", ">", "ASC")
    order = ", ".join(f"{key} {direction}" for key in phase.keys)
    wanted = [*conditions, phase.condition]
    if has_place:
        behind = ", ".join(f":{name}" for name in told.split(", "))
        wanted.append(f"({keys}) {after} ({behind})")
    fits = of_row("other", *conditions)
    better = [f"({of_row('other', part.condition)})" for part in parts[:-1]]
    better.append(
        f"({of_row('other', phase.condition)} AND ({of_row('other', keys)}) {before} ({told}))"
    )
    # The limit is written out: a plan for any limit would be one for many rows.
    # One row after another is looked at in its order, and no further than the page needs: an OFFSET
    # lets no condition through, and such a sub-query becomes no join. Nor is it guessed to be rare,
    # as IS NULL would be: the planner then takes the whole order to be needed, and scans for it.
    return prepare(
        f"SELECT {_told('l')}, {told},"  # noqa: S608
        f" (SELECT count(*) FROM (SELECT FROM {rows} AS other"
        f" WHERE other.item_id = l.item_id AND {fits} LIMIT {SHOWS_COUNTED_MAX}) AS counted)"
        f" AS shows FROM (SELECT ordered.* FROM (SELECT l.show_id AS shown, l.item_id,"
        f" {of_row('l', named)} FROM {rows} AS l WHERE {of_row('l', *wanted)}"
        f" ORDER BY {of_row('l', order)} OFFSET 0) AS ordered WHERE NOT coalesce((SELECT true"
        f" FROM {rows} AS other WHERE other.item_id = ordered.item_id AND {fits}"
        f" AND ({' OR '.join(better)}) LIMIT 1), false) LIMIT {limit:d}) AS page"
        f" JOIN {source.told} AS l ON l.show_id = shown"
        f" ORDER BY {', '.join(f'{name} {direction}' for name in told.split(', '))}"
    )


@lru_cache(maxsize=1024)
def first_page_of(  # noqa: PLR0913 - what makes a query another
    conditions: tuple[str, ...],
    part: Phase,
    *,
    source: Source,
    limit: int,
    candidates: Candidates,
    has_others: bool,
) -> Statement:
    """Return the query for the first results of a phase, of so many shows at the most.

    If it had more, it tells as many `candidates`.
    """
    rows, direction = source.rows, "DESC" if part.is_descending else "ASC"
    told = [f"key_{i}" for i in range(len(part.keys))]
    order = ", ".join(f"{name} {direction}" for name in told)
    wanted = [*conditions, part.condition]
    if has_others:
        wanted.append("@.item_id <> ALL(CAST(:others AS BIGINT[]))")
    listed, is_cut = _list_candidates(tuple(wanted), part, source, candidates)
    # The box around a place is for the index alone.
    fits = [condition for condition in conditions if condition != NEAR_BOX]
    return prepare(
        f"WITH {listed},"  # noqa: S608 - our own names
        f" firsts AS (SELECT DISTINCT ON (item_id) * FROM candidates ORDER BY item_id, {order})"
        f" SELECT {_told('l')}, firsts.item_id, {', '.join(told)}, (SELECT count(*) FROM (SELECT"
        f" FROM {rows} AS other WHERE other.item_id = firsts.item_id AND"
        f" {of_row('other', *fits)} LIMIT {SHOWS_COUNTED_MAX}) AS counted) AS shows,"
        f" {is_cut} AS is_cut"
        f" FROM (SELECT * FROM firsts ORDER BY {order} LIMIT {limit:d}) AS firsts"
        f" JOIN {source.told} AS l USING (show_id) ORDER BY {order}"
    )


def _list_candidates(
    wanted: tuple[str, ...], part: Phase, source: Source, candidates: Candidates
) -> tuple[str, str]:
    """Return the sub-queries that end with `candidates`, and what says whether these are all."""
    direction = "DESC" if part.is_descending else "ASC"
    named = ", ".join(f"{key} AS key_{i}" for i, key in enumerate(part.keys))
    row = f"SELECT l.show_id, l.item_id, {of_row('l', named)} FROM {source.rows} AS l"  # noqa: S608
    fits = f"WHERE {of_row('l', *wanted)}"
    by = ", ".join(f"key_{i} {direction}" for i in range(len(part.keys)))
    is_cut = f"(SELECT count(*) >= {candidates.most:d} FROM candidates)"  # noqa: S608
    if candidates.is_late:
        late = f"{row} {fits} ORDER BY l.starts_at, l.show_id LIMIT {candidates.most:d}"
        return f"candidates AS MATERIALIZED ({late})", is_cut
    if candidates.halls is not None:
        near = (
            f"SELECT venue_id, {of_row('h', CHORD)} AS chord FROM {source.places} AS h"  # noqa: S608
            f" WHERE {of_row('h', NEAR_BOX, NEAR_BALL)} ORDER BY {of_row('h', CHORD)}"
            f" FETCH FIRST {candidates.halls:d} ROWS WITH TIES"
        )
        named = ", ".join(
            f"{'halls.chord' if key == CHORD else of_row('l', key)} AS key_{i}"
            for i, key in enumerate(part.keys)
        )
        others = [one for one in wanted if one not in {NEAR_BOX, NEAR_BALL, PLACED}]
        listed = (
            f"SELECT l.show_id, l.item_id, {named} FROM halls JOIN {source.rows} AS l"  # noqa: S608
            f" USING (venue_id) WHERE {of_row('l', *others)}"
            f" ORDER BY {by} LIMIT {candidates.most:d}"
        )
        is_cut += f" OR (SELECT count(*) >= {candidates.halls:d} FROM halls)"  # noqa: S608
        return f"halls AS MATERIALIZED ({near}), candidates AS MATERIALIZED ({listed})", is_cut
    by = ", ".join(f"{key} {direction}" for key in part.keys)
    listed = f"{row} {fits} ORDER BY {of_row('l', by)} LIMIT {candidates.most:d}"
    return f"candidates AS MATERIALIZED ({listed})", is_cut


def _told(alias: str) -> str:
    columns = ", ".join((_STATE, *(f"@.{name}" for name in _TOLD)))
    return of_row(alias, columns)
