"""Moments: milliseconds inside, RFC 3339 in UTC outside."""

import time
from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=1024)
def utc(moment_ms: int) -> datetime:
    """Return a moment in ms since 1970, which JSON shows as `2026-01-31T19:30:00Z`."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC)


def now_ms() -> int:
    """Return this process's time: for hints such as Retry-After only, never for a decision."""
    return time.time_ns() // 1_000_000
