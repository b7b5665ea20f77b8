"""The little of ASGI that an application without a framework needs."""

import os
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def preempt_nobody() -> None:
    """Be scheduled as the API is, whose `api.app` says why: what is compared is the application."""
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


async def live(
    receive: Receive,
    send: Send,
    start: Callable[[], Awaitable[None]],
    stop: Callable[[], Awaitable[None]],
) -> None:
    """Answer the server's lifespan messages."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            preempt_nobody()
            await start()
            await send({"type": "lifespan.startup.complete"})
        else:
            await stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def read_body(receive: Receive) -> bytes:
    """Return a request's whole body.

    Raises:
        ConnectionError: the client went away.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        msg = "the client went away"
        raise ConnectionError(msg)
    return body


def start(status: HTTPStatus, body: bytes) -> dict[str, Any]:
    """Return the first message of an answer with JSON."""
    return {
        "type": "http.response.start",
        "status": status.value,
        "headers": [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ],
    }


async def answer(send: Send, status: HTTPStatus, body: bytes) -> None:
    """Answer with JSON."""
    await send(start(status, body))
    await send({"type": "http.response.body", "body": body})
