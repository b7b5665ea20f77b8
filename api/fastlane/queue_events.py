"""News of a waiting room as server-sent events (WHATWG HTML, 9.2); documented in `api.queues`.

The server keeps what a client does not read. So a stream ends after some minutes, when a client
that follows the standard comes back by itself, and tells at most once a second; there are only so
many at a time, and who finds none free asks for the shared document instead.
"""

import asyncio
import random
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from api.edge import NO_STORE, SECURITY_HEADERS
from api.fastlane.call import Visit
from api.fastlane.queue import find_queue, queue_token, show_id
from api.fastlane.queue_document import write_serving
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.queue_answers import tell_position
from api.reading import check_parameters
from api.server import Stream
from engine.waitingroom.commands import NoPass
from engine.waitingroom.queues import Queue
from engine.waitingroom.room import Position
from engine.waitingroom.standing import Standing
from engine.waitingroom.states import QueueState
from engine.waitingroom.tokens import QueueToken

STREAMS_MAX: Final = 4096
STREAM_S: Final = 120.0
BEAT_S: Final = 15.0
_TELL_EVERY_S: Final = 1.0
_JITTER: Final = 0.25
_NEXT_WITHIN_S: Final = 60
_SEND_TIMEOUT_S: Final = 10.0
_HEADERS: Final = [
    ("content-type", "text/event-stream"),
    ("x-accel-buffering", "no"),
    *((name.decode(), value.decode()) for name, value in (*SECURITY_HEADERS, NO_STORE)),
]
_STATES_TOLD: Final = {
    QueueState.PAUSED: "paused",
    QueueState.SOLD_OUT: "sold-out",
    QueueState.CLOSED: "closed",
}
_encode: Final = msgspec.json.Encoder().encode


class _Told(Struct):
    """What one client was told last."""

    state: QueueState | None = None
    stage: str = ""


_open = 0


async def tell_events(visit: Visit) -> None:
    """Tell how the line moves, and what that means for one number, until the stream is over.

    Raises:
        ProblemError: before anything was sent.
    """
    global _open  # noqa: PLW0603 - one count for the process
    text = _token_text(visit)
    queue, standing = await find_queue(visit)
    token = None if text is None else queue_token(visit, queue, text)
    if _open >= STREAMS_MAX:
        raise ProblemError(
            ProblemKind.OVERLOADED, "Too many listen here; ask for the shared document instead."
        )
    _open += 1
    try:
        await _stream(visit, token, queue, standing)
    finally:
        _open -= 1


async def _stream(visit: Visit, token: QueueToken | None, queue: Queue, standing: Standing) -> None:
    room, show = visit.runtime.waiting_room, show_id(visit)
    transport: Stream = visit.exchange.response_stream(200, _HEADERS)
    gone = asyncio.ensure_future(visit.exchange.client_disconnect())
    changed = room.listen(show)
    told = _Told()
    loop = asyncio.get_running_loop()
    ends = loop.time() + STREAM_S * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
    try:
        await _send(transport, f"retry: {random.randint(500, 3000)}\n\n")  # noqa: S311 - no secret
        while not gone.done() and loop.time() < ends:
            changed.clear()
            known = room.known(show)
            if known is not None:
                queue, standing = known
            await _send(transport, _tell(visit, queue, standing, token, told))
            await asyncio.wait({gone}, timeout=_TELL_EVERY_S)
            waited = asyncio.ensure_future(changed.wait())
            await asyncio.wait({gone, waited}, timeout=BEAT_S, return_when=asyncio.FIRST_COMPLETED)
            waited.cancel()
            if not changed.is_set():
                room.known(show)  # still asked for
                await _send(transport, ": still there\n\n")
    except TimeoutError:
        return  # a client that reads nothing
    finally:
        gone.cancel()
        room.forget(show, changed)


async def _send(transport: Stream, text: str) -> None:
    async with asyncio.timeout(_SEND_TIMEOUT_S):
        await transport.send_str(text)


def _tell(
    visit: Visit, queue: Queue, standing: Standing, token: QueueToken | None, told: _Told
) -> str:
    """Return the events that tell how the queue stands now."""
    document = write_serving(queue, standing).reply.body.decode()
    events = [_event("serving", document)]
    if standing.state is not told.state:
        told.state = standing.state
        word = _STATES_TOLD.get(standing.state)
        if word is not None:
            events.append(_event(word, document))
    if token is not None:
        position = visit.runtime.waiting_room.position(queue, standing, token.number)
        answer = tell_position(position, NoPass())
        data = _encode(answer).decode()
        events.append(_event("position", data))
        stage = _stage(position, standing)
        if stage not in {"", told.stage}:
            events.append(_event(stage, data))
        told.stage = stage
    return "".join(events)


def _stage(position: Position, standing: Standing) -> str:
    """Return what has come for a number: `admitted`, `next` within a minute or so, or nothing."""
    if standing.state in {QueueState.PRE_QUEUE, QueueState.DRAWN} or position.ahead is None:
        return ""
    if position.is_admitted:
        return "admitted"
    fast = standing.fast or 0.0
    return "next" if position.ahead <= fast * _NEXT_WITHIN_S else ""


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def _token_text(visit: Visit) -> str | None:
    """Return the token, from its header or, since EventSource sends none, the query."""
    given = parse_qsl(visit.scope.query_string, keep_blank_values=True)
    check_parameters([name for name, _ in given], "token")
    in_query = dict(given).get("token")
    in_header = visit.headers.get("queue-token")
    if in_query is not None and in_header is not None:
        raise invalid(Fault("came as a header too", parameter="token"))
    return in_header if in_query is None else in_query
