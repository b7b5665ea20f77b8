"""Waits until the inventory of a show is there that the workers open."""

import asyncio
import time
from typing import Final

from engine.inventory.commands import Recovering
from engine.inventory.shows import Show
from engine.runtime import Serving

_TIMEOUT_S: Final = 20
_PAUSE_S: Final = 0.05


async def is_opened(runtime: Serving, show: Show) -> bool:
    """Wait until the show's inventory is there; False if that takes too long."""
    deadline = time.monotonic() + _TIMEOUT_S
    while isinstance(await runtime.box_office.availability(show), Recovering):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_PAUSE_S)
    return True
