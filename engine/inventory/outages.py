"""Tells the log how long a store was silent, or short of replicas: when it begins and ends."""

import time

import structlog

_log = structlog.get_logger(__name__)


class Outages:
    """What one lane has met and not yet seen the end of."""

    def __init__(self) -> None:
        """Begin with none."""
        self._silent_since: int | None = None
        self._alone_since: int | None = None

    def note_silence(self, error: Exception) -> None:
        """Log the first unanswered batch of an outage, not each."""
        if self._silent_since is None:
            self._silent_since = _monotonic_ms()
            _log.warning("batch unanswered", error=repr(error))

    def note_answer(self) -> None:
        """Log the first answered batch after an outage."""
        if self._silent_since is not None:
            _log.info("batches are answered again", after_ms=_monotonic_ms() - self._silent_since)
            self._silent_since = None

    def note_replicas(self, acknowledged: int, wanted: int) -> None:
        """Log the first batch that too few replicas have, and the first that enough have again."""
        enough = acknowledged >= wanted
        if not enough and self._alone_since is None:
            self._alone_since = _monotonic_ms()
            _log.warning(
                "too few replicas: sales wait for the ledger",
                acknowledged=acknowledged,
                wanted=wanted,
            )
        elif enough and self._alone_since is not None:
            alone_ms = _monotonic_ms() - self._alone_since
            _log.info("the replicas acknowledge again", after_ms=alone_ms)
            self._alone_since = None


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
