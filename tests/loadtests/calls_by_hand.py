"""Calls, orders and stores written by hand, with times in ms."""

from typing import Final, Literal

from loadtests.checker import (
    Ambiguous,
    AreaCounts,
    Bought,
    Call,
    Held,
    Ledger,
    Order,
    Refused,
    Released,
    Returned,
    Show,
    Store,
    StoreHold,
)
from loadtests.checker.history import Answer, Kind
from tests.loadtests.simulated_box_office import MS

NS: Final = 1 / MS
DEADLINE_MS: Final = 1000

LOST: Final = Ambiguous("connection lost")
TAKEN: Final = Refused("seats-taken", seats=("A",))
RELEASED: Final = Released()
RETURNED: Final = Returned()
HALL: Final = Show(
    id="s",
    seats=frozenset({"A", "B", "X"}),
    blocked_seats=frozenset({"X"}),
    area_capacity={"floor": 4},
    area_blocked={"floor": 1},
)

Areas = dict[str, int]
State = Literal["open", "held", "sold", "blocked"]


def ns(ms: float) -> int:
    """Return ms in ns; a single ns more or less is kept."""
    return round(ms * MS)


def hold(  # noqa: PLR0913 -- a call's parts, most of them by name
    key: str,
    invoked_ms: float,
    completed_ms: float | None,
    answer: Answer,
    op: str | None = None,
    *,
    seats: tuple[str, ...] = ("A",),
    areas: Areas | None = None,
    buyer: str | None = None,
) -> Call:
    """Return a call that asks for places, of a buyer of its own if none is named."""
    return Call(
        client="c",
        kind="hold",
        show="s",
        buyer=buyer or f"b-{key}",
        key=key,
        seats=seats,
        areas=areas or {},
        ttl_ns=DEADLINE_MS * MS,
        op=op or key,
        invoked_ns=ns(invoked_ms),
        completed_ns=None if completed_ms is None else ns(completed_ms),
        answer=answer,
    )


def held(
    key: str,
    seats: tuple[str, ...] = ("A",),
    areas: Areas | None = None,
    deadline_ms: float = DEADLINE_MS,
) -> Held:
    """Return the answer that the places are held, for long."""
    return Held(f"h-{key}", seats, areas or {}, ns(deadline_ms))


def places(
    key: str, invoked_ms: float, completed_ms: float, count: int = 1, *, buyer: str | None = None
) -> Call:
    """Return a call that was given places of the floor."""
    floor = {"floor": count}
    answer = held(key, (), floor)
    return hold(key, invoked_ms, completed_ms, answer, seats=(), areas=floor, buyer=buyer)


def use(  # noqa: PLR0913 -- a call's parts, most of them by name
    kind: Kind,
    key: str,
    invoked_ms: float,
    completed_ms: float | None,
    answer: Answer,
    *,
    paid_with: str | None = None,
    seats: tuple[str, ...] = (),
    areas: Areas | None = None,
    buyer: str | None = None,
) -> Call:
    """Return a call about the hold that was made with a key."""
    return Call(
        client="c",
        kind=kind,
        show="s",
        buyer=buyer or f"b-{key}",
        key=(paid_with or f"p-{key}") if kind == "purchase" else None,
        hold=f"h-{key}",
        seats=seats,
        areas=areas or {},
        op=f"{kind}-{key}-{invoked_ms}",
        invoked_ns=ns(invoked_ms),
        completed_ns=None if completed_ms is None else ns(completed_ms),
        answer=answer,
    )


def bought(key: str, state: Literal["confirmed", "recording"] = "confirmed") -> Bought:
    """Return the answer that a key's hold became an order."""
    return Bought(f"o-{key}", state)


def order(
    key: str,
    seats: tuple[str, ...] = ("A",),
    areas: Areas | None = None,
    status: Literal["confirmed", "conflict", "failed", "returned"] = "confirmed",
    buyer: str | None = None,
) -> Order:
    """Return the order that a key's hold became."""
    return Order(
        order=f"o-{key}",
        hold=f"h-{key}",
        buyer=buyer or f"b-{key}",
        status=status,
        seats=seats,
        areas=areas or {},
    )


def ledger(*orders: Order) -> Ledger:
    """Return a ledger of just these."""
    return Ledger(orders)


def standing(
    key: str,
    seats: tuple[str, ...] = ("A",),
    areas: Areas | None = None,
    buyer: str | None = None,
) -> StoreHold:
    """Return a key's hold as the store has it."""
    return StoreHold(
        hold=f"h-{key}",
        buyer=buyer or f"b-{key}",
        deadline_ns=ns(DEADLINE_MS),
        seats=seats,
        areas=areas or {},
    )


def left(
    *holds: StoreHold,
    read_ms: float = 500,
    floor: tuple[int, int, int, int] = (3, 0, 0, 1),
    **seats: State,
) -> Store:
    """Return the hall's store; what is not told is open, or blocked by the house."""
    as_opened: dict[str, State] = {"A": "open", "B": "open", "X": "blocked"}
    return Store(
        read_ns=ns(read_ms),
        seats=as_opened | seats,
        areas={"floor": AreaCounts(*floor)},
        holds=holds,
    )
