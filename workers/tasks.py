"""The worker's long-running tasks: one line each."""

from collections.abc import Awaitable, Callable
from typing import Final

from engine.runtime import Working
from workers.admission import run_admission
from workers.allotments import run_allotments
from workers.archiving import run_archiving, run_choices, run_show_life
from workers.bundles import run_bundles
from workers.durability import watch_durability
from workers.facts import run_expiries, run_milestones
from workers.jobs import run_jobs
from workers.listings import run_counts, run_listings
from workers.metrics import run_metrics
from workers.prices import run_prices
from workers.recorder import run_recorder
from workers.recovery import run_recovery
from workers.returning import run_returning
from workers.sweeper import run_sweeper
from workers.trimming import run_trimming
from workers.webhooks import run_webhooks

TASKS: Final[dict[str, Callable[[Working], Awaitable[None]]]] = {
    "admission": run_admission,
    "allotments": run_allotments,
    "archiving": run_archiving,
    "bundles": run_bundles,
    "choices": run_choices,
    "counts": run_counts,
    "durability": watch_durability,
    "expiries": run_expiries,
    "jobs": run_jobs,
    "listings": run_listings,
    "metrics": run_metrics,
    "milestones": run_milestones,
    "prices": run_prices,
    "recorder": run_recorder,
    "recovery": run_recovery,
    "returning": run_returning,
    "show-life": run_show_life,
    "sweeper": run_sweeper,
    "trimming": run_trimming,
    "webhooks": run_webhooks,
}
