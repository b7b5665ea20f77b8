"""The connections of a rehearsal, against a server that answers as it is told."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from loadtests.rehearsal.door import Door, LostError
from tests.listener import Listener

_OK = b"HTTP/1.1 201 Created\r\ncontent-length: 12\r\n\r\n" + b'{"number":7}'


@asynccontextmanager
async def _served(*parts: bytes | None) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """Answer every request with these parts, a moment between them; None hangs up."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(4096):
            requests.append(head)
            for part in parts:
                if part is None:
                    writer.transport.abort()
                    return
                writer.write(part)
                await asyncio.sleep(0.01)
        writer.close()

    async with Listener(serve) as listener:
        yield listener.url, requests


async def test_an_answer_that_comes_in_pieces_is_read_whole() -> None:
    """Cut in its head and in its body; and the connection serves the next request."""
    async with _served(_OK[:20], _OK[20:50], _OK[50:]) as (url, requests):
        door = Door(url, 1)
        for _ in range(2):
            answer = await door.ask("POST", "/v1/x", "X-Forwarded-For: 10.0.0.1\r\n", {"a": 1})
            assert (answer.status, answer.read()) == (201, {"number": 7})
            assert answer.sent_s <= answer.answered_s
        door.close()
    assert requests[0].startswith(b"POST /v1/x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert requests[0].endswith(b'X-Forwarded-For: 10.0.0.1\r\nContent-Type: application/json\r\n'
                                b'Content-Length: 7\r\n\r\n{"a":1}')  # fmt: skip


async def test_what_a_refusal_says_is_told() -> None:
    """The problem's slug, and when to come again."""
    body = b'{"type":"urn:onsale:problem:not-your-turn"}'
    head = b"HTTP/1.1 409 Conflict\r\nRetry-After: 3\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with _served(head + body) as (url, _):
        answer = await Door(url, 1).ask("POST", "/v1/x")
        assert (answer.status, answer.problem, answer.retry_after_s) == (409, "not-your-turn", 3)


async def test_an_answer_without_a_body_is_one() -> None:
    """As of a release."""
    async with _served(b"HTTP/1.1 204 No Content\r\n\r\n") as (url, _):
        assert (await Door(url, 1).ask("DELETE", "/v1/x")).status == 204


async def test_a_lost_answer_is_told_and_nothing_is_sent_again() -> None:
    """The next request opens the connection anew."""
    async with _served(_OK[:20], None) as (url, requests):
        door = Door(url, 1)
        for times in (1, 2):
            with pytest.raises(LostError):
                await door.ask("POST", "/v1/x")
            assert len(requests) == times


async def test_more_requests_than_connections_wait_for_one() -> None:
    """Nothing is mixed up."""
    async with _served(_OK) as (url, requests):
        door = Door(url, 2)
        answers = await asyncio.gather(*(door.ask("GET", f"/v1/{n}") for n in range(10)))
        assert [answer.status for answer in answers] == [201] * 10
        assert len(requests) == 10
        door.close()
