"""What everybody in a rehearsal shares: the show, the clock, and how the line stands."""

import asyncio
import random
import time
from typing import Any, Final

import msgspec
from msgspec import Struct
from onsale_client.wire import path_of

from loadtests.buyers.storefront import Storefront
from loadtests.rehearsal.door import Answer, Door, LostError
from loadtests.rehearsal.plan import Plan
from loadtests.rehearsal.record import Record

SOLD_OUT: Final = "sold-out"
_TRIES_MAX: Final = 20
_PAUSE_S_MAX: Final = 2.0
_BUSY: Final = 503


class Serving(Struct, frozen=True):
    """The part of the shared document that people go by."""

    state: str
    serving: int
    next: int
    drawn: bool
    count: int | None


class GaveUpError(Exception):
    """A request got no answer within all its tries."""


class Sale:
    """One sale and all that is known of it outside."""

    def __init__(self, plan: Plan, show: str, api_key: str, record: Record) -> None:
        """Take the plan, the show's id and the key that the reseller's shop holds with."""
        self.plan = plan
        self.record = record
        self.luck = random.Random(plan.seed)  # noqa: S311 -- dice
        self.front: Storefront | None = None
        self.opens_s = self.sale_s = 0.0
        self.serving: Serving | None = None
        self.places: list[int] | None = None
        """Place by entry, recomputed from the published draw; None before."""
        self.over = asyncio.Event()
        """Nobody gets anything any more: sold out, or given up."""
        self.shop = f"Authorization: Bearer {api_key}\r\n"
        self._show = show

    def path(self, *parts: str) -> str:
        """Return a path below the show's."""
        return path_of("shows", self._show, *parts)

    @property
    def show(self) -> str:
        """The show's id."""
        return self._show

    @property
    def minute(self) -> float:
        """Minutes of the sale's own time since the doors opened."""
        return self.plan.minutes(time.time() - self.opens_s)

    def place(self, number: int) -> int | None:
        """Return a number's place, once there are places."""
        if self.places is None:
            return None
        return self.places[number] if number < len(self.places) else number

    async def pause(self, minutes: float) -> None:
        """Let minutes of the sale go by."""
        await asyncio.sleep(self.plan.seconds(minutes))

    async def insist(
        self, door: Door, method: str, path: str, headers: str = "", body: object = None
    ) -> Answer:
        """Ask until the answer is another than `503`; the caller's key makes repeating safe.

        Raises:
            GaveUpError: nothing but failures in 20 tries.
        """
        for attempt in range(_TRIES_MAX):
            try:
                answer = await door.ask(method, path, headers, body)
            except LostError:
                self.record.lost += 1
            else:
                if answer.status != _BUSY:
                    return answer
                self.record.tally.told_to_wait += 1
            pause_s = min(0.05 * 2**attempt, _PAUSE_S_MAX)
            await asyncio.sleep(pause_s * self.luck.uniform(0.5, 1.0))
        msg = f"{method} {path}: no answer in {_TRIES_MAX} tries"
        raise GaveUpError(msg)

    async def follow(self, door: Door) -> None:
        """Read the shared document, as one cache in front of everybody would."""
        answer = await self.insist(door, "GET", self.path("queue", "serving"))
        try:
            self.serving = msgspec.json.decode(answer.body, type=Serving)
        except msgspec.DecodeError:
            self.record.tally.error(f"the shared document: {answer.told()}")
            return
        if self.serving.state == SOLD_OUT:
            self.over.set()

    async def read_draw(self, door: Door) -> dict[str, Any] | None:
        """Return the published draw; None while it is not drawn."""
        answer = await self.insist(door, "GET", self.path("queue", "draw"))
        draw = answer.read()
        return draw if draw.get("drawn") and draw.get("digest") else None
