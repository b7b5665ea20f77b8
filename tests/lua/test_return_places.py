"""A returned order's places go on sale again: every status in order of precedence, every effect."""

from functools import partial
from typing import Any

import pytest

from engine.inventory.commands import Held, NoneTogether, Purchase, Purchased
from engine.inventory.records import AreaCounts, HoldRecord
from engine.inventory.scripts import load_script
from tests.lua.script_headers import returned
from tests.lua.show_room import START_MS, Rooms, ShowRoom, call, hold_id, make_manifest

HALL = make_manifest("|oooo|oooo|", areas=[4])
PLACES: dict[str, Any] = {"seats": (1, 2), "areas": ((0, 3, 0),)}


def _sold(rooms: Rooms) -> ShowRoom:
    """Return a show of which the first hold has two seats and three places, and bought them."""
    room = rooms.open(HALL)
    _sell(room, 1)
    return room


def _sell(room: ShowRoom, n: int, buyer: str = "ann") -> None:
    assert isinstance(room.hold(n, seats=(1, 2), areas=((0, 3),), buyer=buyer), Held)
    assert isinstance(room.ask(Purchase(hold_id(n), f"key-{n}", 5, "ref")), Purchased)


def test_a_return_is_refused_with_the_first_reason_that_there_is(rooms: Rooms) -> None:
    """fenced, stale, passed, gap, inconsistent, returned: each before the ones after it."""
    statuses = ["fenced", "stale", "passed", "gap", "inconsistent", "returned"]
    assert returned("return_places") == statuses
    room = _sold(rooms)
    wrong: dict[str, Any] = {"seats": (1, 2, 3)}
    room.set_meta(return_no=4)
    before = room.read()
    room.set_meta(run_id="another server's")
    assert room.take_back(1, 4, **wrong, epoch=9) == ["fenced"]
    room.set_meta(run_id=before.meta["run_id"])
    assert room.take_back(1, 4, **wrong, epoch=9) == ["stale"]
    assert room.take_back(1, 4, **wrong, version=9) == ["stale"]
    assert room.take_back(1, 4, **wrong) == ["passed", 4]
    assert room.take_back(1, 1, **wrong) == ["passed", 4]
    assert room.take_back(1, 6, **wrong) == ["gap", 4]
    assert room.take_back(1, 5, **wrong) == ["inconsistent"]
    assert room.read() == before
    assert room.take_back(1, 5, **PLACES) == ["returned", START_MS]


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 2},
        {"n": 3},
        {"seats": (1, 2, 3)},
        {"seats": (0,)},
        {"seats": (99,)},
        {"areas": ((0, 4, 0),)},
        {"areas": ((9, 1, 0),)},
        {"buyer": "bob"},
    ],
    ids=repr,
)
def test_what_is_not_sold_here_is_not_taken_back(rooms: Rooms, wrong: dict[str, Any]) -> None:
    """An unknown hold, a live one, places that are open or none, another's: nothing changes."""
    room = _sold(rooms)
    assert isinstance(room.hold(3, seats=(6,)), Held)
    before = room.read()
    arguments: dict[str, Any] = {"n": 1, **PLACES, **wrong}
    assert room.take_back(arguments.pop("n"), 1, **arguments) == ["inconsistent"]
    assert room.read() == before


def test_a_return_frees_the_places_and_what_counted_for_its_buyer(rooms: Rooms) -> None:
    """It is told in the deltas; the sale's fact and its key stay."""
    room = _sold(rooms)
    assert isinstance(room.hold(2, seats=(6,)), Held)
    before = room.read()
    assert room.take_back(1, 1, **PLACES) == ["returned", START_MS]
    found = room.read()
    assert found.seats == "|oooo|hooo|"
    assert found.areas == {0: AreaCounts(4)}
    held, bought, deadline_ms = found.buyers["ann"]
    assert (held, bought, deadline_ms > START_MS) == (1, 0, True)
    assert found.deltas[-1].seats == ((1, ord("o")), (2, ord("o")))
    assert found.deltas[-1].areas == ((0, AreaCounts(4)),)
    assert (found.sales, found.keys, found.expiry) == (before.sales, before.keys, before.expiry)
    assert found.meta["return_no"] == "1"
    record = found.records[hold_id(1)]
    assert isinstance(record, HoldRecord)
    assert record.sale is not None
    assert record.sale.returned
    assert record.seats == (1, 2)


