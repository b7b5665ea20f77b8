"""Tags of languages (BCP 47, RFC 5646): language (ISO 639), script (15924), region (3166-1)."""

import re
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import pycountry
from msgspec import Struct

TAG_CHARACTERS_MAX: Final = 35

_TAG: Final = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?", re.IGNORECASE)
_ISO_639: Final = "639-3"
# UN M.49's areas that languages are told for: the world, Latin America, Europe.
_AREAS: Final = frozenset({"001", "150", "419"})


class _Language(Struct, frozen=True):
    alpha_3: str
    alpha_2: str | None = None
    bibliographic: str | None = None


def _read() -> dict[str, str]:
    # Its own reader keeps some 8 000 objects, of which we need a few letters each.
    file = Path(str(cast("Any", pycountry.languages).filename))
    read = msgspec.json.decode(file.read_bytes(), type=dict[str, list[_Language]])
    shortest: dict[str, str] = {}
    for one in read[_ISO_639]:
        for code in filter(None, (one.alpha_2, one.alpha_3, one.bibliographic)):
            shortest[code] = one.alpha_2 or one.alpha_3
    return shortest


_SHORTEST: Final = _read()
"""Each code of a language to the one that its tag has: the shortest (RFC 5646, 2.2.1)."""
_SCRIPTS: Final = frozenset(str(one.alpha_4) for one in cast("Any", pycountry.scripts))
_REGIONS: Final = frozenset(str(one.alpha_2) for one in cast("Any", pycountry.countries))


def language_tag(text: str) -> str | None:
    """Return a tag in its canonical form (`deu-at` is `de-AT`); None: there is no such language."""
    match = _TAG.fullmatch(text)
    if match is None:
        return None
    language = _SHORTEST.get(match[1].lower())
    script = match[2].title() if match[2] else None
    region = match[3].upper() if match[3] else None
    if language is None or (script is not None and script not in _SCRIPTS):
        return None
    if region is not None and region not in _REGIONS and region not in _AREAS:
        return None
    return "-".join(filter(None, (language, script, region)))
