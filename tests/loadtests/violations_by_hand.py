"""For each rule of the checker a short history that breaks it, and nothing else."""

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from loadtests.checker import Bought, Call, Ledger, Loss, Refused, Show, Store
from loadtests.checker.verdict import Kind
from tests.loadtests.calls_by_hand import (
    HALL,
    LOST,
    RELEASED,
    RETURNED,
    TAKEN,
    bought,
    held,
    hold,
    ledger,
    left,
    order,
    places,
    standing,
    use,
)
from tests.loadtests.simulated_box_office import MS


@dataclass(frozen=True)
class Row:
    """A history with stores, the check that must find fault, and what is said, in order."""

    check: str
    kind: Kind
    says: tuple[str, ...]
    calls: list[Call]
    ledger: Ledger | None = None
    store: Store | None = None
    show: Show = HALL


EXPIRED: Final = Refused("hold-expired")
LIMITED: Final = Refused("over-buyer-limit")
LOSSY: Final = replace(HALL, losses=(Loss(100 * MS, 110 * MS),))
"""A hall whose store may have lost things from 100 to 110 ms."""

SEEN: Final = held("k1", (), {"floor": 1})
A_AND_B: Final = ("A", "B")

# What many rows begin with: k1 holds seat A, or both seats, or a place of the floor, and buys it.
ON_A: Final = hold("k1", 10, 20, held("k1"))
ON_BOTH: Final = hold("k1", 10, 20, held("k1", A_AND_B), seats=A_AND_B)
ON_FLOOR: Final = places("k1", 10, 20)
AGAIN: Final = replace(ON_FLOOR, op="again", invoked_ns=30 * MS, completed_ns=40 * MS)
BUYS: Final = use("purchase", "k1", 30, 40, bought("k1"))
BEGINS_TO_BUY: Final = use("purchase", "k1", 30, 40, bought("k1", "recording"))
MAY_BUY: Final = use("purchase", "k1", 30, None, LOST)
GIVES_BACK: Final = use("release", "k1", 50, 60, RELEASED)
REFUSED_RELEASE: Final = use("release", "k1", 30, 40, Refused("hold-locked"))

OF_SEATS: Final = [
    Row(  # a seat that is given back is nobody's only once that was asked for
        "seat_check",
        "two-owners",
        ("it could only be sold to k1; yet k2 takes",),
        [
            ON_A,
            BUYS,
            hold("k2", 50, 60, held("k2")),
            use("return", "k1", 70, 80, RETURNED),
        ],
        ledger(order("k1", status="returned")),
    ),
    Row(  # and a return that is repeated takes it from nobody else
        "seat_check",
        "two-owners",
        ("it could only be sold to k2; yet k3 takes",),
        [
            ON_A,
            BUYS,
            use("return", "k1", 50, 60, RETURNED),
            hold("k2", 70, 80, held("k2")),
            use("purchase", "k2", 90, 100, bought("k2")),
            use("return", "k1", 110, 120, RETURNED),
            hold("k3", 130, 140, held("k3")),
        ],
        ledger(order("k1", status="returned"), order("k2")),
    ),
    Row(
        "seat_check",
        "two-owners",
        ("by 40.000 ms it could only be held by k1; yet k2 takes",),
        [ON_A, hold("k2", 30, 40, held("k2"))],
    ),
    Row(
        "seat_check",
        "hold-lost",
        ("it could only be open; yet k1 is seen holding",),
        [
            ON_BOTH,
            use("replace", "k1", 30, 40, held("k1", ("B",)), seats=("B",)),
            use("look", "k1", 50, 60, held("k1", A_AND_B)),
        ],
    ),
    Row(
        "seat_check",
        "refused-open-seat",
        ("it could only be open; yet k1 is refused",),
        [hold("k1", 10, 20, TAKEN)],
    ),
    Row(  # that k1 was seen to have ended is a step of the seat's too
        "seat_check",
        "refused-open-seat",
        ("yet k2 is refused",),
        [ON_A, use("look", "k1", 1100, 1110, EXPIRED), hold("k2", 1200, 1210, TAKEN)],
    ),
    Row(
        "seat_check",
        "ended-early",
        ("could only be live", "it could only be held by k1; yet k1 is seen ended"),
        [ON_A, use("look", "k1", 30, 40, EXPIRED)],
    ),
    Row(
        "seat_check",
        "ended-early",
        ("it could only be held by k1; yet k1 is seen without",),
        [
            ON_BOTH,
            use("look", "k1", 30, 40, held("k1")),
            use("replace", "k1", 50, 60, held("k1"), seats=("A",)),
        ],
    ),
    Row(
        "seat_check",
        "released-after-sale",
        ("could only be bought", "it could only be sold to k1; yet k1 releases"),
        [ON_A, BUYS, GIVES_BACK],
    ),
    Row(
        "seat_check",
        "blocked-seat-taken",
        ("it could only be blocked; yet k1 takes",),
        [hold("k1", 10, 20, held("k1", ("X",)), seats=("X",))],
    ),
    Row(
        "seat_check",
        "store-differs",
        ("it could only be held by k1; yet the seat is left open",),
        [ON_A],
        store=left(),
    ),
    Row(
        "seat_check",
        "store-differs",
        ("yet the seat is left sold",),
        [ON_A],
        store=left(A="sold"),
    ),
    Row(
        "seat_check",
        "store-differs",
        ("it could only be open; yet the seat is left held",),
        [ON_A, GIVES_BACK],
        store=left(standing("k1"), A="held"),
    ),
]

