"""The client, to be awaited. `synchronous.py` is made from this file by `make_synchronous.py`."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from uuid import uuid4

import httpx

from onsale_client import calls
from onsale_client.calls import Answered, Call
from onsale_client.models import (
    Availability,
    Blocks,
    Fact,
    FactPage,
    Hold,
    ListedShow,
    Order,
    Ping,
    Seat,
    SeatPage,
    Show,
    ShowPage,
    WebhookEndpoint,
    WebhookEndpointPage,
)
from onsale_client.repeating import Course, Repeats
from onsale_client.wire import (
    AsyncTransport,
    Request,
    Response,
    TransportError,
    headers_for,
    path_of,
)

T = TypeVar("T")

_RECORDING: Final = "recording"
_LOOK_S: Final = 0.25


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
        self.shows = AsyncShows(self)
        self.holds = AsyncHolds(self)
        self.orders = AsyncOrders(self)
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


class _Noun:
    def __init__(self, onsale: AsyncOnsale) -> None:
        self._onsale = onsale


class AsyncShows(_Noun):
    """Shows, their seats, and what the house withholds."""

    async def create(self, body: Mapping[str, Any], *, key: str | None = None) -> Show:
        """Put a show on sale: docs/API.md has the fields, `plan` is a seating plan."""
        call = Call("POST", path_of("shows"), Show, body=body, key=key or uuid4().hex)
        return await self._onsale.send(call)

    async def get(self, show: str) -> Show:
        """Return a show with its rules and prices."""
        return await self._onsale.send(Call("GET", path_of("shows", show), Show))

    async def all(self, *, page: int = 50) -> AsyncGenerator[ListedShow]:
        """Go through your shows, the newest first."""
        cursor: str | None = None
        while True:
            path = path_of("shows", query={"cursor": cursor, "limit": page})
            found = await self._onsale.send(Call("GET", path, ShowPage))
            for show in found.shows:
                yield show
            cursor = found.next_cursor
            if cursor is None:
                return

    async def seats(self, show: str, *, page: int = 2000) -> AsyncGenerator[Seat]:
        """Go through a show's seats, the best first."""
        cursor: str | None = None
        while True:
            path = path_of("shows", show, "seats", query={"cursor": cursor, "limit": page})
            found = await self._onsale.send(Call("GET", path, SeatPage))
            for seat in found.seats:
                yield seat
            cursor = found.next_cursor
            if cursor is None:
                return

    async def seating_plan(self, show: str) -> dict[str, Any]:
        """Return the seating plan in the format that it came in."""
        path = path_of("shows", show, "seating-plan")
        return await self._onsale.send(Call("GET", path, dict[str, Any]))

    async def availability(self, show: str) -> Availability:
        """Return how many places are open, and the seat map."""
        return await self._onsale.send(
            Call("GET", path_of("shows", show, "availability"), Availability)
        )

    async def availability_since(self, show: str, etag: str | None) -> Answered[Availability]:
        """Return the availability with its ETag; nothing if it has not changed since this one."""
        return await self._onsale.send(calls.availability_since(show, etag, Availability))

    async def withhold(
        self,
        show: str,
        *,
        seats: Sequence[str] = (),
        areas: Mapping[str, int] | None = None,
        reason: str = "",
        key: str | None = None,
    ) -> Blocks:
        """Take open places off sale: all of them, or none."""
        body = calls.places(seats, areas) | {"reason": reason}
        path = path_of("shows", show, "blocks")
        return await self._onsale.send(
            Call("POST", path, Blocks, body=body, key=key or uuid4().hex)
        )

    async def give_back(
        self,
        show: str,
        *,
        seats: Sequence[str] = (),
        areas: Mapping[str, int] | None = None,
        key: str | None = None,
    ) -> Blocks:
        """Put withheld places on sale again: all of them, or none."""
        path = path_of("shows", show, "blocks", "release")
        body = calls.places(seats, areas)
        return await self._onsale.send(
            Call("POST", path, Blocks, body=body, key=key or uuid4().hex)
        )

    async def batch(self, show: str, commands: Sequence[Mapping[str, Any]]) -> list[calls.Told]:
        """Carry out up to 500 commands in their order, each with a `key` of its own."""
        return await self._onsale.send(calls.batch(show, commands))


