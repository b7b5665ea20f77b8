"""The client, to be awaited.

`synchronous.py`, and of each module called `*_awaited.py` the one without that, are made from it by
`make_synchronous.py`.
"""

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar

import httpx

from onsale_client.calls import Call
from onsale_client.nouns_awaited import (
    AsyncFacts,
    AsyncHolds,
    AsyncOrders,
    AsyncShows,
    AsyncWebhooks,
)
from onsale_client.offers_awaited import (
    AsyncAllotments,
    AsyncBundles,
    AsyncEvents,
    AsyncPrices,
    AsyncSheets,
)
from onsale_client.repeating import Course, Repeats
from onsale_client.wire import (
    AsyncTransport,
    Request,
    Response,
    TransportError,
    headers_for,
)

T = TypeVar("T")


class AsyncHttpxTransport:
    """Carries requests by httpx."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        """Take where the API is, and how long an answer may take."""
        # Reading the authorities' certificates takes longer than many calls: only for TLS.
        needs_tls = not base_url.startswith("http://")
        self._http = httpx.AsyncClient(base_url=base_url, timeout=timeout_s, verify=needs_tls)

    async def send(self, request: Request) -> Response:
        """Send a request once. Raises as `AsyncTransport.send`."""
        began = time.perf_counter()
        try:
            response = await self._http.request(
                request.method, request.path, headers=request.headers, content=request.content
            )
        except httpx.TransportError as error:
            raise TransportError(str(error) or type(error).__name__) from error
        took_s = time.perf_counter() - began
        return Response(response.status_code, dict(response.headers), response.content, took_s)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


class AsyncOnsale:
    """One reseller's way to the API.

    Every method raises a `ProblemError` of the kind that fits what the API refuses, and
    `NoAnswerError` when nothing was answered within all tries.
    """

    def __init__(
        self,
        credential: str | None,
        *,
        base_url: str = "http://127.0.0.1:8000",
        repeats: Repeats | None = None,
        timeout_s: float = 15.0,
        transport: AsyncTransport | None = None,
    ) -> None:
        """Take an API key or an access token (None: for what is open to all), and where the API is.

        `repeats` bounds how often and how long a request is repeated; `timeout_s` how long one
        answer may take. A `transport` of your own carries requests in place of httpx.
        """
        self._headers = headers_for(credential)
        self._repeats = repeats or Repeats()
        self._transport = transport or AsyncHttpxTransport(base_url, timeout_s)
        self.events = AsyncEvents(self)
        self.shows = AsyncShows(self)
        self.prices = AsyncPrices(self)
        self.allotments = AsyncAllotments(self)
        self.holds = AsyncHolds(self)
        self.bundles = AsyncBundles(self)
        self.orders = AsyncOrders(self)
        self.sheets = AsyncSheets(self)
        self.facts = AsyncFacts(self)
        self.webhooks = AsyncWebhooks(self)

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def send(self, call: Call[T]) -> T:
        """Make a call, and return what it answers."""
        request = call.request(self._headers)
        return call.read(request, await self.exchange(request))

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        is_repeatable: bool = False,
    ) -> Response:
        """Send what no method here does, and return what is answered, problems too.

        It is repeated if its method or its key makes that safe, or if you say that it is.
        """
        call = Call(method, path, Response, body, key, is_repeatable, dict(headers or {}))
        return await self.exchange(call.request(self._headers))

    async def exchange(self, request: Request) -> Response:
        """Send a request until it is answered by something else than `429` or a `5xx`.

        After the last try that is the answer, too.

        Raises:
            NoAnswerError: no answer came within all tries.
        """
        course = Course.begin(self._repeats, request)
        while True:
            try:
                response = await self._transport.send(request)
            except TransportError as error:
                pause = course.after_failure(error)
            else:
                again_after = course.after(response)
                if again_after is None:
                    return response
                pause = again_after
            await asyncio.sleep(pause)
