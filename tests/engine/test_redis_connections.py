"""Connections to the inventory store: every wait is bounded, and a cancelled one ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from engine.platform.redis import Store, connect_redis, make_pool
from ops.stack import Stack

_STEPS = 60


@asynccontextmanager
async def _store(url: str, answer_timeout_ms: int = 2000) -> AsyncGenerator[Store]:
    store = connect_redis(url, answer_timeout_ms=answer_timeout_ms, connections_max=2)
    try:
        yield store
    finally:
        await store.aclose()


async def test_a_cancelled_command_is_cancelled_at_whichever_step_it_is(servers: Stack) -> None:
    """A worker's loop would go on for ever if its command returned as if nothing had been said."""
    cancelled = 0
    async with _store(servers.settings.redis_url) as store:
        for connect_first in (False, True):
            for steps in range(_STEPS):
                if connect_first:
                    await store.ping()
                task = asyncio.create_task(store.ping())
                for _ in range(steps):
                    await asyncio.sleep(0)
                if task.done():
                    assert task.result() is True
                    continue
                task.cancel()
                await asyncio.wait([task], timeout=5)
                assert task.cancelled(), f"after {steps} steps"
                cancelled += 1
        assert await store.ping()
    assert cancelled > 10


def test_writing_to_a_server_that_has_just_gone_is_a_failure_of_the_store(servers: Stack) -> None:
    """The API's event loop raises something of its own then, which nobody expects of a store."""

    async def write_to_what_is_closed() -> None:
        connection = make_pool(
            servers.settings.redis_url, answer_timeout_ms=1000, connections_max=1
        ).make_connection()
        await connection.connect()
        writer = cast("Any", connection)._writer
        writer.transport.abort()
        with pytest.raises(RedisConnectionError):
            await connection.send_command("PING")
        assert not connection.is_connected
        await connection.send_command("PING")
        assert await cast("Any", connection).read_response() == b"PONG"
        await connection.disconnect()

    uvloop.run(write_to_what_is_closed())


@asynccontextmanager
async def _deaf_server(path: Path) -> AsyncGenerator[str]:
    """Greets, and from the first PUBLISH on reads nothing and answers nothing."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while b"PUBLISH" not in (said := await reader.read(4096)):
                if not said:
                    return
                writer.write(b"+OK\r\n" * (said.count(b"CLIENT") + said.count(b"\nINFO")))
            await over.wait()
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield f"unix://{path}"
    finally:
        over.set()
        server.close()


@pytest.mark.parametrize(("told", "size"), [("Timeout reading", 1), ("did not take", 64 << 20)])
async def test_a_store_that_does_not_answer_is_not_waited_for_for_ever(
    tmp_path: Path, told: str, size: int
) -> None:
    """Neither for its answer nor for it to take what it is sent."""
    async with (
        _deaf_server(tmp_path / "deaf.sock") as url,
        _store(url, answer_timeout_ms=100) as store,
    ):
        began = monotonic()
        with pytest.raises(RedisTimeoutError, match=told):
            await store.publish("channel", bytes(size))
        assert monotonic() - began < 5


async def test_a_store_that_is_not_there_is_an_error_of_the_store(tmp_path: Path) -> None:
    """Which callers know what to do about."""
    async with _store(f"unix://{tmp_path}/nowhere.sock") as store:
        with pytest.raises(RedisError):
            await store.ping()
