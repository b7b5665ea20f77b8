"""The extensions of PostgreSQL that the ledger uses, all of them of its own distribution.

Made as the log-in that migrates: the owner role may make nothing outside its tables. All are
*trusted*, so that a log-in that owns the database can make them without being a superuser; that is
why distances are reckoned with `cube`, and `earthdistance` is not among them.
"""

from typing import Final

from sqlalchemy import Connection, text

_EXTENSIONS: Final = ("cube", "pg_trgm", "unaccent")


def ensure_extensions(connection: Connection) -> None:
    """Make the extensions that the database does not have."""
    for extension in _EXTENSIONS:
        connection.execute(text(f"CREATE EXTENSION IF NOT EXISTS {extension} WITH SCHEMA public"))
