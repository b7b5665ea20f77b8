"""Lanes as several API processes would have them, on a show room's show, and bad connections."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from engine.inventory.lanes import Lane
from engine.inventory.shows import Show
from engine.platform.redis import Store, connect_redis
from tests.lua.show_room import RESELLER, ShowRoom

TIMEOUT_MS: Final = 2000


class FakeBook:
    """What the database says of a room's show. `known` is what this process has read of it."""

    def __init__(self, room: ShowRoom) -> None:
        """Read the show once."""
        self.room = room
        self.reloads = 0
        self.error: Exception | None = None
        self.known = self._read()

    async def current(self) -> Show:
        """Return the show as it was read last."""
        return self.known

    async def reload(self) -> Show:
        """Read the show again, or fail as the database does."""
        self.reloads += 1
        if self.error is not None:
            raise self.error
        self.known = self._read()
        return self.known

    def _read(self) -> Show:
        room = self.room
        return Show(
            id=room.show,
            reseller=RESELLER,
            manifest_id=1,
            name="A show",
            venue="A hall",
            starts_at_ms=0,
            opens_at_ms=0,
            closes_at_ms=None,
            state="on_sale",
            currency="EUR",
            tax_bps=0,
            fee_bps=0,
            fee_fixed=0,
            max_per_hold=10,
            max_per_buyer=20,
            epoch=room.epoch,
            inventory_version=room.version,
            price_version=1,
            manifest=room.manifest,
            keys=room.keys,
        )


@asynccontextmanager
async def open_store(url: str, *, timeout_ms: int = TIMEOUT_MS) -> AsyncGenerator[Store]:
    """Connect as an API process does."""
    store = connect_redis(url, answer_timeout_ms=timeout_ms, connections_max=8)
    try:
        yield store
    finally:
        await store.aclose()


def make_lane(  # noqa: PLR0913 - a lane's bounds, by name
    store: Store,
    book: FakeBook,
    *,
    batch_max: int = 64,
    backlog_max: int = 4096,
    timeout_ms: int = TIMEOUT_MS,
    replicas: int = 0,
) -> Lane:
    """Return a lane of its own process: with its own clock."""
    return Lane(
        store,
        book,
        batch_max=batch_max,
        backlog_max=backlog_max,
        timeout_ms=timeout_ms,
        record_backlog_max=100_000,
        replicas=replicas,
    )


class Line:
    """A proxy in front of the server's socket that can break at a call of a script.

    `drop_replies`: the server acts, its answer is lost. `drop_calls`: the call is lost before it.
    Each holds for that many calls; the connection is cut.
    """

    def __init__(self, url: str, path: Path) -> None:
        """Take the server, and where the proxy listens."""
        self._server = unquote(urlsplit(url).path)
        self._path = path
        self.url = f"unix://{path}"
        self.drop_replies = 0
        self.drop_calls = 0
        self.calls = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator["Line"]:
        """Listen until the end of the block."""
        server = await asyncio.start_unix_server(self._serve, str(self._path))
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        up_reader, up_writer = await asyncio.open_unix_connection(self._server)
        answers = asyncio.create_task(_copy(up_reader, writer))
        try:
            while data := await reader.read(1 << 20):
                is_call = b"EVAL" in data
                self.calls += is_call
                if is_call and self.drop_calls:
                    self.drop_calls -= 1
                    return
                if is_call and self.drop_replies:
                    self.drop_replies -= 1
                    answers.cancel()
                    await asyncio.wait([answers])
                    up_writer.write(data)
                    await up_reader.read(1 << 20)  # the server has acted
                    return
                up_writer.write(data)
                await up_writer.drain()
        finally:
            answers.cancel()
            for one in (writer, up_writer):
                one.close()
            # A line that is cut ends the copying, whichever side notices first.
            with suppress(asyncio.CancelledError, OSError):
                await answers
            self._tasks.discard(task)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
        await writer.drain()
