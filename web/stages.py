"""Which of its faces the page shows: one for each thing that may be so of somebody in a queue."""

from enum import StrEnum
from typing import Final

from web.room import PassState, Queue, Standing, State


class Stage(StrEnum):
    """What is so, for whoever looks."""

    EARLY = "early"
    """Nobody can join yet."""
    OUTSIDE = "outside"
    """They have not joined, and may."""
    ENTERED = "entered"
    """They will be drawn."""
    WAITING = "waiting"
    PAUSED = "paused"
    ADMITTED = "admitted"
    INSIDE = "inside"
    """They have their pass."""
    ENDED = "ended"
    """Their pass has ended."""
    SOLD_OUT = "sold-out"
    CLOSED = "closed"


_FOR_ALL: Final = {
    State.OFF: Stage.EARLY,
    State.SOLD_OUT: Stage.SOLD_OUT,
    State.CLOSED: Stage.CLOSED,
}
_BY_PASS: Final = {PassState.LIVE: Stage.INSIDE, PassState.ENDED: Stage.ENDED}


def stage_of(queue: Queue, standing: Standing | None) -> Stage:
    """Tell what is so. Whoever has a pass has it, whatever became of the queue since."""
    if standing is not None and standing.passed in _BY_PASS:
        return _BY_PASS[standing.passed]
    if queue.state in _FOR_ALL:
        return _FOR_ALL[queue.state]
    return Stage.OUTSIDE if standing is None else _in_line(queue, standing)


def _in_line(queue: Queue, standing: Standing) -> Stage:
    if queue.state is State.PAUSED:
        return Stage.PAUSED
    if standing.admitted:
        return Stage.ADMITTED
    return Stage.ENTERED if standing.place is None else Stage.WAITING


_POLL_S_MIN: Final = 2
_POLL_S_MAX: Final = 60
_POLL_S_SOON: Final = 5
_REFRESH_S_MIN: Final = 5
"""A whole page is loaded anew without the script: less often than the script asks for a number."""

_ENDS: Final = frozenset({Stage.OUTSIDE, Stage.ENDED, Stage.CLOSED})


def poll_after_s(standing: Standing | None, *, soon: bool = False) -> int:
    """Return after how many seconds the script asks again."""
    outside = _POLL_S_SOON if soon else _POLL_S_MAX
    wanted = standing.poll_after_s if standing else outside
    return round(min(max(wanted, _POLL_S_MIN), _POLL_S_MAX))


def refresh_after_s(stage: Stage, poll_s: int) -> int | None:
    """Return after how many seconds a page without script loads itself again; None: never."""
    return None if stage in _ENDS else max(poll_s, _REFRESH_S_MIN)