OF_HOLDS: Final = [
    Row(
        "hold_check",
        "hold-came-back",
        ("could only be released; yet",),
        [ON_FLOOR, GIVES_BACK, use("look", "k1", 70, 80, SEEN)],
    ),
    Row(
        "hold_check",
        "hold-lost",
        ("could only be bought; yet",),
        [ON_FLOOR, BUYS, use("look", "k1", 50, 60, SEEN)],
    ),
    Row(
        "hold_check",
        "hold-from-nowhere",
        ("could only be unknown; yet",),
        [use("look", "k1", 1, 2, SEEN), ON_FLOOR],
    ),
    Row(
        "hold_check",
        "refused-own-hold",
        ("could only be live; yet",),
        [ON_FLOOR, replace(AGAIN, answer=LIMITED)],
    ),
    Row(
        "hold_check",
        "refused-otherwise",
        ("could only be released; yet",),
        [ON_FLOOR, GIVES_BACK, use("look", "k1", 70, 80, EXPIRED)],
    ),
    Row(
        "hold_check",
        "refused-otherwise",
        ("could only be expired; yet",),
        [
            ON_FLOOR,
            use("look", "k1", 1100, 1110, EXPIRED),
            use("look", "k1", 1200, 1210, Refused("hold-released")),
        ],
    ),
    Row(
        "hold_check",
        "ended-early",
        ("could only be live; yet",),
        [ON_FLOOR, use("look", "k1", 30, 40, EXPIRED)],
    ),
    Row(
        "hold_check",
        "ended-early",
        ("could only be live; yet",),
        [ON_FLOOR, replace(AGAIN, answer=EXPIRED)],
    ),
    Row(
        "hold_check",
        "released-after-sale",
        ("could only be bought; yet",),
        [ON_FLOOR, BUYS, GIVES_BACK],
    ),
]

