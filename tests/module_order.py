"""The order of test modules where several processes run them: what comes last should be short.

xdist would put those with many tests first; what takes long here has few. Between the long modules
and the many short ones come those whose tests have the machine to themselves: beside them no test
begins, and who waits for a long one to end wastes as much of everybody's time.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

LONG_MODULES_S: Final[Mapping[str, int]] = {
    "tests/faults/test_torture.py": 128,
    "tests/browser/test_sign_in.py": 116,
    "tests/browser/test_with_script.py": 102,
    "tests/faults/test_torture_faults.py": 102,
    "tests/lua/test_mutants.py": 100,
    "tests/loadtests/test_spike_command.py": 99,
    "tests/ops/test_up.py": 96,
    "tests/api/test_schemathesis.py": 92,
    "tests/engine/test_tenancy_walk.py": 89,
    "tests/ops/test_bootstrap.py": 88,
    "tests/faults/test_waiting_room_faults.py": 86,
    "tests/loadtests/test_bench_recovery.py": 77,
    "tests/engine/test_auditor.py": 76,
    "tests/faults/test_demo.py": 76,
    "tests/api/test_waiting_room.py": 74,
    "tests/faults/test_cluster.py": 74,
    "tests/api/test_rate_limits.py": 67,
    "tests/engine/test_webhooks.py": 66,
    "tests/ops/test_cells.py": 63,
    "tests/unit/test_draw_fairness.py": 60,
    "tests/ops/test_servers.py": 57,
    "tests/engine/test_waiting_room.py": 56,
    "tests/api/test_oauth_consent.py": 54,
    "tests/faults/test_replicas.py": 52,
    "tests/browser/test_through_the_platform.py": 49,
    "tests/loadtests/test_bench_live.py": 46,
    "tests/api/test_live.py": 45,
    "tests/loadtests/test_bench_fairness.py": 45,
    "tests/loadtests/test_bench_catalog.py": 43,
    "tests/api/test_stores_down.py": 41,
    "tests/engine/test_returns.py": 40,
    "tests/engine/test_sessions.py": 40,
    "tests/engine/test_bundles.py": 36,
    "tests/faults/test_recovery.py": 35,
    "tests/faults/test_webhooks_faults.py": 35,
    "tests/loadtests/test_bench_command.py": 35,
    "tests/loadtests/test_rehearse_command.py": 35,
    "tests/loadtests/test_bench_queue.py": 34,
    "tests/unit/test_starting.py": 34,
    "tests/ops/test_rotate_signing_key.py": 33,
    "tests/loadtests/test_spike_queue.py": 32,
    "tests/api/test_interchange.py": 31,
    "tests/engine/test_recorder.py": 30,
    "tests/faults/test_catalog_faults.py": 30,
    "tests/api/test_hostile_input.py": 28,
    "tests/api/test_allotments.py": 26,
    "tests/faults/test_torture_command.py": 26,
    "tests/api/test_availability.py": 25,
    "tests/faults/test_bundles.py": 25,
    "tests/loadtests/test_bench_store.py": 25,
    "tests/api/test_webhooks.py": 24,
    "tests/ops/test_replica_set.py": 24,
    "tests/api/test_isolation_walk.py": 23,
    "tests/engine/test_listings.py": 23,
    "tests/engine/test_migrations.py": 23,
    "tests/faults/test_ledger_behind.py": 23,
    "tests/engine/test_allotments.py": 22,
    "tests/faults/test_live_faults.py": 22,
    "tests/loadtests/test_checker_verdicts.py": 22,
    "tests/faults/test_house.py": 21,
    "tests/faults/test_recovering.py": 21,
    "tests/api/test_contract.py": 20,
    "tests/api/test_events.py": 20,
    "tests/api/test_selling.py": 20,
    "tests/browser/test_consent.py": 20,
    "tests/engine/test_recorder_killed.py": 20,
    "tests/lua/test_state_machine.py": 20,
    "tests/ops/test_cluster_doctor.py": 20,
    "tests/ops/test_quick_start.py": 20,
    "tests/ops/test_tutorial.py": 20,
    "tests/ops/test_verify_draw.py": 20,
}
"""Seconds of each on two cores that were busy; only their proportions count, and those roughly."""

_A_TEST_S: Final = 0.15
"""What is taken for a test of all other modules."""


def longest_first(
    modules: Sequence[str], *, alone: Collection[str] = ()
) -> dict[str, tuple[int, float, int]]:
    """Return by what to sort the tests of modules.

    Takes each test's module, and the modules in which some test is to be alone.
    """
    tests = Counter(modules)

    def group(module: str) -> int:
        if module in alone:
            return 1
        return 0 if module in LONG_MODULES_S else 2

    return {
        module: (group(module), -LONG_MODULES_S.get(module, tests[module] * _A_TEST_S), place)
        for place, module in enumerate(tests)
    }
