"""What the crowd did and was answered: the buyers' own evidence."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

ERRORS_KEPT: Final = 20


class Receipt(Struct, frozen=True):
    """An order that the API said was confirmed."""

    order: str
    seats: tuple[str, ...]
    areas: tuple[tuple[str, int], ...]

    @property
    def tickets(self) -> int:
        """How many tickets it has."""
        return len(self.seats) + sum(count for _, count in self.areas)


class Tally:
    """Counts for one run; all of it from answers, none of it from a store."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.began_at = time.monotonic()
        self.holds = 0
        self.refused = 0
        self.released = 0
        self.replaced = 0
        self.abandoned = 0
        self.expired = 0
        self.repeats = 0
        self.lost_answers = 0
        self.told_to_wait = 0
        self.reconnected = 0
        self.recording = 0
        self.errors = 0
        self.error_examples: list[str] = []
        self.receipts: dict[str, Receipt] = {}
        self.hold_ms: list[float] = []
        self.purchase_ms: list[float] = []
        self.rush_ended_at: float | None = None
        self.holds_in_rush = 0

    def error(self, what: str) -> None:
        """Note what may not happen; the first few are kept word for word."""
        self.errors += 1
        if len(self.error_examples) < ERRORS_KEPT:
            self.error_examples.append(what)

    def receive(self, receipt: Receipt) -> None:
        """Note a confirmed order; being told of it again must say the same."""
        known = self.receipts.setdefault(receipt.order, receipt)
        if known != receipt:
            self.error(f"{receipt.order} was confirmed as {known} and as {receipt}")

    def end_rush(self) -> None:
        """Note that nothing is open for the first time."""
        if self.rush_ended_at is None:
            self.rush_ended_at = time.monotonic()
            self.holds_in_rush = self.holds

    @property
    def tickets(self) -> int:
        """How many tickets were confirmed."""
        return sum(receipt.tickets for receipt in self.receipts.values())

    @property
    def holds_per_s(self) -> float:
        """Holds made per second, from the start until nothing was open for the first time."""
        if self.rush_ended_at is not None:
            return self.holds_in_rush / max(self.rush_ended_at - self.began_at, 1e-3)
        return self.holds / max(time.monotonic() - self.began_at, 1e-3)

    def sold_twice(self) -> set[str]:
        """Return the seats that are on two receipts."""
        seats = Counter(seat for receipt in self.receipts.values() for seat in receipt.seats)
        return {seat for seat, count in seats.items() if count > 1}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the values lies (nearest rank); 0 for none."""
    if not values:
        return 0.0
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]
