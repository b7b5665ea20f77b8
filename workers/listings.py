"""Keeps what buyers find: lists anew what has changed, and counts what is left of each show."""

import asyncio
from time import monotonic
from typing import Final

from engine.catalog.listings import keep_listings
from engine.platform.ids import Ids
from engine.runtime import Working
from engine.sales.freshness import FreshCounts
from engine.sales.terms import LedgerTerms

_PAUSE_S: Final = 0.2
_QUIET_EVERY_S: Final = 0.35
"""Each second look, then: with what keeps answers, counts are to be a second old at the most."""


async def run_listings(working: Working) -> None:
    """List what has changed until cancelled.

    A store that fails ends it; whoever started it starts it again.
    """
    ids = Ids(working.settings.region, working.settings.secret.encode())
    while True:
        if not await keep_listings(working.recorder_engine, ids):
            await asyncio.sleep(_PAUSE_S)


async def run_counts(working: Working) -> None:
    """Count what is left of listed shows until cancelled; at least half of the time it rests.

    A store that fails ends it; whoever started it starts it again.
    """
    counts = FreshCounts(
        working.redis,
        working.recorder_engine,
        working.book,
        LedgerTerms(working.recorder_engine, working.book),
        busy=working.stirred.now,
        quiet_every_s=_QUIET_EVERY_S,
    )
    while True:
        began = monotonic()
        await counts.keep()
        await asyncio.sleep(max(_PAUSE_S, monotonic() - began))
