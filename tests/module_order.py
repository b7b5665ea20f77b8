"""The order of test modules where several processes run them: what comes last should be short.

xdist would put those with many tests first; what takes long here has few.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

LONG_MODULES_S: Final[Mapping[str, int]] = {
    "tests/faults/test_torture.py": 251,
    "tests/api/test_schemathesis.py": 150,
    "tests/faults/test_waiting_room_faults.py": 123,
    "tests/ops/test_up.py": 122,
    "tests/faults/test_cluster.py": 108,
    "tests/faults/test_demo.py": 98,
    "tests/loadtests/test_bench_recovery.py": 92,
    "tests/faults/test_torture_command.py": 90,
    "tests/faults/test_torture_faults.py": 80,
    "tests/loadtests/test_bench_fairness.py": 63,
    "tests/faults/test_catalog_faults.py": 60,
    "tests/browser/test_with_script.py": 60,
    "tests/loadtests/test_bench_live.py": 54,
    "tests/engine/test_auditor.py": 33,
    "tests/faults/test_webhooks_faults.py": 44,
    "tests/engine/test_migrations.py": 40,
    "tests/loadtests/test_rehearse_command.py": 39,
    "tests/faults/test_ledger_behind.py": 35,
    "tests/faults/test_replicas.py": 35,
    "tests/faults/test_recovery.py": 35,
    "tests/loadtests/test_bench_queue.py": 31,
    "tests/api/test_stores_down.py": 29,
    "tests/faults/test_facts_faults.py": 25,
    "tests/loadtests/test_spike_queue.py": 25,
    "tests/loadtests/test_bench_store.py": 25,
    "tests/ops/test_rotate_signing_key.py": 22,
    "tests/loadtests/test_bench_command.py": 22,
    "tests/ops/test_replica_set.py": 22,
    "tests/browser/test_through_the_platform.py": 22,
    "tests/ops/test_cells.py": 20,
    "tests/ops/test_cluster_doctor.py": 20,
    "tests/faults/test_house.py": 20,
    "tests/faults/test_recovering.py": 18,
    "tests/lua/test_state_machine.py": 16,
    "tests/loadtests/test_bench_record.py": 16,
    "tests/engine/test_auditor_at_work.py": 15,
    "tests/ops/test_reseal.py": 15,
}
"""Seconds of each on two cores that were busy; only their proportions count, and those roughly."""

_A_TEST_S: Final = 0.15
"""What is taken for a test of all other modules."""


def longest_first(modules: Sequence[str]) -> dict[str, tuple[float, int]]:
    """Return by what to sort the tests of modules; takes each test's module."""
    tests = Counter(modules)
    return {
        module: (-LONG_MODULES_S.get(module, tests[module] * _A_TEST_S), place)
        for place, module in enumerate(tests)
    }
