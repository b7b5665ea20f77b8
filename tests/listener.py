"""A server in the test's own process, which leaves no connection behind when it stops."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from loadtests.closing import stop_listening

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_GONE: Final = (ConnectionError, asyncio.IncompleteReadError)
_STOP_TIMEOUT_S: Final = 10


class Listener:
    """Serves each connection to a loopback port, until its client is gone or it stops itself.

    A connection that is only forgotten is closed by whatever test collects the garbage, as its
    failure.
    """

    def __init__(self, serve: Serve, port: int = 0) -> None:
        """Take how a connection is served, and the port, any free one for 0."""
        self.port = port
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, at the same port as before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be gone: nobody listens, and what is connected is reset."""
        if self._server is None:
            return
        await stop_listening(self._server)
        self._server = None
        tasks = list(self._open)
        for task, writer in self._open.items():
            writer.transport.abort()
            task.cancel()
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        """Listen."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Be gone."""
        await self.stop()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(*_GONE):
                await self._serve(reader, writer)
        finally:
            writer.close()
            with suppress(*_GONE):
                await writer.wait_closed()
