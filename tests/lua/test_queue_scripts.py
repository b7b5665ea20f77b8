"""The waiting room's scripts: every answer in order of precedence, and what must never be."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from engine.waitingroom.commands import (
    Claim,
    Full,
    Issued,
    Join,
    Joined,
    Known,
    Leave,
    Left,
    Look,
    Over,
    Shut,
    Waits,
)
from tests.lua.queue_room import (
    OPEN_FIELDS,
    PASS_TTL_MS,
    QueueRoom,
    QueueRooms,
    identity,
    queue_rooms,
    steered,
)
from tests.lua.queue_table import MORE, QUEUE_TABLE, Row
from tests.lua.show_room import START_MS, Rooms
from tests.model.queue_machine import run_queue_machine

_ROWS = [
    pytest.param(row, id=f"{command}: {answer}")
    for command, rows in (*QUEUE_TABLE.items(), ("more", MORE))
    for answer, row in rows.items()
]


@pytest.fixture
def queues(rooms: Rooms) -> Iterator[QueueRooms]:
    """Open waiting rooms on the tests' Valkey."""
    with queue_rooms(rooms.client) as opened:
        yield opened


@pytest.mark.parametrize("row", _ROWS)
def test_an_answer_comes_before_all_that_stand_after_it(queues: QueueRooms, row: Row) -> None:
    """The answer is the first one in the header whose condition is met."""
    row.check(queues)


def test_the_scripts_answer_and_keep_what_the_reference_model_does(rooms: Rooms) -> None:
    """Whatever is asked in whatever order, scripts and model agree in every key."""
    run_queue_machine(rooms.client, examples=50)


# ---------------------------------------------------------------- numbers


def test_numbers_follow_one_another_and_end_at_the_ceiling(queues: QueueRooms) -> None:
    """Those who join without a word first, then the others, and never one number twice."""
    room = queues.open(ceiling="7")
    served = room.serve(Join(identity(1)), Join(identity(2)), plain=3)
    assert (served.first, served.given) == (0, 3)
    assert served.answers == (Joined(3), Joined(4))
    served = room.serve(Join(identity(1)), Join(identity(3)), plain=5)
    assert (served.first, served.given) == (5, 2)
    assert served.answers == (Known(3), Full())
    assert room.meta("next") == "7"
    room.steer(ceiling=8)
    assert room.serve(plain=2).given == 1


def test_a_person_who_joins_twice_in_a_batch_has_one_number(queues: QueueRooms) -> None:
    """Also one of another hash, and whose digest differs in its last byte only."""
    room = queues.open()
    digest = identity(9)
    twin = digest[:7] + bytes([digest[7] ^ 1])
    assert room.serve(Join(digest), Join(digest), Join(twin)).answers == (
        Joined(0),
        Known(0),
        Joined(1),
    )
    assert room.read().identities == {digest: 0, twin: 1}


def test_a_closed_line_gives_no_number(queues: QueueRooms) -> None:
    """Neither to who says nothing nor to somebody new; who is in it is still known."""
    room = queues.open()
    assert room.ask(Join(identity(1))) == Joined(0)
    room.steer(joins="shut")
    served = room.serve(Join(identity(1)), Join(identity(2)), plain=4)
    assert (served.may_join, served.given) == (False, 0)
    assert served.answers == (Known(0), Shut())


# ---------------------------------------------------------------- passes


def test_of_all_who_claim_the_lowest_places_get_the_passes(queues: QueueRooms) -> None:
    """In one batch, in whatever order, and among those who were told to wait before."""
    room = queues.open(next_number=20)
    room.admit(20, 2.0)
    places = {5: 12, 6: 3, 7: 19, 8: 7}
    served = room.serve(*(Claim(number, place, "b") for number, place in places.items()))
    assert [type(one) for one in served.answers] == [Waits, Issued, Waits, Issued]
    assert served.answers[0] == served.answers[2] == Waits(2)
    room.steer(credit=1)
    assert room.serve(Claim(9, 15, "b"), Claim(7, 19, "b")).answers == (Waits(1), Waits(2))
    assert isinstance(room.ask(Claim(5, 12, "b")), Issued)


