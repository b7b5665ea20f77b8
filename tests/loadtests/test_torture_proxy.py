"""The nemesis' proxy: each fault does to a connection what it says, and is over when it says."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest

from loadtests.torture.proxy import Address, Proxy

_PATIENCE_S = 5


class EchoServer:
    """Answers each line with itself, and remembers which it has seen."""

    def __init__(self, name: str = "") -> None:
        """Take what it says before each answer."""
        self.seen: list[bytes] = []
        self._name = name.encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the client has gone."""
        try:
            while line := await reader.readline():
                self.seen.append(line)
                writer.write(self._name + line)
                await writer.drain()
        except ConnectionError:
            pass  # its client was reset, which is what these tests are about
        finally:
            writer.close()


class Client:
    """One connection that asks and waits."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take both ends."""
        self._reader = reader
        self._writer = writer

    async def ask(self, line: bytes) -> bytes:
        """Send a line and return the answer; an end of the connection is an empty one."""
        async with asyncio.timeout(_PATIENCE_S):
            self._writer.write(line)
            try:
                await self._writer.drain()
                return await self._reader.readline()
            except ConnectionError:
                return b""

    def close(self) -> None:
        """End it."""
        self._writer.close()


@asynccontextmanager
async def echo(path: Path, name: str = "") -> AsyncGenerator[EchoServer]:
    """Run an echo server on a unix socket."""
    one = EchoServer(name)
    server = await asyncio.start_unix_server(one.serve, path)
    try:
        yield one
    finally:
        server.close()


@asynccontextmanager
async def connect(address: Address) -> AsyncGenerator[Client]:
    """Connect to a proxy."""
    if isinstance(address, Path):
        client = Client(*await asyncio.open_unix_connection(address))
    else:
        client = Client(*await asyncio.open_connection(*address))
    try:
        yield client
    finally:
        client.close()


