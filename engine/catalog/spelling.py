"""What mistyped words may have been: the nearest of all words that public listings have."""

import re
from typing import Annotated, Final

from msgspec import Meta, Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_WORDS_MAX: Final = 6
# Without `_`, which no word has that PostgreSQL parses, and which stands for anything in a pattern.
_WORD: Final = re.compile(r"[^\W_]{3,40}")
_NEAREST: Final = 4
_WORD_MAX: Final = 40
_Alike = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=_WORD_MAX)]],
    Meta(min_length=1, max_length=_NEAREST),
]

# How alike two words have to be is PostgreSQL's to say: `pg_trgm.similarity_threshold`, 0.3.
_NEAR_WORDS: Final = text(
    "SELECT given.place, near.word, near.likeness FROM unnest(CAST(:words AS TEXT[]))"  # noqa: S608
    " WITH ORDINALITY AS given(word, place), LATERAL (SELECT search_words.word,"
    " similarity(search_words.word, lower(unaccent(given.word))) AS likeness FROM search_words"
    " WHERE search_words.word % lower(unaccent(given.word))"
    " OR search_words.word LIKE lower(unaccent(given.word)) || '%'"
    f" ORDER BY 2 DESC, 1 LIMIT {_NEAREST}) AS near ORDER BY given.place, near.likeness DESC"
)


class Corrected(Struct, frozen=True, array_like=True):
    """What a text may have been: for each of its words those like it, the nearest first."""

    alternatives: Annotated[list[_Alike], Meta(min_length=1, max_length=_WORDS_MAX)]

    @property
    def words(self) -> list[str]:
        """Return the likeliest words."""
        return [alike[0] for alike in self.alternatives]

    @property
    def query(self) -> str:
        """Return the `tsquery` that takes any of them."""
        return " & ".join(f"({' | '.join(map(_quote, alike))})" for alike in self.alternatives)


async def correct(connection: AsyncConnection, given: str) -> Corrected | None:
    """Return what a text may have been.

    None: a word of it is like no other, or it has none that is long enough.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    words = _WORD.findall(given)[:_WORDS_MAX]
    if not words:
        return None
    alternatives: list[list[str]] = [[] for _ in words]
    for place, word, _likeness in await connection.execute(_NEAR_WORDS, {"words": words}):
        alternatives[place - 1].append(word)
    if not all(alternatives):
        return None
    return Corrected(alternatives)


def _quote(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
