"""The least that a server of holds could do: read and decode the body, answer a constant.

What this application can't reach on a machine, no application can there, behind the same server.
"""

from http import HTTPStatus
from typing import Final

import msgspec

from loadtests.controls import asgi
from loadtests.controls.bodies import HoldBody, deadline, tell_hold

_ANSWER: Final = msgspec.json.encode(
    tell_hold(
        hold=f"hld_dev_{0:016x}_{0:032x}",
        show=f"shw_dev_{0:016x}",
        buyer="b-12345",
        seats=["101-10-11", "101-10-12"],
        ends_at=deadline(600),
    )
)

_START: Final = asgi.start(HTTPStatus.CREATED, _ANSWER)
_BODY: Final = {"type": "http.response.body", "body": _ANSWER}
_decode: Final = msgspec.json.Decoder(HoldBody).decode


async def app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """Serve one request, or the lifespan."""
    if scope["type"] == "lifespan":
        await asgi.live(receive, send, _nothing, _nothing)
        return
    _decode(await asgi.read_body(receive))
    await send(_START)
    await send(_BODY)


async def _nothing() -> None:
    """Nothing is opened, so nothing is closed."""