def test_a_buyer_who_gave_all_back_is_forgotten(rooms: Rooms) -> None:
    """As one whose holds have ended."""
    room = _sold(rooms)
    assert room.take_back(1, 1, **PLACES)[0] == "returned"
    assert room.read().buyers == {}


@pytest.mark.parametrize("later", ["bob", "ann"])
def test_a_repeated_return_frees_no_later_owners_places(rooms: Rooms, later: str) -> None:
    """Not by its own number, which has passed, and not by the next one: it was returned."""
    room = _sold(rooms)
    assert room.take_back(1, 1, **PLACES)[0] == "returned"
    _sell(room, 2, buyer=later)
    before = room.read()
    assert room.take_back(1, 1, **PLACES) == ["passed", 1]
    assert room.take_back(1, 2, **PLACES) == ["inconsistent"]
    assert room.read() == before


def test_the_purchase_of_a_returned_order_is_answered_as_before(rooms: Rooms) -> None:
    """With its key the same sale, told as returned; with another it was purchased already."""
    room = _sold(rooms)
    was = room.ask(Purchase(hold_id(1), "key-1", 5, "ref"))
    assert isinstance(was, Purchased)
    assert not was.returned
    assert room.take_back(1, 1, **PLACES)[0] == "returned"
    now = room.ask(Purchase(hold_id(1), "key-1", 5, "ref"))
    assert isinstance(now, Purchased)
    assert now.returned
    assert (now.position, now.seats, now.areas) == (was.position, was.seats, was.areas)
    assert room.read().seats == "|oooo|oooo|"


def test_places_that_the_house_withholds_are_not_put_on_sale(rooms: Rooms) -> None:
    """What was sold before it was withheld is the house's when it comes back."""
    room = _sold(rooms)
    assert room.change(areas=[(0, 1)])[0] == "changed"
    taken = room.take_back(1, 1, seats=(1, 2), withheld=(2,), areas=((0, 3, 3),))
    assert taken == ["returned", START_MS]
    found = room.read()
    assert found.seats == "|oboo|oooo|"
    assert found.areas == {0: AreaCounts(1, blocked=3)}
    assert found.deltas[-1].seats == ((1, ord("o")), (2, ord("b")))


def test_what_was_searched_in_vain_is_found_after_a_return(rooms: Rooms) -> None:
    """The store's memory of such searches ends with it."""
    room = rooms.open(make_manifest("|oo|"))
    assert isinstance(room.hold(1, seats=(1, 2)), Held)
    assert isinstance(room.ask(Purchase(hold_id(1), "key", 5, "ref")), Purchased)
    assert isinstance(room.hold(2, best=((0, 2),)), NoneTogether)
    assert room.take_back(1, 1, seats=(1, 2))[0] == "returned"
    assert isinstance(room.hold(3, best=((0, 2),)), Held)


def test_all_are_told_of_returns_before_they_are_taken_to_know(rooms: Rooms) -> None:
    """fenced, stale, untold, said: what is known stays so."""
    room = rooms.open(HALL)
    tell = partial(call, room.client, load_script("tell_of_returns"), room.keys.inventory())
    assert returned("tell_of_returns") == ["fenced", "stale", "untold", "said"]
    room.set_meta(state="recovering")
    assert tell(9, "known") == [b"fenced"]
    room.set_meta(state="open")
    assert tell(9, "known") == [b"stale"]
    assert tell(1, "known") == [b"untold"]
    assert "returning" not in room.meta()
    assert tell(1, "told") == [b"said", b""]
    assert tell(1, "told") == [b"said", b"told"]
    assert tell(1, "known") == [b"said", b"told"]
    assert tell(1, "told") == [b"said", b"known"]
    assert room.meta()["returning"] == "known"
