"""How a buyer's device talks to the API: time-outs, bounded retries with the same key, no more."""

import asyncio
import random
import time
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Struct

from loadtests.buyers.tally import Tally

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, connect=10)
_TRIES_MAX: Final = 30
_WAIT_S_MAX: Final = 2.0
_WAIT_S_MIN: Final = 0.05
_LOST_AFTER_S: Final = (0.0005, 0.02)
_TOLD_TO_WAIT: Final = frozenset({429, 503})
_SERVER_ERROR: Final = 500
_PROBLEM: Final = "urn:onsale:problem:"


class GaveUpError(Exception):
    """A request got no answer within all its tries."""


class _Problem(Struct):
    type: str = ""


class Answer(Struct, frozen=True):
    """What came back."""

    status: int
    body: bytes

    @property
    def problem(self) -> str:
        """The problem's slug, or nothing."""
        try:
            kind = msgspec.json.decode(self.body, type=_Problem).type
        except msgspec.DecodeError:
            return ""
        return kind.removeprefix(_PROBLEM)

    def told(self) -> str:
        """Return it in a line, for an error."""
        return f"{self.status} {self.body[:300].decode(errors='replace')}"


class Desk:
    """One reseller's way to the API, shared by the buyers who use that reseller's storefront."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, api_key: str, tally: Tally
    ) -> None:
        """Take a session without limits of its own, and where errors are counted."""
        self._session = session
        self._base_url = base_url
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._tally = tally
        self._encode = msgspec.json.Encoder().encode

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        timings: list[float] | None = None,
    ) -> Answer:
        """Send a request until it is answered by something else than `503`.

        Every repetition carries the same key. `timings` gets the ms of the answered attempt. A 5xx
        that is not a `503` problem is counted as an error.

        Raises:
            GaveUpError: nothing but failures in 30 tries.
        """
        content = None if body is None else self._encode(body)
        for attempt in range(_TRIES_MAX):
            began = time.perf_counter()
            try:
                answer, retry_after = await self._send(method, path, content, key)
            except (aiohttp.ClientError, TimeoutError):
                self._tally.reconnected += 1
                await asyncio.sleep(_back_off(attempt))
                continue
            if answer.status in _TOLD_TO_WAIT:
                if not answer.problem:
                    self._tally.error(f"{method} {path}: a 503 that is no problem: {answer.told()}")
                self._tally.told_to_wait += 1
                await asyncio.sleep(min(retry_after, _WAIT_S_MAX) * random.uniform(0.5, 1.0))  # noqa: S311
                continue
            if timings is not None:
                timings.append((time.perf_counter() - began) * 1000)
            if answer.status >= _SERVER_ERROR:
                self._tally.error(f"{method} {path}: {answer.told()}")
            return answer
        msg = f"{method} {path}: no answer in {_TRIES_MAX} tries"
        raise GaveUpError(msg)

    async def ask_and_miss_the_answer(self, method: str, path: str, body: object, key: str) -> None:
        """Send a request and hang up before the answer is there, or right when it is."""
        self._tally.lost_answers += 1
        try:
            async with asyncio.timeout(random.uniform(*_LOST_AFTER_S)):  # noqa: S311
                await self._send(method, path, self._encode(body), key)
        except (aiohttp.ClientError, TimeoutError):
            return

    async def _send(
        self, method: str, path: str, content: bytes | None, key: str | None
    ) -> tuple[Answer, float]:
        headers = self._headers
        if key is not None:
            headers = headers | {"Idempotency-Key": key}
        if content is not None:
            headers = headers | {"Content-Type": "application/json"}
        async with self._session.request(
            method, self._base_url + path, data=content, headers=headers, timeout=_TIMEOUT
        ) as response:
            body = await response.read()
            return Answer(response.status, body), _seconds(response.headers.get("Retry-After"))


def path_of(*parts: str) -> str:
    """Return `/v1/...` of these parts, each quoted."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def decode(answer: Answer) -> dict[str, Any]:
    """Return an answer's JSON object.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.json.decode(answer.body, type=dict[str, Any])


def _back_off(attempt: int) -> float:
    return min(_WAIT_S_MIN * 2**attempt, _WAIT_S_MAX) * random.uniform(0.5, 1.0)  # noqa: S311


def _seconds(retry_after: str | None) -> float:
    """Read Retry-After as seconds; a date, or nothing, is a second."""
    return float(retry_after) if retry_after and retry_after.isdigit() else 1.0
