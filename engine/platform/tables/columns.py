"""What the tables are made of: the metadata that all share, and columns that most have."""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKeyConstraint,
    MetaData,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR
from sqlalchemy.types import TypeEngine

metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)


def required(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> Column[Any]:
    """Return a column that is never NULL."""
    return Column(name, kind, nullable=False)


def optional(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]]) -> Column[Any]:
    """Return a column that may be NULL."""
    return Column(name, kind, nullable=True)


def entity() -> Column[int]:
    """Return the column of an entity id."""
    return Column("id", BigInteger, primary_key=True, autoincrement=False)


def moment(name: str) -> Column[Any]:
    """Return the column of a moment: now, unless told."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def reseller_column() -> Column[int]:
    """Return the column that says whose row it is."""
    return Column("reseller_id", BigInteger, nullable=False)


def counter(name: str) -> Column[int]:
    """Return a column that begins with 0."""
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def of_reseller() -> ForeignKeyConstraint:
    """Tie a row to its reseller."""
    return ForeignKeyConstraint(["reseller_id"], ["resellers.id"])


def of_show() -> ForeignKeyConstraint:
    """Tie a row to its show and that show's reseller."""
    # Both columns: foreign keys look past row-level security, so the pair is what keeps a
    # reseller's row from naming another's show.
    return ForeignKeyConstraint(["show_id", "reseller_id"], ["shows.id", "shows.reseller_id"])


TIME: Final = DateTime(timezone=True)
CURRENCY: Final = CHAR(3)
