"""Answers that clients keep: told with an ETag, and not told again while it stands."""

from typing import Final

from msgspec import Struct

from api.compressing import accepts_gzip
from api.fastlane.call import Visit
from api.fastlane.replies import Reply

ASK_EACH_TIME: Final = "private, no-cache"


class Kept(Struct, frozen=True):
    """What a client may keep an answer by."""

    etag: str
    cache_control: str
    more: tuple[tuple[str, str], ...] = ()
    """Headers of its own: who asks by HEAD, or has the answer, is told these as well."""

    def is_had_by(self, call: Visit) -> bool:
        """Tell whether the client has this answer already."""
        return self.is_had(call.headers.get("if-none-match"))

    def is_had(self, given: str | None) -> bool:
        """Tell whether this answer is among those of an `If-None-Match`.

        Compared weakly (RFC 9110, 8.8.3.2): what matters is what a tag says between its quotes.
        """
        if given is None:
            return False
        tags = [tag.strip().removeprefix("W/") for tag in given.split(",")]
        return "*" in tags or self.etag.removeprefix("W/") in tags

    def unchanged(self) -> Reply:
        """Return the reply that spares the client the answer."""
        return Reply(304, b"", self._headers(), may_be_stored=True)

    def reply(self, body: bytes, *, is_gzip: bool) -> Reply:
        """Return the reply with the answer."""
        headers = self._headers()
        if is_gzip:
            headers.append(("content-encoding", "gzip"))
        return Reply(200, body, headers, may_be_stored=True, is_encoded=True)

    def _headers(self) -> list[tuple[str, str]]:
        return [
            ("etag", self.etag),
            ("cache-control", self.cache_control),
            ("vary", "Accept-Encoding"),
            *self.more,
        ]


def takes_gzip(call: Visit) -> bool:
    """Tell whether the client takes a compressed answer."""
    return accepts_gzip(call.headers.get("accept-encoding", ""))
