"""Connections to Redis or Valkey: bounded pools, a time-out on every wait, no hidden repeats."""

from typing import Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_CONNECT_TIMEOUT_S: Final = 2
_POOL_TIMEOUT_S: Final = 2
_ANSWER_MARGIN_S: Final = 1


def connect_redis(url: str, *, answer_timeout_ms: int, connections_max: int) -> "Redis[bytes]":
    """Return a client that opens connections as it needs them.

    It never repeats a command by itself: after a lost answer only the caller knows whether the
    command may run twice. It waits a second longer than `answer_timeout_ms`, after which no batch
    acts any more.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=connections_max,
        timeout=_POOL_TIMEOUT_S,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=answer_timeout_ms / 1000 + _ANSWER_MARGIN_S,
        retry=Retry(NoBackoff(), 0),
        retry_on_timeout=False,
    )
    return Redis(connection_pool=pool)


def subscribe_redis(url: str) -> "Redis[bytes]":
    """Return a client for subscriptions, which wait as long as their reader says."""
    return Redis.from_url(
        url,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        socket_timeout=None,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=15,
    )