def test_a_part_of_a_pass_is_no_pass(queues: QueueRooms) -> None:
    """The stock counts in fractions; only whole passes are given out of it."""
    room = queues.open(next_number=20)
    room.admit(20, 0.999)
    assert room.ask(Claim(1, 1, "b")) == Waits(0)
    room.steer(credit=0.001)
    assert isinstance(room.ask(Claim(1, 1, "b")), Issued)
    assert (room.meta("stock"), room.meta("issued")) == ("0.000000", "1")


def test_a_claim_repeated_in_its_own_batch_is_one_pass(queues: QueueRooms) -> None:
    """The second gets the first one's answer; another buyer is refused."""
    room = queues.open(next_number=20)
    room.admit(20, 5.0)
    issued = Issued(START_MS + PASS_TTL_MS, PASS_TTL_MS)
    claims = (Claim(1, 1, "ann"), Claim(1, 1, "ann"), Claim(1, 1, "bob"))
    assert room.serve(*claims).answers == (issued, issued, Over())
    assert (room.meta("issued"), room.meta("stock")) == ("1", "4.000000")


def test_checkout_is_never_fuller_than_it_may_be(queues: QueueRooms) -> None:
    """However much is in stock; a pass that is left or overdue makes room at once."""
    room = queues.open(next_number=20, checkout_max="2")
    room.admit(20, 9.0)
    served = room.serve(*(Claim(n, n, "b") for n in range(4)))
    assert [type(one) for one in served.answers] == [Issued, Issued, Waits, Waits]
    # Left in this very batch: who claims after it gets the place.
    left, claimed = room.serve(Leave(0), Claim(2, 2, "b")).answers
    assert left == Left()
    assert isinstance(claimed, Issued)
    room.pass_time(PASS_TTL_MS)
    assert isinstance(room.ask(Claim(3, 3, "b")), Issued)
    found = room.read()
    assert set(found.passes) == set(found.buyers) == {3}
    assert found.used == {0, 1, 2, 3}


def test_an_overdue_pass_is_over_however_many_there_are(queues: QueueRooms) -> None:
    """One call ends only so many of them, and the others are over all the same."""
    room = queues.open(next_number=600, ceiling="700", checkout_max="600")
    room.admit(600, 100.0)
    for first in range(0, 600, 100):
        served = room.serve(*(Claim(n, n, "b") for n in range(first, first + 100)))
        assert all(isinstance(one, Issued) for one in served.answers)
        room.steer(credit=100)
    room.pass_time(PASS_TTL_MS)
    assert room.ask(Look(599)) == Over()
    assert room.ask(Claim(598, 598, "b")) == Over()
    assert steered(room.steer())["live"] == 0


def test_who_left_is_out_of_the_line(queues: QueueRooms) -> None:
    """Nobody waits behind them, and they don't come back."""
    room = queues.open(next_number=20)
    room.admit(20, 0.5)
    assert room.serve(Claim(1, 1, "a"), Claim(2, 2, "b")).answers == (Waits(0), Waits(1))
    assert room.serve(Leave(1), Claim(2, 2, "b")).answers == (Left(), Waits(0))
    assert room.ask(Claim(1, 1, "a")) == Over()
    assert room.read().waiting == {2: 2}


def test_who_waits_and_does_not_come_back_holds_nobody_up(queues: QueueRooms) -> None:
    """After some seconds they wait no more, and when they come after all, they are first again."""
    room = queues.open(next_number=20)
    room.admit(20, 0.0)
    room.serve(Claim(1, 1, "a"), Claim(2, 2, "b"))
    room.pass_time(4999)
    room.ask(Claim(2, 2, "b"))
    assert steered(room.steer())["waiting"] == 2
    room.pass_time(1)
    assert steered(room.steer(credit=1.0))["waiting"] == 1
    assert room.serve(Claim(1, 1, "a"), Claim(2, 2, "b")).answers[1] == Waits(0)


# ---------------------------------------------------------------- steps


