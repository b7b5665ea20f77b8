"""Forgets answers that were kept for repeated requests, once nobody repeats them any more."""

from typing import Any, Final

import structlog
from sqlalchemy import text

from engine.runtime import Working

_KEPT_HOURS: Final = 48
_KEYS_A_STATEMENT: Final = 5000

_log = structlog.stdlib.get_logger(__name__)

_FORGET: Final = text(
    "DELETE FROM idempotency_keys WHERE ctid = ANY(ARRAY("
    " SELECT ctid FROM idempotency_keys"
    " WHERE created_at < now() - :hours * interval '1 hour' LIMIT :most))"
)


async def forget_old_keys(ctx: dict[str, Any]) -> int:
    """Delete idempotency keys older than two days; return how many. A job of ARQ's."""
    working: Working = ctx["working"]
    forgotten = 0
    while True:
        async with working.recorder_engine.begin() as connection:
            deleted = await connection.execute(
                _FORGET, {"hours": _KEPT_HOURS, "most": _KEYS_A_STATEMENT}
            )
        forgotten += deleted.rowcount
        if deleted.rowcount < _KEYS_A_STATEMENT:
            _log.info("idempotency keys forgotten", count=forgotten)
            return forgotten
