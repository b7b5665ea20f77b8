"""What became of a step in a show's life, as a client is told."""

from typing import assert_never

from api.outcomes import problem_of_store
from api.problems import ProblemError, ProblemKind
from engine.catalog.life import LifeChanged
from engine.catalog.transitions import Refused
from engine.inventory.commands import Recovering


def changed_or_problem(outcome: LifeChanged | Refused | Recovering) -> LifeChanged:
    """Return what was changed.

    Raises:
        ProblemError: `transition-refused`, or the store could not be asked.
    """
    match outcome:
        case LifeChanged():
            return outcome
        case Refused():
            raise transition_refused(outcome)
        case Recovering():
            raise problem_of_store(outcome)
        case _:
            assert_never(outcome)


def transition_refused(refused: Refused) -> ProblemError:
    """Return the problem of an action that the show's state, or its times, do not allow."""
    state = refused.state.value.replace("_", " ")
    allowed = [action.value for action in refused.allowed]
    return ProblemError(
        ProblemKind.TRANSITION_REFUSED,
        f"This show is {state}, and can't {_words(refused)}: {refused.reason}.",
        members={
            "state": refused.state,
            "action": refused.action,
            "reason": refused.reason,
            "allowed": allowed,
        },
    )


def _words(refused: Refused) -> str:
    return {
        "announce": "be announced",
        "open": "be opened",
        "pause": "be paused",
        "resume": "be resumed",
        "close": "be closed",
        "reschedule": "be rescheduled",
        "cancel": "be cancelled",
        "change": "be changed so",
        "add-date": "get another date",
        "archive": "be archived",
        "end": "end",
    }[refused.action]