def test_a_step_is_refused_in_the_order_of_the_header(queues: QueueRooms) -> None:
    """fenced, stale, held, late: none of them changes anything."""
    room = queues.open(next_number=20)
    room.admit(5, 1.0)
    late: dict[str, Any] = {
        "step": room.steps,
        "credit": 5.0,
        "serving": 9,
        "ceiling": 900,
        "state": "paused",
    }
    before = room.read()
    assert room.steer(**late) == ["late", room.steps]
    held = ["held", f"ann {room.steps}"]
    for replaced in ("", f"ann {room.steps - 1}", f"bob {room.steps}"):
        assert room.steer(**late, holder="bob", replaced=replaced) == held
    assert room.steer(**late, holder="bob", epoch=room.epoch + 1) == ["stale", room.epoch]
    assert room.steer(**late, holder="bob", epoch=room.epoch - 1) == ["stale", room.epoch]
    assert room.close_entries(room.epoch - 1) == ["stale", room.epoch]
    assert room.read() == before
    for field in ("run_id", "replid"):
        was = room.meta(field)
        room.set_meta(**{field: "0" * 40})
        before = room.read()
        assert room.steer(**late, holder="bob", epoch=room.epoch + 1) == ["fenced"]
        assert room.serve(Join(identity(1)), plain=3).status == "fenced"
        assert room.close_entries() == ["fenced"]
        assert room.read() == before
        room.set_meta(**{field: was})


def test_a_queue_that_was_never_opened_is_fenced(queues: QueueRooms) -> None:
    """Nothing is written for it."""
    room = queues.make()
    assert room.serve(plain=1).status == "fenced"
    assert room.steer() == ["fenced"]
    assert room.close_entries() == ["fenced"]
    assert room.client.exists(*room.keys.all()) == 0


def test_a_silent_holder_is_replaced_without_credit(queues: QueueRooms) -> None:
    """Time before it may be paid for already; however far the store's clock has gone."""
    room = queues.open(next_number=20)
    taken = room.steer(credit=9.0)
    assert taken[0] == "taken"
    assert steered(taken)["stock"] == "0.000000"
    assert room.steer(holder="bob", step=1) == ["held", "ann 1"]
    room.pass_time(3_600_000)
    assert room.steer(holder="bob", step=1) == ["held", "ann 1"]
    told = room.steer(holder="bob", step=1, replaced="ann 1", credit=9.0)
    assert (told[0], steered(told)["stock"]) == ("taken", "0.000000")
    # The first one's next step finds that it holds it no more.
    assert room.steer(credit=9.0)[0] == "held"
    assert steered(room.steer(holder="bob", step=2, credit=2.5))["stock"] == "2.500000"


def test_a_step_moves_the_line_forward_only_and_not_beyond_its_end(queues: QueueRooms) -> None:
    """So does the ceiling; the stock may shrink."""
    room = queues.open(next_number=20)
    room.admit(12, 3.0)
    told = steered(room.steer(serving=8, ceiling=50, stock_max=1.5))
    assert (told["serving"], told["ceiling"], told["stock"]) == (12, 100, "1.500000")
    told = steered(room.steer(serving=99, ceiling=150, credit=7.0, stock_max=4.0))
    assert (told["serving"], told["ceiling"], told["stock"]) == (20, 150, "4.000000")


def test_time_does_not_go_back(queues: QueueRooms) -> None:
    """A clock that was ahead and is put right: deadlines stand still, and go on from there.

    The server's clock is seventy years behind the room's here.
    """
    room = queues.open(next_number=20)
    room.admit(20, 2.0)
    first = room.ask(Claim(1, 1, "b"))
    assert room.ask(Claim(1, 1, "b")) == first
    assert steered(room.steer())["now_ms"] == START_MS
    room.pass_time(5000)
    second = room.ask(Claim(2, 2, "b"))
    assert second == Issued(START_MS + 5000 + PASS_TTL_MS, PASS_TTL_MS)
    assert int(room.meta("time")) == START_MS + 5000


# ---------------------------------------------------------------- opening, closing


