"""Litestar's side of the server: ASGI's messages to and from what an RSGI server gives."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from litestar import Litestar

from api.server import Behind, Exchange, RequestScope
from engine.platform.settings import SettingsError


class _Headers(list[tuple[str, str | None]]):
    """What can't be read is None here."""

    def __len__(self) -> int:
        return len({name for name, _ in self})

    def keys(self) -> list[str]:
        return [name for name, _ in self]

    def items(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self if value is not None]


class _Exchange:
    def __init__(self, *parts: bytes) -> None:
        self._parts = parts
        self.gone = asyncio.Event()
        self.answer: tuple[int, dict[str, str]] = (0, {})
        self.sent: list[bytes] = []

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part
        yield b""  # as the server ends every body

    async def client_disconnect(self) -> None:
        await self.gone.wait()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = status, dict(headers)
        self.sent.append(body)


async def _serve(
    app: Any,  # noqa: ANN401 - ASGI
    exchange: _Exchange,
    headers: Sequence[tuple[str, str | None]] = (),
    **given: object,
) -> None:
    parts_of_it: dict[str, object] = {
        "http_version": "1.1",
        "server": "127.0.0.1:80",
        "client": "[::1]:4000",
        "scheme": "http",
        "method": "POST",
        "path": "/a b",
        "query_string": "c=d",
        "authority": None,
        "headers": _Headers(headers),
    }
    scope = cast("RequestScope", SimpleNamespace(**(parts_of_it | given)))
    async with asyncio.timeout(5):
        await Behind(cast("Litestar", None), app).serve(scope, cast("Exchange", exchange))


async def _answer(send: Any, *parts: bytes, status: int = 200) -> None:  # noqa: ANN401 - ASGI
    await send({"type": "http.response.start", "status": status, "headers": [(b"x", b"\xe4")]})
    for n, part in enumerate(parts, 1):
        more = n < len(parts)
        await send({"type": "http.response.body", "body": part, "more_body": more})


async def test_a_request_comes_through_whole() -> None:
    """As ASGI tells it."""
    seen: dict[str, Any] = {}
    body = b""

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        nonlocal body
        seen.update(scope)
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        await _answer(send, b"done", status=201)

    given = [("content-length", "6"), ("x-name", "v"), ("x-name", "w"), ("x-odd", None)]
    given += [("x-twice", "v"), ("x-twice", None)]
    exchange = _Exchange(b"abc", b"def")
    await _serve(app, exchange, given, authority="onsale.example")
    assert body == b"abcdef"
    assert (seen["method"], seen["path"], seen["raw_path"]) == ("POST", "/a b", b"/a%20b")
    assert (seen["server"], seen["client"]) == (("127.0.0.1", 80), ("::1", 4000))
    assert seen["query_string"] == b"c=d"
    assert sorted(seen["headers"]) == [
        (b"content-length", b"6"),
        (b"host", b"onsale.example"),
        (b"x-name", b"v"),
        (b"x-name", b"w"),
        (b"x-odd", b"\xff"),
        (b"x-twice", b"v"),  # decision 16: nothing tells that it came twice
    ]
    assert exchange.answer == (201, {"x": "ä"})
    assert exchange.sent == [b"done"]


@pytest.mark.parametrize(
    ("parts", "headers"),
    [((b"abc",), [("content-length", "6")]), ((b"abc", b""), [("transfer-encoding", "chunked")])],
)
async def test_a_body_that_is_broken_off_is_not_taken_for_a_whole_one(
    parts: tuple[bytes, ...], headers: list[tuple[str, str | None]]
) -> None:
    """The server gives what came of it, and then its end."""
    seen: list[str] = []

    async def app(_: object, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        while not seen or seen[-1] != "http.disconnect":
            seen.append((await receive())["type"])
        await _answer(send, b"")

    await _serve(app, _Exchange(*parts), headers)
    assert seen == ["http.request", "http.disconnect"]


async def test_an_application_hears_when_its_client_goes_away() -> None:
    """Then it may end what nobody waits for."""
    heard: list[str] = []
    exchange = _Exchange()

    async def app(_: object, receive: Any, __: object) -> None:  # noqa: ANN401 - ASGI
        assert (await receive())["more_body"] is False
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        exchange.gone.set()
        heard.append((await waiting)["type"])

    await _serve(app, exchange)
    assert heard == ["http.disconnect"]


async def test_an_answer_in_parts_is_refused_before_anything_is_sent() -> None:
    """The server would keep any amount of it for a client that does not read."""

    async def app(_: object, __: object, send: Any) -> None:  # noqa: ANN401 - ASGI
        await _answer(send, b"one", b"two")

    exchange = _Exchange()
    with pytest.raises(NotImplementedError):
        await _serve(app, exchange)
    assert exchange.answer == (0, {})


async def test_the_lifespan_is_opened_and_closed_in_one_task_and_its_failure_told() -> None:
    """A process that can't start must not serve."""
    life: list[object] = []

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        async with asyncio.TaskGroup():
            life.append(asyncio.current_task())
            yield
            life.append(asyncio.current_task())

    @asynccontextmanager
    async def broken(_: Litestar) -> AsyncGenerator[None]:
        msg = "ONSALE_SECRET is not set"
        raise SettingsError(msg)
        yield

    good = Litestar(lifespan=[lifespan])
    behind = Behind(good, cast("Any", good))
    await behind.start()
    assert len(life) == 1
    await behind.stop()
    assert life == [life[0], life[0]]
    bad = Litestar(lifespan=[broken])
    with pytest.raises(ExceptionGroup) as failure:
        await Behind(bad, cast("Any", bad)).start()
    assert failure.group_contains(SettingsError, match="ONSALE_SECRET")
