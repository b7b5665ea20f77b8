"""Which of its faces the page shows: one for each thing that may be so of somebody in a queue."""

from enum import StrEnum
from typing import Final

from web.room import PassState, Queue, Standing, State


class Stage(StrEnum):
    """What is so, for whoever looks."""

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


_OVER: Final = {State.SOLD_OUT: Stage.SOLD_OUT, State.CLOSED: Stage.CLOSED}


def stage_of(queue: Queue, standing: Standing | None) -> Stage:
    """Tell what is so. Whoever has a pass has it, whatever became of the queue since."""
    if standing is None:
        return _OVER.get(queue.state, Stage.OUTSIDE)
    if standing.passed is PassState.LIVE:
        return Stage.INSIDE
    if standing.passed is PassState.ENDED:
        return Stage.ENDED
    if queue.state in _OVER:
        return _OVER[queue.state]
    if standing.admitted:
        return Stage.ADMITTED
    if queue.state is State.PAUSED:
        return Stage.PAUSED
    return Stage.ENTERED if standing.place is None else Stage.WAITING


_POLL_S_MIN: Final = 2
_POLL_S_MAX: Final = 60
_REFRESH_S_MIN: Final = 5
"""A whole page is loaded anew without the script: less often than the script asks for a number."""

_ENDS: Final = frozenset({Stage.OUTSIDE, Stage.ENDED, Stage.CLOSED})


def poll_after_s(standing: Standing | None) -> int:
    """Return after how many seconds the script asks again."""
    wanted = standing.poll_after_s if standing else _POLL_S_MAX
    return round(min(max(wanted, _POLL_S_MIN), _POLL_S_MAX))


def refresh_after_s(stage: Stage, standing: Standing | None) -> int | None:
    """Return after how many seconds a page without script loads itself again; None: never."""
    return None if stage in _ENDS else max(poll_after_s(standing), _REFRESH_S_MIN)
