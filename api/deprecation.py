"""How clients are told that a call is to go: RFC 9745 (Deprecation) and RFC 8594 (Sunset)."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime

from msgspec import Struct

Headers = tuple[tuple[str, str], ...]
Notices = tuple[tuple[str, "re.Pattern[str]", Headers], ...]
"""Method, addresses and headers of the calls that are to go."""


class Deprecated(Struct, frozen=True):
    """Since when a call is better left, when it ends, and where its successor is described."""

    since: datetime
    sunset: datetime | None = None
    link: str | None = None

    def headers(self) -> Headers:
        """Return what every answer of the call carries, names in small letters."""
        told = [("deprecation", f"@{int(self.since.timestamp())}")]
        if self.sunset is not None:
            told.append(("sunset", format_datetime(self.sunset.astimezone(UTC), usegmt=True)))
        if self.link is not None:
            told.append(("link", f'<{self.link}>; rel="deprecation"; type="text/html"'))
        return tuple(told)

    def words(self) -> str:
        """Return a sentence for the document."""
        ends = "" if self.sunset is None else f" It ends on {self.sunset:%Y-%m-%d}."
        where = "" if self.link is None else f" Instead: {self.link}"
        return f"Deprecated since {self.since:%Y-%m-%d}.{ends}{where}"


def notice_of(notices: Notices, method: str, path: str) -> Headers:
    """Return the headers that a call's answers carry if it is to go."""
    for its_method, pattern, headers in notices:
        if its_method == method and pattern.fullmatch(path):
            return headers
    return ()
