"""Slugs: names as they stand in requests and addresses."""

import re
import unicodedata
from typing import Final

_ACCENTS: Final = re.compile(r"[\u0300-\u036f]+")
_BETWEEN_WORDS: Final = re.compile(r"[\W_]+")


def slug(name: str) -> str:
    """Return the name in lower case, its words joined by hyphens, Latin letters without accents.

    `Kategorie I` gives `kategorie-i`, `Café 2` gives `cafe-2`; other scripts keep their letters.
    A name with no letter and no digit gives an empty slug.
    """
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", name))
    return _BETWEEN_WORDS.sub("-", unicodedata.normalize("NFC", plain.casefold())).strip("-")
