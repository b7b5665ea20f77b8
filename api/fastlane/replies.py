"""Replies of the fast lane: whole, small, and with the same headers as Litestar's."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from api.compressing import BYTES_MIN, accepts_gzip, gzipped
from api.edge import NO_STORE, SECURITY_HEADERS
from api.problems import MEDIA_TYPE, ProblemError
from api.versions import CURRENT
from api.versions import HEADER as VERSION_HEADER

Headers = Sequence[tuple[str, str]]

_JSON: Final = ("content-type", "application/json")
_PROBLEM: Final = ("content-type", MEDIA_TYPE)
_GZIP: Final = ("content-encoding", "gzip")
_VARY: Final = ("vary", "Accept-Encoding")
_ALWAYS: Final = (
    (VERSION_HEADER, CURRENT),
    *((name.decode(), value.decode()) for name, value in SECURITY_HEADERS),
)
_NO_STORE: Final = (NO_STORE[0].decode(), NO_STORE[1].decode())
_WITHOUT_BODY: Final = frozenset({204, 304})


class Reply(Struct, frozen=True):
    """What a call is answered with."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    """Beside those that every reply has."""
    media_type: tuple[str, str] = _JSON
    may_be_stored: bool = False
    is_encoded: bool = False
    """Whether the route has seen to the content's encoding."""


def reply_problem(problem: ProblemError) -> Reply:
    """Return the reply that tells a problem."""
    given = problem.headers
    headers = [(name.lower(), value) for name, value in given.items()] if given else ()
    return Reply(problem.kind.status, problem.body(), headers, _PROBLEM)


def write_reply(
    reply: Reply, request_id: str, accept_encoding: str | None
) -> tuple[list[tuple[str, str]], bytes]:
    """Return a reply's headers and body; a larger one compressed, for who takes that."""
    body = reply.body
    headers = [("x-request-id", request_id), *_ALWAYS, *reply.headers]
    if not reply.may_be_stored:
        headers.append(_NO_STORE)
    if reply.status not in _WITHOUT_BODY:
        if len(body) >= BYTES_MIN and not reply.is_encoded:
            headers.append(_VARY)
            if accept_encoding is not None and accepts_gzip(accept_encoding):
                body = gzipped(body)
                headers.append(_GZIP)
        headers.append(reply.media_type)
        headers.append(("content-length", str(len(body))))
    return headers, body
