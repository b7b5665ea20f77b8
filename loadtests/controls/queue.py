"""The least that a server of a waiting room could do: read the request, answer a constant.

A GET gets a document as large as the one that everybody in line polls. A POST is decoded, and gets
what somebody who joins is told.
"""

from http import HTTPStatus
from typing import Final

import msgspec
from msgspec import Struct

from loadtests.controls import asgi

_SHOW: Final = f"shw_dev_{0:016x}"
_SERVING: Final = msgspec.json.encode(
    {
        "show": _SHOW,
        "state": "running",
        "serving": 1_284,
        "next": 731_402,
        "rate": 20.0,
        "epoch": 1,
        "drawn": False,
        "count": None,
        "opens_at": "2026-01-01T00:00:00Z",
        "draws_at": None,
        "server_time": "2026-01-01T00:01:05Z",
        "pace": {"slow": 19.667, "fast": 24.333},
        "skipped": [],
    }
)
_JOINED: Final = msgspec.json.encode(
    {
        "token": f"{'A' * 12}.{'A' * 43}",
        "number": 731_402,
        "drawn": True,
        "place": 731_402,
        "ahead": 730_118,
        "state": "running",
        "serving": 1_284,
        "serving_url": f"/v1/shows/{_SHOW}/queue/serving",
    }
)


class JoinBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of who joins; it may be missing."""

    identity: str = ""
    proof: str = ""


_SHOWN: Final = (
    asgi.start(HTTPStatus.OK, _SERVING),
    {"type": "http.response.body", "body": _SERVING},
)
_GIVEN: Final = (
    asgi.start(HTTPStatus.CREATED, _JOINED),
    {"type": "http.response.body", "body": _JOINED},
)
_decode: Final = msgspec.json.Decoder(JoinBody).decode


async def app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Serve one request, or the lifespan."""
    if scope["type"] == "lifespan":
        await asgi.live(receive, send, _nothing, _nothing)
        return
    answer = _SHOWN
    if scope["method"] == "POST":
        _decode(await asgi.read_body(receive) or b"{}")
        answer = _GIVEN
    for message in answer:
        await send(message)


async def _nothing() -> None:
    """Nothing is opened, so nothing is closed."""
