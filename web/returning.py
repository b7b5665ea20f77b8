"""Where people are sent on to with their pass: only to origins that the reseller has named."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from msgspec import Struct

RETURN_CHARACTERS_MAX: Final = 2048
PARAMETER_PREFIX: Final = "onsale_"

# Stricter than any browser: what two parsers might read differently is not an address here.
_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[::1\])(:(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[!-~]*)?",
    re.IGNORECASE,
)
_UNSAFE: Final = re.compile(r"[\"'<>\\^`{|}]")
_LOOPBACK: Final = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|\[::1\]")
_DEFAULT_PORTS: Final = {"https": "443", "http": "80"}


class ReturnAddress(Struct, frozen=True):
    """An address whose origin the reseller has named."""

    origin: str
    path: str
    """With query and fragment."""

    @property
    def address(self) -> str:
        """The address as it was given."""
        return self.origin + self.path

    def with_pass(self, **parameters: str) -> str:
        """Return the address with what the shop needs to know in its query."""
        path, hash_sign, fragment = self.path.partition("#")
        path, _, query = path.partition("?")
        kept = [part for part in query.split("&") if part and not part.startswith(PARAMETER_PREFIX)]
        kept += [f"{PARAMETER_PREFIX}{name}={quote(v, safe='')}" for name, v in parameters.items()]
        return f"{self.origin}{path}?{'&'.join(kept)}{hash_sign}{fragment}"


def read_return(text: str, allowed: Iterable[str]) -> ReturnAddress | None:
    """Return an address that was asked for, None unless its origin is one of those allowed."""
    if len(text) > RETURN_CHARACTERS_MAX or _UNSAFE.search(text):
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return None
    origin = _origin(found)
    if origin is None or origin not in {origin_of(one) for one in allowed}:
        return None
    return ReturnAddress(origin, found["path"] or "/")


def origin_of(text: str) -> str | None:
    """Return an address' origin as browsers write it; None if people can't be sent there."""
    found = _ADDRESS.fullmatch(text)
    return None if found is None else _origin(found)


def _origin(found: re.Match[str]) -> str | None:
    scheme, host, port = found["scheme"].lower(), found["host"].lower(), found["port"]
    if scheme == "http" and not _LOOPBACK.fullmatch(host):
        return None
    if port is None or port == _DEFAULT_PORTS[scheme]:
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"
