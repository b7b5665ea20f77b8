"""Seats together: the answer against its specification, in halls that Hypothesis thinks of."""

import os

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.inventory.commands import Held, Hold, NoneTogether, Selection
from engine.inventory.manifest import Manifest
from tests.lua.batch_table import check_searches
from tests.lua.show_room import START_MS, Rooms, Rules, hold_id, make_manifest
from tests.model.reference_inventory import ReferenceInventory

RUNS_LOOKED_AT_MAX = 256
_EXAMPLES = int(os.environ.get("ONSALE_MODEL_EXAMPLES", "0"))

_patterns = st.text(alphabet="ooooob|", min_size=1, max_size=60).map(lambda seats: f"|o{seats}o|")


def _hall(pattern: str) -> Manifest:
    return make_manifest(pattern.replace("b", "o"))


@settings(
    max_examples=_EXAMPLES or 200,
    derandomize=not _EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=(HealthCheck.too_slow,),
)
@example(pattern="|oooo|", counts=[3, 1])
@example(pattern="|ooo|oo|", counts=[2])
@example(pattern="|obobo|oob|", counts=[1, 2, 3])
@given(pattern=_patterns, counts=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_the_seats_are_the_best_that_leave_no_single_seat_alone(
    rooms: Rooms, pattern: str, counts: list[int]
) -> None:
    """Neighbours in one segment, no single seat left where that can be avoided, best first."""
    hall = _hall(pattern)
    rules = Rules(max_per_hold=6, max_per_buyer=99)
    room = rooms.open(hall, rules)
    blocked = [n for n, byte in enumerate(pattern) if byte == "b"]
    assert room.change(block=blocked)[0] == "changed"
    model = ReferenceInventory(hall, rules, blocked_seats=set(blocked))
    commands = [
        Hold(hold_id(n), "ann", 60_000, 1, Selection(best=((0, count),)))
        for n, count in enumerate(counts)
    ]
    # All but the last in one batch, so that the later see the earlier ones' changes.
    answers = room.batch(*commands[:-1]).answers + room.batch(commands[-1]).answers
    for command, told in zip(commands, answers, strict=True):
        assert told == model.decide(command, START_MS, told)
    assert room.read().seats == model.seats()
    room.close()


def test_seats_that_open_and_close_in_the_batch_are_seen_in_every_window(rooms: Rooms) -> None:
    """A hall is searched window by window, and what was found empty is not searched again."""
    check_searches(rooms)


def test_a_place_near_the_middle_of_the_row_is_taken(rooms: Rooms) -> None:
    """In an empty row the seats are its middle ones."""
    held = rooms.open(make_manifest("|oooooooooo|")).hold(1, best=((0, 2),))
    assert isinstance(held, Held)
    assert held.seats == (5, 6)


def test_after_256_runs_that_leave_a_single_seat_the_first_of_them_is_taken(rooms: Rooms) -> None:
    """The search is bounded: a better run beyond the bound is not found, one within it is."""
    for runs, first in ((RUNS_LOOKED_AT_MAX, 1), (RUNS_LOOKED_AT_MAX - 1, 4 * 255 + 1)):
        room = rooms.open(make_manifest("|" + "ooo|" * runs + "oo|"))
        held = room.hold(1, best=((0, 2),))
        assert isinstance(held, Held)
        assert held.seats == (first, first + 1)


def test_a_run_is_found_whole_across_the_windows_of_the_search(rooms: Rooms) -> None:
    """The seats string is searched in pieces of about a thousand seats, cut at separators only."""
    hall = make_manifest("|" + "oo|" * 700 + "o" * 1500 + "|" + "oo|" * 10)
    room = rooms.open(hall, Rules(max_per_hold=1500, max_per_buyer=9999))
    whole = room.hold(1, best=((0, 1500),))
    assert isinstance(whole, Held)
    assert whole.seats == tuple(range(2101, 3601))
    assert room.hold(2, best=((0, 3),)) == NoneTogether(0, 3)
    pair = room.hold(3, best=((0, 2),))
    assert isinstance(pair, Held)
    assert pair.seats == (1, 2)


def test_a_search_that_failed_is_remembered_until_a_seat_opens(rooms: Rooms) -> None:
    """What a released, expired, replaced or unblocked seat makes possible is found at once."""
    room = rooms.open(make_manifest("|oo|oo|"))
    assert isinstance(room.hold(1, seats=(1,), ttl_ms=1_000_000), Held)
    assert isinstance(room.hold(2, seats=(4,), buyer="bob"), Held)
    for opens in ("expiry", "house"):
        assert room.hold(3, best=((0, 2),), buyer="cem") == NoneTogether(0, 2)
        assert room.hold(3, best=((0, 3),), buyer="cem") == NoneTogether(0, 3)
        if opens == "expiry":
            room.set_time(START_MS + 60_000)
        else:
            assert room.change(unblock=[4])[0] == "changed"
        held = room.hold(3, best=((0, 2),), buyer="cem")
        assert isinstance(held, Held)
        assert held.seats == (4, 5)
        room.open()
        assert isinstance(room.hold(1, seats=(1,), ttl_ms=1_000_000), Held)
        assert room.change(block=[4])[0] == "changed"


def test_the_second_of_two_wishes_may_fail_and_then_nothing_is_taken(rooms: Rooms) -> None:
    """All or nothing: what the first wish took is open again, in the batch and after it."""
    room = rooms.open(make_manifest("|ooo|"))
    selection = Selection(best=((0, 2), (0, 2)))
    wishes = Hold(hold_id(1), "ann", 60_000, 1, selection)
    three = Hold(hold_id(2), "bob", 60_000, 1, Selection(best=((0, 3),)))
    reply = room.batch(wishes, three)
    assert reply.answers[0] == NoneTogether(0, 2)
    assert isinstance(reply.answers[1], Held)
    assert room.read().seats == "|hhh|"
