"""Connections to one server at a time, whose commands may be cancelled and whose silence is heard.

An address may come to lead to another server: a name is moved, a replica is promoted. The server
that it led to may still be there, unaware of that. So a pool never gives out a connection to the
older server once it has one to the newer, and lets go of all that it has when one of them breaks
or its server refuses to write: the next command asks the address again. Where an address may be
moved away from a server that lives on, it is also asked again each second.

A pool may have a breaker: then a server that has failed to answer more than once in a row is not
asked until a probe is answered.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, cast

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.client import PubSub
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from engine.platform.errors import is_outage
from engine.platform.retrying import SOON, Breaker

_TRIES: Final = 3
_SILENCE_MAX_S: Final = 3.0
_ASK_EVERY_S: Final = 1.0
_GREET_TIMEOUT_S: Final = 5.0
# One that is late may be late alone; a second without any answer between them is not.
_FAILURES_MAX: Final = 2
_REFUSALS: Final = ("NOREPLICAS", "MISCONF")


def refuses_to_write(error: ResponseError) -> bool:
    """Tell whether a server changes nothing at all now: too few replicas follow it, or it is one.

    A script that meets this has written nothing, since it is told so at its first write.
    """
    return isinstance(error, ReadOnlyError) or str(error).startswith(_REFUSALS)


class StoreConnection(AbstractConnection):
    """A connection whose commands may be cancelled at any moment, which the client's may not.

    The client sends under `asyncio.wait_for`, and on Python 3.11 that returns instead of raising a
    cancellation which comes just when the command has been sent: the caller goes on as if nobody
    had cancelled it. It also makes a task for each command.
    """

    pool: "OneServerPool | None" = None
    generation: int = 0
    run_id: bytes = b""
    """Which server it leads to; empty if that one does not tell."""
    _is_greeting: bool = False

    async def connect(self) -> None:
        """Connect and greet, within one time-out for all of it.

        Raises:
            redis.RedisError: there is no connection to be had.
        """
        if self.is_connected:
            return
        self._is_greeting = True
        try:
            async with asyncio.timeout(_GREET_TIMEOUT_S):
                await super().connect()
        except TimeoutError:
            await self.disconnect(nowait=True)
            msg = f"the store did not greet in {_GREET_TIMEOUT_S} s"
            error = RedisTimeoutError(msg)
            self._tell_breaker(error)
            raise error from None
        except (RedisConnectionError, RedisTimeoutError) as error:
            self._tell_breaker(error)
            raise
        finally:
            self._is_greeting = False

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the client's
        """Send a command, connected first where need be."""
        limit_s, self.socket_timeout = self.socket_timeout, None
        try:
            async with asyncio.timeout(limit_s):
                await super().send_packed_command(*args, **kwargs)
        except TimeoutError:
            msg = f"the store did not take a command in {limit_s} s"
            error = RedisTimeoutError(msg)
            self._let_go(error)
            raise error from None
        except RuntimeError as broken:
            # What uvloop says to who writes after the other side has gone.
            await self.disconnect(nowait=True)
            error = RedisConnectionError(str(broken))
            self._let_go(error)
            raise error from broken
        finally:
            self.socket_timeout = limit_s

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the client's
        """Read an answer."""
        try:
            answer = await cast("Awaitable[Any]", super().read_response(*args, **kwargs))
        except (RedisConnectionError, RedisTimeoutError) as error:
            self._let_go(error)
            raise
        except ResponseError as error:
            if refuses_to_write(error):
                self._let_go(error)
            raise
        if self.breaker is not None and not self._is_greeting:
            self.breaker.answered()
        return answer

    async def on_connect(self) -> None:
        """Greet the server, and learn which one it is."""
        generation = self.pool.generation if self.pool else 0
        await super().on_connect()
        await self.send_command("INFO", "server")
        try:
            found = await self.read_response()
        except ResponseError:  # a user who may not ask: the scripts will tell
            found = b""
        self.run_id = _run_id(found)
        if self.pool is not None:
            self.generation = self.pool.reached(self.run_id, generation)

    @property
    def breaker(self) -> Breaker | None:
        """The breaker around the server, if there is one."""
        return None if self.pool is None else self.pool.breaker

    def _let_go(self, error: Exception) -> None:
        if self.pool is not None and self.generation == self.pool.generation:
            self.pool.generation += 1
        # A greeting is told of once, when it has failed: that may be in more than one way.
        if not self._is_greeting:
            self._tell_breaker(error)

    def _tell_breaker(self, error: Exception) -> None:
        if self.breaker is not None:
            self.breaker.failed(error)


class OneServerPool(BlockingConnectionPool):
    """Connections of one generation: those made since the last reason to ask the address again."""

    generation: int = 0
    moves: bool = False
    """Whether the address may be moved away from a server that lives on."""
    breaker: Breaker | None = None
    _run_id: bytes = b""
    _asked_at: float = 0.0
    _asking: asyncio.Task[None] | None = None

    def guard(self, name: str) -> None:
        """Put a breaker around the server, which messages call by this name."""
        self.breaker = Breaker(
            name, self._probe, is_away=is_outage, failures_max=_FAILURES_MAX, pauses=SOON
        )

    async def stop(self) -> None:
        """Stop asking for the server, and probing it."""
        if self._asking is not None:
            self._asking.cancel()
        if self.breaker is not None:
            breaker, self.breaker = self.breaker, None  # what fails from now on is our own doing
            await breaker.stop()

    async def get_connection(self, *args: Any, **kwargs: Any) -> AbstractConnection:  # noqa: ANN401 - the client's
        """Return a connection.

        Raises:
            BreakerOpenError: the server has not answered lately: nothing is sent.
            redis.RedisError: there is no connection to be had.
        """
        if self.breaker is not None:
            self.breaker.check()
        return await super().get_connection(*args, **kwargs)

    async def _probe(self) -> None:
        """Connect anew, whatever the pool has, and be answered."""
        fresh = self.make_connection()
        try:
            await fresh.connect()
            await fresh.send_command("PING")
            await cast("Awaitable[object]", fresh.read_response())
        finally:
            await fresh.disconnect(nowait=True)

    def make_connection(self) -> AbstractConnection:
        """Make a connection that knows its pool."""
        connection = super().make_connection()
        if isinstance(connection, StoreConnection):
            connection.pool = self
        return connection

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        """Connect, anew where the connection is of an older generation.

        Raises:
            redis.RedisError: there is no connection to be had.
        """
        if not isinstance(connection, StoreConnection):
            await super().ensure_connection(connection)
            return
        if self.moves and self._is_due():
            self._asking = asyncio.create_task(self._ask_the_address())
        for _ in range(_TRIES):
            if connection.generation != self.generation:
                await connection.disconnect()
            await super().ensure_connection(connection)
            if connection.generation == self.generation:
                return
        msg = "the address leads to one server and then to another"
        raise RedisConnectionError(msg)

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - the client's
        """Close all connections."""
        if self._asking is not None:
            self._asking.cancel()
        await super().disconnect(inuse_connections)

    def _is_due(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._asked_at < _ASK_EVERY_S or (self._asking and not self._asking.done()):
            return False
        self._asked_at = now
        return True

    async def _ask_the_address(self) -> None:
        """Connect once, aside: that tells this pool which server it has reached."""
        await _server_of(self.make_connection())

    def reached(self, run_id: bytes, generation: int) -> int:
        """Note which server a connection begun in a generation has reached; return its own.

        One that was begun before the latest news counts as old whatever it has reached: it may
        have waited long at a server that the address led to before.
        """
        if generation == self.generation and run_id != self._run_id:
            if self._run_id:
                self.generation += 1
            self._run_id = run_id
            return self.generation
        return generation


class ListeningPubSub(PubSub):
    """A subscription that fails when its server falls silent or is no longer the address's.

    Its socket may stay open for ever: the client asks a quiet server for a sign of life by itself,
    but never looks for the answer.
    """

    moves: bool = False
    """Whether the address may be moved away from a server that lives on."""
    _asked_at: float = 0.0
    _is_suspect: bool = False

    async def get_message(
        self,
        ignore_subscribe_messages: bool = False,  # noqa: FBT001, FBT002 - the client's
        timeout: float | None = 0.0,  # noqa: ASYNC109 - the client's
    ) -> dict[str, Any] | None:
        """Return the next message; None when none came.

        Raises:
            redis.RedisError: the connection broke, or the wrong server or nobody is at its other
                end.
        """
        message = cast(
            "dict[str, Any] | None", await super().get_message(ignore_subscribe_messages, timeout)
        )
        connection = self.connection
        if isinstance(connection, StoreConnection):
            now = asyncio.get_running_loop().time()
            self._look_for_silence(connection, now)
            if self.moves and now - self._asked_at > _ASK_EVERY_S:
                self._asked_at = now
                run_id = await _server_of(self.connection_pool.make_connection())
                if run_id not in {None, connection.run_id}:
                    msg = "the address leads to another server now"
                    raise RedisConnectionError(msg)
        return message

    def _look_for_silence(self, connection: StoreConnection, now: float) -> None:
        # When a ping is due: put off whenever anything is heard.
        is_silent = now > connection.next_health_check + _SILENCE_MAX_S
        if is_silent and self._is_suspect:
            msg = f"the store left a subscription's ping unanswered for {_SILENCE_MAX_S} s"
            raise RedisTimeoutError(msg)
        # Not at once: this process may have been busy itself, and the answer is there.
        self._is_suspect = is_silent


async def _server_of(fresh: AbstractConnection) -> bytes | None:
    """Return which server a new connection reaches, and close it; None: it reaches none."""
    assert isinstance(fresh, StoreConnection)  # noqa: S101 - our pools make no others
    try:
        await fresh.connect()
    except (RedisError, OSError):
        return None  # whoever needs it will hear of it
    finally:
        await fresh.disconnect(nowait=True)
    return fresh.run_id


def _run_id(info: bytes | str) -> bytes:
    text = info.encode() if isinstance(info, str) else info
    return text.partition(b"run_id:")[2].partition(b"\r")[0]
