"""Warns while the inventory store is set so that it may lose what was answered."""

import asyncio
from time import monotonic
from typing import Final

import structlog

from engine.inventory.durability import Risk, find_risks
from engine.platform.redis_cluster_url import is_cluster_url
from engine.runtime import Working

_LOOK_EVERY_S: Final = 30.0
_REPEAT_AFTER_S: Final = 600.0

_log = structlog.stdlib.get_logger(__name__)


async def watch_durability(working: Working, *, look_every_s: float = _LOOK_EVERY_S) -> None:
    """Look at the start and then on, since settings can be changed while a server runs.

    Each risk is told when it is first seen, and again every ten minutes. A store that can't be
    asked ends it; whoever started it starts it again.
    """
    told: dict[Risk, float] = {}
    settings = working.settings
    in_cluster = is_cluster_url(settings.redis_url)
    while True:
        risks = await find_risks(working.redis, settings.redis_replicas, in_cluster=in_cluster)
        now = monotonic()
        told = {risk: at for risk, at in told.items() if risk in risks}
        for risk in risks:
            if risk not in told or now - told[risk] >= _REPEAT_AFTER_S:
                told[risk] = now
                _tell(risk)
        await asyncio.sleep(look_every_s)


def _tell(risk: Risk) -> None:
    wanted = risk.wanted
    # One server alone is not named.
    named = {"node": risk.server} if risk.server else {}
    if risk.found is None:
        _log.warning(
            "THE STORE DOES NOT TELL WHETHER IT KEEPS WHAT WAS SOLD",
            setting=wanted.setting,
            wanted=wanted.value,
            why=wanted.why,
            **named,
        )
        return
    _log.error(
        "THE STORE MAY LOSE WHAT WAS SOLD",
        setting=wanted.setting,
        found=risk.found,
        wanted=wanted.value,
        why=wanted.why,
        way_out=wanted.remedy(),
        **named,
    )
