"""The same hold as an ordinary Litestar handler: one redis-py call for each request.

A script of its own makes it atomic, with idempotency by key, a limit per buyer and a deadline. The
store is the site's own, so it answers after its fsync, too.
"""

import hashlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import Litestar, post
from litestar.datastructures import State
from litestar.exceptions import ClientException
from litestar.params import FromPath, HeaderParameter, JSONBody
from litestar.status_codes import HTTP_201_CREATED, HTTP_409_CONFLICT
from msgspec import Struct
from redis.asyncio import Redis

from loadtests.controls.asgi import preempt_nobody
from loadtests.controls.bodies import (
    SEATS_A_BUYER_MAX,
    HoldAnswer,
    HoldBody,
    deadline,
    tell_hold,
)

REDIS_URL: Final = "CONTROL_REDIS_URL"

_HOLD: Final = """
local seats, holds, buyers, expiry = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, record, buyer, seats_max, ends_at = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local labels = { unpack(ARGV, 6) }

local known = redis.call('HGET', holds, id)
if known then
  return { 'held', known }
end
local count = tonumber(redis.call('HGET', buyers, buyer) or 0) + #labels
if count > tonumber(seats_max) then
  return { 'over-limit' }
end
local changes = {}
for i, state in ipairs(redis.call('HMGET', seats, unpack(labels))) do
  if state ~= '' then
    return { 'taken', labels[i] } -- or there is no such seat
  end
  changes[#changes + 1] = labels[i]
  changes[#changes + 1] = id
end
redis.call('HSET', seats, unpack(changes))
redis.call('HSET', holds, id, record)
redis.call('HSET', buyers, buyer, count)
redis.call('ZADD', expiry, ends_at, id)
return { 'held', record }
"""


class _Record(Struct, frozen=True, array_like=True):
    """A hold as the store keeps it."""

    hold: str
    buyer: str
    seats: list[str]
    ends_at: datetime


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Record).decode


def seats_key(show: str) -> str:
    """Return the name of the hash with a show's seats: label to hold id, empty when open."""
    return f"control:{{{show}}}:seats"


def _keys(show: str) -> list[str]:
    return [
        seats_key(show),
        *(f"control:{{{show}}}:{name}" for name in ("holds", "buyers", "expiry")),
    ]


@post("/v1/shows/{show:str}/holds", status_code=HTTP_201_CREATED)
async def hold_seats(
    state: State,
    show: FromPath[str],
    data: JSONBody[HoldBody],
    idempotency_key: Annotated[str, HeaderParameter(name="Idempotency-Key", max_length=255)],
) -> HoldAnswer:
    """Hold seats for a buyer: all of them, or none."""
    script: Callable[..., Awaitable[list[bytes]]] = state.script
    labels = list(data.seats or ())
    ends_at = deadline(data.ttl_s)
    number = hashlib.blake2b(f"{show} {idempotency_key}".encode(), digest_size=16).hexdigest()
    record = _Record(f"hld_dev_{number}", data.buyer, labels, ends_at)
    status, *told = await script(
        keys=_keys(show),
        args=[
            *(number, _encode(record), data.buyer, SEATS_A_BUYER_MAX, ends_at.timestamp()),
            *labels,
        ],
    )
    if status != b"held":
        raise ClientException(status_code=HTTP_409_CONFLICT, detail=status.decode())
    held = _decode(told[0])  # of the first time, if the key has come before
    return tell_hold(
        hold=held.hold, show=show, buyer=held.buyer, seats=held.seats, ends_at=held.ends_at
    )


@asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncGenerator[None]:
    preempt_nobody()
    store = Redis.from_url(os.environ[REDIS_URL])
    app.state.script = store.register_script(_HOLD)
    try:
        yield
    finally:
        await store.aclose()


app = Litestar(
    route_handlers=[hold_seats], lifespan=[_lifespan], openapi_config=None, logging_config=None
)
