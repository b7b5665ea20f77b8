"""The document that everybody in line reads: written at most a few times a second, then only sent.

It is most of what an on-sale asks for, so a plain request for one that is as new as can be is
answered before anything else of it is looked at.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from api.fastlane.kept import Kept
from api.fastlane.replies import Reply, write_reply
from api.queue_answers import tell_serving
from api.server import Exchange, Headers, RequestScope
from api.versions import HEADER
from engine.waitingroom.queues import Queue
from engine.waitingroom.room import WaitingRoom
from engine.waitingroom.standing import Standing

SHARED: Final = "public, max-age=1"
_WRITTEN_MAX: Final = 1024
_TAG_BYTES: Final = 10
_ANYTHING: Final = (None, "*/*")
_encode: Final = msgspec.json.Encoder().encode


class Written(Struct, frozen=True):
    """The document of one show, as everybody gets it."""

    queue: Queue
    standing: Standing
    second: int
    kept: Kept
    reply: Reply
    headers: Headers
    """Those of the reply, but for the request's id."""


_written: OrderedDict[str, Written] = OrderedDict()
"""By path."""


def write_serving(queue: Queue, standing: Standing) -> Written:
    """Return the document, written anew when a second is over or something has changed."""
    path = f"/v1/shows/{queue.show_text}/queue/serving"
    second = int(time.time())
    written = _written.get(path)
    if (
        written is not None
        and written.second == second
        and written.standing is standing
        and written.queue is queue
    ):
        return written
    now = datetime.fromtimestamp(second, UTC)
    content = _encode(tell_serving(queue, standing, now))
    kept = Kept(f'W/"{blake2b(content, digest_size=_TAG_BYTES).hexdigest()}"', SHARED)
    reply = kept.reply(content, is_gzip=False)
    (_, *headers), _ = write_reply(reply, "", None)
    # The server says the length by itself; each header costs as much as a look at the room.
    headers = [(name, value) for name, value in headers if name != "content-length"]
    written = Written(queue, standing, second, kept, reply, headers)
    _written[path] = written
    _written.move_to_end(path)
    if len(_written) > _WRITTEN_MAX:
        _written.popitem(last=False)
    return written


def send_written(
    scope: RequestScope, exchange: Exchange, room: WaitingRoom, request_ids: Iterator[str]
) -> bool:
    """Answer a plain GET of a document that is up to date; False: nothing was done."""
    written = _written.get(scope.path)
    if (
        written is None
        or written.second != int(time.time())
        or room.known(written.queue.show) != (written.queue, written.standing)
        or scope.query_string
    ):
        return False
    headers = scope.headers
    if (
        headers.get("accept") not in _ANYTHING
        or "x-request-id" in headers
        or HEADER in headers
        or written.kept.is_had(headers.get("if-none-match"))
    ):
        return False
    told = [("x-request-id", next(request_ids)), *written.headers]
    exchange.response_bytes(written.reply.status, told, written.reply.body)
    return True
