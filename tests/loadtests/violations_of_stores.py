"""For each rule about the stores a short history with stores that break it, and nothing else."""

from typing import Final

from msgspec.structs import replace

from loadtests.checker import Refused
from tests.loadtests.calls_by_hand import (
    LOST,
    RETURNED,
    bought,
    held,
    hold,
    ledger,
    left,
    order,
    standing,
    use,
)
from tests.loadtests.violations_by_hand import (
    BEGINS_TO_BUY,
    BUYS,
    LOSSY,
    MAY_BUY,
    ON_A,
    ON_FLOOR,
    Row,
)

# The answer of k2 was lost, so nobody but the store knows the id of its hold.
NAMELESS: Final = hold("k2", 10, None, LOST)

GIVES_ORDER_BACK: Final = use("return", "k1", 50, 60, RETURNED)

OF_THE_LEDGER: Final = [
    Row(
        "stores_check",
        "return-from-nowhere",
        ("returned, and no call can have done that",),
        [ON_A, BUYS, use("return", "k1", 50, 60, Refused("unsent"))],
        ledger(order("k1", status="returned")),
    ),
    Row(
        "stores_check",
        "returned-not-in-ledger",
        ("its order is confirmed",),
        [ON_A, BUYS, GIVES_ORDER_BACK],
        ledger(order("k1")),
    ),
    Row(  # a purchase that is told as returned says the same
        "stores_check",
        "returned-not-in-ledger",
        ("its order is confirmed",),
        [
            ON_A,
            BUYS,
            use("return", "k1", 50, None, LOST),
            replace(BUYS, op="again", answer=replace(bought("k1"), state="returned")),
        ],
        ledger(order("k1")),
    ),
    Row(
        "stores_check",
        "confirmed-not-in-ledger",
        ("o-k1 is not in the ledger",),
        [ON_A, BUYS],
        ledger=ledger(),
    ),
    Row(
        "stores_check",
        "confirmed-not-in-ledger",
        ("o-k1 ended as conflict",),
        [ON_A, BUYS],
        ledger=ledger(order("k1", status="conflict")),
    ),
    Row(
        "stores_check",
        "recording-lost",
        ("o-k1 was being recorded and never was",),
        [ON_A, BEGINS_TO_BUY],
        ledger=ledger(),
    ),
    Row(
        "stores_check",
        "order-from-nowhere",
        ("the ledger has it for hold h-k1, and no call can have bought that",),
        [ON_A, replace(BUYS, answer=Refused("hold-locked"))],
        ledger=ledger(order("k1")),
    ),
    Row(
        "stores_check",
        "order-differs",
        ("the ledger has A for b-k9; its hold never was that",),
        [ON_A, BUYS],
        ledger=ledger(order("k1", buyer="b-k9")),
    ),
    Row(
        "stores_check",
        "order-differs",
        ("the ledger has 2xfloor for b-k1; its hold never was that",),
        [ON_FLOOR, BUYS],
        ledger=ledger(order("k1", (), {"floor": 2})),
    ),
    Row(  # the seat may have been both's, one after the other: the store may have lost the first
        "stores_check",
        "two-orders-one-seat",
        ("in the ledger it is in o-k1 and in o-k2",),
        [
            ON_A,
            BEGINS_TO_BUY,
            hold("k2", 200, 210, held("k2")),
            use("purchase", "k2", 220, 230, bought("k2")),
        ],
        ledger=ledger(order("k1"), order("k2")),
        show=LOSSY,
    ),
    Row(  # what it was bought with can't be told: it may have been replaced, and bought twice
        "stores_check",
        "blocked-seat-sold",
        ("in the ledger it is in o-k1, but the house withholds it",),
        [ON_A, use("replace", "k1", 25, None, LOST, seats=("X",)), MAY_BUY],
        ledger=ledger(order("k1", ("X",))),
        show=LOSSY,
    ),
]

