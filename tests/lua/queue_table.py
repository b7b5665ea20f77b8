"""One row per answer of `serve_queue.lua`'s commands, in the order of precedence in its header.

A row's room stands in the way of its command by every later answer's condition too, as far as they
can be true at once. So the row's answer is told only if the script decides in that order.
"""

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from engine.waitingroom.commands import (
    Answer,
    Check,
    Claim,
    Command,
    Full,
    Issued,
    Join,
    Joined,
    Known,
    Leave,
    Left,
    Look,
    NoPass,
    NotYet,
    Over,
    Shut,
    Spent,
    Waits,
)
from tests.lua.queue_room import PASS_TTL_MS, QueueRoom, QueueRooms, identity
from tests.lua.show_room import START_MS

PASSED_MS: Final = 1000
ME: Final = identity(7)
PROOF: Final = (3, 77)
MINE: Final = 4
"""The number that the command is about, which is its place as well."""

_JOIN: Final = Join(ME, PROOF)
_CLAIM: Final = Claim(MINE, MINE, "ann")
_ISSUED: Final = Issued(START_MS + PASS_TTL_MS, PASS_TTL_MS)
_REPEATED: Final = Issued(START_MS + PASS_TTL_MS, PASS_TTL_MS - PASSED_MS)


class Row(Struct, frozen=True):
    """What stands in the way, and what is answered."""

    command: Command
    answer: Answer
    arrange: tuple[Callable[[QueueRoom], object], ...] = ()

    def check(self, rooms: QueueRooms) -> None:
        """Arrange it in a room of its own, and ask."""
        room = rooms.open(next_number=10)
        for step in self.arrange:
            step(room)
        answer = room.ask(self.command)
        assert answer == self.answer, (self, answer)


def _join_before(room: QueueRoom) -> None:
    assert room.ask(Join(ME)) == Joined(10)


def _shut(room: QueueRoom) -> None:
    room.set_meta(joins="shut")


def _spend(room: QueueRoom) -> None:
    assert room.ask(Join(proof=PROOF)) == Joined(int(room.meta("next")) - 1)


def _fill(room: QueueRoom) -> None:
    room.set_meta(ceiling=room.meta("next"))


def _admit(room: QueueRoom) -> None:
    room.admit(8, 1.0)


def _claim(room: QueueRoom) -> None:
    assert room.ask(_CLAIM) == _ISSUED


def _claim_for_bob(room: QueueRoom) -> None:
    assert room.ask(Claim(MINE, MINE, "bob")) == _ISSUED


def _wait_a_second(room: QueueRoom) -> None:
    room.pass_time(PASSED_MS)


def _wait_it_out(room: QueueRoom) -> None:
    room.pass_time(PASS_TTL_MS)


def _leave(room: QueueRoom) -> None:
    assert room.ask(Leave(MINE)) == Left()


def _pause(room: QueueRoom) -> None:
    room.set_meta(state="paused")


def _put_before(room: QueueRoom) -> None:
    """Two who come before, and nobody gets a pass."""
    room.set_meta(stock="0")
    assert room.serve(Claim(3, 3, "c"), Claim(1, 1, "a")).answers == (Waits(1), Waits(0))


def _serve_fewer(room: QueueRoom) -> None:
    room.set_meta(serving=str(MINE))


QUEUE_TABLE: Final[dict[str, dict[str, Row]]] = {
    "join": {
        "known": Row(_JOIN, Known(10), (_join_before, _spend, _fill, _shut)),
        "shut": Row(_JOIN, Shut(), (_spend, _fill, _shut)),
        "spent": Row(_JOIN, Spent(), (_spend, _fill)),
        "full": Row(_JOIN, Full(), (_fill,)),
        "joined": Row(_JOIN, Joined(10)),
    },
    "claim": {
        "issued (a replay)": Row(
            _CLAIM,
            _REPEATED,
            (_admit, _claim, _wait_a_second, _put_before, _serve_fewer, _pause),
        ),
        "over": Row(_CLAIM, Over(), (_admit, _leave, _put_before, _serve_fewer, _pause)),
        "not-yet": Row(_CLAIM, NotYet(), (_admit, _put_before, _serve_fewer)),
        "wait": Row(_CLAIM, Waits(2), (_admit, _put_before)),
        "issued": Row(_CLAIM, _ISSUED, (_admit,)),
    },
    "leave": {"left": Row(Leave(MINE), Left(), (_admit, _claim))},
    "look": {
        "issued": Row(Look(MINE), _REPEATED, (_admit, _claim, _wait_a_second)),
        "over": Row(Look(MINE), Over(), (_leave,)),
        "none": Row(Look(MINE), NoPass(), (_admit, _put_before)),
    },
    "check": {
        "issued": Row(Check(MINE, "ann"), _REPEATED, (_admit, _claim, _wait_a_second)),
        "over": Row(Check(MINE, "ann"), Over(), (_admit,)),
    },
}
"""Each command's answers, by what the header calls them."""

MORE: Final[dict[str, Row]] = {
    "another buyer's pass": Row(_CLAIM, Over(), (_admit, _claim_for_bob)),
    "another buyer's pass, checked": Row(Check(MINE, "ann"), Over(), (_admit, _claim_for_bob)),
    "a pass at its deadline": Row(_CLAIM, Over(), (_admit, _claim, _wait_it_out)),
    "a pass at its deadline, checked": Row(
        Check(MINE, "ann"), Over(), (_admit, _claim, _wait_it_out)
    ),
    "a pass that was left": Row(_CLAIM, Over(), (_admit, _claim, _leave)),
    "a paused line": Row(_CLAIM, NotYet(), (_admit, _pause)),
    "a number that nobody has": Row(Claim(10, 4, "ann"), NotYet(), (_admit,)),
    "a number that nobody has, left": Row(Leave(10), Left()),
    "a full checkout": Row(
        _CLAIM, Waits(0), (_admit, lambda room: room.set_meta(checkout_max="0"))
    ),
    "a line that lets everybody pass": Row(
        _CLAIM, _ISSUED, (_admit, lambda room: room.set_meta(state="passthrough"))
    ),
}
"""Further ways to the same answers."""


def check_table(rooms: QueueRooms) -> None:
    """Check every row."""
    for rows in (*QUEUE_TABLE.values(), MORE):
        for row in rows.values():
            row.check(rooms)
