"""Jobs: what ARQ runs, when its hour has come. The only module that imports ARQ."""

import asyncio
from typing import Final
from urllib.parse import unquote

from arq import cron
from arq.connections import RedisSettings, create_pool
from arq.worker import Worker, async_check_health

from engine.platform.settings import Settings
from engine.runtime import Working
from workers.bundles import forget_old_bundles
from workers.erasures import forget_buyers
from workers.facts import forget_old_facts
from workers.forgetting import forget_old_sign_ins
from workers.idempotency import forget_old_keys
from workers.webhooks import forget_old_deliveries

_JOBS_AT_ONCE: Final = 8
_JOB_S_MAX: Final = 60
# What the health check goes by: a worker that hangs is noticed soon.
_SIGN_OF_LIFE_EVERY_S: Final = 5
_ANSWER_TIMEOUT_S: Final = 5


def queue_settings(url: str) -> RedisSettings:
    """Return ARQ's settings for a `redis://`, `rediss://` or `unix://` URL."""
    settings = RedisSettings.from_dsn(url)
    settings.conn_retries = 0  # who runs the jobs tries again, and logs it once
    # ARQ takes the path and the user's part as they stand in the URL.
    for name in ("unix_socket_path", "username", "password"):
        value = getattr(settings, name)
        if value is not None:
            setattr(settings, name, unquote(value))
    return settings


async def run_jobs(working: Working) -> None:
    """Run jobs until cancelled. A queue that fails ends it; whoever started it starts it again.

    ARQ's own process would end with its server, and take the recorder and the recovery with it.
    """
    queue = await create_pool(queue_settings(working.settings.queue_url()))
    # ARQ bounds the connecting only.
    queue.connection_pool.connection_kwargs["socket_timeout"] = _ANSWER_TIMEOUT_S
    worker = Worker(
        cron_jobs=[
            cron(forget_old_keys, minute=17, timeout=300),
            cron(forget_buyers, minute=41, timeout=300),
            cron(forget_old_sign_ins, minute=29, timeout=300),
            cron(forget_old_facts, minute=47, timeout=300),
            cron(forget_old_deliveries, minute=47, timeout=300),
            cron(forget_old_bundles, minute=53, timeout=300),
        ],
        redis_pool=queue,
        ctx={"working": working},
        handle_signals=False,
        max_jobs=_JOBS_AT_ONCE,
        job_timeout=_JOB_S_MAX,
        health_check_interval=_SIGN_OF_LIFE_EVERY_S,
    )
    try:
        await worker.async_run()
    finally:
        # Not `worker.close`, which asks the server once more before it closes the connections, and
        # leaves them open when that fails. The sign of life expires by itself.
        for job in worker.tasks.values():
            job.cancel()
        await asyncio.gather(*worker.tasks.values(), return_exceptions=True)
        await queue.aclose(close_connection_pool=True)


async def is_alive(settings: Settings) -> bool:
    """Tell whether a worker has left a sign of life in the queue within the last seconds.

    Raises:
        redis.RedisError, OSError, TimeoutError: the queue can't be asked.
    """
    async with asyncio.timeout(_ANSWER_TIMEOUT_S):
        return await async_check_health(queue_settings(settings.queue_url())) == 0
