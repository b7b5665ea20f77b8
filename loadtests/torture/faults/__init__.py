"""The faults, by name: each strikes once and leaves the world whole again."""

import sys
from typing import Final

from loadtests.torture.faults import disk, processes, store, twice, wire
from loadtests.torture.faults.clock_step import step_clock
from loadtests.torture.faults.struck import Act, Strike, Struck, strike
from loadtests.torture.ground import Ground

__all__ = ["FAULTS", "PROXIES", "Strike", "Struck", "lacking"]

PROXIES: Final = (
    "clients-api",
    "api-valkey",
    "api-postgres",
    "worker-valkey",
    "worker-postgres",
)

_ACTS: Final[dict[str, Act]] = {
    "kill-valkey": processes.kill("valkey"),
    "pause-valkey": processes.pause("valkey"),
    "kill-postgres": processes.kill("postgres"),
    "kill-postgres-backend": processes.kill_one_of("postgres"),
    "pause-postgres": processes.pause("postgres"),
    "kill-worker": processes.kill("worker"),
    "pause-worker": processes.pause("worker"),
    "kill-api": processes.kill("api"),
    "kill-api-process": processes.kill_one_of("api"),
    "pause-api": processes.pause("api"),
    "script-flush": store.flush_scripts,
    "duplicate-deliveries": twice.duplicate_deliveries,
    "two-recoveries": twice.two_recoveries,
    "disk-full": disk.fill_disk,
    **{f"cut-{proxy}": wire.cut(proxy) for proxy in PROXIES},
    **{f"drop-replies-{proxy}": wire.drop_replies(proxy) for proxy in PROXIES},
    **{f"drop-requests-{proxy}": wire.drop_requests(proxy) for proxy in PROXIES},
    **{f"stall-{proxy}": wire.stall(proxy) for proxy in PROXIES},
}
_LOSING_ACTS: Final[dict[str, Act]] = {
    "truncate-aof": store.truncate_aof,
    "wipe-valkey": store.wipe,
}

FAULTS: Final[dict[str, Strike]] = {
    **{kind: strike(kind, act) for kind, act in _ACTS.items()},
    **{kind: strike(kind, act, loses_store=True) for kind, act in _LOSING_ACTS.items()},
    "clock-step": step_clock,
}
"""Every fault by its kind."""


def lacking(ground: Ground) -> dict[str, str]:
    """Return the kinds of faults that can't be had on this machine, and why."""
    found: dict[str, str] = {}
    if ground.clock is None:
        found["clock-step"] = "libfaketime is not to be had"
    if sys.platform != "linux":
        found["disk-full"] = "a running server's RLIMIT_FSIZE can be set on Linux only"
    return found
