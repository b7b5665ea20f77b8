"""Everybody who comes: the mass that shares connections, and among it the clients of their own."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from ipaddress import IPv4Address
from typing import Any, Final

from msgspec import Struct

from loadtests.rehearsal.clients import Client
from loadtests.rehearsal.door import Answer, Door
from loadtests.rehearsal.people import Fate, reaction_min
from loadtests.rehearsal.record import Turn
from loadtests.rehearsal.sale import GaveUpError, Sale
from loadtests.rehearsal.visitor import Visitor

_TICK_S: Final = 0.01
_JOINERS: Final = 160
_CREATED: Final = 201
_CONFLICT: Final = 409
_TOO_MANY: Final = 429
_FIRST_ADDRESS: Final = int(IPv4Address("10.0.0.1"))
_SHARED_ADDRESS: Final = int(IPv4Address("100.64.0.1"))
_SHARED_EACH: Final = 50
_SHARING: Final = 100
_PATIENCE_MIN: Final = (2.0, 30.0)
_MEANS_TO_CLAIM: Final = frozenset(Fate) - {Fate.NEVER_COMES, Fate.LEAVES_LINE}


class Member(Struct, frozen=True):
    """Somebody in line."""

    token: str
    address: str
    fate: Fate
    is_bot: bool = False
    buyer: str = ""


class Crowd:
    """The people of one rehearsal."""

    def __init__(self, sale: Sale, door: Door, base_url: str) -> None:
        """Take the sale, and the connections that the mass shares."""
        self._sale = sale
        self._door = door
        self._base_url = base_url
        self._members: dict[int, Member] = {}
        self._due: asyncio.Queue[tuple[int, float]] = asyncio.Queue(sale.plan.people)
        self._served = 0
        self._entry_at: Sequence[int] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._all_came = False

    @property
    def is_done(self) -> bool:
        """Whether all have come, and nobody waits or is at it."""
        return self._all_came and not self._tasks and self._sale.record.in_line == 0

    def draw(self, places: list[int]) -> None:
        """Learn the places of the entries."""
        entry_at = [0] * len(places)
        for entry, place in enumerate(places):
            entry_at[place] = entry
        self._entry_at = entry_at
        self._sale.places = places

    def add(self, number: int, member: Member) -> None:
        """Put somebody in line."""
        record = self._sale.record
        record.number(number)
        record.fates[member.fate] += 1
        self._members[number] = member
        if member.fate in _MEANS_TO_CLAIM:
            record.in_line += 1
        elif member.fate is Fate.LEAVES_LINE:
            self.start(self._lose_patience(number, member))
        place = self._sale.place(number)
        if place is not None and place < self._served:
            self._let_in(number, place)  # served before its own answer was here

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Let somebody do something on their own."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def arrive(self) -> None:
        """Let everybody join when the curve wants them to; return when the last has."""
        async with asyncio.TaskGroup() as group:
            joiners = [group.create_task(self._join_on()) for _ in range(_JOINERS)]
            people, curve, come = self._sale.plan.people, self._sale.plan.curve, 0
            while come < people:
                due = min(people, round(people * curve.arrived(self._sale.minute)))
                now_s = time.time()
                for index in range(come, due):
                    self._due.put_nowait((index, now_s))
                come = max(come, due)
                await asyncio.sleep(_TICK_S)
            await self._due.join()
            for joiner in joiners:
                joiner.cancel()
        self._all_came = True

    def admit(self) -> None:
        """Tell those whose place is served by now; they notice after a while."""
        serving, entry_at = self._sale.serving, self._entry_at
        if serving is None or entry_at is None:
            return
        while self._served < serving.serving:
            place = self._served
            self._served += 1
            self._let_in(entry_at[place] if place < len(entry_at) else place, place)

    def _let_in(self, number: int, place: int) -> None:
        member = self._members.pop(number, None)
        if member is not None and member.fate in _MEANS_TO_CLAIM:
            self.start(self._visit(Turn(number, place, member.fate, member.is_bot), member))

    async def finish(self, patience_s: float) -> None:
        """Wait for those who are at it; who takes longer is stopped."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_s)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _join_on(self) -> None:
        record, plan = self._sale.record, self._sale.plan
        every = max(1, plan.people // plan.clients) if plan.clients else plan.people + 1
        while True:
            index, due_s = await self._due.get()
            record.late_s_max = max(record.late_s_max, time.time() - due_s)
            fate = plan.habits.fate(self._sale.luck)
            address = _address(index)
            if index % every == 0 and index // every < plan.clients:
                client = Client(self._sale, self._base_url, address, fate, index // every)
                self.start(client.go())
            else:
                await self._join(address, fate)
            self._due.task_done()

    async def _join(self, address: str, fate: Fate) -> None:
        answer = await self._ask_to_join(address)
        if answer is None:
            return
        if answer.status == _TOO_MANY:
            self._sale.record.told_to_come_later += 1
            self.start(self._join_later(address, fate, answer.retry_after_s))
        else:
            self._take_in(answer, address, fate)

    async def _join_later(self, address: str, fate: Fate, pause_s: float) -> None:
        while not self._sale.over.is_set():
            await asyncio.sleep(pause_s)
            answer = await self._ask_to_join(address)
            if answer is None:
                return
            if answer.status != _TOO_MANY:
                self._take_in(answer, address, fate)
                return
            pause_s = answer.retry_after_s

    async def _ask_to_join(self, address: str) -> Answer | None:
        path = self._sale.path("queue")
        try:
            return await self._sale.insist(
                self._door, "POST", path, f"X-Forwarded-For: {address}\r\n"
            )
        except GaveUpError as error:
            self._sale.record.tally.error(str(error))
            return None

    def _take_in(self, answer: Answer, address: str, fate: Fate) -> None:
        if answer.status == _CREATED:
            told = answer.read()
            self.add(told["number"], Member(told["token"], address, fate))
        elif answer.status == _CONFLICT and answer.problem == "queue-closed":
            self._sale.record.came_too_late += 1
        else:
            self._sale.record.tally.error(f"join: {answer.told()}")

    async def _lose_patience(self, number: int, member: Member) -> None:
        sale = self._sale
        await sale.pause(sale.luck.uniform(*_PATIENCE_MIN))
        if self._members.pop(number, None) is not None:
            turn = Turn(number, -1, member.fate)
            await self._visitor(turn, member).leave()

    async def _visit(self, turn: Turn, member: Member) -> None:
        if not member.is_bot:
            await self._sale.pause(reaction_min(self._sale.luck))
        await self._visitor(turn, member).go()

    def _visitor(self, turn: Turn, member: Member) -> Visitor:
        return Visitor(
            self._sale,
            self._door,
            turn,
            token=member.token,
            address=member.address,
            buyer=member.buyer,
        )


def _address(index: int) -> str:
    """Return a person's address: their own, or one of those that fifty people share."""
    if index % _SHARING == 0:
        return str(IPv4Address(_SHARED_ADDRESS + index // _SHARING // _SHARED_EACH))
    return str(IPv4Address(_FIRST_ADDRESS + index))
