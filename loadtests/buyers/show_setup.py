"""Puts a show on sale over HTTP, the way a reseller would."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from onsale_client import AsyncOnsale, OnsaleError, Repeats

from engine.inventory.slug import slug

_DEAREST: Final = 12_900
_CHEAPEST: Final = 2_900
_TICKETS_MAX: Final = 8
_TIMEOUT_S: Final = 120.0
_REPEATS: Final = Repeats(tries=1000, total_s=120.0, pause_s_max=0.5)


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
        RefusedShowError: the API refused it or can't be reached, or the show did not open.
    """
    body = show_body(plan, tickets_max=tickets_max, opens_at=opens_at)
    client = AsyncOnsale(api_key, base_url=base_url, timeout_s=_TIMEOUT_S, repeats=_REPEATS)
    async with client as onsale:
        try:
            created = await onsale.shows.create(body)
            await onsale.shows.availability(created.show)  # repeated until it is open
        except OnsaleError as error:
            msg = f"the show was refused: {error}"
            raise RefusedShowError(msg) from error
        return created.show


def show_body(
    plan: bytes, *, tickets_max: int = _TICKETS_MAX, opens_at: datetime | None = None
) -> dict[str, Any]:
    """Return what is sent to make a show that sells this seating plan, as `put_on_sale` does."""
    read: dict[str, Any] = msgspec.json.decode(plan)
    now = datetime.now(UTC)
    return {
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
