"""Texts that people read: several lines or one, in one form, and without tricks."""

import re
import unicodedata
from typing import Final

from engine.tenancy.names import clean_name

DESCRIPTION_CHARACTERS_MAX: Final = 10_000

# Controls, halves of pairs, private use, line and paragraph separators. Not those that are not
# assigned, as in names: by an older table an emoji of this year is one of them.
_REFUSED: Final = frozenset({"Cc", "Cs", "Co", "Zl", "Zp"})
# What turns the direction of the text behind it, so that it reads as something else. Joiners and
# marks of direction stay: emoji, Persian and Hindi need them.
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BREAKS: Final = re.compile(r"\r\n?")
_MARKS_IN_A_ROW_MAX: Final = 8
_PILED: Final = ("Mn", "Me")


def clean_text(text: str) -> str:
    """Return the form in which a text of several lines is kept: NFC, line feeds between lines."""
    lines = _BREAKS.sub("\n", unicodedata.normalize("NFC", text)).split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def text_fault(text: str, *, characters_max: int = DESCRIPTION_CHARACTERS_MAX) -> str | None:
    """Tell why a text of several lines can't be kept; None: it can. Tabs are let pass."""
    cleaned = clean_text(text)
    if len(cleaned) > characters_max:
        return f"must not have more than {characters_max} characters"
    return _sign_fault(cleaned.replace("\n", " ").replace("\t", " "))


def clean_line(text: str) -> str:
    """Return the form in which a text of one line is kept: NFC, with single spaces."""
    return clean_name(text)


def line_fault(text: str, *, characters_max: int) -> str | None:
    """Tell why a text of one line can't be kept; None: it can. It may be empty, unlike a name."""
    if len(clean_line(text)) > characters_max:
        return f"must not have more than {characters_max} characters"
    return _sign_fault(text)


def _sign_fault(text: str) -> str | None:
    row = 0
    for sign in text:
        category = unicodedata.category(sign)
        if category in _REFUSED:
            return "has a control character, or one that means nothing"
        if sign in _TURNING:
            return "has a character that turns the direction of the text"
        row = row + 1 if category in _PILED else 0
        if row > _MARKS_IN_A_ROW_MAX:
            return "piles up accents"
    return None
