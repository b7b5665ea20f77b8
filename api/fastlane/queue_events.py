"""News of a waiting room as server-sent events (WHATWG HTML, 9.2); documented in `api.queues`.

The server keeps what a client does not read. So a stream ends after some minutes, when a client
that follows the standard comes back by itself, and tells at most once a second; there are only so
many at a time, and who finds none free asks for the shared document instead.
"""

import asyncio
import random
from asyncio import FIRST_COMPLETED
from typing import Final
from urllib.parse import parse_qsl

import msgspec
import structlog
from msgspec import Struct

from api.edge import NO_STORE, SECURITY_HEADERS
from api.fastlane.call import Visit
from api.fastlane.queue import find_queue, queue_token, show_id
from api.fastlane.queue_document import write_serving
from api.problems import Fault, invalid
from api.queue_answers import tell_position
from api.reading import check_parameters
from api.server import BROKEN_OFF, Stream
from api.versions import CURRENT
from api.versions import HEADER as VERSION_HEADER
from engine.inventory.commands import Overloaded, Recovering
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import EntityId
from engine.waitingroom.commands import NoPass
from engine.waitingroom.queues import NoQueueError, Queue
from engine.waitingroom.room import Position, WaitingRoom
from engine.waitingroom.standing import Standing
from engine.waitingroom.states import QueueState
from engine.waitingroom.tokens import QueueToken

STREAM_S: Final = 120.0
BEAT_S: Final = 15.0
_TELL_EVERY_S: Final = 1.0
_JITTER: Final = 0.25
_NEXT_WITHIN_S: Final = 60
_SEND_TIMEOUT_S: Final = 10.0
_BEAT: Final = ": still there\n\n"
_HEADERS: Final = [
    ("content-type", "text/event-stream"),
    ("x-accel-buffering", "no"),
    (VERSION_HEADER, CURRENT),
    *((name.decode(), value.decode()) for name, value in (*SECURITY_HEADERS, NO_STORE)),
]
_STATES_TOLD: Final = {
    QueueState.PAUSED: "paused",
    QueueState.SOLD_OUT: "sold-out",
    QueueState.CLOSED: "closed",
}
_encode: Final = msgspec.json.Encoder().encode
_log = structlog.stdlib.get_logger(__name__)


class _Told(Struct):
    """What one client was told last."""

    state: QueueState | None = None
    stage: str = ""


async def tell_events(visit: Visit) -> None:
    """Tell how the line moves, and what that means for one number, until the stream is over.

    Raises:
        ProblemError: before anything was sent.
    """
    text = _token_text(visit)
    with visit.streams.opened(visit.address()):
        queue, standing = await find_queue(visit)
        token = None if text is None else queue_token(visit, queue, text)
        transport = visit.exchange.response_stream(200, _HEADERS)
        # From here on there is no other answer, whatever goes wrong.
        try:
            await _stream(visit, transport, token, (queue, standing))
        except (TimeoutError, *BROKEN_OFF):
            return  # a client that reads nothing, or went away
        except Exception:  # noqa: BLE001 - the last net, since `FastLane` can answer no more
            _log.exception("stream ended")


async def _stream(
    visit: Visit, transport: Stream, token: QueueToken | None, found: tuple[Queue, Standing] | None
) -> None:
    room, show = visit.runtime.waiting_room, show_id(visit)
    gone = asyncio.ensure_future(visit.exchange.client_disconnect())
    changed = room.listen(show)
    told = _Told()
    loop = asyncio.get_running_loop()
    ends = loop.time() + STREAM_S * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
    try:
        await _send(transport, f"retry: {random.randint(500, 3000)}\n\n")  # noqa: S311 - no secret
        while not gone.done() and loop.time() < ends:
            changed.clear()
            await _send(transport, _tell(visit, *found, token, told) if found else _BEAT)
            await asyncio.wait({gone}, timeout=_TELL_EVERY_S)
            if found:
                waited = asyncio.ensure_future(changed.wait())
                await asyncio.wait({gone, waited}, timeout=BEAT_S, return_when=FIRST_COMPLETED)
                waited.cancel()
                if not changed.is_set():
                    await _send(transport, _BEAT)
            found = await _look_again(room, show)
    except NoQueueError:
        return  # there is nothing to be told of any more
    finally:
        gone.cancel()
        room.forget(show, changed)


async def _look_again(room: WaitingRoom, show: EntityId) -> tuple[Queue, Standing] | None:
    """Return how a queue stands now; None: nobody can tell just now.

    Raises:
        NoQueueError: the waiting room was switched off.
    """
    try:
        found = room.known(show) or await room.look_in(show)
    except StoreUnavailableError:
        return None  # whoever else asks is told, and it is logged where the store is read
    return None if isinstance(found, Recovering | Overloaded) else found


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
