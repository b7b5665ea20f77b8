"""Streams in the document: the events that each tells, with the schema of their data.

OpenAPI 3.1 has no words for server-sent events: a stream's body is text, and what it is made of
stands beside it as `x-events`, which the page at `/docs` shows.
"""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from api.contract.examples import suggest
from api.queue_answers import PositionAnswer, ServingAnswer


class Event(Struct, frozen=True):
    """One event of a stream: its name, when it is told, and the shape of its `data`."""

    name: str
    when: str
    data: type[Struct]


class LiveArea(Struct, frozen=True):
    """An area's places by state."""

    area: str
    open: int
    held: int
    sold: int
    blocked: int


class LiveSnapshot(Struct, frozen=True):
    """How the seats stand: what was told before is void.

    `states` is base64 of two bits a position of `ranges` (each from the first to before the last),
    the first in the lowest bits of the first byte: 0 open, 1 held, 2 sold, 3 blocked or no seat.
    `state` is the show's: of one that is cancelled or past nothing is open. `labels` tells which
    positions the seats have that were asked for by label: an object, position by label. That it is
    an array was released by mistake, and is mended with the next major version.
    """

    epoch: int
    sequence: str
    inventory_version: int
    state: str
    as_of: datetime
    ranges: list[tuple[int, int]]
    states: str
    areas: list[LiveArea]
    labels: list[str] | UnsetType = UNSET


class LiveDelta(Struct, frozen=True):
    """What has changed since the event before: the positions that are so now."""

    sequence: str
    inventory_version: int
    as_of: datetime
    open: list[int] | UnsetType = UNSET
    held: list[int] | UnsetType = UNSET
    sold: list[int] | UnsetType = UNSET
    blocked: list[int] | UnsetType = UNSET
    areas: list[LiveArea] | UnsetType = UNSET


class LiveGone(Struct, frozen=True):
    """Nobody knows for now; a snapshot follows on the same stream."""

    reason: Literal["recovering", "unavailable"]


STREAMS: Final[dict[str, tuple[Event, ...]]] = {
    "/v1/shows/{show}/queue/events": (
        Event("serving", "At first, and whenever the line has moved.", ServingAnswer),
        Event("paused", "The line stands still.", ServingAnswer),
        Event("sold-out", "Nothing is left to be had.", ServingAnswer),
        Event("closed", "Nobody is let in any more.", ServingAnswer),
        Event("position", "With a token: where its number stands.", PositionAnswer),
        Event("next", "With a token: its turn comes within a minute or so.", PositionAnswer),
        Event("admitted", "With a token: claim the pass.", PositionAnswer),
    ),
    "/v1/shows/{show}/live": (
        Event("snapshot", "At first, and whenever deltas would leave a hole.", LiveSnapshot),
        Event("delta", "At most ten times a second.", LiveDelta),
        Event("gone", "While the show is being recovered, or a store is away.", LiveGone),
    ),
}
"""By path. A stream that is not here is described by its words alone."""


def stream_types() -> list[type[Struct]]:
    """Return the types of all events' data."""
    return [event.data for events in STREAMS.values() for event in events]


def describe_stream(path: str, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return what a stream's media type says beside its schema."""
    events = STREAMS.get(path, ())
    if not events:
        return {}
    refs = {event.name: f"#/components/schemas/{event.data.__name__}" for event in events}
    first = events[0]
    data = msgspec.json.encode(suggest({"$ref": refs[first.name]}, schemas)).decode()
    return {
        "x-events": [
            {"event": event.name, "when": event.when, "data": {"$ref": refs[event.name]}}
            for event in events
        ],
        "examples": {
            "first event": {"value": f"retry: 1500\n\nevent: {first.name}\ndata: {data}\n\n"}
        },
    }
