"""A proxy between two parts, which cuts, swallows, stops and delays what they say to each other.

It knows no protocol: what one read of a socket brings counts as one message. So a swallowed reply
is an answer, or its first part, of a server that has acted; whoever asked sees the connection end.
"""

import asyncio
import logging
import socket
import struct
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from loadtests.closing import stop_listening

Address = Path | tuple[str, int]
"""A unix socket, or a host of this machine and a port (0 to listen on: any free one)."""

_CHUNK_BYTES: Final = 65_536
_BACKLOG: Final = 1024
_CONNECT_TIMEOUT_S: Final = 5.0
_CLOSE_TIMEOUT_S: Final = 10.0
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER for no time: closing is a reset

_logger = logging.getLogger("onsale.torture")

_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Toll:
    """What is taken from one way: the next so many messages, if they contain certain bytes."""

    def __init__(self) -> None:
        """Take nothing yet."""
        self.left = 0
        """How many are still to be taken."""
        self.taken = 0
        """How many were, in all."""
        self.over = asyncio.Event()
        """Set while there is nothing more to take."""
        self.over.set()
        self._containing = b""

    def set(self, count: int, containing: bytes) -> None:
        """Take the next `count` messages that contain these bytes; what was left is forgotten."""
        self.left, self._containing = count, containing
        if count:
            self.over.clear()
        else:
            self.over.set()

    def takes(self, message: bytes) -> bool:
        """Tell whether this message is to be swallowed, and count it."""
        if not self.left or self._containing not in message:
            return False
        self.left -= 1
        self.taken += 1
        if not self.left:
            self.over.set()
        return True


class _Pair:
    """A client's connection and the one to the server that was opened for it."""

    def __init__(self, client: _Ends, server: _Ends) -> None:
        self.client = client
        self.server = server

    def reset(self) -> None:
        for _, writer in (self.client, self.server):
            connection: socket.socket | None = writer.get_extra_info("socket")
            if connection is None or connection.fileno() < 0:
                continue  # it is closed already
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()

    def close(self) -> None:
        """End both once they have taken what was sent to them."""
        for _, writer in (self.client, self.server):
            writer.close()


class Proxy:
    """Passes connections on, from one listener to one server, until it is told otherwise.

    A context manager: it listens inside of the block, and its connections are reset at the end. All
    methods belong to the event loop that it was entered in.
    """

    def __init__(self, listen: Address, upstream: Address) -> None:
        """Take where to listen and whom to connect to; nothing is opened yet."""
        self._listen = listen
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._flows_again: asyncio.TimerHandle | None = None
        self._delay_s = 0.0
        self.requests = Toll()
        """What of the clients' messages is swallowed before the server sees it."""
        self.replies = Toll()
        """What of the server's messages is swallowed after it has acted."""

    # ------------------------------------------------------------ what is done to connections

    @property
    def address(self) -> Address:
        """Where it listens, with the port that was found.

        Raises:
            RuntimeError: it was not entered.
        """
        return self._listen if isinstance(self._listen, Path) else (self._listen[0], self.port)

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it is a unix socket.

        Raises:
            RuntimeError: it was not entered.
        """
        if self._server is None:
            msg = "the proxy does not listen"
            raise RuntimeError(msg)
        return 0 if isinstance(self._listen, Path) else self._server.sockets[0].getsockname()[1]

    @property
    def connections(self) -> int:
        """How many connections pass through it now."""
        return len(self._pairs)

    def cut(self) -> int:
        """Reset all connections, both ends of each; return how many there were."""
        pairs = tuple(self._pairs)
        for pair in pairs:
            pair.reset()
        return len(pairs)

    def drop_requests(self, count: int, *, containing: bytes = b"") -> None:
        """Swallow the next requests before the server sees them, each with its connection.

        Counts only those that contain the bytes; 0 ends it.
        """
        self.requests.set(count, containing)

    def drop_replies(self, count: int, *, containing: bytes = b"") -> None:
        """Swallow the next replies: the server has acted and its client never hears of it.

        The connection of each is reset. Counts only those that contain the bytes; 0 ends it.
        """
        self.replies.set(count, containing)

    def pause(self, seconds: float) -> None:
        """Let no byte pass for so long, either way; connections stay open and new ones are taken.

        A later call replaces an earlier one; 0 lets everything pass.
        """
        if self._flows_again is not None:
            self._flows_again.cancel()
        if seconds > 0:
            self._flows.clear()
        loop = asyncio.get_running_loop()
        self._flows_again = loop.call_later(seconds, self._flows.set)

    def delay(self, seconds: float) -> None:
        """Hold back each message for so long from now on, either way; 0 ends it."""
        self._delay_s = seconds

    def retarget(self, upstream: Address) -> None:
        """Connect to another server from now on; what is connected stays so until it is cut."""
        self._upstream = upstream

    # ------------------------------------------------------------ how they are passed on

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the address can't be listened on.
        """
        if isinstance(self._listen, Path):
            self._listen.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(
                self._accept, self._listen, backlog=_BACKLOG
            )
        else:
            host, port = self._listen
            self._server = await asyncio.start_server(self._accept, host, port, backlog=_BACKLOG)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Listen no longer and reset what is connected."""
        if self._server is not None:
            await stop_listening(self._server)
        if self._flows_again is not None:
            self._flows_again.cancel()
        self.cut()
        for task in self._tasks:
            task.cancel()
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if isinstance(self._listen, Path):
            self._listen.unlink(missing_ok=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve((reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Also where it was cancelled before it began.
        task.add_done_callback(lambda _task: writer.close())

    async def _serve(self, client: _Ends) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                server = await _connect(self._upstream)
        except (OSError, TimeoutError) as error:
            _logger.debug("nobody at %s: %r", self._upstream, error)
            client[1].transport.abort()
            return
        except asyncio.CancelledError:
            client[1].transport.abort()
            raise
        pair = _Pair(client, server)
        self._pairs.add(pair)
        try:
            await self._pass_on(pair)
        finally:
            self._pairs.discard(pair)
            pair.close()

    async def _pass_on(self, pair: _Pair) -> None:
        """Carry both ways until one of them ends."""
        ways = [
            asyncio.create_task(self._carry(pair, pair.client[0], pair.server[1], self.requests)),
            asyncio.create_task(self._carry(pair, pair.server[0], pair.client[1], self.replies)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(
        self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, toll: Toll
    ) -> None:
        try:
            while message := await reader.read(_CHUNK_BYTES):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._flows.wait()
                if toll.takes(message):
                    pair.reset()
                    return
                writer.write(message)
                await writer.drain()
        except OSError as error:
            # Its ends were reset, by us or by the part that died: what a proxy is to pass on.
            _logger.debug("a connection through %s ended: %r", self._listen, error)
            pair.reset()


async def _connect(upstream: Address) -> _Ends:
    if isinstance(upstream, Path):
        # A socket's path is short; that of the link to it may not be.
        return await asyncio.open_unix_connection(await asyncio.to_thread(upstream.resolve))
    return await asyncio.open_connection(*upstream)
