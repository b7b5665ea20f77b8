"""Keeps what buyers find: lists anew whatever in the catalogue has changed."""

import asyncio
from typing import Final

from engine.catalog.listings import keep_listings
from engine.platform.ids import Ids
from engine.runtime import Working

_PAUSE_S: Final = 0.2


async def run_listings(working: Working) -> None:
    """List what has changed until cancelled.

    A store that fails ends it; whoever started it starts it again.
    """
    ids = Ids(working.settings.region, working.settings.secret.encode())
    while True:
        if not await keep_listings(working.recorder_engine, ids):
            await asyncio.sleep(_PAUSE_S)
