"""The torture's client sends each call once, and knows what it does not know."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from loadtests.torture.wire import LostError, NotSentError, Wire
from tests.listener import Listener, Serve


@asynccontextmanager
async def serving(serve: Serve) -> AsyncGenerator[Wire]:
    """Serve each connection like this."""
    async with Listener(serve) as listener:
        yield Wire(listener.url, "key", timeout_s=0.5)


def answering(*parts: bytes) -> Serve:
    """Return what reads a request's head, answers these bytes and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
        writer.close()

    return serve


async def test_an_answer_is_read_whole_or_in_chunks() -> None:
    """With its status, and the problem that it names."""
    whole = b'HTTP/1.1 409 C\r\nContent-Length: 35\r\n\r\n{"type":"urn:onsale:problem:taken"}\n'
    async with serving(answering(whole)) as wire:
        answer = await wire.ask("GET", "/x")
        assert (answer.status, answer.problem) == (409, "taken")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(answering(chunked, b'3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n')) as wire:
        assert (await wire.ask("GET", "/x")).body == {"a": 1}


async def test_an_answer_that_is_cut_off_is_lost() -> None:
    """At any place: nobody knows then what became of the call."""
    whole = b'HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    for length in range(len(whole)):
        async with serving(answering(whole[:length])) as wire:
            with pytest.raises(LostError):
                await wire.ask("POST", "/x", {"b": 2}, key="k")


async def test_a_server_that_says_nothing_has_lost_the_call() -> None:
    """After the time-out."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with serving(serve) as wire:
        with pytest.raises(LostError):
            await wire.ask("GET", "/x")


async def test_a_call_without_a_server_was_never_sent() -> None:
    """So it can have had no effect, which is worth knowing."""
    async with serving(answering(b"")) as wire:
        pass
    with pytest.raises(NotSentError):
        await wire.ask("GET", "/x")


async def test_a_lost_call_is_not_repeated_unasked() -> None:
    """Whatever its method: each sending is a call of its own in a history."""
    calls = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with serving(serve) as wire:
        for method in ("GET", "PUT", "DELETE"):
            with pytest.raises(LostError):
                await wire.ask(method, "/x")
    assert calls == 3
