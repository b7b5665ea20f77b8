"""Every status of the batch script, in order of precedence."""

from typing import Any

import pytest

from engine.inventory.commands import Held, Hold, Look, Malformed, Selection
from tests.lua.batch_table import HALL, MORE, TABLE, Row, check_crowd, check_refusals
from tests.lua.show_room import Raw, Rooms, hold_id

_ROWS = [
    pytest.param(row, id=f"{command}: {status}")
    for command, rows in (*TABLE.items(), ("more", MORE))
    for status, row in rows.items()
]


@pytest.mark.parametrize("row", _ROWS)
def test_a_status_comes_before_all_that_stand_after_it(rooms: Rooms, row: Row) -> None:
    """The answer is the first status in the header whose condition is met."""
    row.check(rooms.open(HALL))


def test_a_batch_that_is_too_late_is_told_so_before_it_is_fenced_or_stale(rooms: Rooms) -> None:
    """too-late, fenced, stale, ok: in this order; only ok changes anything."""
    check_refusals(rooms)


def test_many_who_want_the_same_seats_at_once_are_decided_in_their_order(rooms: Rooms) -> None:
    """In the batch each sees what the earlier ones took, and a repetition is none of its own."""
    check_crowd(rooms)


def test_a_malformed_command_harms_no_neighbour(rooms: Rooms) -> None:
    """Whatever stands in the place of a command, the ones around it are decided."""
    room = rooms.open(HALL)
    odd: list[Any] = [
        True,
        1.5,
        "",
        [],
        {},
        {"a": 1},
        [[]],
        [None, None],
        [1],
        [1, {}, {}, {}, {}, {}, {}],
        b"\xc1",
        b"\x01\x93\x01",
        [1, 60_000, 1, [], "ann", {"a": 1}, []],
        [1, 60_000, 1, [], "ann", [{}], []],
        [1, 60_000, 1, [], "ann", [1.5], []],
        [1, 60_000, False, "ann", [0.5, 13.5]],
        [2, False, [0.5]],
        [1, 2.0**53, 1, [], "ann", [5], []],
        [1, 60_000, 1, [[0, None]], "ann", [], [[0, 1, 2], None]],
        [1, 60_000, 1, [[0, 2**40 + 0.5]], "ann", [], []],
        [2, 1, [], [], []],
        [4, {}, [], ""],
        [99, [[[[[[[[[]]]]]]]]]],
    ]
    commands: list[Any] = []
    for n, words in enumerate(odd):
        commands += [Raw(hold_id(100 + n), words), Look(hold_id(1))]
    held = Hold(hold_id(1), "ann", 60_000, 1, Selection(seats=(1, 2)))
    reply = room.batch(held, *commands)
    assert reply.status == "ok"
    assert isinstance(reply.answers[0], Held)
    assert set(reply.answers[2::2]) == {reply.answers[0]}
    assert set(reply.answers[1::2]) == {Malformed()}
    found = room.read()
    assert set(found.records) == {hold_id(1)}
    assert found.seats == "|hhoo|oooooooo|"


def test_nothing_in_the_place_of_a_command_is_malformed(rooms: Rooms) -> None:
    """A nil in the list of commands would end Lua's walk through it: the others would hang."""
    room = rooms.open(HALL)
    held = Hold(hold_id(1), "ann", 60_000, 1, Selection(seats=(1, 2)))
    reply = room.batch(held, Raw(hold_id(2), None), Look(hold_id(1)))
    assert reply.answers[1] == Malformed()
    assert reply.answers[2] == reply.answers[0]


@pytest.mark.parametrize(
    "words",
    [
        [1, 60_000, 1, [], "ann", [1, None, 3], []],
        [1, 60_000, 1, [], "ann", [None, 3], []],
        [1, 60_000, 1, [], "ann", [], [[0, 1], None, [0, 1]]],
        [1, 60_000, 1, [None, [0, 1]], "ann", [1], []],
        [1, 60_000, 1, [], "ann", {1: 3, 5: 4}, []],
        [1, 60_000, 1, [], "ann", [3], {"a": 1}],
        [1, 60_000, 1, [], "ann", [3], [[0, 1, 1]]],
    ],
)
def test_a_list_with_gaps_is_malformed(rooms: Rooms, words: list[Any]) -> None:
    """A nil in a list would end Lua's walk through it before its count: nothing is taken."""
    room = rooms.open(HALL)
    assert room.ask(Raw(hold_id(1), words)) == Malformed()
    assert room.read().buyers == {}
