"""The same hold in one PostgreSQL transaction: SELECT ... FOR UPDATE, then UPDATE.

No framework, no ORM: prepared statements of asyncpg from a pool of 8, four round trips for each
hold. `CREATE_TABLES` is run once, `seats` filled before a show opens.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any, Final, Protocol, cast

import asyncpg
import msgspec

from loadtests.controls import asgi
from loadtests.controls.bodies import (
    SEATS_A_BUYER_MAX,
    HoldAnswer,
    HoldBody,
    deadline,
    tell_hold,
)

DATABASE_URL: Final = "CONTROL_DATABASE_URL"
SCHEMA: Final = "control"
CONNECTIONS: Final = 8

# With room on a page for a row's new version, an update touches no index.
CREATE_TABLES: Final = f"""
    CREATE SCHEMA IF NOT EXISTS {SCHEMA};
    CREATE TABLE IF NOT EXISTS {SCHEMA}.seats (
        show TEXT, label TEXT, hold BYTEA, PRIMARY KEY (show, label)
    ) WITH (fillfactor = 50);
    CREATE TABLE IF NOT EXISTS {SCHEMA}.buyers (
        show TEXT, buyer TEXT, held INTEGER CHECK (held <= {SEATS_A_BUYER_MAX}),
        PRIMARY KEY (show, buyer)
    );
    CREATE TABLE IF NOT EXISTS {SCHEMA}.holds (
        id BYTEA PRIMARY KEY, show TEXT, buyer TEXT, seats TEXT[], ends_at TIMESTAMPTZ
    );
    CREATE INDEX IF NOT EXISTS holds_ends_at ON {SCHEMA}.holds (ends_at);
"""

_LOCK_SEATS: Final = f"""
    SELECT hold FROM {SCHEMA}.seats WHERE show = $1 AND label = ANY($2) ORDER BY label FOR UPDATE
"""  # noqa: S608 -- a constant
_TAKE_SEATS: Final = f"""
    WITH taken AS (
        UPDATE {SCHEMA}.seats SET hold = $3 WHERE show = $1 AND label = ANY($2)
    ), counted AS (
        INSERT INTO {SCHEMA}.buyers AS b VALUES ($1, $4, cardinality($2))
        ON CONFLICT (show, buyer) DO UPDATE SET held = b.held + cardinality($2)
    )
    INSERT INTO {SCHEMA}.holds VALUES ($3, $1, $4, $2, $5)
"""  # noqa: S608 -- a constant
_FIND_HOLD: Final = f"SELECT seats, ends_at FROM {SCHEMA}.holds WHERE id = $1"  # noqa: S608


_decode: Final = msgspec.json.Decoder(HoldBody).decode
_encode: Final = msgspec.json.Encoder().encode
_CREATED: Final = HTTPStatus.CREATED
_CONFLICT: Final = HTTPStatus.CONFLICT


class _Connection(Protocol):
    """What is used of asyncpg's, which has no annotations of its own."""

    def transaction(self) -> AbstractAsyncContextManager[object]: ...
    async def execute(self, query: str, *given: object) -> str: ...
    async def fetch(self, query: str, *given: object) -> list[Mapping[str, Any]]: ...
    async def fetchrow(self, query: str, *given: object) -> Mapping[str, Any] | None: ...


class _Pool(Protocol):
    def acquire(self) -> AbstractAsyncContextManager[_Connection]: ...
    async def close(self) -> None: ...


class SqlHolds:
    """The application, with its pool."""

    _pool: _Pool

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "lifespan":
            await asgi.live(receive, send, self._open, self._close)
            return
        body = _decode(await asgi.read_body(receive))
        show: str = scope["path"].split("/")[3]
        key = next(value for name, value in scope["headers"] if name == b"idempotency-key")
        status, told = await self._hold(show, key, body)
        await asgi.answer(send, status, _encode(told))

    async def _open(self) -> None:
        # A connection comes back clean from these transactions: nothing to reset, which would be
        # one more round trip.
        pool = await asyncpg.create_pool(
            os.environ[DATABASE_URL], min_size=CONNECTIONS, max_size=CONNECTIONS, reset=_as_it_is
        )
        self._pool = cast("_Pool", pool)

    async def _close(self) -> None:
        await self._pool.close()

    async def _hold(
        self, show: str, key: bytes, body: HoldBody
    ) -> tuple[HTTPStatus, HoldAnswer | dict[str, str]]:
        """Hold seats for a buyer: all of them, or none."""
        hold = hashlib.blake2b(show.encode() + key, digest_size=16).digest()
        labels = list(body.seats or ())
        ends_at = deadline(body.ttl_s)
        async with self._pool.acquire() as connection:
            try:
                async with connection.transaction():
                    seats = await connection.fetch(_LOCK_SEATS, show, labels)
                    free = len(seats) == len(labels) and all(seat["hold"] is None for seat in seats)
                    if free:
                        await connection.execute(
                            _TAKE_SEATS, show, labels, hold, body.buyer, ends_at
                        )
            except asyncpg.CheckViolationError:
                return _CONFLICT, {"type": "over-limit"}
            except asyncpg.UniqueViolationError:
                free = False  # the key has come before, with other seats
            known = None if free else await connection.fetchrow(_FIND_HOLD, hold)
        if known is not None:
            labels, ends_at = known["seats"], known["ends_at"]
        elif not free:
            return _CONFLICT, {"type": "seats-taken"}
        return _CREATED, tell_hold(
            hold=f"hld_dev_{hold.hex()}",
            show=show,
            buyer=body.buyer,
            seats=labels,
            ends_at=ends_at,
        )


async def _as_it_is(_: object) -> None:
    """Leave a connection that comes back to the pool as it is."""


app = SqlHolds()
