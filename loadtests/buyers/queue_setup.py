"""Opens a show's waiting room over HTTP, the way its reseller would."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import msgspec

from loadtests.buyers.desk import path_of
from loadtests.buyers.show_setup import RefusedShowError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_OPENING_S: Final = 60.0
_PAUSE_S: Final = 0.1
_OK: Final = 200


async def open_queue(
    base_url: str, api_key: str, show: str, rules: Mapping[str, Any]
) -> dict[str, Any]:
    """Put a show that is on sale behind a waiting room that is open from now on.

    Returns the rules as the API tells them, once its state is `running`.

    Raises:
        RefusedShowError: the API refused the rules, or the room did not open.
        aiohttp.ClientError: the API can't be reached.
    """
    opens_at = datetime.now(UTC) - timedelta(minutes=1)
    body = {"opens_at": opens_at.isoformat()} | dict(rules)
    address = base_url + path_of("shows", show, "queue")
    headers = {"Authorization": f"Bearer {api_key}"}
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        async with session.put(address, json=body, headers=headers) as response:
            content = await response.read()
            if response.status != _OK:
                msg = f"the waiting room was refused: {response.status} {content[:2000].decode()}"
                raise RefusedShowError(msg)
        await _wait_until_running(session, f"{address}/serving")
    return msgspec.json.decode(content, type=dict[str, Any])


async def read_queue(base_url: str, api_key: str, show: str) -> dict[str, Any]:
    """Return the rules of a show's waiting room.

    Raises:
        RefusedShowError: it has none.
        aiohttp.ClientError: the API can't be reached.
    """
    address = base_url + path_of("shows", show, "queue")
    headers = {"Authorization": f"Bearer {api_key}"}
    async with (
        aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session,
        session.get(address) as response,
    ):
        content = await response.read()
        if response.status != _OK:
            msg = f"no waiting room: {response.status} {content[:2000].decode()}"
            raise RefusedShowError(msg)
    return msgspec.json.decode(content, type=dict[str, Any])


async def _wait_until_running(session: aiohttp.ClientSession, address: str) -> None:
    deadline = time.monotonic() + _OPENING_S
    while True:
        async with session.get(address) as response:
            content = await response.read()
            if response.status == _OK:
                if msgspec.json.decode(content)["state"] == "running":
                    return
            elif response.status != 503:  # noqa: PLR2004 -- it is being opened
                msg = f"the waiting room: {response.status} {content[:500].decode()}"
                raise RefusedShowError(msg)
        if time.monotonic() > deadline:
            msg = f"the waiting room did not open within {_OPENING_S:.0f} s: {content[:500]!r}"
            raise RefusedShowError(msg)
        await asyncio.sleep(_PAUSE_S)
