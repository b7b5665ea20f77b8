"""The checker: judges a recorded history of calls against one show, from outside the engine.

What it decides, by which argument, and what it leaves open: docs/CHECKER.md.
"""

from loadtests.checker.check import check
from loadtests.checker.history import (
    Ambiguous,
    Bought,
    Call,
    Held,
    HistoryError,
    Recorder,
    Refused,
    Released,
    Request,
    Returned,
    read_history,
)
from loadtests.checker.show import (
    AreaCounts,
    Bounds,
    Ledger,
    Loss,
    Order,
    Show,
    Store,
    StoreHold,
)
from loadtests.checker.verdict import Verdict, Violation

__all__ = [
    "Ambiguous",
    "AreaCounts",
    "Bought",
    "Bounds",
    "Call",
    "Held",
    "HistoryError",
    "Ledger",
    "Loss",
    "Order",
    "Recorder",
    "Refused",
    "Released",
    "Request",
    "Returned",
    "Show",
    "Store",
    "StoreHold",
    "Verdict",
    "Violation",
    "check",
    "read_history",
]
