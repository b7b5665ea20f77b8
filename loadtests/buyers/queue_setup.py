"""Opens a show's waiting room over HTTP, the way its reseller would."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from onsale_client import AsyncOnsale, NoAnswerError, Response
from onsale_client.wire import path_of

from loadtests.buyers.show_setup import RefusedShowError

_TIMEOUT_S: Final = 30.0
_OPENING_S: Final = 60.0
_PAUSE_S: Final = 0.1
_OK: Final = 200


async def open_queue(
    base_url: str, api_key: str, show: str, rules: Mapping[str, Any]
) -> dict[str, Any]:
    """Put a show that is on sale behind a waiting room that is open from now on.

    Returns the rules as the API tells them, once its state is `running`.

    Raises:
        RefusedShowError: the API refused the rules or can't be reached, or the room did not open.
    """
    opens_at = datetime.now(UTC) - timedelta(minutes=1)
    body = {"opens_at": opens_at.isoformat()} | dict(rules)
    path = path_of("shows", show, "queue")
    async with AsyncOnsale(api_key, base_url=base_url, timeout_s=_TIMEOUT_S) as onsale:
        told = await _ask(onsale, "PUT", path, body)
        if told.status != _OK:
            msg = f"the waiting room was refused: {_shown(told)}"
            raise RefusedShowError(msg)
        await _wait_until_running(onsale, f"{path}/serving")
    return msgspec.json.decode(told.body, type=dict[str, Any])


async def read_queue(base_url: str, api_key: str, show: str) -> dict[str, Any]:
    """Return the rules of a show's waiting room.

    Raises:
        RefusedShowError: it has none, or the API can't be reached.
    """
    async with AsyncOnsale(api_key, base_url=base_url, timeout_s=_TIMEOUT_S) as onsale:
        told = await _ask(onsale, "GET", path_of("shows", show, "queue"))
    if told.status != _OK:
        msg = f"no waiting room: {_shown(told)}"
        raise RefusedShowError(msg)
    return msgspec.json.decode(told.body, type=dict[str, Any])


async def _wait_until_running(onsale: AsyncOnsale, path: str) -> None:
    deadline = time.monotonic() + _OPENING_S
    while True:
        told = await _ask(onsale, "GET", path)
        if told.status == _OK:
            if msgspec.json.decode(told.body)["state"] == "running":
                return
        elif told.status != 503:  # noqa: PLR2004 -- it is being opened
            msg = f"the waiting room: {_shown(told)}"
            raise RefusedShowError(msg)
        if time.monotonic() > deadline:
            msg = f"the waiting room did not open within {_OPENING_S:.0f} s: {_shown(told)}"
            raise RefusedShowError(msg)
        await asyncio.sleep(_PAUSE_S)


async def _ask(onsale: AsyncOnsale, method: str, path: str, body: object = None) -> Response:
    try:
        return await onsale.request(method, path, body)
    except NoAnswerError as error:
        raise RefusedShowError(str(error)) from error


def _shown(told: Response) -> str:
    return f"{told.status} {told.body[:2000].decode(errors='replace')}"
