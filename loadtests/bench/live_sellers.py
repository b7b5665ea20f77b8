"""Sells at a steady rate while others watch: holds, of which half are bought and half released."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus
from threading import Event
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct

_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
_CONNECTIONS: Final = 32
_THINKS_S: Final = 1.0
_AT_ONCE_MAX: Final = 1024


class Sales(Struct, frozen=True):
    """What came of it."""

    statuses: dict[str, int]
    wall_s: float


class Sellers:
    """Buyers of one show."""

    def __init__(self, base_url: str, api_key: str, show: str) -> None:
        """Take the show that they buy of."""
        self._url = f"{base_url}/v1/shows/{show}"
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
        self._statuses: Counter[str] = Counter()

    def sell(self, groups: Sequence[Sequence[str]], holds_per_s: float, stop: Event) -> Sales:
        """Hold one group after another at this rate, until told to stop or all were held."""
        return asyncio.run(self._sell(groups, holds_per_s, stop))

    async def _sell(
        self, groups: Sequence[Sequence[str]], holds_per_s: float, stop: Event
    ) -> Sales:
        began = time.monotonic()
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
        async with aiohttp.ClientSession(
            connector=connector, timeout=_TIMEOUT, headers=self._headers
        ) as session:
            tasks: set[asyncio.Task[None]] = set()
            for number, group in enumerate(groups):
                pause_s = began + number / holds_per_s - time.monotonic()
                if pause_s > 0:
                    await asyncio.sleep(pause_s)
                if stop.is_set():
                    break
                if len(tasks) >= _AT_ONCE_MAX:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                task = asyncio.create_task(self._buy(session, number, group))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)
        return Sales(dict(self._statuses), time.monotonic() - began)

    async def _buy(self, session: aiohttp.ClientSession, number: int, group: Sequence[str]) -> None:
        body = {"buyer": f"live-{number}", "seats": list(group)}
        held = await self._post(session, "holds", body, f"live-{number}")
        if held is None:
            return
        await asyncio.sleep(_THINKS_S)
        hold: str = held["hold"]
        if number % 2:
            body = {"hold": hold, "payment_reference": f"p-{number}"}
            await self._post(session, "purchases", body, f"live-p-{number}")
            return
        async with session.delete(f"{self._url}/holds/{hold}") as answer:
            await answer.read()
            self._statuses[f"released {answer.status}"] += 1

    async def _post(
        self, session: aiohttp.ClientSession, noun: str, body: object, key: str
    ) -> dict[str, Any] | None:
        content = msgspec.json.encode(body)
        async with session.post(
            f"{self._url}/{noun}", data=content, headers={"Idempotency-Key": key}
        ) as answer:
            told = await answer.read()
            self._statuses[f"{noun} {answer.status}"] += 1
            return msgspec.json.decode(told) if answer.status == HTTPStatus.CREATED else None
