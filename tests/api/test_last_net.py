"""The outermost layer alone, around an application that misbehaves."""

import asyncio
from typing import Any

import msgspec

from api.edge import Edge


async def _ask(app: Any, receive: Any = None) -> tuple[int, dict[str, Any]]:  # noqa: ANN401 -- ASGI
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
        "headers": [],
    }
    await Edge(app, chunk_timeout_s=0.05)(scope, receive or nothing, send)
    return sent[0]["status"], msgspec.json.decode(sent[1]["body"])


async def _read_body(_: Any, receive: Any, __: Any) -> None:  # noqa: ANN401 -- ASGI
    await receive()


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """408: who sends a byte a minute would keep the process busy for nothing."""
    status, told = await _ask(_read_body)
    assert (status, told["type"]) == (408, "urn:onsale:problem:request-timeout")


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