OF_THE_STORE: Final = [
    Row(
        "stores_check",
        "blocked-seat-differs",
        ("open in the store; withheld: True",),
        [],
        store=left(X="open"),
    ),
    Row(
        "stores_check",
        "blocked-seat-differs",
        ("blocked in the store; withheld: False",),
        [],
        store=left(A="blocked"),
    ),
    Row(
        "stores_check",
        "hold-overdue",
        ("its deadline passed 6000.000 ms ago and it still has its places",),
        [ON_A],
        store=left(standing("k1"), read_ms=7000, A="held"),
    ),
    Row(
        "stores_check",
        "hold-from-nowhere",
        ("no call that was not refused asked for it",),
        [],
        store=left(standing("k9", (), {"floor": 1}), floor=(2, 1, 0, 1)),
    ),
    Row(  # a hold of the same name that had other places
        "stores_check",
        "hold-from-nowhere",
        ("no call that was not refused asked for it",),
        [ON_FLOOR],
        store=left(standing("k1", (), {"floor": 2}), floor=(1, 2, 0, 1)),
    ),
    Row(  # all that the buyer asked for is a hold of another name
        "stores_check",
        "hold-from-nowhere",
        ("no call that was not refused asked for it",),
        [ON_FLOOR],
        store=left(standing("k9", (), {"floor": 1}, buyer="b-k1"), floor=(2, 1, 0, 1)),
    ),
    Row(  # the lost call was another buyer's
        "stores_check",
        "hold-from-nowhere",
        ("no call that was not refused asked for it",),
        [replace(NAMELESS, seats=(), areas={"floor": 1})],
        store=left(standing("k2", (), {"floor": 1}, buyer="b-k9"), floor=(2, 1, 0, 1)),
    ),
    Row(
        "stores_check",
        "two-owners",
        ("in the store 2 holds have it",),
        [ON_A, NAMELESS],
        store=left(standing("k1"), standing("k2"), A="held"),
    ),
    Row(
        "stores_check",
        "conservation",
        ("missing in the store, or none of the show's: Z",),
        [],
        store=left(Z="open"),
    ),
    Row(
        "stores_check",
        "conservation",
        ("held in the store, where 0 holds have it",),
        [],
        store=left(A="held"),
    ),
    Row(
        "stores_check",
        "conservation",
        ("open in the store, where 1 holds have it",),
        [NAMELESS],
        store=left(standing("k2")),
    ),
    Row(
        "stores_check",
        "conservation",
        ("the store does not have it",),
        [],
        store=replace(left(), areas={}),
    ),
    Row(
        "stores_check",
        "conservation",
        ("2 open, 0 held, 0 sold, 1 blocked, of 4; holds have 0",),
        [],
        store=left(floor=(2, 0, 0, 1)),
    ),
    Row(
        "stores_check",
        "conservation",
        ("4 open, 0 held, -1 sold, 1 blocked, of 4; holds have 0",),
        [],
        store=left(floor=(4, 0, -1, 1)),
    ),
    Row(
        "stores_check",
        "conservation",
        ("3 open, 0 held, 0 sold, 1 blocked, of 4; holds have 1",),
        [ON_FLOOR],
        store=left(standing("k1", (), {"floor": 1})),
    ),
]

OF_BOTH: Final = [
    Row(
        "stores_check",
        "store-differs-from-ledger",
        ("sold in the store, where 0 orders of the ledger have it",),
        [ON_A, MAY_BUY],
        ledger=ledger(),
        store=left(A="sold"),
        show=LOSSY,
    ),
    Row(
        "stores_check",
        "store-differs-from-ledger",
        ("open in the store, where 1 orders of the ledger have it",),
        [ON_A, MAY_BUY],
        ledger=ledger(order("k1")),
        store=left(),
        show=LOSSY,
    ),
    Row(
        "stores_check",
        "store-differs-from-ledger",
        ("1 sold in the store, 0 in the ledger",),
        [],
        ledger=ledger(),
        store=left(floor=(2, 0, 1, 1)),
    ),
]
