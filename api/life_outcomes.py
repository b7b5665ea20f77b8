"""What became of a step in a show's life, as a client is told."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import assert_never

from api.outcomes import problem_of_store
from api.problems import ProblemError, ProblemKind
from engine.catalog.life import LifeChanged
from engine.catalog.transitions import TABLE, Action, Refused, ShowState, allowed_in
from engine.inventory.commands import Recovering
from engine.inventory.house import ShowOverError
from engine.inventory.shows import Show
from engine.sales.choices import ChoiceRefused, Unchoosable


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


def check_not_final(show: Show) -> None:
    """Refuse to change the places or prices of a show that is cancelled or past.

    Raises:
        ProblemError: `transition-refused`.
    """
    state = ShowState(show.state)
    if Action.CHANGE not in allowed_in(state):
        raise _is_final(state)


@contextmanager
def told_if_final() -> Generator[None]:
    """Tell who changes the places or prices of a show that it is cancelled or past.

    Raises:
        ProblemError: `transition-refused`.
    """
    try:
        yield
    except ShowOverError as error:
        raise _is_final(ShowState(error.state)) from error


def _is_final(state: ShowState) -> ProblemError:
    reason = str(TABLE[state][Action.CHANGE])
    return transition_refused(Refused(state, Action.CHANGE, reason, allowed_in(state)))


def no_choice() -> ProblemError:
    """Return the problem of an order that no change of its show affects."""
    return ProblemError(
        ProblemKind.NO_CHOICE,
        "The show has no such order that a cancellation or a new time of it affects.",
    )


def choice_refused(refused: ChoiceRefused) -> ProblemError:
    """Return the problem of what can't be chosen for an order."""
    offered = [choice.value for choice in refused.change.offered]
    sentence = {
        Unchoosable.NOT_OFFERED: f"{refused.choice} is not offered; {', '.join(offered)} is.",
        Unchoosable.OVER: f"The time to choose ended at {refused.change.choose_by:%Y-%m-%d %H:%M}.",
        Unchoosable.TAKEN_BACK: "The order was taken back: that is final.",
    }[refused.reason]
    return ProblemError(
        ProblemKind.CHOICE_REFUSED,
        sentence,
        members={"reason": refused.reason, "choice": refused.choice, "offered": offered},
    )


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
