"""The worker process: `python -m workers`; with `--check` it tells whether one is alive."""

import argparse
import asyncio
import os
import signal
import sys
from functools import partial

from engine.platform.garbage import nothing_collected

with nothing_collected():
    import uvloop
    from redis.exceptions import RedisError

    from engine.platform.acting import act_as_worker
    from engine.platform.logs import configure_logs
    from engine.platform.settings import Settings, load_settings
    from engine.runtime import open_working
    from workers.jobs import is_alive
    from workers.supervision import keep_running
    from workers.tasks import TASKS


async def run_worker(settings: Settings) -> None:
    """Run every task until SIGTERM or SIGINT. What they were at, another worker takes up."""
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with open_working(settings) as working:
        tasks = [
            asyncio.create_task(keep_running(name, partial(run, working)), name=name)
            for name, run in TASKS.items()
        ]
        await over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _check(settings: Settings) -> int:
    try:
        return 0 if await is_alive(settings) else 1
    except (RedisError, OSError) as error:
        print(f"the queue can't be asked: {error}", file=sys.stderr)  # noqa: T201 - for a person
        return 1


def main() -> None:
    """Run, or check."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="exit with 0 if a worker is alive, else with 1"
    )
    wants_check = parser.parse_args().check
    settings = load_settings(os.environ)
    configure_logs(settings.log_level)
    act_as_worker()
    # On this loop a sale is recorded in two thirds of the time that asyncio's own needs.
    if wants_check:
        sys.exit(uvloop.run(_check(settings)))
    uvloop.run(run_worker(settings))


if __name__ == "__main__":
    main()
