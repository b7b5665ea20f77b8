"""What a history is judged by: the show as it was opened, and both stores as they were left."""

from typing import Final, Literal

from msgspec import Struct

SECOND_NS: Final = 1_000_000_000
KEPT_NS: Final = 600 * SECOND_NS
"""How long after its deadline an ended hold is still told of; then its key is new."""


class Loss(Struct, frozen=True):
    """A span in which the inventory store may have lost what was not in the ledger.

    With `since_ns` it may have fallen back to how things stood at an instant from then on: what was
    done later may be undone too, so that a hold that was released stands again. With `keeps_sales`
    it has lost no sale that was answered, also if that was only being recorded: another server has
    them.
    """

    from_ns: int
    to_ns: int
    since_ns: int | None = None
    keeps_sales: bool = False

    @property
    def reaches_back_to_ns(self) -> int:
        """Return the earliest instant of which an effect may be gone for good."""
        return self.from_ns if self.since_ns is None else min(self.since_ns, self.from_ns)


class Show(Struct, frozen=True, kw_only=True):
    """A show as it was opened; the house must change nothing of it while the history is made."""

    id: str
    seats: frozenset[str]
    blocked_seats: frozenset[str] = frozenset()
    area_capacity: dict[str, int] = {}
    area_blocked: dict[str, int] = {}
    max_per_buyer: int | None = None
    losses: tuple[Loss, ...] = ()


class Bounds(Struct, frozen=True, kw_only=True):
    """How exact the judgement can be; all but the last in ns."""

    clock_error_ns: int = SECOND_NS // 20
    """By how much a deadline, reckoned on the history's clock, may be wrong."""
    overdue_ns_max: int = 5 * SECOND_NS
    """How long after its deadline a hold may still stand or be sold; a recovery puts it off."""
    stale_ns_max: int = SECOND_NS
    """How old the news may be that a refusal gives of all its seats but one (decision 14)."""
    search_steps_max: int = 1_000_000
    """How many steps a search may take for one seat or hold before it gives up as undecided."""


class Order(Struct, frozen=True, kw_only=True):
    """An order in the ledger; only a confirmed one owns its places."""

    order: str
    hold: str
    buyer: str
    status: Literal["confirmed", "conflict", "failed", "returned"]
    seats: tuple[str, ...] = ()
    areas: dict[str, int] = {}


class Ledger(Struct, frozen=True):
    """All orders of the show, read after everything had ended and had been recorded."""

    orders: tuple[Order, ...]


class StoreHold(Struct, frozen=True, kw_only=True):
    """A live hold in the inventory store."""

    hold: str
    buyer: str
    deadline_ns: int
    seats: tuple[str, ...] = ()
    areas: dict[str, int] = {}


class AreaCounts(Struct, frozen=True):
    """An area's places by state."""

    open: int
    held: int
    sold: int
    blocked: int


class Store(Struct, frozen=True, kw_only=True):
    """The inventory store, read at one instant after everything had ended."""

    read_ns: int
    seats: dict[str, Literal["open", "held", "sold", "blocked"]]
    areas: dict[str, AreaCounts] = {}
    holds: tuple[StoreHold, ...] = ()
