"""A test event, sent at once from the API: its result is the answer."""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from engine.notify.endpoints import Endpoint, Endpoints, UnknownEndpoint
from engine.notify.sending import Sender, Sent
from engine.notify.signing import sign_headers
from engine.platform.ids import EntityId, Ids, Prefix, new_entity_id

PINGS_AT_ONCE: Final = 16
"""In one process; a reseller has one at a time."""

_encode: Final = msgspec.json.Encoder().encode


class PingMessage(Struct, frozen=True):
    """The body of a test event: of a fact's form, and nothing of it happened."""

    id: str
    type: str
    sequence: int
    occurred_at: datetime
    show: None
    object: str
    data: dict[str, str]


class TooManyPings(Struct, frozen=True):
    """Others are on their way; ask again in a moment."""


class Pinger:
    """Sends them."""

    def __init__(self, endpoints: Endpoints, sender: Sender, ids: Ids) -> None:
        """Take who knows the endpoints, and who sends."""
        self._endpoints = endpoints
        self._sender = sender
        self._ids = ids
        self._under_way: set[int] = set()

    async def ping(
        self, reseller: EntityId, endpoint: EntityId, now: datetime
    ) -> Sent | UnknownEndpoint | TooManyPings:
        """Send one and return what came of it. Neither breaker nor deliveries change by it."""
        found = await self._endpoints.find(reseller, endpoint)
        if not isinstance(found, Endpoint):
            return found
        secrets = await self._endpoints.secrets(reseller, endpoint, now)
        if isinstance(secrets, UnknownEndpoint):
            return secrets
        if len(self._under_way) >= PINGS_AT_ONCE or reseller in self._under_way:
            return TooManyPings()
        message = PingMessage(
            id=self._ids.entity(Prefix.PING, new_entity_id()),
            type="ping",
            sequence=0,
            occurred_at=now,
            show=None,
            object=self._ids.entity(Prefix.ENDPOINT, endpoint),
            data={},
        )
        body = _encode(message)
        self._under_way.add(reseller)
        try:
            headers = sign_headers(secrets, message.id, now, body)
            return await self._sender.send(found.url, headers, body)
        finally:
            self._under_way.discard(reseller)
