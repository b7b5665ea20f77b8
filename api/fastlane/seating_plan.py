"""Seating plans in the fast lane; the call is documented with its route in `api.shows`."""

import asyncio
from typing import Final

from api.fastlane.call import Call
from api.fastlane.kept import Kept, takes_gzip
from api.fastlane.replies import Reply
from engine.platform.errors import store_failures

_NEVER_CHANGES: Final = "private, max-age=86400, immutable"


async def export_plan(call: Call) -> Reply:
    """Give the seating plan back."""
    show = await call.show()
    with store_failures():
        plan = await call.runtime.plans.plan(show.reseller, show.manifest_id)
    kept = Kept(f'W/"{plan.digest}"', _NEVER_CHANGES)
    if kept.is_had_by(call):
        return kept.unchanged()
    if takes_gzip(call):
        return kept.reply(plan.gzipped, is_gzip=True)
    return kept.reply(await asyncio.to_thread(plan.content), is_gzip=False)
