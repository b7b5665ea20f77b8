"""Names in sheets: who is meant by one, and what may be meant by one that nobody has."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, func, or_

from engine.platform.ids import EntityId, IdError, Ids, Prefix

NAMES_MAX: Final = 5_000
"""Of a kind: so many of those that were named last are looked at for what was meant."""

_COMPARED_MAX: Final = NAMES_MAX
"""Names that unknown ones are compared with, in all: a second of work or two."""


class Guesses:
    """Says of one sheet's unknown names which may be meant: of the first few such names."""

    def __init__(self) -> None:
        """Begin with all comparisons left."""
        self._comparisons_left = _COMPARED_MAX

    def unknown(self, kind: str, text: str, names: Iterable[str]) -> str:
        """Return that there is none of a name, and the way out."""
        close: list[str] = []
        if self._comparisons_left > 0:
            among = list(dict.fromkeys(names))
            self._comparisons_left -= len(among)
            close = get_close_matches(text, among, n=1)
        meant = (
            f": is “{close[0]}” meant?" if close else ": add it first, or name one that is there"
        )
        return f"you have no {kind} “{text}”{meant}"


def named_first(
    table: Table, ids: Ids, prefix: Prefix, named: Collection[str]
) -> list[ColumnElement[Any]]:
    """Order what is named before the rest, of which there may be more than is read."""
    numbers = [number for text in named if (number := parsed(ids, prefix, text)) is not None]
    is_named = or_(table.c.name.in_(named), table.c.id.in_(numbers))
    return [func.coalesce(is_named, False).desc()]


def parsed(ids: Ids, prefix: Prefix, text: str) -> EntityId | None:
    """Return the entity of an id; None: the text is none, and may be a name."""
    try:
        return ids.parse_entity(prefix, text)
    except IdError:
        return None
