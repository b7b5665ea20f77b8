"""Puts a show on sale over HTTP, the way a reseller would."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import aiohttp
import msgspec

from engine.inventory.slug import slug
from loadtests.buyers.desk import path_of

_DEAREST: Final = 12_900
_CHEAPEST: Final = 2_900
_TICKETS_MAX: Final = 8
_TIMEOUT: Final = aiohttp.ClientTimeout(total=120)
_OPENING_S: Final = 120.0
_PAUSE_S: Final = 0.25


class RefusedShowError(Exception):
    """The API would not put the show on sale; the message says why."""


async def put_on_sale(
    base_url: str,
    api_key: str,
    plan: bytes,
    *,
    tickets_max: int = _TICKETS_MAX,
    opens_at: datetime | None = None,
) -> str:
    """Create a show that sells this seating plan; return its id once it can be looked at.

    `tickets_max` bounds a hold, and all that one buyer may have. Sales open at `opens_at`, or have
    opened already.

    Raises:
        RefusedShowError: the API refused it, or it did not open.
        aiohttp.ClientError: the API can't be reached.
    """
    read: dict[str, Any] = msgspec.json.decode(plan)
    now = datetime.now(UTC)
    body = {
        "name": read.get("name") or "A show",
        "venue": "Demo hall",
        "starts_at": (now + timedelta(days=30)).isoformat(),
        "opens_at": (opens_at or now - timedelta(minutes=5)).isoformat(),
        "currency": "EUR",
        "tax_bps": 700,
        "prices": _prices(read),
        "max_per_hold": tickets_max,
        "max_per_buyer": tickets_max,
        "plan": read,
    }
    headers = {
        "Authorization": f"Bearer {api_key}",
        "Idempotency-Key": f"show-{uuid4().hex}",
        "Content-Type": "application/json",
    }
    async with aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session:
        content = msgspec.json.encode(body)
        show = await _create(session, base_url + path_of("shows"), content)
        await _wait_until_open(session, base_url + path_of("shows", show, "availability"))
        return show


async def _create(session: aiohttp.ClientSession, url: str, content: bytes) -> str:
    """Create it, again with the same key for as long as it is told to come back; return its id."""
    deadline = time.monotonic() + _OPENING_S
    while True:
        async with session.post(url, data=content) as response:
            answer = await response.read()
            if response.status in {201, 202}:
                return str(msgspec.json.decode(answer)["show"])
            told = f"{response.status} {answer[:2000].decode()}"
            is_over = response.status != 503 or time.monotonic() > deadline  # noqa: PLR2004
        if is_over:
            msg = f"the show was refused: {told}"
            raise RefusedShowError(msg)
        await asyncio.sleep(_PAUSE_S)


async def _wait_until_open(session: aiohttp.ClientSession, url: str) -> None:
    deadline = time.monotonic() + _OPENING_S
    while True:
        async with session.get(url) as response:
            if response.status == 200:  # noqa: PLR2004 -- ok
                return
            told = f"{response.status} {(await response.read())[:500].decode()}"
        if time.monotonic() > deadline:
            msg = f"the show did not open within {_OPENING_S:.0f} s: {told}"
            raise RefusedShowError(msg)
        await asyncio.sleep(_PAUSE_S)


def _prices(plan: dict[str, Any]) -> dict[str, int]:
    """Price the categories that are used, the first listed the dearest."""
    used = {
        seat["category"] for zone in plan["zones"] for row in zone["rows"] for seat in row["seats"]
    }
    used |= {
        area["category"]
        for zone in plan["zones"]
        for area in zone.get("areas") or ()
        if area.get("capacity") and area.get("category")
    }
    names = [category["name"] for category in plan["categories"] if category["name"] in used]
    step = (_DEAREST - _CHEAPEST) // max(len(names) - 1, 1)
    return {slug(name): _DEAREST - n * step for n, name in enumerate(names)}
