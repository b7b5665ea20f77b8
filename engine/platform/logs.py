"""Logs: one line an event, readable in a terminal, JSON elsewhere.

Never the values of variables: a traceback with locals would print secrets. What gets in by a text
is masked (`engine/platform/masking.py`), also in what libraries log.
"""

import logging
import sys
from typing import Any, Final

import structlog

from engine.platform.masking import mask_event, mask_text

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class _MaskedFormatter(logging.Formatter):
    """Writes a record as ever, but for what must not get into a log."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_text(super().format(record))


def configure_logs(level: str) -> None:
    """Set up structlog for this process. `level` is one of debug, info, warning, error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_event,
    ]
    if sys.stderr.isatty():
        plain = structlog.dev.plain_traceback
        ending: list[Any] = [structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    else:
        ending = [structlog.processors.JSONRenderer()]
    # Where libraries' warnings end that nobody has made a handler for, such as asyncio's.
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_MaskedFormatter())
    structlog.configure(
        processors=shared + ending,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
