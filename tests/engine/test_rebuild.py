"""What a show must be after a recovery: from the ledger, the blocks and the surviving holds."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from engine.inventory.commands import Expired, Hold, Purchase, Purchased, Selection
from engine.inventory.rebuild import (
    ContradictionError,
    HouseBlocks,
    Inventory,
    LedgerOrder,
    rebuild,
)
from engine.inventory.records import (
    KEPT_AFTER_DEADLINE_MS,
    AreaCounts,
    HoldRecord,
    HoldState,
    SaleRecord,
    Tombstone,
    unpack_area,
    unpack_record,
)
from engine.platform.ids import purchase_key_digest
from ops.stack import Stack
from tests.lua.show_room import START_MS, Rooms, hold_id, make_manifest, open_rooms

HALL = make_manifest("|oooo|oooo|", areas=[5])
ME, OTHER = hold_id(1), hold_id(2)


@pytest.fixture(scope="module")
def rooms(servers: Stack) -> Iterator[Rooms]:
    """Open shows on the tests' Valkey."""
    with open_rooms(servers.settings.redis_url) as rooms:
        yield rooms


def _live(*seats: int, buyer: str = "ann", deadline_ms: int = 1000, places: int = 0) -> HoldRecord:
    return HoldRecord(
        deadline_ms=deadline_ms,
        fingerprint=7,
        buyer=buyer,
        price_version=1,
        selection_fingerprint=8,
        seats=seats,
        areas=((0, places),) if places else (),
    )


def _order(
    hold: bytes, *seats: int, buyer: str = "ann", places: int = 0, owns: bool = True
) -> LedgerOrder:
    return LedgerOrder(
        hold=hold,
        buyer=buyer,
        owns=owns,
        seats=seats,
        areas=((0, places),) if places else (),
        price_version=1,
        hold_fingerprint=7,
        purchase_key=f"key of {hold.hex()[-2:]}",
        sale=SaleRecord(5, 1, 0, 900),
    )


def _buyers(inventory: Inventory) -> dict[str, list[int]]:
    return {
        name: [b[0], b[1], int.from_bytes(b[2:], "big")] for name, b in inventory.buyers.items()
    }


def _records(inventory: Inventory) -> dict[bytes, HoldRecord | Tombstone]:
    return {hold: unpack_record(packed) for hold, packed in inventory.holds.items()}


def _rebuilt(
    orders: Iterable[LedgerOrder],
    blocks: HouseBlocks,
    survivors: Mapping[bytes, HoldRecord | Tombstone],
    outage_ms: int,
    *,
    max_per_buyer: int = 6,
) -> Inventory:
    return rebuild(HALL, orders, blocks, survivors, outage_ms, max_per_buyer=max_per_buyer)


def test_a_new_show_is_its_manifest() -> None:
    """Nothing sold, nothing withheld, nobody holds."""
    new = _rebuilt((), HouseBlocks(), {}, 0)
    assert new.seats == b"|oooo|oooo|"
    assert unpack_area(new.areas["0"]) == AreaCounts(5)
    assert (new.holds, new.expiry, new.buyers, new.keys) == ({}, {}, {}, {})


def test_a_surviving_hold_stays_and_its_deadline_is_put_off() -> None:
    """By the outage; the buyer's shared deadline too."""
    built = _rebuilt((), HouseBlocks(), {ME: _live(1, 2, places=2)}, 250)
    assert built.seats == b"|hhoo|oooo|"
    assert unpack_area(built.areas["0"]) == AreaCounts(3, held=2)
    assert built.expiry == {ME: 1250}
    assert _buyers(built) == {"ann": [4, 0, 1250]}
    assert (built.holds_kept, built.holds_voided) == (1, 0)


def test_a_surviving_hold_whose_order_is_in_the_ledger_becomes_that_order() -> None:
    """It is sold, has no deadline, and answers its purchase key."""
    built = _rebuilt([_order(ME, 1, 2)], HouseBlocks(), {ME: _live(1, 2)}, 0)
    assert built.seats == b"|ssoo|oooo|"
    assert built.expiry == {}
    assert built.keys == {purchase_key_digest("key of 01"): ME}
    assert _buyers(built) == {"ann": [0, 2, 0]}
    record = _records(built)[ME]
    assert isinstance(record, HoldRecord)
    assert record.sale == SaleRecord(5, 1, 0, 900)


