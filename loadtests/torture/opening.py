"""Opens a round's show: a small hall with an area, of which the house withholds a little."""

import asyncio
import time
from typing import Any, Final
from uuid import uuid4

from msgspec import Struct

from loadtests.buyers.show_setup import put_on_sale
from loadtests.checker.show import Show
from loadtests.generated_plans import arena_plan
from loadtests.torture.reading import Hall
from loadtests.torture.wire import LostError, NotSentError, Wire, path_of

SEATS: Final = 60
AREA_PLACES: Final = 30
BLOCKED_SEATS: Final = 4
BLOCKED_PLACES: Final = 2
MAX_PER_BUYER: Final = 6

_AREA: Final = "floor-1"
_OK: Final = 200
_PATIENCE_S: Final = 20.0
_PAUSE_S: Final = 0.05


class RefusedError(Exception):
    """The API would not do what opening a show needs; the message has its answer."""


class Opened(Struct, frozen=True):
    """A show on sale."""

    hall: Hall
    show: Show
    """For the checker; nothing was lost yet."""


async def open_show(base_url: str, api_key: str, wire: Wire) -> Opened:
    """Put a show on sale and withhold some of it.

    Raises:
        RefusedError, RefusedShowError: the API refused it.
        aiohttp.ClientError: the API can't be reached.
    """
    plan = arena_plan(SEATS, floor_areas=1, floor_capacity=AREA_PLACES)
    show = await put_on_sale(base_url, api_key, plan, tickets_max=MAX_PER_BUYER)
    listed = await _ask(wire, "GET", path_of("shows", show, "seats") + "?limit=1000")
    labels = {seat["position"]: seat["seat"] for seat in listed["seats"]}
    first, *_ = in_order = [label for _, label in sorted(labels.items())]
    # The first is the hottest; the others are spread.
    blocked = [first, *in_order[7 :: SEATS // BLOCKED_SEATS]][:BLOCKED_SEATS]
    body = {"seats": blocked, "areas": {_AREA: BLOCKED_PLACES}, "reason": "house"}
    await _ask(wire, "POST", path_of("shows", show, "blocks"), body)
    await _wait_until_withheld(wire, show)
    return Opened(
        Hall(show, labels, (_AREA,)),
        Show(
            id=show,
            seats=frozenset(labels.values()),
            blocked_seats=frozenset(blocked),
            area_capacity={_AREA: AREA_PLACES},
            area_blocked={_AREA: BLOCKED_PLACES},
            max_per_buyer=MAX_PER_BUYER,
        ),
    )


async def _wait_until_withheld(wire: Wire, show: str) -> None:
    """Wait for what the house has changed: the show is as the checker thinks from then on."""
    ends = time.monotonic() + _PATIENCE_S
    while True:
        found = await _ask(wire, "GET", path_of("shows", show, "availability"))
        if found["total"]["blocked"] == BLOCKED_SEATS + BLOCKED_PLACES:
            return
        if time.monotonic() > ends:
            msg = f"what was withheld is not seen: {found['total']}"
            raise RefusedError(msg)
        await asyncio.sleep(_PAUSE_S)


async def _ask(wire: Wire, method: str, path: str, body: object = None) -> dict[str, Any]:
    """Ask until it is answered with 200, for as long as patience lasts."""
    ends = time.monotonic() + _PATIENCE_S
    key = f"o-{uuid4().hex}" if method == "POST" else None
    while True:
        try:
            answer = await wire.ask(method, path, body, key=key)
            if answer.status == _OK:
                return answer.body
            told = f"{answer.status} {answer.body}"
        except (NotSentError, LostError) as error:
            told = repr(error)
        if time.monotonic() > ends:
            msg = f"{method} {path}: {told}"
            raise RefusedError(msg)
        await asyncio.sleep(_PAUSE_S)
