"""Shows, holds, orders, facts and webhooks, to be awaited."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from onsale_client import calls
from onsale_client.calls import Answered, Call
from onsale_client.models import (
    Availability,
    Blocks,
    Fact,
    FactPage,
    Hold,
    ListedOrder,
    ListedShow,
    Order,
    OrderPage,
    Ping,
    Seat,
    SeatPage,
    Show,
    ShowPage,
    WebhookEndpoint,
    WebhookEndpointPage,
)
from onsale_client.noun_awaited import AsyncNoun
from onsale_client.wire import path_of

_RECORDING: Final = "recording"
_LOOK_S: Final = 0.25


class AsyncShows(AsyncNoun):
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

    async def seats(
        self,
        show: str,
        *,
        status: str | None = None,
        price_level: str | None = None,
        price_max: int | None = None,
        access_code: str | None = None,
        channel: str | None = None,
        buyer: str | None = None,
        page: int = 2000,
    ) -> AsyncGenerator[Seat]:
        """Go through a show's seats, the best first: all, or those with a status, level or price.

        They are told as they are for who shows a code or comes by a channel.
        """
        asked: dict[str, str | int | None] = {
            "status": status,
            "price_level": price_level,
            "price_max": price_max,
        }
        asked |= calls.right(access_code, channel, buyer)
        cursor: str | None = None
        while True:
            query = asked | {"cursor": cursor, "limit": page}
            path = path_of("shows", show, "seats", query=query)
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

    async def availability(
        self,
        show: str,
        *,
        access_code: str | None = None,
        channel: str | None = None,
        buyer: str | None = None,
    ) -> Availability:
        """Return how many places are open, and the seat map, for who has a code or a channel."""
        query = calls.right(access_code, channel, buyer)
        path = path_of("shows", show, "availability", query=query)
        return await self._onsale.send(Call("GET", path, Availability))

    async def availability_since(
        self,
        show: str,
        etag: str | None,
        *,
        access_code: str | None = None,
        channel: str | None = None,
        buyer: str | None = None,
    ) -> Answered[Availability]:
        """Return the availability with its ETag; nothing if it has not changed since this one."""
        query = calls.right(access_code, channel, buyer)
        call = calls.availability_since(show, etag, Availability, query)
        return await self._onsale.send(call)

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
        reason: str = "",
        key: str | None = None,
    ) -> Blocks:
        """Put withheld places on sale again: all of them, or none."""
        path = path_of("shows", show, "blocks", "release")
        body = calls.places(seats, areas) | {"reason": reason}
        return await self._onsale.send(
            Call("POST", path, Blocks, body=body, key=key or uuid4().hex)
        )

    async def batch(self, show: str, commands: Sequence[Mapping[str, Any]]) -> list[calls.Told]:
        """Carry out up to 500 commands in their order, each with a `key` of its own."""
        return await self._onsale.send(calls.batch(show, commands))


class AsyncHolds(AsyncNoun):
    """Claims on places, with a deadline."""

    async def create(
        self,
        show: str,
        *,
        buyer: str,
        seats: Sequence[str] = (),
        areas: Mapping[str, int] | None = None,
        best_available: tuple[str, int] | None = None,
        ticket_types: Mapping[str, Mapping[str, Any]] | None = None,
        access_code: str | None = None,
        channel: str | None = None,
        ttl_s: int | None = None,
        queue_pass: str | None = None,
        key: str | None = None,
    ) -> Hold:
        """Hold places for a buyer; `best_available` is a price level and how many together.

        `ticket_types` says which of the places are of which type, by slug; a code or a channel is
        the right to places of an allotment.
        """
        body = calls.selection(seats, areas, best_available, ticket_types)
        body |= calls.given({"access_code": access_code, "channel": channel})
        body |= calls.given({"buyer": buyer, "ttl_s": ttl_s, "pass": queue_pass})
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
        ticket_types: Mapping[str, Mapping[str, Any]] | None = None,
        access_code: str | None = None,
        channel: str | None = None,
    ) -> Hold:
        """Hold other places instead; if they are refused, the hold keeps those that it has."""
        body = calls.selection(seats, areas, best_available, ticket_types)
        body |= calls.given({"access_code": access_code, "channel": channel})
        path = path_of("shows", show, "holds", hold)
        return await self._onsale.send(Call("PUT", path, Hold, body=body))

    async def release(self, show: str, hold: str) -> None:
        """Give a hold back."""
        path = path_of("shows", show, "holds", hold)
        await self._onsale.send(Call[None]("DELETE", path, None))


class AsyncOrders(AsyncNoun):
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

    async def of_show(
        self,
        show: str,
        *,
        state: str | None = None,
        since: str | None = None,
        until: str | None = None,
        page: int = 50,
    ) -> AsyncGenerator[ListedOrder]:
        """Go through a show's orders: of a state, or sold between two moments (RFC 3339)."""
        cursor: str | None = None
        while True:
            asked = {"state": state, "from": since, "to": until}
            path = path_of("shows", show, "orders", query=asked | {"cursor": cursor, "limit": page})
            found = await self._onsale.send(Call("GET", path, OrderPage))
            for order in found.orders:
                yield order
            cursor = found.next_cursor
            if cursor is None:
                return

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


class AsyncFacts(AsyncNoun):
    """The log of what happened."""

    async def page(
        self,
        *,
        after: str | None = None,
        limit: int = 100,
        kind: str | None = None,
        object_id: str | None = None,
        show: str | None = None,
        wait_s: int | None = None,
    ) -> FactPage:
        """Return the facts after a cursor, in their order, and where to read on.

        Those of one type, of one object or of one show; if there is none yet, the first within
        `wait_s` is waited for.
        """
        asked = {"after": after, "limit": limit, "type": kind, "object": object_id, "show": show}
        path = path_of("facts", query=asked | {"wait": wait_s})
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


class AsyncWebhooks(AsyncNoun):
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
