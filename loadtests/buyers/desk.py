"""How a buyer's device talks to the API: by the client, and everything that it meets is counted."""

import asyncio
import random
import time
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct
from onsale_client import AsyncOnsale, NoAnswerError, Repeats, Request, Response
from onsale_client.wire import TransportError

from loadtests.buyers.tally import Tally

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, connect=10)
_REPEATS: Final = Repeats(tries=30, total_s=120.0, first_pause_s=0.05, pause_s_max=2.0)
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


class CountingTransport:
    """Carries the client's requests over the crowd's session, and counts what each try met."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, tally: Tally) -> None:
        """Take a session without limits of its own, and where errors are counted."""
        self._session = session
        self._base_url = base_url
        self._tally = tally

    async def send(self, request: Request) -> Response:
        """Send a request once.

        Raises:
            TransportError: no answer came.
        """
        began = time.perf_counter()
        try:
            async with self._session.request(
                request.method,
                self._base_url + request.path,
                data=request.content,
                headers=request.headers,
                timeout=_TIMEOUT,
            ) as told:
                body = await told.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._tally.reconnected += 1
            raise TransportError(repr(error)) from error
        took_s = time.perf_counter() - began
        answer = Answer(told.status, body)
        if answer.status in _TOLD_TO_WAIT:
            self._tally.told_to_wait += 1
            if not answer.problem:
                self._report(request, f"a {answer.status} that is no problem: {answer.told()}")
        elif answer.status >= _SERVER_ERROR:
            self._report(request, answer.told())
        headers = {name.lower(): value for name, value in told.headers.items()}
        return Response(answer.status, headers, body, took_s)

    async def aclose(self) -> None:
        """Leave the session to whom it belongs."""

    def _report(self, request: Request, wrong: str) -> None:
        self._tally.error(f"{request.method} {request.path}: {wrong}")


class Desk:
    """One reseller's way to the API, shared by the buyers who use that reseller's storefront."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, api_key: str, tally: Tally
    ) -> None:
        """Take a session without limits of its own, and where errors are counted."""
        self._tally = tally
        transport = CountingTransport(session, base_url, tally)
        self.onsale = AsyncOnsale(api_key, repeats=_REPEATS, transport=transport)
        # Whoever hangs up does not come again.
        self._once = AsyncOnsale(api_key, repeats=Repeats(tries=1), transport=transport)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        timings: list[float] | None = None,
    ) -> Answer:
        """Send a request until it is answered; every repetition carries the same key.

        `timings` gets the ms of the answered attempt.

        Raises:
            GaveUpError: nothing but failures in all tries.
        """
        try:
            response = await self.onsale.request(method, path, body, key=key)
        except NoAnswerError as error:
            raise GaveUpError(str(error)) from error
        answer = Answer(response.status, response.body)
        if answer.status in _TOLD_TO_WAIT:
            msg = f"{method} {path}: told to wait until the end: {answer.told()}"
            raise GaveUpError(msg)
        if timings is not None:
            timings.append(response.took_s * 1000)
        return answer

    async def ask_and_miss_the_answer(self, method: str, path: str, body: object, key: str) -> None:
        """Send a request and hang up before the answer is there, or right when it is."""
        self._tally.lost_answers += 1
        try:
            async with asyncio.timeout(random.uniform(*_LOST_AFTER_S)):  # noqa: S311
                await self._once.request(method, path, body, key=key)
        except (NoAnswerError, TimeoutError):
            return


def decode(answer: Answer) -> dict[str, Any]:
    """Return an answer's JSON object.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.json.decode(answer.body, type=dict[str, Any])
