"""What batches leave behind as time passes: sweeps, tombstones, deadlines, facts."""

import pytest

from engine.inventory.commands import (
    Commit,
    Committing,
    Done,
    Expired,
    Held,
    Hold,
    KeyReused,
    Look,
    OverBuyerLimit,
    Purchase,
    Purchased,
    Release,
    Released,
    Replace,
    SeatsTaken,
    Selection,
    Unknown,
)
from engine.inventory.records import HoldRecord, HoldState, Tombstone
from engine.platform.ids import purchase_key_digest
from engine.platform.settings import BATCH_MAX_MOST
from tests.lua.show_room import START_MS, Rooms, Rules, ShowRoom, hold_id, make_manifest

MINUTE_MS = 60_000
HALL = make_manifest("|" + "oooooooooo|" * 30, areas=[4])
SEATS = list(HALL.positions())


@pytest.fixture
def room(rooms: Rooms) -> ShowRoom:
    """Open a show whose time stands still."""
    return rooms.open(HALL)


def _live(room: ShowRoom) -> int:
    records = room.read().records.values()
    return sum(isinstance(record, HoldRecord) for record in records)


def test_every_batch_ends_the_oldest_overdue_holds_first_and_32_at_most(room: ShowRoom) -> None:
    """An empty batch sweeps, too; each end gives the seat back and leaves a tombstone."""
    for n in range(1, 41):
        assert isinstance(
            room.hold(n, seats=(SEATS[n],), buyer=f"b-{n}", ttl_ms=MINUTE_MS + n), Held
        )
    room.set_time(START_MS + 2 * MINUTE_MS)
    assert room.batch().status == "ok"
    found = room.read()
    ended = {hold for hold, record in found.records.items() if isinstance(record, Tombstone)}
    assert ended == {hold_id(n) for n in range(1, 33)}
    assert found.seats.count("h") == 8
    assert len(found.deltas[-1].seats) == 32
    assert found.deltas[-1].expired == tuple(hold_id(n) for n in range(1, 33))
    room.batch()
    assert room.read().deltas[-1].expired == tuple(hold_id(n) for n in range(33, 41))
    assert _live(room) == 0
    assert room.read().seats == HALL.layout


