"""Forgets what people and systems signed in with, and were written, once it is over."""

from typing import Any

import structlog

from engine.runtime import Working
from engine.tenancy.forgetting import forget_what_is_over

_log = structlog.stdlib.get_logger(__name__)


async def forget_old_sign_ins(ctx: dict[str, Any]) -> int:
    """Forget mails, sessions, secrets and grants that are over; return how many. ARQ's job."""
    working: Working = ctx["working"]
    forgotten = await forget_what_is_over(working.recorder_engine)
    _log.info("what is over of accounts forgotten", **forgotten)
    return sum(forgotten.values())
