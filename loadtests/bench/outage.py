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
from statistics import median
from typing import Any, Final
from uuid import uuid4

from loadtests.bench.batch_door import TTL_S, BatchDoor, fresh_buyer, hold_seats
from loadtests.bench.http_bench import BenchError
from loadtests.bench.measurement import Figure, Site
from loadtests.torture.wire import Answer, LostError, NotSentError, Wire, path_of

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
        self._show = show
        self._path = path_of("shows", show, "holds")
        self._seats = iter(seats)
        self.confirmed: list[str] = []
        """The orders that buyers were told to be theirs."""

    async def first_held(self, pause_s: float = _IMPATIENT_S) -> float:
        """Have a buyer ask until a seat was held; return the monotonic time when it was.

        Raises:
            BenchError: none was within a minute, or no seat is left.
        """
        seat = self._next_seat()
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            answer = await self._ask(self._path, self._body(seat), str(uuid4()))
            if answer is not None and answer.status == HTTPStatus.CREATED:
                return time.monotonic()
            if answer is not None and answer.status == HTTPStatus.CONFLICT:
                seat = self._next_seat()  # held by a try whose answer was lost
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 -- no secret
        msg = f"no hold succeeded within {_PATIENCE_S:g} s"
        raise BenchError(msg)

    async def first_bought(self) -> float:
        """Have a buyer ask until a seat was held and is confirmed; return when it was.

        Raises:
            BenchError: not within a minute, the hold was lost, or no seat is left.
        """
        path, seat = path_of("shows", self._show, "purchases"), self._next_seat()
        key, hold = str(uuid4()), ""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            if not hold:
                answer = await self._ask(self._path, self._body(seat), key)
                hold = answer.body["hold"] if answer and answer.status == HTTPStatus.CREATED else ""
            if hold:
                body = {"hold": hold, "payment_reference": "bench"}
                answer = await self._ask(path, body, key)
                if answer is not None and answer.status == HTTPStatus.CREATED:
                    self.confirmed.append(answer.body["order"])
                    return time.monotonic()
                if answer is not None and answer.status == HTTPStatus.NOT_FOUND:
                    hold, key = "", str(uuid4())  # as a primary's last holds may be
            await asyncio.sleep(_IMPATIENT_S)
        msg = f"no purchase was confirmed within {_PATIENCE_S:g} s"
        raise BenchError(msg)

    @asynccontextmanager
    async def crowded(self, *, buy: bool = False) -> AsyncGenerator[list[float]]:
        """Let buyers come one after the other in the block; gives when they had a seat."""
        had: list[float] = []

        async def come() -> None:
            while True:
                had.append(await (self.first_bought() if buy else self.first_held()))
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

    @staticmethod
    def _body(seat: str) -> dict[str, Any]:
        return {"buyer": fresh_buyer(), "seats": [seat], "ttl_s": TTL_S}

    async def _ask(self, path: str, body: object, key: str) -> Answer | None:
        """Ask once; None if the answer was lost."""
        try:
            return await self._wire.ask("POST", path, body, key=key)
        except (NotSentError, LostError):
            return None


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


def figure_of(  # noqa: PLR0913 -- what a figure is made of, by name
    name: str,
    unit: str,
    rounds: list[float],
    *,
    at_most_s: float,
    details: dict[str, Any],
    settings: dict[str, Any],
) -> Figure:
    """Return the figure of a time that has no control: the median of its rounds, in seconds."""
    value = median(rounds)
    return Figure(
        name=name,
        value=round(value, 3),
        unit=unit,
        control=None,
        control_unit=None,
        ratio=None,
        target=f"at most {at_most_s:g} s",
        met=value <= at_most_s,
        rounds=[(round(one, 3), None) for one in rounds],
        details={"most": round(max(rounds), 3), **details},
        settings=settings,
    )


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


async def check_confirmed(site: Site, orders: Iterable[str]) -> None:
    """See that orders are there.

    Raises:
        BenchError: one is not.
    """
    wire = Wire(site.base_url, site.api_key, _ANSWER_TIMEOUT_S)
    for order in orders:
        answer = await wire.ask("GET", path_of("orders", order))
        if answer.status != HTTPStatus.OK or answer.body["status"] != "confirmed":
            msg = f"order {order} is lost: {answer.status} {answer.body}"
            raise BenchError(msg)


def _chunks(pairs: list[list[str]]) -> Iterator[list[list[str]]]:
    return (pairs[n : n + _COMMANDS_A_REQUEST] for n in range(0, len(pairs), _COMMANDS_A_REQUEST))