def test_a_batch_of_the_most_commands_that_a_setting_allows_is_decided(rooms: Rooms) -> None:
    """Held, repeated with the records to read, and bought."""
    hall = make_manifest("|" + "oooooooo|" * (BATCH_MAX_MOST // 4))
    seats = list(hall.positions())
    room = rooms.open(hall)
    ids = [hold_id(n) for n in range(BATCH_MAX_MOST)]
    holds = [
        Hold(hold, f"b-{n}", MINUTE_MS, 1, Selection((seats[2 * n], seats[2 * n + 1])))
        for n, hold in enumerate(ids)
    ]
    for _ in range(2):
        assert {type(answer) for answer in room.batch(*holds).answers} == {Held}
    purchases = [Purchase(hold, f"key-{n}", 1, "") for n, hold in enumerate(ids)]
    assert {type(answer) for answer in room.batch(*purchases).answers} == {Purchased}
    assert room.read().seats.count("s") == 2 * BATCH_MAX_MOST


@pytest.mark.parametrize(("sweep_max", "is_held"), [(512, True), (100, True), (60, False)])
def test_before_it_refuses_a_batch_sweeps_on_to_its_bound(
    room: ShowRoom, sweep_max: int, *, is_held: bool
) -> None:
    """An overdue hold stands in nobody's way, unless there are too many older ones."""
    for n in range(1, 101):
        assert isinstance(
            room.hold(n, seats=(SEATS[n],), buyer=f"b-{n}", ttl_ms=MINUTE_MS + n), Held
        )
    room.set_time(START_MS + 2 * MINUTE_MS)
    wanted = Hold(hold_id(200), "ann", MINUTE_MS, 1, Selection(seats=(SEATS[100],)))
    answer = room.batch(wanted, sweep_max=sweep_max).answers[0]
    assert isinstance(answer, Held if is_held else SeatsTaken)
    assert _live(room) == (1 if is_held else 100 - sweep_max)


def test_a_limit_and_an_area_are_swept_for_as_well(rooms: Rooms) -> None:
    """A buyer's own overdue holds do not count against them, nor do others' against an area."""
    room = rooms.open(HALL, Rules(max_per_buyer=2))
    for n in range(1, 41):
        assert isinstance(
            room.hold(n, seats=(SEATS[n],), buyer=f"b-{n}", ttl_ms=MINUTE_MS + n), Held
        )
    assert isinstance(room.hold(50, seats=(SEATS[60], SEATS[61]), ttl_ms=MINUTE_MS + 50), Held)
    assert room.hold(51, seats=(SEATS[62],)) == OverBuyerLimit(2, 2)
    assert isinstance(room.hold(52, areas=((0, 2),), buyer="x", ttl_ms=MINUTE_MS + 51), Held)
    assert isinstance(room.hold(53, areas=((0, 2),), buyer="y", ttl_ms=MINUTE_MS + 51), Held)
    room.set_time(START_MS + 2 * MINUTE_MS)
    assert isinstance(room.hold(54, seats=(SEATS[62],), areas=((0, 1),)), Held)


def test_a_purchase_checks_its_own_deadline_whether_swept_or_not(room: ShowRoom) -> None:
    """A hold that no sweep has reached is expired when it is looked at, bought or replaced."""
    for n in (1, 2, 3):
        assert isinstance(room.hold(n, seats=(SEATS[n],), buyer=f"b-{n}"), Held)
    room.set_time(START_MS + MINUTE_MS)
    reply = room.batch(
        Purchase(hold_id(1), "key", 1, ""),
        Look(hold_id(2)),
        Replace(hold_id(3), 9, Selection(seats=(SEATS[9],))),
        sweep_max=0,
    )
    assert set(reply.answers) == {Expired()}
    assert room.read().seats == HALL.layout


def test_an_ended_hold_is_remembered_until_ten_minutes_after_its_deadline(
    room: ShowRoom,
) -> None:
    """Then its key is new; a repetition before that never makes a second hold."""
    first = Hold(hold_id(1), "ann", MINUTE_MS, 1, Selection(seats=(1,)))
    other = Hold(hold_id(1), "ann", MINUTE_MS, 2, Selection(seats=(1,)))
    assert isinstance(room.ask(first), Held)
    assert room.ask(Release(hold_id(1))) == Done()
    forgotten_at_ms = START_MS + MINUTE_MS + 10 * MINUTE_MS
    assert room.read().expiry == {hold_id(1): forgotten_at_ms}
    room.set_time(forgotten_at_ms - 1)
    assert (room.ask(first), room.ask(other)) == (Released(), KeyReused())
    room.set_time(forgotten_at_ms)
    assert room.ask(Look(hold_id(1))) == Unknown()
    assert room.read().records == {}
    assert isinstance(room.ask(other), Held)


def test_a_hold_overdue_for_longer_than_it_is_remembered_is_gone_at_once(room: ShowRoom) -> None:
    """Its seat is open and its key new."""
    assert isinstance(room.hold(1, seats=(1,)), Held)
    room.set_time(START_MS + 20 * MINUTE_MS)
    assert room.ask(Look(hold_id(1))) == Unknown()
    found = room.read()
    assert (found.seats, found.records, found.expiry, found.buyers) == (HALL.layout, {}, {}, {})


def test_a_hold_released_before_it_came_never_comes(room: ShowRoom) -> None:
    """For an hour and ten minutes, whatever its body: an hour is the longest that holds last."""
    assert room.ask(Release(hold_id(1))) == Done()
    room.set_time(START_MS + 70 * MINUTE_MS - 1)
    assert room.hold(1, seats=(1,), fingerprint=5) == Released()
    room.set_time(START_MS + 70 * MINUTE_MS)
    assert isinstance(room.hold(1, seats=(1,), fingerprint=5), Held)


def test_a_buyers_holds_share_the_deadline_of_the_first(room: ShowRoom) -> None:
    """A new hold inherits it while they hold anything, and replacing keeps it."""
    first = room.hold(1, seats=(1,), ttl_ms=MINUTE_MS)
    assert isinstance(first, Held)
    room.set_time(START_MS + 1000)
    second = room.hold(2, seats=(2,), ttl_ms=60 * MINUTE_MS)
    assert isinstance(second, Held)
    assert second.deadline_ms == first.deadline_ms == START_MS + MINUTE_MS
    replaced = room.ask(Replace(hold_id(2), 7, Selection(seats=(3,))))
    assert isinstance(replaced, Held)
    assert replaced.deadline_ms == first.deadline_ms
    assert room.ask(Release(hold_id(1))) == Done()
    assert isinstance(room.ask(Purchase(hold_id(2), "key", 1, "")), Purchased)
    fresh = room.hold(3, seats=(5,), ttl_ms=MINUTE_MS)
    assert isinstance(fresh, Held)
    assert fresh.deadline_ms == START_MS + 1000 + MINUTE_MS


def test_time_never_goes_back(room: ShowRoom) -> None:
    """Whatever the server's clock says, the highest time seen is the least that is now."""
    assert room.batch().now_ms == START_MS
    assert isinstance(room.hold(1, seats=(1,)), Held)
    assert room.meta()["time"] == str(START_MS)


def test_a_refused_replacement_keeps_the_old_seats_for_their_holder(room: ShowRoom) -> None:
    """In the batch, too: a neighbour cannot slip in between."""
    assert isinstance(room.hold(1, seats=(1, 2), areas=((0, 4),)), Held)
    assert isinstance(room.hold(2, seats=(3,), buyer="bob"), Held)
    before = room.read()
    reply = room.batch(
        Replace(hold_id(1), 7, Selection(seats=(2, 3))),
        Hold(hold_id(3), "cem", MINUTE_MS, 1, Selection(seats=(1,))),
        Replace(hold_id(1), 8, Selection(seats=(3,), areas=((0, 1),))),
    )
    assert reply.answers == (SeatsTaken((3,)), SeatsTaken((1,)), SeatsTaken((3,)))
    after = room.read()
    assert (after.seats, after.areas, after.records) == (
        before.seats,
        before.areas,
        before.records,
    )


def test_a_hold_that_expired_is_told_even_if_its_seat_is_taken_at_once(room: ShowRoom) -> None:
    """The seat stays held, so that no change of it is told; one that was released is not told."""
    assert isinstance(room.hold(1, seats=(1,)), Held)
    assert isinstance(room.hold(2, seats=(2,), buyer="bob"), Held)
    room.ask(Release(hold_id(2)))
    room.set_time(START_MS + MINUTE_MS)
    assert isinstance(room.hold(3, seats=(1,), buyer="cem"), Held)
    delta = room.read().deltas[-1]
    assert (delta.seats, delta.expired) == ((), (hold_id(1),))


def test_a_refusal_writes_no_fact(room: ShowRoom) -> None:
    """Whoever follows the deltas is not woken for nothing."""
    assert isinstance(room.hold(1, seats=(1,), areas=((0, 4),)), Held)
    assert isinstance(room.hold(2, seats=(3,), buyer="bob"), Held)
    before = room.read()
    assert room.hold(3, seats=(3,), buyer="cem") == SeatsTaken((3,))
    assert room.ask(Replace(hold_id(1), 8, Selection(seats=(3,)))) == SeatsTaken((3,))
    assert room.read().deltas == before.deltas


def test_a_record_that_contradicts_the_seats_is_reported_and_left_alone(room: ShowRoom) -> None:
    """Also when it is the sweep that meets it; the rest of the batch is decided."""
    assert isinstance(room.hold(1, seats=(1, 2)), Held)
    room.client.setrange(room.keys.seats, 2, b"s")
    room.set_time(START_MS + MINUTE_MS)
    reply = room.batch(Hold(hold_id(2), "bob", MINUTE_MS, 1, Selection(seats=(3,))))
    assert reply.inconsistent
    assert isinstance(reply.answers[0], Held)
    found = room.read()
    assert found.seats[:5] == "|hshoo"[:5]
    assert isinstance(found.records[hold_id(1)], HoldRecord)


def test_a_big_batch_is_written_whole(room: ShowRoom) -> None:
    """More fields than Lua's stack takes in one call: holds of 200 seats, swept together."""
    room.set_meta(max_per_hold=500, max_per_buyer=5000)
    hall = HALL.seat_count
    assert isinstance(room.hold(1, seats=tuple(SEATS)), Held)
    found = room.read()
    assert found.seats.count("h") == hall == len(found.deltas[-1].seats)
    sold = room.ask(Purchase(hold_id(1), "key", 1, ""))
    assert isinstance(sold, Purchased)
    (_, fact), *others = room.read().sales
    assert (fact.seats, others) == (tuple(SEATS), [])


@pytest.mark.parametrize(
    "selection",
    [
        Selection((2,), types="child:1"),
        Selection((2, 1), types="child:1,standard:1"),
        Selection((1, 2, 3), ((0, 1),), types="standard:3,child:1"),
        Selection(areas=((0, 2),), types="child:2"),
        Selection(best=((0, 2),), types="child:1,standard:1"),
        Selection((SEATS[9],), ((0, 1),), ((0, 2),), types="child:4"),
    ],
)
def test_types_stay_with_a_hold_up_to_its_fact(room: ShowRoom, selection: Selection) -> None:
    """In whichever form the hold came, made and bought in one batch or in two, and when looked at.

    The third buyer has a hold already, which takes another way through the script.
    """
    types = selection.types
    first = Hold(hold_id(1), "ann", MINUTE_MS, 1, selection)
    reply = room.batch(first, Purchase(hold_id(1), "one", 1, ""))
    held, bought = reply.answers
    assert isinstance(held, Held)
    assert isinstance(bought, Purchased)
    assert (held.types, bought.types) == (types, types)
    taken = room.take_back(1, 1, seats=bought.seats, areas=[(a, n, 0) for a, n in bought.areas])
    assert taken[0] == "returned"
    assert isinstance(room.hold(2, seats=(SEATS[60],), buyer="bob"), Held)
    again = Hold(hold_id(3), "bob", MINUTE_MS, 1, selection)
    reply = room.batch(again, Purchase(hold_id(3), "three", 1, ""))
    assert [one.types for one in reply.answers if isinstance(one, Held | Purchased)] == [types] * 2
    found = room.read()
    assert [fact.types for _, fact in found.sales] == [types, types]
    records = [found.records[hold_id(n)] for n in (1, 3)]
    assert [one.types for one in records if isinstance(one, HoldRecord)] == [types, types]
    looked = room.ask(Look(hold_id(3)))
    assert isinstance(looked, Purchased)
    assert looked.types == types


def test_a_replacement_has_its_own_types(room: ShowRoom) -> None:
    """Or none: those of the selection before are gone with it."""
    assert isinstance(room.ask(Hold(hold_id(1), "ann", MINUTE_MS, 1, Selection((1,)))), Held)
    typed = room.ask(Replace(hold_id(1), 2, Selection((1,), types="child:1")))
    plain = room.ask(Replace(hold_id(1), 3, Selection((1, 2))))
    assert isinstance(typed, Held)
    assert isinstance(plain, Held)
    assert (typed.types, plain.types) == ("child:1", "")
    record = room.read().records[hold_id(1)]
    assert isinstance(record, HoldRecord)
    assert record.types == ""


def test_records_written_by_the_script_are_read_field_by_field(room: ShowRoom) -> None:
    """Each field where `records.py` expects it, by values that differ from one another."""
    room.price_version = 9
    assert isinstance(room.hold(1, seats=(2, 1), areas=((0, 3),), fingerprint=5), Held)
    assert isinstance(room.ask(Replace(hold_id(1), 6, Selection((4, 3), ((0, 1),)))), Held)
    live = room.read().records[hold_id(1)]
    assert live == HoldRecord(
        deadline_ms=START_MS + MINUTE_MS,
        fingerprint=5,
        buyer="ann",
        price_version=9,
        selection_fingerprint=6,
        seats=(4, 3),
        areas=((0, 1),),
    )
    room.set_time(START_MS + 1)
    assert isinstance(room.ask(Purchase(hold_id(1), "Schlüssel", 7, "ref")), Purchased)
    sold = room.read().records[hold_id(1)]
    assert isinstance(sold, HoldRecord)
    assert sold.sale is not None
    assert (sold.sale.body_fingerprint, sold.sale.sold_at_ms) == (7, START_MS + 1)
    assert room.read().keys == {purchase_key_digest("Schlüssel"): hold_id(1)}
    assert (sold.sale.epoch, sold.sale.n) == (1, 0)
    assert room.ask(Release(hold_id(2))) == Done()
    tombstone = room.read().records[hold_id(2)]
    assert tombstone == Tombstone(HoldState.RELEASED, START_MS + 1 + 70 * MINUTE_MS, 0)


def test_records_of_a_bundle_are_read_field_by_field(room: ShowRoom) -> None:
    """Before and after it commits: then its deadline is a minute away, its buyer's stays."""
    part = Hold(hold_id(3), "bob", MINUTE_MS, 8, Selection((1,)), "0123456789abcdef")
    assert isinstance(room.ask(part), Held)
    bundled = room.read().records[hold_id(3)]
    assert isinstance(bundled, HoldRecord)
    assert (bundled.bundle, bundled.committing) == (part.bundle, False)
    room.set_time(START_MS + 2)
    assert room.ask(Commit(hold_id(3), part.bundle)) == Committing(START_MS + 2 + MINUTE_MS)
    assert room.read().records[hold_id(3)] == HoldRecord(
        deadline_ms=START_MS + 2 + MINUTE_MS,
        fingerprint=8,
        buyer="bob",
        price_version=1,
        selection_fingerprint=8,
        seats=(1,),
        areas=(),
        bundle=part.bundle,
        committing=True,
    )
    assert room.read().buyers == {"bob": (1, 0, START_MS + MINUTE_MS)}
