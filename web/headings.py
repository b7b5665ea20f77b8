"""What the page says first."""

from typing import Final

from web.room import State
from web.stages import Stage

_OUTSIDE: Final = {
    State.PRE_QUEUE: "The sale has not begun",
    State.DRAWN: "The places are drawn",
    State.RUNNING: "There is a line",
    State.PAUSED: "There is a line",
    State.PASSTHROUGH: "Tickets are on sale",
}
_OTHERS: Final = {
    Stage.EARLY: "The waiting room is not open yet",
    Stage.ENTERED: "You are in the draw",
    Stage.PAUSED: "The line is paused",
    Stage.ADMITTED: "It is your turn",
    Stage.INSIDE: "You are in: continue to tickets",
    Stage.ENDED: "Your pass has ended",
    Stage.SOLD_OUT: "Sold out",
    Stage.CLOSED: "The sale has ended",
}
PROVING: Final = "One moment"


def heading_of(stage: Stage, state: State) -> str:
    """Return the heading for who is at a stage while the queue is in a state."""
    if stage is Stage.OUTSIDE:
        return _OUTSIDE[state]
    if stage is Stage.WAITING:
        return "Your place is drawn" if state is State.DRAWN else "You are in line"
    return _OTHERS[stage]
