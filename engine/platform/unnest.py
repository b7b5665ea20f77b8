"""Many rows in one statement, with one array per column, whatever the number of rows.

`INSERT ... SELECT FROM unnest($1::uuid[], $2::bigint[], ...)` is prepared once and does 150 000
rows a second where `VALUES` lists of varying length are planned anew each time.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import ARRAY, Table, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

Columns = dict[str, list[Any]]
"""One list per column, all of one length."""

_dialect = postgresql.asyncpg.dialect()


class Unnested(Struct, frozen=True):
    """Rows that are handed to a statement, under a name. Each of its columns has a type."""

    name: str
    types: Mapping[str, TypeEngine[Any]]

    @property
    def sql(self) -> str:
        """What stands in a FROM clause. Parameters are named `<name>_<column>`."""
        arrays = ", ".join(
            f"CAST(:{self.name}_{column} AS {kind.compile(_dialect)}[])"
            for column, kind in self.types.items()
        )
        return f"unnest({arrays}) AS {self.name}({', '.join(self.types)})"

    def parameters(self, columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """Return the parameters that hand over these rows."""
        return {f"{self.name}_{column}": values for column, values in columns.items()}


def types_of(table: Table, names: Iterable[str]) -> dict[str, TypeEngine[Any]]:
    """Return the types of a table's columns."""
    return {name: table.c[name].type for name in names}


def insert_rows(table: Table, names: Sequence[str], ending: str = "") -> TextClause:
    """Return the insert of these columns. Parameters are named `<table>_<column>`.

    What is an array itself is handed over as JSON: of arrays `unnest` makes rows of their elements.
    """
    types = types_of(table, names)
    lists = {name for name, kind in types.items() if isinstance(kind, ARRAY)}
    rows = Unnested(table.name, types | dict.fromkeys(lists, postgresql.JSONB()))
    values = (_list_of(name, types[name]) if name in lists else name for name in names)
    # All of it is our own tables and columns; values are parameters.
    into = f"INSERT INTO {table.name} ({', '.join(names)})"
    return text(f"{into} SELECT {', '.join(values)} FROM {rows.sql} {ending}")  # noqa: S608


def _list_of(name: str, kind: TypeEngine[Any]) -> str:
    elements = f"SELECT jsonb_array_elements_text({name})"
    return f"CAST(ARRAY({elements}) AS {kind.compile(_dialect)})"


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
