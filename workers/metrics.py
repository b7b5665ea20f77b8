"""Serves what the worker counts, if a port is set, and looks how far the ledger is behind."""

import asyncio
from typing import Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine.inventory.backlog import longest_backlog
from engine.inventory.rounds import Round
from engine.inventory.tending import TendedShow
from engine.platform.metrics import RECORD_BACKLOG, serve_metrics
from engine.runtime import Working

_LOOK_EVERY_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


async def run_metrics(working: Working) -> None:
    """Serve until cancelled; do nothing if no port is set."""
    port = working.settings.metrics_port
    if not port:
        await asyncio.Event().wait()
    with serve_metrics(port):
        _log.info("metrics served", port=port)
        await _watch_backlog(working)


async def _watch_backlog(working: Working) -> None:
    shows: list[TendedShow] = []
    looks = Round(working.recorder_engine, working.stirred, "metrics")
    while True:
        try:
            shows = await looks.next()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            # The backlog matters most now: it is that of the shows that were known before.
            _log.debug("shows not read", error=repr(error))
        try:
            RECORD_BACKLOG.set(await longest_backlog(working.redis, [show.id for show in shows]))
        except (RedisError, OSError, TimeoutError) as error:
            _log.debug("backlog not read", error=repr(error))
        await asyncio.sleep(_LOOK_EVERY_S)
