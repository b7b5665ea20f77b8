"""Replies of the fast lane: whole, small, and with the same headers as Litestar's."""

from collections.abc import Sequence
from typing import Final

from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent
from msgspec import Struct

from api.compressing import BYTES_MIN, accepts_gzip, gzipped
from api.edge import NO_STORE, SECURITY_HEADERS
from api.problems import MEDIA_TYPE, ProblemError

Headers = Sequence[tuple[bytes, bytes]]

_JSON: Final = (b"content-type", b"application/json")
_PROBLEM: Final = (b"content-type", MEDIA_TYPE.encode())
_GZIP: Final = (b"content-encoding", b"gzip")
_VARY: Final = (b"vary", b"Accept-Encoding")
_WITHOUT_BODY: Final = frozenset({204, 304})


class Reply(Struct, frozen=True):
    """What a call is answered with."""

    status: int
    body: bytes = b""
    headers: Headers = ()
    """Beside those that every reply has."""
    media_type: tuple[bytes, bytes] = _JSON
    may_be_stored: bool = False
    is_encoded: bool = False
    """Whether the route has seen to the content's encoding."""


def reply_problem(problem: ProblemError) -> Reply:
    """Return the reply that tells a problem."""
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    return Reply(problem.kind.status, problem.body(), headers, _PROBLEM)


def write_reply(
    reply: Reply, request_id: bytes, accept_encoding: bytes | None, *, is_head: bool
) -> tuple[HTTPResponseStartEvent, HTTPResponseBodyEvent]:
    """Return what to send for a reply; a larger one compressed, for who takes that."""
    body = reply.body
    headers = [(b"x-request-id", request_id), *SECURITY_HEADERS, *reply.headers]
    if not reply.may_be_stored:
        headers.append(NO_STORE)
    if reply.status not in _WITHOUT_BODY:
        if len(body) >= BYTES_MIN and not reply.is_encoded:
            headers.append(_VARY)
            if accept_encoding is not None and accepts_gzip(accept_encoding.decode("latin-1")):
                body = gzipped(body)
                headers.append(_GZIP)
        headers.append(reply.media_type)
        headers.append((b"content-length", b"%d" % len(body)))
    return (
        {"type": "http.response.start", "status": reply.status, "headers": headers},
        {"type": "http.response.body", "body": b"" if is_head else body, "more_body": False},
    )
