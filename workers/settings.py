"""What ARQ runs: `python -m arq workers.settings.WorkerSettings`.

The only module that imports ARQ, which wants its connection named when the class is made.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, ClassVar
from urllib.parse import unquote

import uvloop
from arq import cron
from arq.connections import RedisSettings
from arq.cron import CronJob

from engine.platform.logs import configure_logs
from engine.platform.settings import load_settings
from engine.runtime import open_working
from workers.idempotency import forget_old_keys
from workers.supervision import keep_running
from workers.tasks import TASKS

_settings = load_settings(os.environ)

# ARQ takes the loop that is set, if one is. On this one a sale is recorded in two thirds of the
# time that asyncio's own needs.
asyncio.set_event_loop(uvloop.new_event_loop())


def queue_settings(url: str) -> RedisSettings:
    """Return ARQ's settings for a `redis://`, `rediss://` or `unix://` URL."""
    settings = RedisSettings.from_dsn(url)
    # ARQ takes the path and the user's part as they stand in the URL.
    for name in ("unix_socket_path", "username", "password"):
        value = getattr(settings, name)
        if value is not None:
            setattr(settings, name, unquote(value))
    return settings


async def start_tasks(ctx: dict[str, Any]) -> None:
    """Open the connections and start every long-running task."""
    configure_logs(_settings.log_level)
    stack = AsyncExitStack()
    ctx["stack"] = stack
    ctx["working"] = working = await stack.enter_async_context(open_working(_settings))
    ctx["tasks"] = [
        asyncio.create_task(keep_running(name, partial(run, working)), name=name)
        for name, run in TASKS.items()
    ]


async def stop_tasks(ctx: dict[str, Any]) -> None:
    """Stop the tasks and close the connections. What they were at, another worker takes up."""
    tasks: list[asyncio.Task[None]] = ctx["tasks"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await ctx["stack"].aclose()


class WorkerSettings:
    """The worker process."""

    redis_settings = queue_settings(_settings.queue_url())
    on_startup = start_tasks
    on_shutdown = stop_tasks
    cron_jobs: ClassVar[list[CronJob]] = [cron(forget_old_keys, minute=17, timeout=300)]
    max_jobs = 8
    # What `arq --check` goes by: a worker that hangs is noticed soon.
    health_check_interval = 5
    job_timeout = 60
