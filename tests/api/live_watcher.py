"""Somebody who watches live seats over HTTP, and knows what they were told."""

import base64
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec

LETTERS = {"open": "o", "held": "h", "sold": "s", "blocked": "b"}


class LiveWatcher:
    """One stream."""

    def __init__(self, response: httpx.Response) -> None:
        """Take an answer that has begun."""
        self.response = response
        self.id = ""
        self.states: dict[int, str] = {}
        self.areas: dict[str, dict[str, Any]] = {}
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, dict[str, Any]]:
        """Return the next event that has data, and learn what it tells."""
        name, data = "", ""
        for line in self._lines:
            field, _, value = line.partition(": ")
            if field == "id":
                self.id = value
            elif field == "event":
                name = value
            elif field == "data":
                data = value
            elif not line and data:
                told = msgspec.json.decode(data)
                self._learn(name, told)
                return name, told
        msg = "the stream has ended"
        raise EOFError(msg)

    def until(self, event: str) -> dict[str, Any]:
        """Return the next event of a name."""
        while True:
            name, told = self.next()
            if name == event:
                return told

    def until_known(self, states: str) -> None:
        """Read on until all is known as it is: states in the form of availability."""
        wanted = {n: letter for n, letter in enumerate(states) if letter != "|"}
        while {n: self.states.get(n) for n in wanted} != wanted:
            self.next()

    def _learn(self, name: str, told: dict[str, Any]) -> None:
        if name == "snapshot":
            packed = base64.b64decode(told["states"])
            letters = iter("ohsb"[byte >> shift & 3] for byte in packed for shift in (0, 2, 4, 6))
            self.states = {
                n: next(letters) for start, end in told["ranges"] for n in range(start, end)
            }
            self.areas = {}
        for field, letter in LETTERS.items():
            self.states |= dict.fromkeys(told.get(field, ()), letter)
        self.areas |= {area["area"]: area for area in told.get("areas", ())}


@contextmanager
def watching(
    base_url: str, path: str, headers: Mapping[str, str] | None = None, *, within_s: float = 10
) -> Generator[LiveWatcher]:
    """Watch; no event may be longer in coming than this."""
    timeout = httpx.Timeout(10, read=within_s)
    with (
        httpx.Client(base_url=base_url, timeout=timeout) as client,
        client.stream("GET", path, headers=headers) as response,
    ):
        if response.is_error:
            response.read()
        yield LiveWatcher(response)
