"""How a process that does nothing but serve the API is set up."""

import gc
import os
import resource
from typing import Final

import structlog

_COLLECT_AFTER: Final = 20_000

_log = structlog.stdlib.get_logger(__name__)


def settle_process() -> None:
    """Set up this process; call it once all is open, before the first request."""
    _collect_seldom()
    _preempt_nobody()
    _open_many_files()


def _collect_seldom() -> None:
    """Let Python look for garbage in cycles less often: a request leaves next to none.

    Looking through everything that lives, manifests of 60 000 seats among it, after each 700 new
    objects took an eighth of the time of a hold.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 50)


def _preempt_nobody() -> None:
    """Let no thread of this process take the core from another the moment it wakes.

    Granian's network thread is woken by every answer. On a core that it shares with Python's it
    would preempt it each time, which cost over a quarter of a request. Threads inherit it, and the
    network's start after this.
    """
    if not hasattr(os, "sched_setscheduler"):  # not on macOS
        return
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        _log.warning("no batch scheduling: answers will be slower", error=repr(error))


def _open_many_files() -> None:
    """Let this process have as many connections as it may: each watcher of live seats is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # as where no limit is none that a process may ask for
        _log.warning("the limit on open files stays as it is", error=repr(error))
