"""What secrets that are handed out look like: region, kind, 256 random bits, a checksum.

`onsale_<region>_<kind>_<43 characters><6 characters>`: a scanner that finds one in a repository
knows by its head whose it is, and by its checksum that it is no accident. The checksum is the
CRC-32 of all before it, in base 62. It protects nothing; it spares a look-up for what is mistyped.
"""

import re
import secrets
from enum import StrEnum
from typing import Final
from zlib import crc32

from msgspec import Struct

SHOWN_CHARACTERS: Final = 6
"""How much of its random part a console shows of a key."""

_RANDOM_BYTES: Final = 32
_CHECKSUM_CHARACTERS: Final = 6
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FORM: Final = re.compile(
    r"onsale_([a-z][a-z0-9]{1,7})_([a-z]{4,7})_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}", re.ASCII
)


class SecretKind(StrEnum):
    """What a secret opens."""

    LIVE = "live"
    """An API key of a reseller."""
    TEST = "test"
    """An API key of a reseller's sandbox."""
    CLIENT = "client"
    """An OAuth client's secret."""
    REFRESH = "refresh"
    """An OAuth refresh token."""


KEY_KINDS: Final = frozenset({SecretKind.LIVE, SecretKind.TEST})
"""The kinds that are API keys."""


class SecretText(Struct, frozen=True):
    """What a secret says of itself."""

    region: str
    kind: SecretKind
    text: str

    @property
    def prefix(self) -> str:
        """What may be shown of it."""
        return self.text[: len(_head(self.region, self.kind)) + SHOWN_CHARACTERS]


def new_secret(region: str, kind: SecretKind) -> SecretText:
    """Return a fresh one."""
    before = _head(region, kind) + secrets.token_urlsafe(_RANDOM_BYTES)
    return SecretText(region, kind, before + _checksum(before))


def parse(text: str) -> SecretText | None:
    """Read a secret, of any region; None: it has not the form, or its checksum is wrong."""
    match = _FORM.fullmatch(text)
    if match is None or text[-_CHECKSUM_CHARACTERS:] != _checksum(text[:-_CHECKSUM_CHARACTERS]):
        return None
    try:
        kind = SecretKind(match[2])
    except ValueError:
        return None
    return SecretText(match[1], kind, text)


def parse_key(text: str) -> SecretText | None:
    """Read an API key, of any region; None: it is none, or its checksum is wrong."""
    parsed = parse(text)
    return parsed if parsed is not None and parsed.kind in KEY_KINDS else None


def _head(region: str, kind: SecretKind) -> str:
    return f"onsale_{region}_{kind}_"


def _checksum(before: str) -> str:
    rest = crc32(before.encode())
    digits = ""
    for _ in range(_CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