def test_a_queue_is_opened_by_the_latest_recovery_only(queues: QueueRooms) -> None:
    """An older or the same epoch changes nothing."""
    room = queues.open(next_number=20)
    room.admit(5, 2.0)
    before = room.read()
    for epoch in (0, room.epoch):
        assert room.try_to_open(epoch, 7, OPEN_FIELDS) == ["superseded", room.epoch]
    assert room.read() == before


def test_a_queue_that_is_opened_anew_keeps_passes_and_forgets_stock_and_holder(
    queues: QueueRooms,
) -> None:
    """Passes are still bound to their buyers; claimants wait again when they come again."""
    room = queues.open(next_number=20)
    assert room.ask(Join(identity(3))) == Joined(20)
    room.admit(15, 1.0)
    issued = room.serve(Claim(1, 1, "ann"), Claim(2, 2, "bob")).answers[0]
    room.open(next_number=50, serving="15")
    found = room.read()
    assert (found.waiting, found.seen) == ({}, {})
    assert (found.meta["stock"], found.meta["holder"], found.meta["next"]) == ("0", "", "50")
    assert (found.meta["issued"], found.meta["claims"]) == ("1", "2")
    assert room.serve(Claim(1, 1, "ann"), Claim(1, 1, "eve")).answers == (issued, Over())
    assert room.ask(Join(identity(3))) == Known(20)
    assert room.serve(plain=1).first == 50
    # Whoever held it has to take it again, and gets nothing for the time between.
    assert room.steer(credit=9.0)[0] == "taken"


def test_entries_are_counted_once(queues: QueueRooms) -> None:
    """Whoever joins after the close is none of them, however often it is asked for."""
    room = queues.open(next_number=12)
    assert steered(room.steer())["count"] == -1
    assert room.close_entries() == ["closed", 12]
    assert room.serve(plain=3).first == 12
    assert room.close_entries() == ["closed", 12]
    assert steered(room.steer())["count"] == 12


def _stock(room: QueueRoom) -> float:
    return float(room.meta("stock"))


def test_no_more_passes_are_issued_than_steps_brought(queues: QueueRooms) -> None:
    """Whatever the order of steps, claims, late steps and another's."""
    room = queues.open(next_number=90, checkout_max="90")
    room.admit(90, 0.0)
    brought = 0.0
    for turn in range(30):
        credit = (0.3, 1.7, 0.0)[turn % 3]
        before = _stock(room)
        assert room.steer(credit=credit, stock_max=4.0)[0] == "steered"
        brought += _stock(room) - before
        room.steer(step=room.steps, credit=3.0)
        room.steer(step=1, holder="bob", credit=3.0, replaced="ann 1")
        issued = int(room.meta("issued"))
        room.serve(*(Claim(n, n, "b") for n in range(issued, issued + 3)))
    assert int(room.meta("issued")) + _stock(room) == pytest.approx(brought)
    assert int(room.meta("issued")) >= 15


SCENARIOS: Final[tuple[Callable[[QueueRooms], None], ...]] = (
    test_numbers_follow_one_another_and_end_at_the_ceiling,
    test_a_person_who_joins_twice_in_a_batch_has_one_number,
    test_a_closed_line_gives_no_number,
    test_of_all_who_claim_the_lowest_places_get_the_passes,
    test_a_part_of_a_pass_is_no_pass,
    test_a_claim_repeated_in_its_own_batch_is_one_pass,
    test_checkout_is_never_fuller_than_it_may_be,
    test_an_overdue_pass_is_over_however_many_there_are,
    test_who_left_is_out_of_the_line,
    test_who_waits_and_does_not_come_back_holds_nobody_up,
    test_a_step_is_refused_in_the_order_of_the_header,
    test_a_queue_that_was_never_opened_is_fenced,
    test_a_silent_holder_is_replaced_without_credit,
    test_a_step_moves_the_line_forward_only_and_not_beyond_its_end,
    test_time_does_not_go_back,
    test_a_queue_is_opened_by_the_latest_recovery_only,
    test_a_queue_that_is_opened_anew_keeps_passes_and_forgets_stock_and_holder,
    test_entries_are_counted_once,
    test_no_more_passes_are_issued_than_steps_brought,
)
"""What mutants are tried with as well."""
