"""Addresses on the web that the public is sent to: `https`, with a public name, and bounded.

Nothing here is fetched by this platform: browsers do that.
"""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

URL_CHARACTERS_MAX: Final = 1000

# RFC 3986: what may stand in a URL as it is, or escaped.
_SIGNS: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_HOST_CHARACTERS_MAX: Final = 253
_INTERNAL: Final = (".local", ".localhost", ".internal", ".invalid", ".test", ".onion")


def link_fault(text: str) -> str | None:
    """Tell why nobody can be sent to an address; None: they can."""
    if len(text) > URL_CHARACTERS_MAX:
        return f"must not have more than {URL_CHARACTERS_MAX} characters"
    if not _SIGNS.fullmatch(text):
        return "has a character that a URL can't have: escape it"
    if not text.lower().startswith("https://"):
        return "must begin with https://"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is no URL"
    return _parts_fault(parts, host)


def _parts_fault(parts: SplitResult, host: str) -> str | None:
    if parts.username is not None or parts.password is not None:
        return "must not have a user in it"
    if _is_address(host):
        return "must have a name for its host, not a number"
    labels = host.removesuffix(".").split(".")
    named = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels)
    if not named or labels[-1].isdigit() or len(host) > _HOST_CHARACTERS_MAX:
        return "must have a host's name on the public Internet"
    if host.removesuffix(".").lower().endswith(_INTERNAL):
        return "must have a host's name on the public Internet"
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
