"""Buyers of shows that are out for a while: when had they seats again?

None of them repeats what failed; each asks anew, with another key, a moment later.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from itertools import pairwise
from typing import Final
from uuid import uuid4

from loadtests.bench.batch_door import TTL_S, BatchDoor, fresh_buyer, hold_seats
from loadtests.bench.http_bench import BenchError
from loadtests.bench.measurement import Site
from loadtests.torture.wire import LostError, NotSentError, Wire, path_of

_ANSWER_TIMEOUT_S: Final = 10.0
_IMPATIENT_S: Final = 0.02
_PATIENCE_S: Final = 60.0
_BUYERS: Final = 4
_COMMANDS_A_REQUEST: Final = 250


class Queue:
    """Buyers of one show, each of whom wants a seat that nobody else asks for."""

    def __init__(self, site: Site, show: str, seats: Iterable[str]) -> None:
        """Take a show and which of its seats nobody has asked for."""
        self._wire = Wire(site.base_url, site.api_key, _ANSWER_TIMEOUT_S)
        self._path = path_of("shows", show, "holds")
        self._seats = iter(seats)

    async def first_held(self, pause_s: float = _IMPATIENT_S) -> float:
        """Have a buyer ask until a seat was held; return the monotonic time when it was.

        Raises:
            BenchError: none was within a minute, or no seat is left.
        """
        seat = self._next_seat()
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            status = await self._ask(seat)
            if status == HTTPStatus.CREATED:
                return time.monotonic()
            if status == HTTPStatus.CONFLICT:  # held by a try whose answer was lost
                seat = self._next_seat()
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret
        msg = f"no hold succeeded within {_PATIENCE_S:g} s"
        raise BenchError(msg)

    @asynccontextmanager
    async def crowded(self) -> AsyncGenerator[list[float]]:
        """Let buyers come one after the other in the block; gives when holds succeeded."""
        had: list[float] = []

        async def come() -> None:
            while True:
                had.append(await self.first_held())
                await asyncio.sleep(_IMPATIENT_S)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(come()) for _ in range(_BUYERS)]
            try:
                yield had
            finally:
                for task in tasks:
                    task.cancel()

    def _next_seat(self) -> str:
        seat = next(self._seats, None)
        if seat is None:
            msg = "no seat is left to ask for"
            raise BenchError(msg)
        return seat

    async def _ask(self, seat: str) -> int | None:
        """Ask once; return the answer's status, None if it was lost."""
        body = {"buyer": fresh_buyer(), "seats": [seat], "ttl_s": TTL_S}
        try:
            answer = await self._wire.ask("POST", self._path, body, key=str(uuid4()))
        except (NotSentError, LostError):
            return None
        return answer.status


async def until_held(had: list[float], after: float) -> float:
    """Wait for the first of a crowd's holds after that time; return when it was.

    Raises:
        BenchError: there was none within a minute.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if found := next((at for at in had if at > after), None):
            return found
        await asyncio.sleep(_IMPATIENT_S)
    msg = f"no hold succeeded within {_PATIENCE_S:g} s"
    raise BenchError(msg)


def longest_gap(had: list[float], since: float, until: float) -> float:
    """Return for how long none was held, between two times."""
    moments = [since, *(at for at in sorted(had) if since < at < until), until]
    return max(b - a for a, b in pairwise(moments))


def sell_half(site: Site, show: str, seats: list[str], live_holds: int) -> list[str]:
    """Sell every other pair of seats, and hold so many more; return the live holds' ids.

    The seats are changed: what is left of them nobody has asked for.
    """
    pairs = [seats[n : n + 2] for n in range(0, len(seats) - 1, 2)]
    sold, rest = pairs[::2], pairs[1::2]
    with BatchDoor(site, show) as door:
        for some in _chunks(sold):
            door.purchase(door.hold([hold_seats(pair) for pair in some]))
        live = [
            hold
            for some in _chunks(rest[:live_holds])
            for hold in door.hold([hold_seats(pair) for pair in some])
        ]
    seats[:] = [seat for pair in rest[live_holds:] for seat in pair]
    return live


async def check_held(site: Site, show: str, holds: Iterable[str]) -> None:
    """See that holds live.

    Raises:
        BenchError: one does not.
    """
    wire = Wire(site.base_url, site.api_key, _ANSWER_TIMEOUT_S)
    for hold in holds:
        answer = await wire.ask("GET", path_of("shows", show, "holds", hold))
        if answer.status != HTTPStatus.OK or answer.body["status"] != "held":
            msg = f"hold {hold} is lost: {answer.status} {answer.body}"
            raise BenchError(msg)


def _chunks(pairs: list[list[str]]) -> Iterator[list[list[str]]]:
    return (pairs[n : n + _COMMANDS_A_REQUEST] for n in range(0, len(pairs), _COMMANDS_A_REQUEST))
