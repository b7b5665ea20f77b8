"""What a run came to, in numbers."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Final

from msgspec import Struct

from loadtests.torture.rounds import RoundReport


class Summary(Struct, frozen=True):
    """What a run came to: the JSON object of the last line."""

    seed: int
    rounds: int
    operations: int
    faults: dict[str, int]
    ambiguous: int
    undecided: int
    violations: int
    double_sold: int
    lost: int
    unbalanced: int
    recovery_s_median: float | None
    """From the server's return to the first hold that a buyer had; so is the maximum."""
    recovery_s_max: float | None
    recoveries: int
    """Of the rounds' own shows, their openings not counted."""
    recovered_ms_max: int | None
    wall_s: float


_DOUBLE_SOLD: Final = frozenset(
    {"two-owners", "two-orders-one-seat", "area-oversold", "audit seat-sold-twice"}
)
_LOST: Final = frozenset(
    {"confirmed-not-in-ledger", "recording-lost", "audit sale-not-in-ledger", "hold-lost"}
)
_UNBALANCED: Final = frozenset({"audit entry-unbalanced"})


def summarize(seed: int, reports: Sequence[RoundReport], wall_s: float) -> Summary:
    """Add up all rounds."""
    kinds = Counter(one.kind for one in chain.from_iterable(r.struck for r in reports))
    troubles = Counter(one.kind for one in chain.from_iterable(r.troubles for r in reports))
    times = sorted(chain.from_iterable(report.recovery_s for report in reports))
    recovered = list(chain.from_iterable(report.recovered_ms for report in reports))
    return Summary(
        seed=seed,
        rounds=len(reports),
        operations=sum(report.operations for report in reports),
        faults=dict(sorted(kinds.items())),
        ambiguous=sum(report.ambiguous for report in reports),
        undecided=sum(report.undecided for report in reports),
        violations=troubles.total(),
        double_sold=sum(troubles[kind] for kind in _DOUBLE_SOLD),
        lost=sum(troubles[kind] for kind in _LOST),
        unbalanced=sum(troubles[kind] for kind in _UNBALANCED),
        recovery_s_median=round(times[len(times) // 2], 3) if times else None,
        recovery_s_max=round(times[-1], 3) if times else None,
        recoveries=len(recovered),
        recovered_ms_max=max(recovered, default=None),
        wall_s=round(wall_s, 1),
    )
