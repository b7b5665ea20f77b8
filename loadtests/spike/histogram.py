"""How long requests took, counted in buckets: cheap to add to, exact enough to tell a percentile.

A bucket is 0.1 ms wide below 200 ms and 1 ms wide above, and the last one has all that took
30 s or more. `hold_buy_release.lua` has the same borders.
"""

from collections import Counter
from collections.abc import Sequence
from math import ceil
from typing import Final

FINE_US: Final = 100
FINE_UNTIL_US: Final = 200_000
COARSE_US: Final = 1000
BUCKETS: Final = 31_800

_FINE_BUCKETS: Final = FINE_UNTIL_US // FINE_US


def bucket_of(took_us: int) -> int:
    """Return the number of the bucket that a duration falls into."""
    if took_us < FINE_UNTIL_US:
        return max(took_us, 0) // FINE_US
    return min(_FINE_BUCKETS + (took_us - FINE_UNTIL_US) // COARSE_US, BUCKETS - 1)


def ms_of(bucket: int) -> float:
    """Return the upper border of a bucket in ms: nothing in it took longer."""
    if bucket < _FINE_BUCKETS:
        return (bucket + 1) * FINE_US / 1000
    return (FINE_UNTIL_US + (bucket - _FINE_BUCKETS + 1) * COARSE_US) / 1000


class Histogram:
    """Durations by bucket."""

    def __init__(self) -> None:
        """Start empty."""
        self.counts: Counter[int] = Counter()
        """By bucket."""

    def add_pairs(self, pairs: Sequence[int]) -> None:
        """Add `[bucket, count, bucket, count, ...]`, the form in which a second is written."""
        for bucket, count in zip(pairs[::2], pairs[1::2], strict=True):
            self.counts[bucket] += count

    def add(self, other: "Histogram") -> None:
        """Add another one."""
        self.counts.update(other.counts)

    @property
    def count(self) -> int:
        """How many durations are in it."""
        return self.counts.total()

    def percentile_ms(self, share: float) -> float:
        """Return the time within which this share of the requests was answered; 0 for none."""
        rank = ceil(share * self.count)
        passed = 0
        for bucket in sorted(self.counts):
            passed += self.counts[bucket]
            if passed >= rank:
                return ms_of(bucket)
        return 0.0
