"""Tells one endpoint what is due, for as long as its lease and its turn last.

It begins with one message at a time. Each that is delivered lets one more be on its way, up to a
bound, and one that failed takes it back to one: so an endpoint that hangs holds up a single slot.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.facts.answers import tell_fact
from engine.facts.log import Fact
from engine.notify.due import Due, read_due
from engine.notify.leases import Leased, release_endpoint
from engine.notify.results import Result, discard, write_results
from engine.notify.schedule import Dice
from engine.notify.secrets import open_secrets
from engine.notify.sending import Sender, Sent
from engine.notify.signing import Secrets, sign_headers
from engine.notify.slots import AT_ONCE_MAX, Slots
from engine.platform.ids import Ids, entity_hex
from engine.platform.sealing import Sealer

TURN_MESSAGES: Final = 500
"""After so many it is somebody else's turn."""
TURN_S: Final = 5.0
"""As after so long: who answers late, and well, must not keep a slot for hours."""
_RELEASE_TIMEOUT_S: Final = 2.0

Clock = Callable[[], datetime]
"""Tells the time, with its zone."""

_encode: Final = msgspec.json.Encoder().encode
_log = structlog.stdlib.get_logger(__name__)


def system_clock() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Tools(Struct, frozen=True):
    """What every courier of a worker has."""

    engine: AsyncEngine
    ids: Ids
    sealer: Sealer
    sender: Sender
    slots: Slots
    clock: Clock
    dice: Dice


class Courier:
    """At one endpoint, which is leased."""

    def __init__(self, tools: Tools, leased: Leased) -> None:
        """Take the endpoint."""
        self._tools = tools
        self._leased: Leased | None = leased
        self._first = leased
        self._waiting: deque[Due] = deque()
        self._flights: dict[asyncio.Task[Sent], tuple[Due, datetime]] = {}
        self._opened: tuple[bytes, Secrets] | None = None
        self._window = 1
        self._extra = 0
        self._told = 0
        self._ends_at = monotonic() + TURN_S

    async def run(self) -> int:
        """Tell until nothing is due, it is to rest, or its turn is over; return how many went out.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: PostgreSQL is away; what was on its way goes out again.
            SealError: the endpoint's secrets can't be opened.
        """
        try:
            while await self._start() or self._flights:
                await asyncio.wait(self._flights, return_when=asyncio.FIRST_COMPLETED)
                await self._note()
        except Exception:
            # It rests until the lease is over, lest it be tried again and again.
            self._leased = None
            raise
        finally:
            await self._end()
        return self._told

    async def _start(self) -> bool:
        """Send what there is room for; tell whether something more may come of it."""
        tools = self._tools
        while self._leased is not None and len(self._flights) < self._room():
            if self._is_over() or not self._leased.standing.may_be_told(tools.clock()):
                break
            if not self._waiting:
                await self._read()
            if not self._waiting:
                break
            due = self._waiting.popleft()
            if due.told is None:
                await discard(tools.engine, self._leased, due, tools.clock())
                continue
            await self._send(self._leased, due, due.told)
        return bool(self._flights)

    def _is_over(self) -> bool:
        return self._told >= TURN_MESSAGES or monotonic() >= self._ends_at

    async def _read(self) -> None:
        under_way = [due.fact for due, _ in self._flights.values()]
        now = self._tools.clock()
        self._waiting.extend(await read_due(self._tools.engine, self._first.id, now, under_way))

    def _room(self) -> int:
        while self._extra < self._window - 1 and self._tools.slots.take_extra(self._first.reseller):
            self._extra += 1
        return 1 + self._extra

    async def _send(self, leased: Leased, due: Due, fact: Fact) -> None:
        tools = self._tools
        secrets = await self._open(leased)
        answer = tell_fact(fact, tools.ids)
        body, now = _encode(answer), tools.clock()
        headers = sign_headers(secrets, answer.id, now, body)
        is_doubtful = leased.standing.is_doubtful
        sending = tools.sender.send(leased.url, headers, body, doubtful=is_doubtful)
        flight = asyncio.create_task(sending)
        self._flights[flight] = due, now
        self._told += 1

    async def _open(self, leased: Leased) -> Secrets:
        if self._opened is None or self._opened[0] != leased.secrets_sealed:
            async with self._tools.engine.connect() as connection:
                secrets = await open_secrets(
                    connection, self._tools.sealer, leased.reseller, leased.secrets_sealed
                )
            self._opened = leased.secrets_sealed, secrets
        return self._opened[1]

    async def _note(self) -> None:
        """Write down what has come back, together with what comes back in the meantime next."""
        done = [flight for flight in self._flights if flight.done()]
        results: list[Result] = []
        for flight in done:
            due, at = self._flights.pop(flight)
            results.append(Result(due, flight.result(), at))
        self._narrow_or_widen(results)
        if self._leased is None:
            return
        tools = self._tools
        self._leased = await write_results(
            tools.engine, self._leased, results, tools.clock(), tools.dice
        )
        if self._leased is None:
            _log.warning("lease lost: another worker tells it", endpoint=entity_hex(self._first.id))

    def _narrow_or_widen(self, results: list[Result]) -> None:
        for result in results:
            if not result.sent.is_delivered:
                self._window = 1
                # What was read may have to wait now, behind what failed or for the endpoint.
                self._waiting.clear()
            elif not self._first.standing.is_doubtful:
                self._window = min(self._window + 1, AT_ONCE_MAX)
        while self._extra > max(self._window - 1, len(self._flights) - 1, 0):
            self._extra -= 1
            self._tools.slots.give_extra_back(self._first.reseller)

    async def _end(self) -> None:
        for flight in self._flights:
            flight.cancel()
        for _ in range(self._extra):
            self._tools.slots.give_extra_back(self._first.reseller)
        self._extra = 0
        if self._leased is not None:
            # Also when this worker ends: the next takes it up at once.
            async with asyncio.timeout(_RELEASE_TIMEOUT_S):
                await release_endpoint(self._tools.engine, self._leased, self._tools.clock())