@pytest.mark.parametrize(
    ("orders", "blocks"),
    [
        ([_order(OTHER, 2, buyer="bob")], HouseBlocks()),
        ([_order(OTHER, buyer="bob", places=4)], HouseBlocks()),
        ([], HouseBlocks(seats=(2,))),
        ([], HouseBlocks(areas=((0, 4),))),
    ],
    ids=["a seat sold", "places sold", "a seat withheld", "places withheld"],
)
def test_a_surviving_hold_that_lost_anything_ends_whole(
    orders: list[LedgerOrder], blocks: HouseBlocks
) -> None:
    """A hold is kept with all that it has, or it has expired: never in part."""
    built = _rebuilt(orders, blocks, {ME: _live(1, 2, places=2)}, 100)
    assert b"h" not in built.seats
    assert unpack_area(built.areas["0"]).held == 0
    forgotten_at_ms = 1100 + KEPT_AFTER_DEADLINE_MS
    assert _records(built)[ME] == Tombstone(HoldState.EXPIRED, forgotten_at_ms, 7)
    assert built.expiry == {ME: forgotten_at_ms}
    assert (built.holds_kept, built.holds_voided) == (0, 1)
    assert "ann" not in built.buyers


def test_a_purchase_that_the_ledger_does_not_know_ends() -> None:
    """It was answered `recording` at best; its seats are for sale again."""
    survivor = msgspec.structs.replace(_live(1), sale=SaleRecord(5, 1, 0, 900))
    built = _rebuilt((), HouseBlocks(), {ME: survivor}, 0)
    assert built.seats == b"|oooo|oooo|"
    assert isinstance(_records(built)[ME], Tombstone)
    assert built.keys == {}


def test_an_order_in_conflict_owns_nothing_but_answers_its_key() -> None:
    """Its repetition finds it; its seats are whose they are; it does not count for its buyer."""
    orders = [_order(ME, 1, buyer="bob"), _order(OTHER, 1, owns=False)]
    built = _rebuilt(orders, HouseBlocks(), {}, 0)
    assert built.seats == b"|sooo|oooo|"
    assert _buyers(built) == {"bob": [0, 1, 0]}
    assert set(built.keys.values()) == {ME, OTHER}


def test_a_seat_sold_before_it_was_withheld_stays_sold() -> None:
    """And of places, no more are withheld than are left."""
    blocks = HouseBlocks(seats=(1, 4), areas=((0, 4),))
    built = _rebuilt([_order(ME, 1, places=3)], blocks, {}, 0)
    assert built.seats == b"|soob|oooo|"
    assert unpack_area(built.areas["0"]) == AreaCounts(0, sold=3, blocked=2)


def test_a_tombstone_survives_with_its_time_put_off() -> None:
    """So a key stays used for as long as it would have."""
    tombstone = Tombstone(HoldState.RELEASED, 5000, 7)
    built = _rebuilt((), HouseBlocks(), {ME: tombstone}, 100)
    assert _records(built) == {ME: Tombstone(HoldState.RELEASED, 5100, 7)}
    assert built.expiry == {ME: 5100}


@pytest.mark.parametrize(
    "orders",
    [
        [_order(ME, 1), _order(OTHER, 1)],
        [_order(ME, 0)],
        [_order(ME, 99)],
        [_order(ME, places=6)],
        [_order(ME, places=3), _order(OTHER, places=3)],
    ],
)
def test_a_ledger_that_contradicts_itself_or_the_manifest_opens_nothing(
    orders: list[LedgerOrder],
) -> None:
    """A seat twice, a seat that is none, more places than there are."""
    with pytest.raises(ContradictionError):
        _rebuilt(orders, HouseBlocks(), {}, 0)