OF_AREAS: Final = [
    Row(
        "area_check",
        "area-oversold",
        ("4 places were certainly taken at 40.000 ms, of 3 for sale",),
        [places("k1", 10, 20, 2), places("k2", 30, 40, 2)],
    ),
    Row(
        "area_check",
        "area-oversold",
        ("4 places were certainly taken at 60.000 ms, of 3 for sale",),
        [places("k1", 10, 20, 2), REFUSED_RELEASE, places("k2", 50, 60, 2)],
    ),
    Row(  # neither was certainly there while the other was, since the store may have lost k1
        "area_check",
        "area-oversold",
        ("4 places are sold in the ledger, of 3 for sale",),
        [
            places("k1", 10, 20, 2),
            BEGINS_TO_BUY,
            places("k2", 200, 210, 2),
            use("purchase", "k2", 220, 230, bought("k2", "recording")),
        ],
        ledger=ledger(order("k1", (), {"floor": 2}), order("k2", (), {"floor": 2})),
        show=LOSSY,
    ),
    Row(
        "area_check",
        "refused-open-area",
        ("1 places were refused while at most 0 of 3 could be taken",),
        [replace(ON_FLOOR, answer=Refused("area-short", areas={"floor": 0}))],
    ),
]

OF_WHOLES: Final = [
    Row(
        "whole_check",
        "return-refused",
        ("it was confirmed before",),
        [ON_A, BUYS, use("return", "k1", 50, 60, Refused("order-not-found"))],
    ),
    Row(
        "whole_check",
        "partial-hold",
        ("it has other places than were asked for",),
        [replace(ON_BOTH, answer=held("k1"))],
    ),
    Row(
        "whole_check",
        "partial-hold",
        ("it has other places than were asked for",),
        [ON_FLOOR, replace(BUYS, answer=Bought("o-k1", "confirmed", (), {"floor": 2}))],
    ),
    Row(
        "whole_check",
        "no-such-seat",
        ("the show has no Z",),
        [hold("k1", 10, 20, held("k1", ("Z",)), seats=("Z",))],
    ),
    Row(
        "whole_check",
        "key-of-two-holds",
        ("told as h-k1 and as h-k2",),
        [ON_A, hold("k1", 30, 40, held("k2"), "again")],
    ),
    Row(
        "whole_check",
        "hold-of-two-keys",
        ("told for the keys k1 and k2",),
        [ON_A, hold("k2", 30, 40, held("k1", ("B",)), seats=("B",))],
    ),
    Row(
        "whole_check",
        "key-of-two-orders",
        ("told as o-k1 and as o-k2",),
        [
            ON_A,
            BUYS,
            hold("k2", 30, 40, held("k2", ("B",)), seats=("B",)),
            use("purchase", "k2", 50, 60, bought("k2"), paid_with="p-k1"),
        ],
    ),
    Row(
        "whole_check",
        "hold-of-two-orders",
        ("told as o-k1 and as o-k2",),
        [ON_A, BUYS, use("purchase", "k1", 50, 60, bought("k2"), paid_with="p-k2")],
    ),
    Row(
        "whole_check",
        "order-of-two-holds",
        ("told as k1 and as k2",),
        [
            ON_A,
            BUYS,
            hold("k2", 30, 40, held("k2", ("B",)), seats=("B",)),
            use("purchase", "k2", 50, 60, bought("k1")),
        ],
    ),
    Row(
        "whole_check",
        "hold-from-nowhere",
        ("nobody asked for this hold", "could only be unknown"),
        [BUYS],
    ),
    Row(
        "whole_check",
        "sale-from-nowhere",
        ("nobody had asked to buy it",),
        [ON_A, use("look", "k1", 30, 40, bought("k1"))],
    ),
    Row(
        "whole_check",
        "sold-after-deadline",
        ("bought by a call that began 6000.000 ms after its deadline",),
        [ON_A, use("purchase", "k1", 7000, 7010, bought("k1"))],
    ),
    Row(
        "whole_check",
        "buyer-over-limit",
        ("certainly had 3 tickets at 40.000 ms, of 2",),
        [replace(ON_BOTH, buyer="b"), places("k2", 30, 40, buyer="b")],
        show=replace(HALL, max_per_buyer=2),
    ),
]
