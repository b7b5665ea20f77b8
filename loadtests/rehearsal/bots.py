"""Bots around the beginning of the sale: many joins from few addresses, and by few identities."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from joserfc import jwt
from joserfc.jwk import OctKey

from loadtests.rehearsal.crowd import Crowd, Member
from loadtests.rehearsal.door import Answer, Door
from loadtests.rehearsal.people import Fate
from loadtests.rehearsal.sale import GaveUpError, Sale

_FROM_MIN: Final = -5.0
_TO_MIN: Final = 5.0
_OVER_LIMIT: Final = 2.0
_IDENTITY_JOINS: Final = 40
_VALID_S: Final = 3600
_CREATED: Final = 201
_OK: Final = 200
_TOO_MANY: Final = 429
_CONFLICT: Final = 409


class Bots:
    """Addresses that join without a word, and as many identities that join again and again."""

    def __init__(self, sale: Sale, crowd: Crowd, door: Door, identity_key: str) -> None:
        """Take what the reseller's systems sign identities with: a bot can be a known customer."""
        self._sale = sale
        self._crowd = crowd
        self._door = door
        self._key = OctKey.import_key(identity_key)

    async def attack(self) -> None:
        """Join at twice the speed that an address is allowed, for ten minutes of the sale."""
        plan, sale = self._sale.plan, self._sale
        begins_s = sale.sale_s + plan.seconds(_FROM_MIN)
        await asyncio.sleep(max(0.0, begins_s - time.time()))
        async with asyncio.TaskGroup() as group:
            for n in range(plan.bots):
                group.create_task(self._hammer(f"203.0.113.{n + 1}"))
                group.create_task(self._repeat(f"bot-{n}", f"198.51.100.{n + 1}"))

    async def _hammer(self, address: str) -> None:
        pause_s = 60 / (_OVER_LIMIT * self._sale.plan.joins_a_minute)
        given = self._sale.record.by_address.setdefault(address, [])

        def took_in(answer: Answer) -> None:
            if not given:
                given.append(answer.sent_s)
            given.append(answer.answered_s)
            told = answer.read()
            member = Member(told["token"], address, Fate.BUYS, is_bot=True)
            self._crowd.add(told["number"], member)

        await self._join_on(address, None, pause_s, took_in)

    async def _repeat(self, subject: str, address: str) -> None:
        sale = self._sale
        length_s = sale.plan.seconds(_TO_MIN - _FROM_MIN)
        claims = {"sub": subject, "show": sale.show, "exp": int(time.time()) + _VALID_S}
        identity = jwt.encode({"alg": "HS256"}, claims, self._key)
        numbers = sale.record.by_identity.setdefault(subject, set())

        def took_in(answer: Answer) -> None:
            told = answer.read()
            if answer.status == _CREATED:
                member = Member(told["token"], address, Fate.BUYS, is_bot=True, buyer=subject)
                self._crowd.add(told["number"], member)
            numbers.add(told["number"])

        await self._join_on(address, identity, length_s / _IDENTITY_JOINS, took_in)

    async def _join_on(
        self, address: str, identity: str | None, pause_s: float, took_in: Callable[[Answer], None]
    ) -> None:
        sale, record = self._sale, self._sale.record
        ends_s = sale.sale_s + sale.plan.seconds(_TO_MIN)
        body = None if identity is None else {"identity": identity}
        next_s = time.time()
        while time.time() < ends_s and not sale.over.is_set():
            try:
                answer = await sale.insist(
                    self._door,
                    "POST",
                    sale.path("queue"),
                    f"X-Forwarded-For: {address}\r\n",
                    body,
                )
            except GaveUpError as error:
                record.tally.error(str(error))
                return
            record.bots_asked += 1
            if answer.status in {_CREATED, _OK}:
                took_in(answer)
            elif answer.status in {_TOO_MANY, _CONFLICT}:
                record.bots_refused += 1
            else:
                record.tally.error(f"a bot's join: {answer.told()}")
            next_s = max(next_s + pause_s, time.time() - pause_s)
            await asyncio.sleep(max(0.0, next_s - time.time()))
