"""Streams in the document: the events that each tells, with the schema of their data.

OpenAPI 3.1 has no words for server-sent events: a stream's body is text, and what it is made of
stands beside it as `x-events`, which the page at `/docs` shows.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from api.contract.examples import suggest
from api.queue_answers import PositionAnswer, ServingAnswer


class Event(Struct, frozen=True):
    """One event of a stream: its name, when it is told, and the shape of its `data`."""

    name: str
    when: str
    data: type[Struct]


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
