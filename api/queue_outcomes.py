"""From what the waiting room answers to what people are told; `api.outcomes` has all else."""

from typing import Final

from api.outcomes import problem_of_store
from api.problems import ProblemError, ProblemKind
from engine.waitingroom.commands import (
    Full,
    Issued,
    Joined,
    Known,
    Left,
    NoPass,
    NotYet,
    Outcome,
    Over,
    Shut,
    Spent,
    Waits,
)
from engine.waitingroom.room import AnotherBuyer, NotAdmitted, Position

_SHORTLY: Final = "1"


def problem_of_queue(  # noqa: PLR0911 - a table with a row an outcome
    outcome: Outcome | AnotherBuyer | NotAdmitted, show: str, position: Position
) -> ProblemError:
    """Return the problem that tells somebody in line of an outcome."""
    match outcome:
        case Shut():
            return queue_closed(position)
        case Full():
            return ProblemError(
                ProblemKind.OVERLOADED, "No number could be given just now; join in a second."
            )
        case Over():
            return ProblemError(
                ProblemKind.PASS_ENDED,
                "This number had its pass, which is over or another buyer's, or it left the line.",
            )
        case NotYet() | Waits():
            return not_your_turn(position, outcome)
        case AnotherBuyer():
            return ProblemError(
                ProblemKind.PASS_ENDED,
                "This number belongs to the buyer whom the reseller named, and to nobody else.",
            )
        case NotAdmitted():
            return not_admitted(outcome, show)
        case Joined() | Known() | Issued() | NoPass() | Left() | Spent():
            msg = f"{outcome!r} is no refusal"
            raise AssertionError(msg)
        case _:
            return problem_of_store(outcome)


def queue_closed(position: Position) -> ProblemError:
    """Return the problem of somebody who can't join."""
    state = position.standing.state.value
    return ProblemError(
        ProblemKind.QUEUE_CLOSED,
        f"The waiting room takes nobody in just now: it is {state}.",
        members={"state": state},
    )


def not_your_turn(position: Position, outcome: NotYet | Waits) -> ProblemError:
    """Return the problem of a number that is not admitted, or waits for its pass."""
    standing = position.standing
    if isinstance(outcome, Waits):
        detail = (
            f"You are admitted; {outcome.before} others come before you. Ask again in a second: "
            "your place stays yours."
        )
    else:
        detail = f"The line is served up to place {standing.serving}; {standing.state.value}."
    return ProblemError(
        ProblemKind.NOT_YOUR_TURN,
        detail,
        members={
            "place": position.place,
            "serving": standing.serving,
            "ahead": position.ahead,
            "admitted": isinstance(outcome, Waits),
        },
        headers={"Retry-After": _SHORTLY},
    )


def not_admitted(outcome: NotAdmitted, show: str) -> ProblemError:
    """Return the problem of a hold whose buyer was not let in."""
    return ProblemError(
        ProblemKind.NOT_ADMITTED,
        f"This show has a waiting room, and the hold was refused: {outcome.reason}.",
        members={"queue": f"/v1/shows/{show}/queue", "page": f"/queue/{show}"},
    )


def no_queue() -> ProblemError:
    """Return the problem of a show without a waiting room, or of no show."""
    return ProblemError(ProblemKind.NO_QUEUE, "No show with this id has a waiting room.")
