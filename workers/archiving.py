"""What time brings about in the lives of shows: they end, are archived, are opened after others."""

import asyncio
from typing import Final

from engine.catalog.ending import DONE_AT_ONCE, archive_shows, end_shows, open_followers
from engine.catalog.life import Stores
from engine.platform.ids import Ids
from engine.runtime import Working
from engine.sales.choices import settle_choices

_PAUSE_S: Final = 1.0


async def run_show_life(working: Working) -> None:
    """Do what is due until cancelled.

    A store that fails ends it; whoever started it starts it again.
    """
    stores = _stores(working)
    while True:
        done = await open_followers(stores) + await end_shows(stores)
        await asyncio.sleep(0 if done >= DONE_AT_ONCE else _PAUSE_S)


async def run_choices(working: Working) -> None:
    """Settle what holders of tickets choose until cancelled, as `run_show_life` does its part.

    By itself: a large show's refunds keep no other date from opening.
    """
    stores = _stores(working)
    while True:
        await settle_choices(stores)
        await asyncio.sleep(_PAUSE_S)


async def run_archiving(working: Working) -> None:
    """Take shows out of the inventory store until cancelled, as `run_show_life` does its part."""
    stores = _stores(working)
    while True:
        done = await archive_shows(stores)
        await asyncio.sleep(0 if done >= DONE_AT_ONCE else _PAUSE_S)


def _stores(working: Working) -> Stores:
    settings = working.settings
    ids = Ids(settings.region, settings.secret.encode())
    after_s, lasts_s = settings.archive_after_s, settings.show_lasts_s
    return Stores(working.recorder_engine, working.redis, ids, after_s, lasts_s)
