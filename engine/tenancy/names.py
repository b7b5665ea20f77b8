"""Names of people and companies: one form, and no characters that nobody sees."""

import unicodedata
from typing import Final

NAME_CHARACTERS_MAX: Final = 200

# Controls, format characters (bidirectional marks, zero width), halves of pairs, private use, not
# assigned, line and paragraph separators: each lets two names look alike, or one look like other.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS_IN_A_ROW_MAX: Final = 4
# Letters by their category, and seen by nobody.
_BLANK: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")


def clean_name(text: str) -> str:
    """Return the form that is kept: composed (NFC), with single spaces."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def name_fault(text: str, *, characters_max: int = NAME_CHARACTERS_MAX) -> str | None:
    """Tell why a text can't be a name; None: it can."""
    if any(unicodedata.category(sign) in _UNSEEN or sign in _BLANK for sign in text):
        return "has a character that can't be seen"
    name = clean_name(text)
    if not any(unicodedata.category(sign)[0] in "LN" for sign in name):
        return "needs a letter or a digit"
    if len(name) > characters_max:
        return f"must not have more than {characters_max} characters"
    if _piles_up(name):
        return "piles up accents"
    return None


def _piles_up(name: str) -> bool:
    row = 0
    for sign in name:
        row = row + 1 if unicodedata.category(sign) in ("Mn", "Me") else 0
        if row > _MARKS_IN_A_ROW_MAX:
            return True
    return False