@pytest.fixture(params=["unix", "tcp"])
def listen(request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """Where the proxy listens: both kinds of sockets."""
    return tmp_path / "proxy" if request.param == "unix" else ("127.0.0.1", 0)


async def test_what_is_said_passes_both_ways(listen: Address, tmp_path: Path) -> None:
    """Also what is longer than one message."""
    upstream = tmp_path / "server"
    async with echo(upstream), Proxy(listen, upstream) as proxy, connect(proxy.address) as client:
        assert await client.ask(b"hello\n") == b"hello\n"
        long = b"x" * 60_000 + b"\n"
        assert await client.ask(long) == long
        assert proxy.connections == 1


async def test_a_cut_ends_every_connection_and_lets_new_ones_pass(
    listen: Address, tmp_path: Path
) -> None:
    """Both ends of each hear of it."""
    upstream = tmp_path / "server"
    async with echo(upstream), Proxy(listen, upstream) as proxy:
        async with connect(proxy.address) as one, connect(proxy.address) as two:
            assert await one.ask(b"1\n") == await two.ask(b"1\n") == b"1\n"
            assert proxy.cut() == 2
            assert await one.ask(b"2\n") == await two.ask(b"2\n") == b""
        async with connect(proxy.address) as again:
            assert await again.ask(b"3\n") == b"3\n"
        assert proxy.connections == 1


@pytest.mark.parametrize("turns", [0, 1])
async def test_a_cut_meets_connections_that_another_has_just_cut(
    listen: Address, tmp_path: Path, turns: int
) -> None:
    """Their sockets may be closed already."""
    upstream = tmp_path / "server"
    async with echo(upstream), Proxy(listen, upstream) as proxy, connect(proxy.address) as client:
        assert await client.ask(b"1\n") == b"1\n"
        proxy.cut()
        for _ in range(turns):
            await asyncio.sleep(0)
        proxy.cut()
        assert await client.ask(b"2\n") == b""


async def test_a_dropped_reply_is_one_that_the_server_has_sent(
    listen: Address, tmp_path: Path
) -> None:
    """It has acted, its client only sees the connection end; the next ones pass again."""
    upstream = tmp_path / "server"
    async with echo(upstream) as server, Proxy(listen, upstream) as proxy:
        proxy.drop_replies(1)
        async with connect(proxy.address) as client:
            assert await client.ask(b"lost\n") == b""
        assert server.seen == [b"lost\n"]
        assert (proxy.replies.left, proxy.replies.taken) == (0, 1)
        async with connect(proxy.address) as client:
            assert await client.ask(b"again\n") == b"again\n"


async def test_a_dropped_request_never_reaches_the_server(listen: Address, tmp_path: Path) -> None:
    """Only those with the asked-for bytes are taken, as many as were asked for."""
    upstream = tmp_path / "server"
    async with echo(upstream) as server, Proxy(listen, upstream) as proxy:
        proxy.drop_requests(2, containing=b"buy")
        for _ in range(2):
            async with connect(proxy.address) as client:
                assert await client.ask(b"look\n") == b"look\n"
                assert await client.ask(b"buy 1\n") == b""
        async with connect(proxy.address) as client:
            assert await client.ask(b"buy 2\n") == b"buy 2\n"
        assert server.seen == [b"look\n", b"look\n", b"buy 2\n"]
        assert proxy.requests.taken == 2


async def test_nothing_passes_while_it_pauses(tmp_path: Path) -> None:
    """The connection stays, and what was said meanwhile arrives afterwards."""
    upstream = tmp_path / "server"
    async with (
        echo(upstream) as server,
        Proxy(tmp_path / "proxy", upstream) as proxy,
        connect(proxy.address) as client,
    ):
        assert await client.ask(b"1\n") == b"1\n"
        proxy.pause(0.05)
        proxy.pause(0.3)
        began = monotonic()
        asking = asyncio.create_task(client.ask(b"2\n"))
        await asyncio.sleep(0.1)
        assert server.seen == [b"1\n"]
        assert await asking == b"2\n"
        assert monotonic() - began >= 0.25
        proxy.pause(60)
        proxy.pause(0)
        assert await client.ask(b"3\n") == b"3\n"


async def test_each_message_is_held_back_by_the_delay(tmp_path: Path) -> None:
    """Once on its way there and once on its way back."""
    upstream = tmp_path / "server"
    async with (
        echo(upstream),
        Proxy(tmp_path / "proxy", upstream) as proxy,
        connect(proxy.address) as client,
    ):
        proxy.delay(0.1)
        began = monotonic()
        assert await client.ask(b"1\n") == b"1\n"
        assert monotonic() - began >= 0.19
        proxy.delay(0)
        began = monotonic()
        assert await client.ask(b"2\n") == b"2\n"
        assert monotonic() - began < 0.1


async def test_new_connections_go_to_the_new_server(tmp_path: Path) -> None:
    """What is connected already stays where it is until it is cut."""
    one, two = tmp_path / "one", tmp_path / "two"
    async with (
        echo(one, "one "),
        echo(two, "two "),
        Proxy(tmp_path / "proxy", one) as proxy,
        connect(proxy.address) as before,
    ):
        assert await before.ask(b"1\n") == b"one 1\n"
        proxy.retarget(two)
        assert await before.ask(b"2\n") == b"one 2\n"
        async with connect(proxy.address) as after:
            assert await after.ask(b"3\n") == b"two 3\n"


async def test_a_server_that_is_not_there_ends_the_connection(
    listen: Address, tmp_path: Path
) -> None:
    """As a refused one would, and the proxy serves on when it is there."""
    upstream = tmp_path / "server"
    async with Proxy(listen, upstream) as proxy:
        async with connect(proxy.address) as client:
            assert await client.ask(b"1\n") == b""
        async with echo(upstream), connect(proxy.address) as client:
            assert await client.ask(b"2\n") == b"2\n"


async def test_leaving_ends_what_is_connected_even_while_it_pauses(tmp_path: Path) -> None:
    """No task and no socket is left behind."""
    upstream = tmp_path / "server"
    tasks = asyncio.all_tasks()
    async with echo(upstream):
        async with Proxy(tmp_path / "proxy", upstream) as proxy:
            client = Client(*await asyncio.open_unix_connection(tmp_path / "proxy"))
            assert await client.ask(b"1\n") == b"1\n"
            proxy.pause(60)
            asking = asyncio.create_task(client.ask(b"2\n"))
            await asyncio.sleep(0.05)
        assert await asking == b""
        client.close()
        assert not (tmp_path / "proxy").exists()
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() <= tasks
