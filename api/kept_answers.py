"""Answers that browsers, programs and caches between keep: public, by ETag, for a while."""

from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

from litestar import Response
from litestar.connection import ASGIConnection
from msgspec import Struct

from api.compressing import BYTES_MIN, accepts_gzip, gzipped
from api.fastlane.kept import Kept

_TAG_CHARACTERS: Final = 20


class ForAll(Struct, frozen=True, kw_only=True):
    """An answer that is the same for everybody, and how long it may be kept.

    For `stale_s` beyond `fresh_s` caches may tell it once more while they ask anew (RFC 5861).
    """

    content: bytes
    media_type: str
    fresh_s: int
    stale_s: int
    changed_at: datetime | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def cache_control(self) -> str:
        """How long it may be kept."""
        return f"public, max-age={self.fresh_s}, stale-while-revalidate={self.stale_s}"


def answer_for_all(request: ASGIConnection[Any, Any, Any, Any], answer: ForAll) -> Response[Any]:
    """Return an answer, or `304` to who has it already.

    An ETag goes before a date (RFC 9110, 13.2.2). Dates are compared for being the same: of what
    is not there any more none is left, and an older one then would stand for something else.
    """
    tag = f'W/"{sha256(answer.content).hexdigest()[:_TAG_CHARACTERS]}"'
    kept = Kept(tag, answer.cache_control)
    headers = {
        "ETag": tag,
        "Cache-Control": answer.cache_control,
        "Vary": "Accept-Encoding",
        **dict(answer.headers),
    }
    dated = ""
    if answer.changed_at is not None:
        moment = answer.changed_at.astimezone(UTC).replace(microsecond=0)
        dated = headers["Last-Modified"] = format_datetime(moment, usegmt=True)
    tags = request.headers.get("if-none-match")
    is_had = kept.is_had(tags) if tags else bool(dated) and _since(request) == dated
    if is_had:
        return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    content = answer.content
    takes_gzip = accepts_gzip(request.headers.get("accept-encoding", ""))
    if takes_gzip and len(content) >= BYTES_MIN:
        content = gzipped(content)
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=answer.media_type, headers=headers)


def _since(request: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    return request.headers.get("if-modified-since")
