"""Which tables have an audit trail, as migrations say it: three triggers each.

A later migration that makes a table which resellers change calls `keep_trail_of` for it;
`tests/engine/test_trail.py` fails until it does, or until the table is listed there as exempt.
"""

from collections.abc import Sequence
from typing import Final

from alembic import op
from sqlalchemy import text

# A column of such a name is shown as a digest, as every BYTEA one is.
_HIDDEN: Final = "(^|_)(secrets?|hash(es)?|password|token|sealed|digests?)$"

_COLUMNS: Final = text(
    "SELECT attname::text, atttypid = 'bytea'::regtype OR attname ~ :hidden AS digested,"
    " attnum = ANY(indkey) AS is_key"
    " FROM pg_attribute JOIN pg_index ON indrelid = attrelid AND indisprimary"
    " WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped"
    " ORDER BY array_position(indkey::int2[], attnum), attnum"
)

_EVENTS: Final = {
    "INSERT": "NEW TABLE AS new_rows",
    "UPDATE": "OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
}


def keep_trail_of(  # noqa: PLR0913 - what a table has of its own
    table: str,
    *,
    keys: Sequence[str] = (),
    noise: Sequence[str] = (),
    digested: Sequence[str] = (),
    withheld: Sequence[str] = (),
    listed: str = "",
    events: Sequence[str] = tuple(_EVENTS),
) -> None:
    """Have a table's changes noted; nothing is done if there is no such table.

    Objects are told by their primary key, unless by `keys`. Columns of `noise` are no change worth
    an entry, `digested` ones are shown as SHA-256 and `withheld` ones not at all. Rows that differ
    in the column `listed` only make one entry.
    """
    rows = op.get_bind().execute(_COLUMNS, {"table": table, "hidden": _HIDDEN}).all()
    if not rows:
        return
    names = [row.attname for row in rows]
    of_reseller = "reseller_id" if "reseller_id" in names else "id"
    named = keys or [row.attname for row in rows if row.is_key and row.attname != of_reseller]
    named = [name for name in named if name != listed]
    hidden = {*digested, *(row.attname for row in rows if row.digested)}
    arguments = (
        of_reseller,
        ",".join(named or [of_reseller]),
        ",".join(sorted(noise)),
        ",".join(sorted(hidden - {*noise, *withheld})),
        ",".join(sorted(withheld)),
        listed,
    )
    told = ", ".join(f"'{argument}'" for argument in arguments)
    for event in events:
        op.execute(
            f"CREATE TRIGGER trail_{event.lower()} AFTER {event} ON {table}"
            f" REFERENCING {_EVENTS[event]}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION note_change({told})"
        )


def forget_trail_of(table: str) -> None:
    """Take the triggers back."""
    if op.get_bind().execute(text("SELECT to_regclass(:table)"), {"table": table}).scalar():
        for event in _EVENTS:
            op.execute(f"DROP TRIGGER IF EXISTS trail_{event.lower()} ON {table}")
