"""People who wait in a show's line over HTTP, and what they and the store tell afterwards."""

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from engine.inventory.keys import queue_keys
from tests.faults.reseller_desk import ResellerDesk

PASS_TTL_S: Final = 600
_AGAIN_S: Final = 0.1
_LOOK_S: Final = 0.25
_GIVE_UP_S: Final = 40.0
_JOINERS: Final = 64
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)
_MS: Final = 1e-3
_ISSUED, _NOT_ADMITTED, _WAIT = 200, 403, frozenset({409, 429, 500, 502, 503})


class Person(Struct, frozen=True):
    """Somebody who joined without an identity."""

    number: int
    token: str


class Sample(Struct, frozen=True):
    """What the store told: between two moments of this machine's clock."""

    asked_s: float
    answered_s: float
    issued: int
    serving: int
    next: int


class PeopleInLine:
    """The people of one show's line."""

    def __init__(self, desk: ResellerDesk, session: aiohttp.ClientSession) -> None:
        """Take the show, and the browsers' way to it."""
        self.people: list[Person] = []
        self.deadlines: defaultdict[int, set[float]] = defaultdict(set)
        """Every deadline that a number was told, in s since 1970 by the store's clock."""
        self.passes: defaultdict[int, set[str]] = defaultdict(set)
        self.samples: list[Sample] = []
        self.wrong: list[str] = []
        self._desk = desk
        self._session = session
        self._url = f"{desk.stack.base_url}/v1/shows/{desk.show}/queue"

    async def put(self, **rules: object) -> None:
        """Set the line's rules, and wait until they are heard of."""
        body = {"opens_at": "2020-01-01T00:00:00Z", "pass_ttl_s": PASS_TTL_S, **rules}
        answer = await self._desk.ask("PUT", f"/v1/shows/{self._desk.show}/queue", body)
        assert answer.status == _ISSUED, answer.told()
        async with asyncio.timeout(_GIVE_UP_S):
            while (await self._serving()).get("state") != "running":  # noqa: ASYNC110 - no event
                await asyncio.sleep(_AGAIN_S)

    async def join(self, count: int) -> None:
        """Let so many join, as fast as they are let."""
        left = iter(range(count))

        async def some() -> None:
            for _ in left:
                told = await self._until("POST", "", None, {201})
                self.people.append(Person(told["number"], told["token"]))

        await asyncio.gather(*(some() for _ in range(_JOINERS)))

    async def claim(self, person: Person, *, late_s: float = 0.0) -> None:
        """Wait until it is somebody's turn, and claim until the pass is there."""
        while (await self._serving()).get("serving", 0) <= person.number:  # noqa: ASYNC110 - no event
            await asyncio.sleep(_LOOK_S)
        await asyncio.sleep(late_s)
        told = await self._until("POST", "/pass", person, {_ISSUED})
        self.deadlines[person.number].add(datetime.fromisoformat(told["expires_at"]).timestamp())
        self.passes[person.number].add(told["pass"])

    @asynccontextmanager
    async def sampled(self) -> AsyncGenerator[None]:
        """Ask the store how many passes were issued, again and again until the end of the block."""
        task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def assert_numbers_and_passes_are_single(self) -> None:
        """Check that nobody shares a number, and nobody was admitted twice."""
        assert not self.wrong, self.wrong[:5]
        numbers = [person.number for person in self.people]
        assert len(set(numbers)) == len(numbers)
        assert all(len(told) == 1 for told in self.deadlines.values()), "one deadline each"
        assert all(len(told) == 1 for told in self.passes.values()), "one pass each"

    def assert_rate_is_kept(self, rate: float, burst: float) -> None:
        """Check by the passes' own deadlines that in no window more than it allows were issued."""
        moments = sorted(min(told) for told in self.deadlines.values())
        assert_bounded(moments, rate, burst)
        for n, later in enumerate(self.samples):
            for earlier in self.samples[:n]:
                window_s = later.answered_s - earlier.asked_s
                assert later.issued - earlier.issued <= rate * window_s + burst

    def assert_the_line_goes_forward(self) -> None:
        """Check that neither numbers, places nor passes ever went back in the store."""
        for name in ("issued", "serving", "next"):
            seen = [getattr(sample, name) for sample in self.samples]
            assert seen == sorted(seen), name

    def rate_between(self, since_s: float, until_s: float) -> float:
        """Return passes a second, as the samples nearest to two moments tell."""
        inside = [one for one in self.samples if since_s <= one.asked_s <= until_s]
        first, last = inside[0], inside[-1]
        return (last.issued - first.issued) / (last.asked_s - first.asked_s)

    async def _sample(self) -> None:
        key = queue_keys(self._desk.show_id()).queue
        url = self._desk.stack.settings.redis_url
        async with Redis.from_url(url, socket_timeout=1) as raw:
            store: Any = raw
            while True:
                asked_s = time.monotonic()
                with suppress(RedisError, OSError, TimeoutError):  # the store is away
                    told = await store.hmget(key, "issued", "serving", "next")
                    if None not in told:
                        sample = Sample(asked_s, time.monotonic(), *(int(one) for one in told))
                        self.samples.append(sample)
                await asyncio.sleep(_LOOK_S)

    async def _serving(self) -> dict[str, Any]:
        with suppress(aiohttp.ClientError, TimeoutError):  # asked again
            async with self._session.get(f"{self._url}/serving", timeout=_TIMEOUT) as answer:
                if answer.status == _ISSUED:
                    return msgspec.json.decode(await answer.read(), type=dict[str, Any])
        return {}

    async def _until(
        self, method: str, path: str, person: Person | None, wanted: set[int]
    ) -> dict[str, Any]:
        headers = {} if person is None else {"Queue-Token": person.token}
        body = {} if person is None else {"buyer": f"b-{person.number}"}
        deadline = time.monotonic() + _GIVE_UP_S
        told: dict[str, Any] = {}
        while time.monotonic() < deadline:
            with suppress(aiohttp.ClientError, TimeoutError):  # asked again
                async with self._session.request(
                    method, self._url + path, headers=headers, json=body, timeout=_TIMEOUT
                ) as answer:
                    told = msgspec.json.decode(await answer.read(), type=dict[str, Any])
                    if answer.status in wanted:
                        return told
                    if answer.status not in _WAIT:
                        self.wrong.append(f"{method} {path}: {told}")
            await asyncio.sleep(_AGAIN_S * random.uniform(1, 5))  # noqa: S311 - no secret
        msg = f"{method} {path}: nothing came of it for {_GIVE_UP_S} s but {told}"
        raise TimeoutError(msg)


def assert_bounded(moments: Sequence[float], rate: float, burst: float) -> None:
    """Check that no window of sorted moments has more than its length allows, and a burst."""
    # Of all windows that end with a moment, the fullest for its length begins with the least of
    # what the rate had allowed by its beginning, less what was issued before.
    most = float("-inf")
    for n, moment in enumerate(moments):
        most = max(most, rate * moment - n)
        count_over = n + 1 - rate * moment + most
        assert count_over <= burst + _MS + rate * _MS, (n, moment, count_over)


@asynccontextmanager
async def people_in_line(desk: ResellerDesk) -> AsyncGenerator[PeopleInLine]:
    """Let people come to a show's line."""
    connector = aiohttp.TCPConnector(limit=128)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield PeopleInLine(desk, session)
