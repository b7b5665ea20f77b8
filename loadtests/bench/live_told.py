"""What a watcher of live seats knows, from what they were told: read as docs/LIVE.md says."""

import base64
from typing import Any, Final

import msgspec

_STATES: Final = "ohsb"
_NAMES: Final = {"open": "o", "held": "h", "sold": "s", "blocked": "b"}


def told_states(answer: str) -> str:
    """Return the letter of each position of a show, from all bytes of an answer over HTTP/1.1."""
    states: list[str] = []
    for event in read_events(answer):
        told: dict[str, Any] = msgspec.json.decode(event["data"])
        if event["event"] == "snapshot":
            states = unpack(told)
        elif event["event"] == "delta":
            for name, letter in _NAMES.items():
                for position in told.get(name, ()):
                    states[position] = letter
    return "".join(states)


def unpack(snapshot: dict[str, Any]) -> list[str]:
    """Return the letters of a snapshot's positions, in their order."""
    packed = base64.b64decode(snapshot["states"])
    letters = [_STATES[byte >> shift & 3] for byte in packed for shift in (0, 2, 4, 6)]
    return letters[: sum(end - start for start, end in snapshot["ranges"])]


def read_events(answer: str) -> list[dict[str, str]]:
    """Return the events that have data: their fields."""
    body = answer.partition("\r\n\r\n")[2]
    # A chunk ends with an event, and its size stands on a line of its own.
    lines = [line for line in body.replace("\r\n", "\n").split("\n") if ": " in line or not line]
    events: list[dict[str, str]] = [{}]
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            events[-1][name] = value
        elif events[-1]:
            events.append({})
    return [event for event in events if "data" in event]
