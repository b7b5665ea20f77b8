"""The outermost layer alone, around an application that misbehaves."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from api.edge import Edge


async def _ask(
    app: Any,  # noqa: ANN401 -- ASGI
    receive: Any = None,  # noqa: ANN401 -- ASGI
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> tuple[int, dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:  # noqa: ANN401 -- ASGI
        sent.append(message)

    async def nothing() -> Any:  # noqa: ANN401 -- ASGI
        await asyncio.Event().wait()

    scope: Any = {
        "type": "http",
        "method": "POST",
        "raw_path": b"/",
        "query_string": b"",
        "headers": headers,
    }
    edge = Edge(app, chunk_timeout_s=0.05, body_timeout_s=0.2)
    await edge(scope, receive or nothing, send)
    return sent[0]["status"], msgspec.json.decode(sent[1]["body"])


async def _read_body(_: Any, receive: Any, __: Any) -> None:  # noqa: ANN401 -- ASGI
    await receive()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """408: who sends a byte a minute would keep the process busy for nothing."""
    status, told = await _ask(_read_body)
    assert (status, told["type"]) == (408, "urn:onsale:problem:request-timeout")


async def test_a_body_that_comes_drop_by_drop_is_not_waited_for() -> None:
    """408: each part is in time, and the whole is not."""

    async def drip() -> Any:  # noqa: ANN401 -- ASGI
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def read_all(_: Any, receive: Any, __: Any) -> None:  # noqa: ANN401 -- ASGI
        while (await receive())["more_body"]:
            pass

    async with asyncio.timeout(5):
        status, told = await _ask(read_all, drip)
    assert (status, told["type"]) == (408, "urn:onsale:problem:request-timeout")


async def test_two_lengths_are_refused() -> None:
    """400: whoever stands in front may have gone by the other one."""
    headers = [(b"content-length", b"4"), (b"transfer-encoding", b"chunked")]
    status, told = await _ask(_read_body, headers=headers)
    assert (status, told["type"]) == (400, "urn:onsale:problem:malformed-request")


async def test_a_client_that_goes_away_is_no_error_of_ours() -> None:
    """400, to nobody, and no traceback in the log."""

    async def gone() -> Any:  # noqa: ANN401 -- ASGI
        return {"type": "http.disconnect"}

    status, told = await _ask(_read_body, gone)
    assert (status, told["type"]) == (400, "urn:onsale:problem:malformed-request")


async def test_whatever_goes_wrong_is_told_without_its_details() -> None:
    """500, with a request id to find it by in the log."""

    async def fail(*_: object) -> None:
        msg = "the secret is 42"
        raise RuntimeError(msg)

    status, told = await _ask(fail)
    assert (status, told["type"]) == (500, "urn:onsale:problem:internal-error")
    assert "42" not in told["detail"]
