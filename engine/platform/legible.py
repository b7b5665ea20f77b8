"""Texts that people will read: something to see in them, and no control characters."""

import re
from collections.abc import Sequence
from typing import Final

BUYER_CHARACTERS_MAX: Final = 64
BUYER_BYTES_MAX: Final = 200
"""As UTF-8: what the scripts take."""

# C0, DEL and C1: none of them belongs in a name, and PostgreSQL stores no NUL.
# Python's `$` also stands before a last line feed, JSON Schema's does not: `(?!\n)` settles it.
LEGIBLE: Final = r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]*$(?!\n)"

_find_legible: Final = re.compile(LEGIBLE).search


def is_legible(text: str) -> bool:
    """Tell whether a text has something to see and no control characters, as `LEGIBLE` says."""
    if text.isascii():
        return text.isprintable() and not text.isspace()
    return _find_legible(text) is not None


def list_some(names: Sequence[str], most: int = 20) -> str:
    """Return names as a sentence has them: the first ones, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def is_buyer(text: str) -> bool:
    """Tell whether a text may be a buyer's name."""
    if not 0 < len(text) <= BUYER_CHARACTERS_MAX or not is_legible(text):
        return False
    try:
        return len(text.encode()) <= BUYER_BYTES_MAX
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        return False
