"""What a browser sent, read so that nothing it can send is an error."""

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import Request

_FIELDS_MAX: Final = 20
_VALUE_CHARACTERS_MAX: Final = 4096

PageRequest = Request[Any, Any, Any]


class Browser:
    """Headers, cookies, the query and a form."""

    def __init__(self, request: PageRequest, form: bytes = b"") -> None:
        """Take the request, and the form that came with it."""
        self._headers = request.scope["headers"]
        self.query = read_fields(request.scope["query_string"])
        self.form = read_fields(form)

    def cookie(self, name: str, pattern: re.Pattern[str]) -> str | None:
        """Return the first cookie of a name that looks as it should."""
        for line in self.lines(b"cookie"):
            for cookie in line.split(";"):
                found, _, value = cookie.strip().partition("=")
                if found == name and pattern.fullmatch(value):
                    return value
        return None

    @property
    def comes_from_elsewhere(self) -> bool:
        """Whether a form was sent from another site's page (what old browsers say less clearly)."""
        site = self.header(b"sec-fetch-site")
        if site is not None:
            return site not in ("same-origin", "none")
        origin = self.header(b"origin")
        return origin is not None and origin.partition("://")[2] != self.header(b"host")

    def header(self, name: bytes) -> str | None:
        """Return a header's first line."""
        return next(self.lines(name), None)

    def lines(self, name: bytes) -> Iterator[str]:
        """Return all lines of a header."""
        return (
            value.decode("latin-1").strip() for header, value in self._headers if header == name
        )


def read_fields(encoded: bytes) -> dict[str, str]:
    """Read a query or a form; of names that come twice the first, of far too many nothing."""
    try:
        pairs = parse_qsl(encoded.decode("latin-1"), max_num_fields=_FIELDS_MAX)
    except ValueError:
        return {}
    fields: dict[str, str] = {}
    for name, value in pairs:
        if len(value) <= _VALUE_CHARACTERS_MAX:
            fields.setdefault(name, value)
    return fields
