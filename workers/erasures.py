"""Forgets buyers whom resellers asked to forget, once the last of their shows is over."""

from typing import Any

import structlog

from engine.runtime import Working
from engine.sales.buyers import finish_erasures

_log = structlog.stdlib.get_logger(__name__)


async def forget_buyers(ctx: dict[str, Any]) -> int:
    """Finish what erasures are to be finished; return how many. A job of ARQ's."""
    working: Working = ctx["working"]
    done = await finish_erasures(working.recorder_engine, working.sealer)
    _log.info("buyers forgotten", count=done)
    return done
