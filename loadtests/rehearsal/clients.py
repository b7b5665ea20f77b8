"""The sample of clients that go the whole way, each over a connection of their own."""

import asyncio
from typing import Any, Final

import aiohttp
import msgspec

from loadtests.rehearsal.door import Door
from loadtests.rehearsal.people import Fate
from loadtests.rehearsal.record import Turn
from loadtests.rehearsal.sale import SOLD_OUT, GaveUpError, Sale
from loadtests.rehearsal.visitor import Visitor

_OK: Final = 200
_CREATED: Final = 201
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
_POLL_S: Final = (1.0, 5.0)
_LISTENING_EACH: Final = 4
_SILENCE_S: Final = 40.0
_PATIENCE_MIN: Final = (2.0, 40.0)
_STREAM: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_S)
_ADMITTED: Final = b"event: admitted"
_SOLD_OUT: Final = b"event: sold-out"


class Client:
    """One browser: joins, looks or listens until it is admitted, and then checks out."""

    def __init__(self, sale: Sale, base_url: str, address: str, fate: Fate, index: int) -> None:
        """Take who it is; every fourth listens to the events instead of asking."""
        self._sale = sale
        self._base_url = base_url
        self._address = f"X-Forwarded-For: {address}\r\n"
        self._plain_address = address
        self._fate = fate
        self._listens = index % _LISTENING_EACH == _LISTENING_EACH - 1
        self._token = ""
        self._number = -1

    async def go(self) -> None:
        """Go the whole way."""
        record = self._sale.record
        door = Door(self._base_url, 1)
        try:
            if await self._join(door):
                await self._wait(door)
        except GaveUpError as error:
            record.tally.error(str(error))
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            record.tally.error(f"an answer of an unknown form: {type(error).__name__}: {error}")
        finally:
            door.close()

    async def _join(self, door: Door) -> bool:
        sale = self._sale
        while not sale.over.is_set():
            answer = await sale.insist(door, "POST", sale.path("queue"), self._address)
            if answer.status == _CREATED:
                told = answer.read()
                self._number, self._token = told["number"], told["token"]
                sale.record.number(self._number)
                sale.record.fates[self._fate] += 1
                return True
            if answer.status == _CONFLICT:
                sale.record.came_too_late += 1
                return False
            if answer.status != _TOO_MANY:
                sale.record.tally.error(f"join: {answer.told()}")
                return False
            sale.record.told_to_come_later += 1
            await asyncio.sleep(answer.retry_after_s)
        return False

    async def _wait(self, door: Door) -> None:
        sale, fate = self._sale, self._fate
        if fate in {Fate.NEVER_COMES, Fate.LEAVES_LINE}:
            await self._give_up(door)
            return
        sale.record.in_line += 1
        try:
            place = await (self._listen(door) if self._listens else self._poll(door))
        except BaseException:
            sale.record.in_line -= 1
            raise
        if place is None:
            sale.record.in_line -= 1
            sale.record.went_home += 1
        else:
            await self._visitor(door, place).go()

    async def _give_up(self, door: Door) -> None:
        """Look for a while, and then close the page, or say so."""
        sale = self._sale
        patience_s = sale.plan.seconds(sale.luck.uniform(*_PATIENCE_MIN))
        try:
            async with asyncio.timeout(patience_s):
                await self._poll(door)
        except TimeoutError:
            if self._fate is Fate.LEAVES_LINE:
                await self._visitor(door, -1).leave()

    async def _poll(self, door: Door) -> int | None:
        """Ask for the position until admitted; return the place, or None when all is over."""
        sale = self._sale
        while not sale.over.is_set():
            told = await self._position(door)
            if told["admitted"]:
                return int(told["place"])
            if told["state"] == SOLD_OUT:
                return None
            # A minute of waiting is seconds here.
            shortest, longest = _POLL_S
            await asyncio.sleep(min(max(told["poll_after_s"], shortest), longest))
        return None

    async def _position(self, door: Door) -> dict[str, Any]:
        sale, record = self._sale, self._sale.record
        headers = f"Queue-Token: {self._token}\r\n{self._address}"
        path = sale.path("queue", "position")
        answer = await sale.insist(door, "GET", path, headers)
        if answer.status != _OK:
            msg = f"position: {answer.told()}"
            raise GaveUpError(msg)
        told = answer.read()
        record.positions += 1
        expected = sale.place(self._number)
        if told["place"] is not None and expected is not None:
            record.places_compared += 1
            if told["number"] != self._number or told["place"] != expected:
                record.places_wrong.append(f"entry {self._number} at {expected}, not {told}")
        return told

    async def _listen(self, door: Door) -> int | None:
        """Listen to the events, connecting again when a stream ends, until admitted."""
        sale = self._sale
        headers = {"Queue-Token": self._token, "X-Forwarded-For": self._plain_address}
        url = self._base_url + sale.path("queue", "events")
        async with aiohttp.ClientSession(timeout=_STREAM, headers=headers) as session:
            while not sale.over.is_set():
                try:
                    async with session.get(url) as response:
                        async for line in response.content:
                            if line.startswith(_ADMITTED):
                                return int((await self._position(door))["place"])
                            if line.startswith(_SOLD_OUT) or sale.over.is_set():
                                return None
                except (aiohttp.ClientError, TimeoutError):
                    sale.record.tally.reconnected += 1
                await asyncio.sleep(sale.luck.uniform(0.5, 1.5))
        return None

    def _visitor(self, door: Door, place: int) -> Visitor:
        turn = Turn(self._number, place, self._fate)
        return Visitor(self._sale, door, turn, token=self._token, address=self._plain_address)