@pytest.mark.parametrize("deadlines_ms", [(1000, 2000), (2000, 1000)])
def test_an_overdue_hold_does_not_shorten_its_buyers_shared_deadline(
    deadlines_ms: tuple[int, int],
) -> None:
    """Whatever order survivors are read in: a hold not swept yet has an earlier deadline."""
    survivors: dict[bytes, HoldRecord | Tombstone] = {
        hold_id(n): _live(n, deadline_ms=deadline_ms)
        for n, deadline_ms in enumerate(deadlines_ms, start=1)
    }
    built = _rebuilt((), HouseBlocks(), survivors, 0)
    assert _buyers(built) == {"ann": [2, 0, 2000]}


def _survivors(**named: HoldRecord) -> dict[bytes, HoldRecord | Tombstone]:
    return {hold_id(int(name[1:])): record for name, record in named.items()}


def test_holds_that_their_buyer_gave_up_do_not_come_back_beyond_the_limit() -> None:
    """A server that lagged has the old hold, and the ledger what was bought instead of it."""
    survivors = _survivors(
        _1=_live(9, deadline_ms=3000),
        _2=_live(1, 2, deadline_ms=1000),
        _3=_live(7, buyer="bob"),
    )
    orders = [_order(hold_id(9), 3, 4, buyer="ann")]
    built = _rebuilt(orders, HouseBlocks(), survivors, 0, max_per_buyer=4)
    assert built.seats == b"|ooss|ohoh|"
    assert _buyers(built) == {"ann": [1, 2, 3000], "bob": [1, 0, 1000]}
    assert built.holds_ended == (hold_id(2),)


def test_what_is_being_purchased_stays_beyond_the_limit() -> None:
    """A bundle may have been decided: what else is held ends."""
    paid = msgspec.structs.replace(_live(1, 2, deadline_ms=1000), committing=True)
    survivors = _survivors(_1=_live(3, 4, deadline_ms=2000), _2=paid)
    orders = [_order(hold_id(9), 6, 7, 8, buyer="ann")]
    built = _rebuilt(orders, HouseBlocks(), survivors, 0, max_per_buyer=4)
    assert built.seats == b"|hhoo|ssso|"
    assert built.holds_ended == (hold_id(1),)


def test_what_was_held_before_the_limit_was_lowered_stays() -> None:
    """The server had allowed it, and what it has is the newest."""
    bought = msgspec.structs.replace(_live(6), sale=SaleRecord(5, 1, 0, 900))
    survivors = _survivors(_1=_live(1, 2), _2=_live(3, 4), _3=bought)
    built = _rebuilt([_order(hold_id(3), 6)], HouseBlocks(), survivors, 0, max_per_buyer=1)
    assert built.seats == b"|hhhh|sooo|"
    assert built.holds_ended == ()


def test_what_was_rebuilt_is_what_the_scripts_go_on_with(rooms: Rooms) -> None:
    """A kept hold is bought, a purchase repeated, a lost hold expired, in the opened show.

    That a rebuild of any show gives the same show is a rule of the state machine.
    """
    room = rooms.make(HALL)
    survivors: dict[bytes, Any] = {
        hold_id(1): _live(1, 2, deadline_ms=START_MS + 1000),
        hold_id(2): _live(3, 4, buyer="bob", deadline_ms=START_MS + 1000),
    }
    orders = [_order(hold_id(3), 3, buyer="cem")]
    room.open(inventory=_rebuilt(orders, HouseBlocks(), survivors, 0))
    bought = room.ask(Purchase(hold_id(1), "key", 1, ""))
    assert isinstance(bought, Purchased)
    assert bought.seats == (1, 2)
    repeated = room.ask(Purchase(hold_id(3), "key of 03", 5, ""))
    assert isinstance(repeated, Purchased)
    assert (repeated.position.epoch, repeated.position.n, repeated.sold_at_ms) == (1, 0, 900)
    expired = room.ask(Hold(hold_id(2), "bob", 60_000, 7, Selection(seats=(6,))))
    assert expired == Expired()
    assert room.read().seats == "|ssso|oooo|"
