"""What a process remembers as sold, and when it leaves the answer to the store."""

from typing import Any

import msgspec
import pytest

from engine.inventory.commands import AreaShort, NoneTogether, SeatsTaken, Selection
from engine.inventory.facts import StreamId
from engine.inventory.sold_memory import GapError, SoldMemory
from tests.lua.show_room import make_manifest

_HALL = make_manifest("|oooo|oooo|", areas=[5], ranges=[[(1, 5)], [(6, 10)]])
_OPEN, _HELD, _SOLD = map(ord, "ohs")
_ME, _OTHER = ((n << 9).to_bytes(4, "big") + bytes(12) for n in (1, 2))


def _delta(
    seats: list[int] | None = None, areas: list[list[int]] | None = None, made: bytes = _OTHER
) -> bytes:
    prefix = int.from_bytes(made[:4], "big")
    packed: list[Any] = [2, 0, seats or [], areas or [], [prefix]]
    return msgspec.msgpack.encode(packed)


def _learnt(*deltas: bytes) -> SoldMemory:
    memory = SoldMemory(_HALL)
    for n, delta in enumerate(deltas, start=1):
        memory.learn(StreamId(1, n), delta)
    return memory


def test_a_sold_seat_is_refused_with_all_that_is_not_open() -> None:
    """As the script does, which names the held ones too."""
    memory = _learnt(_delta([1, _HELD, 2, _HELD]), _delta([1, _SOLD]))
    assert memory.refuse(_ME, Selection(seats=(1, 2, 3))) == SeatsTaken((1, 2))


@pytest.mark.parametrize("seats", [(2,), (3,)], ids=["held", "open"])
def test_what_is_not_sold_is_left_to_the_store(seats: tuple[int, ...]) -> None:
    """A hold may end at any moment."""
    memory = _learnt(_delta([1, _SOLD, 2, _HELD]))
    assert memory.refuse(_ME, Selection(seats=seats)) is None


def test_a_hold_that_was_made_is_left_to_the_store() -> None:
    """A lost winning reply is repeated for the hold; one that ended is told of its end."""
    memory = _learnt(_delta([1, _HELD], made=_ME), _delta([1, _SOLD, 2, _SOLD]))
    for selection in (Selection(seats=(1,)), Selection(seats=(2,)), Selection(areas=((0, 1),))):
        assert memory.refuse(_ME, selection) is None
    stranger = (3 << 9).to_bytes(4, "big") + bytes(12)
    assert memory.refuse(stranger, Selection(seats=(1,))) == SeatsTaken((1,))


def test_a_seat_that_comes_back_is_left_to_the_store() -> None:
    """A return is a delta too, and so is its next sale."""
    sold = _delta([1, _SOLD])
    memory = _learnt(sold, _delta([1, _OPEN]))
    assert memory.refuse(_ME, Selection(seats=(1,))) is None
    memory.learn(StreamId(1, 3), sold)
    assert memory.refuse(_ME, Selection(seats=(1,))) == SeatsTaken((1,))


def test_a_level_is_refused_once_all_its_seats_are_sold() -> None:
    """And not a seat earlier; the other level still has some."""
    memory = _learnt(_delta([1, _SOLD, 2, _SOLD, 3, _SOLD, 4, _HELD]))
    assert memory.refuse(_ME, Selection(best=((0, 2),))) is None
    memory.learn(StreamId(1, 2), _delta([4, _SOLD]))
    assert memory.refuse(_ME, Selection(best=((0, 2),))) == NoneTogether(0, 2)
    assert memory.refuse(_ME, Selection(best=((1, 2),))) is None
    memory.learn(StreamId(1, 3), _delta([4, _OPEN]))
    assert memory.refuse(_ME, Selection(best=((0, 1),))) is None


def test_an_area_is_refused_once_it_has_neither_open_nor_held_places() -> None:
    """Held ones may come back."""
    memory = _learnt(_delta(areas=[[0, 0, 1, 4, 0]]))
    assert memory.refuse(_ME, Selection(areas=((0, 1),))) is None
    memory.learn(StreamId(1, 2), _delta(areas=[[0, 0, 0, 5, 0]]))
    assert memory.refuse(_ME, Selection(areas=((0, 1),))) == AreaShort(((0, 0),))


@pytest.mark.parametrize(
    ("at", "packed"),
    [
        (StreamId(1, 3), _delta()),
        (StreamId(1, 1), _delta()),
        (StreamId(2, 0), _delta()),
        (StreamId(1, 2), b"\x01"),
        (StreamId(1, 2), msgspec.msgpack.encode([1, 0, [], [], []])),
    ],
    ids=["a gap", "again", "an epoch", "unreadable", "another format"],
)
def test_what_does_not_follow_ends_the_memory(at: StreamId, packed: bytes) -> None:
    """Whoever keeps it drops it."""
    memory = _learnt(_delta())
    with pytest.raises(GapError):
        memory.learn(at, packed)
