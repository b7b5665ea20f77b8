"""Row-level security of a reseller's tables, as migrations say it."""

from collections.abc import Iterator
from typing import Final

# Outside a transaction that set it, the setting reads '' once it has been set: NULLIF.
_TENANT: Final = "reseller_id = NULLIF(current_setting('onsale.reseller_id', true), '')::bigint"


def protect(table: str, *, app: str, recorder: str = "SELECT") -> Iterator[str]:
    """Yield what keeps each reseller to its own rows of a table, with what two roles are granted.

    The auditor reads all; the owner owns. A grant may name columns: `SELECT, UPDATE (state)`.
    """
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    yield f"CREATE POLICY tenant ON {table} TO onsale_app USING ({_TENANT}) WITH CHECK ({_TENANT})"
    yield f"CREATE POLICY recorder ON {table} TO onsale_recorder USING (true) WITH CHECK (true)"
    yield f"CREATE POLICY auditor ON {table} FOR SELECT TO onsale_auditor USING (true)"
    yield f"CREATE POLICY owner ON {table} TO onsale_owner USING (true) WITH CHECK (true)"
    yield f"GRANT {app} ON {table} TO onsale_app"
    yield f"GRANT {recorder} ON {table} TO onsale_recorder"
    yield f"GRANT SELECT ON {table} TO onsale_auditor"