class AsyncHolds(_Noun):
    """Claims on places, with a deadline."""

    async def create(
        self,
        show: str,
        *,
        buyer: str,
        seats: Sequence[str] = (),
        areas: Mapping[str, int] | None = None,
        best_available: tuple[str, int] | None = None,
        ttl_s: int | None = None,
        queue_pass: str | None = None,
        key: str | None = None,
    ) -> Hold:
        """Hold places for a buyer; `best_available` is a price level and how many together."""
        body = calls.selection(seats, areas, best_available) | calls.given(
            {"buyer": buyer, "ttl_s": ttl_s, "pass": queue_pass}
        )
        path = path_of("shows", show, "holds")
        return await self._onsale.send(Call("POST", path, Hold, body=body, key=key or uuid4().hex))

    async def get(self, show: str, hold: str) -> Hold:
        """Return a hold."""
        return await self._onsale.send(Call("GET", path_of("shows", show, "holds", hold), Hold))

    async def replace(
        self,
        show: str,
        hold: str,
        *,
        seats: Sequence[str] = (),
        areas: Mapping[str, int] | None = None,
        best_available: tuple[str, int] | None = None,
    ) -> Hold:
        """Hold other places instead; if they are refused, the hold keeps those that it has."""
        body = calls.selection(seats, areas, best_available)
        path = path_of("shows", show, "holds", hold)
        return await self._onsale.send(Call("PUT", path, Hold, body=body))

    async def release(self, show: str, hold: str) -> None:
        """Give a hold back."""
        path = path_of("shows", show, "holds", hold)
        await self._onsale.send(Call[None]("DELETE", path, None))


class AsyncOrders(_Noun):
    """What was bought."""

    async def purchase(
        self,
        show: str,
        hold: str,
        *,
        payment_reference: str = "",
        queue_pass: str | None = None,
        key: str | None = None,
    ) -> Order:
        """Buy what is held. An order that is `recording` is not sold yet: `wait` for it."""
        body = calls.given(
            {"hold": hold, "payment_reference": payment_reference, "pass": queue_pass}
        )
        path = path_of("shows", show, "purchases")
        return await self._onsale.send(Call("POST", path, Order, body=body, key=key or uuid4().hex))

    async def get(self, order: str) -> Order:
        """Return an order."""
        return await self._onsale.send(Call("GET", path_of("orders", order), Order))

    async def wait(self, order: str, *, timeout_s: float = 30.0) -> Order:
        """Return an order once it is `confirmed` or `failed`.

        Raises:
            TimeoutError: it was still `recording` after so long.
        """
        for _ in range(max(1, round(timeout_s / _LOOK_S))):
            found = await self.get(order)
            if found.status != _RECORDING:
                return found
            await asyncio.sleep(_LOOK_S)
        msg = f"{order} is still recording after {timeout_s:g} s"
        raise TimeoutError(msg)

    async def take_back(self, order: str) -> Order:
        """Return a confirmed order, whole and for good: its places are on sale again."""
        path = path_of("orders", order, "return")
        return await self._onsale.send(Call("POST", path, Order, is_repeatable=True))


class AsyncFacts(_Noun):
    """The log of what happened."""

    async def page(
        self, *, after: str | None = None, limit: int = 100, kind: str | None = None
    ) -> FactPage:
        """Return the facts after a cursor, in their order, and where to read on."""
        path = path_of("facts", query={"after": after, "limit": limit, "type": kind})
        return await self._onsale.send(Call("GET", path, FactPage))

    async def since(self, after: str | None = None, *, limit: int = 100) -> AsyncGenerator[Fact]:
        """Go through all facts after a cursor that there are by now."""
        while True:
            page = await self.page(after=after, limit=limit)
            for fact in page.facts:
                yield fact
            if len(page.facts) < limit or page.next_cursor in {None, after}:
                return
            after = page.next_cursor


class AsyncWebhooks(_Noun):
    """Who is told of facts."""

    async def create(
        self,
        url: str,
        *,
        types: Sequence[str] | None = None,
        description: str = "",
        key: str | None = None,
    ) -> WebhookEndpoint:
        """Have facts told to a URL: those of these types, or all. It has its secrets."""
        body = calls.given({"url": url, "description": description, "types": types})
        path = path_of("webhook-endpoints")
        call = Call("POST", path, WebhookEndpoint, body=body, key=key or uuid4().hex)
        return await self._onsale.send(call)

    async def all(self) -> list[WebhookEndpoint]:
        """Return your endpoints, without their secrets."""
        call = Call("GET", path_of("webhook-endpoints"), WebhookEndpointPage)
        return (await self._onsale.send(call)).endpoints

    async def ping(self, endpoint: str) -> Ping:
        """Send a test event at once, and return what became of it."""
        path = path_of("webhook-endpoints", endpoint, "ping")
        return await self._onsale.send(Call("POST", path, Ping, key=uuid4().hex))

    async def delete(self, endpoint: str) -> None:
        """Tell this endpoint nothing any more."""
        await self._onsale.send(Call[None]("DELETE", path_of("webhook-endpoints", endpoint), None))
