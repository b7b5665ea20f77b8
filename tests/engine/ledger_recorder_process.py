"""A recorder in a process of its own, for tests that kill it.

`python -m tests.engine.ledger_recorder_process SHOW RESELLER [hang]`: records one show once. With
`hang` it never gets past telling the position, which comes after the commit.
"""

import asyncio
import os
import sys

from engine.platform.database import create_engine
from engine.platform.redis import connect_redis
from engine.platform.settings import RECORDER_ROLE, load_settings
from engine.sales.recorder import Recorder
from tests.engine.ledger_world import IDS, HallTerms


async def _hang(_channel: str, _message: bytes) -> None:
    await asyncio.Event().wait()


async def _record(show: int, reseller: int, *, hang: bool) -> None:
    settings = load_settings(os.environ)
    redis = connect_redis(settings.redis_url, answer_timeout_ms=2000, connections_max=4)
    engine = create_engine(settings, RECORDER_ROLE)
    publish = _hang if hang else None
    recorder = Recorder(engine, redis, HallTerms(reseller), IDS, publish=publish)
    await recorder.record(show)


if __name__ == "__main__":
    asyncio.run(_record(int(sys.argv[1]), int(sys.argv[2]), hang="hang" in sys.argv))
