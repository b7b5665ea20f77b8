"""The table of a show's life against one that was written for this test, by hand, as letters."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from msgspec.structs import replace

from engine.catalog.transitions import (
    SCOPE,
    TABLE,
    Action,
    Refused,
    ShowState,
    Times,
    allowed_in,
    decide,
)
from engine.tenancy.principals import SCOPES_OF_ROLE, Role

NOW = datetime(2027, 1, 1, tzinfo=UTC)
TIMES = Times(NOW, NOW + timedelta(days=30), NOW + timedelta(days=1), NOW + timedelta(days=29))

# What each action leads to from each state: the target's letter, `=` it stays, `.` it is refused.
LETTERS = {
    "D": "draft",
    "A": "announced",
    "O": "on_sale",
    "P": "paused",
    "F": "off_sale",
    "R": "rescheduled",
    "C": "cancelled",
    "X": "past",
}
ACTIONS = [
    "announce",
    "open",
    "pause",
    "resume",
    "close",
    "reschedule",
    "cancel",
    "change",
    "add-date",
    "archive",
    "end",
]
EXPECTED = {
    "D": "A O . . . . C = = . .",
    "A": ". O . . . . C = = . X",
    "O": ". . P . F R C = = . X",
    "P": ". . . O F R C = = . X",
    "F": ". O . . . R C = = = X",
    "R": ". O . . F R C = = . X",
    "C": ". . . . . . . . = = .",
    "X": ". . . . . . . . = = .",
}


def _expected(state: str, action: str) -> str | None:
    letter = EXPECTED[state].split()[ACTIONS.index(action)]
    return LETTERS[state] if letter == "=" else LETTERS.get(letter)


@pytest.mark.parametrize(("state", "action"), list(product(EXPECTED, ACTIONS)))
def test_every_action_in_every_state_does_what_the_table_by_hand_says(
    state: str, action: str
) -> None:
    """What is refused is refused with a reason in words, and with what may be done instead."""
    times = replace(TIMES, now=TIMES.ends_at) if action == "end" else TIMES
    outcome = decide(ShowState(LETTERS[state]), Action(action), times)
    expected = _expected(state, action)
    if expected is None:
        assert isinstance(outcome, Refused)
        assert len(outcome.reason.split()) > 2
        assert Action(action) not in outcome.allowed
        assert Action.END not in outcome.allowed
    else:
        assert outcome is ShowState(expected)


def test_the_tables_know_the_same_states_and_actions() -> None:
    """So that a state or an action that is added has to be thought through in both."""
    assert set(LETTERS.values()) == set(ShowState) == set(TABLE)
    assert set(ACTIONS) == set(Action)
    assert all(set(row) == set(Action) for row in TABLE.values())


@pytest.mark.parametrize(
    ("state", "action", "change", "word"),
    [
        ("draft", "announce", {"opens_at": NOW}, "opens_at"),
        ("draft", "announce", {"starts_at": NOW}, "starts_at"),
        ("announced", "open", {"starts_at": NOW}, "starts_at"),
        ("paused", "resume", {"closes_at": NOW}, "closes_at"),
        ("off_sale", "open", {"closes_at": NOW}, "closes_at"),
        ("rescheduled", "open", {"starts_at": NOW}, "starts_at"),
    ],
)
def test_times_that_are_past_refuse_what_would_sell(
    state: str, action: str, change: dict[str, datetime], word: str
) -> None:
    """The reason names the time."""
    outcome = decide(ShowState(state), Action(action), replace(TIMES, **change))
    assert isinstance(outcome, Refused)
    assert f"`{word}`" in outcome.reason


@pytest.mark.parametrize("action", ["pause", "close", "cancel", "reschedule", "end"])
def test_times_never_keep_a_sale_from_being_stopped(action: str) -> None:
    """Whatever is past."""
    before = NOW - timedelta(hours=6)
    past = Times(NOW, before, before, before)
    assert isinstance(decide(ShowState.ON_SALE, Action(action), past), ShowState)


def test_owners_and_managers_may_and_finance_may_not() -> None:
    """All of it is one scope."""
    may = {role for role, scopes in SCOPES_OF_ROLE.items() if SCOPE in scopes}
    assert may == {Role.OWNER, Role.MANAGER}


def test_what_is_final_allows_another_date_and_the_archive_only() -> None:
    """A cancelled or past show is never sold again."""
    for state in (ShowState.CANCELLED, ShowState.PAST):
        assert set(allowed_in(state)) == {Action.ADD_DATE, Action.ARCHIVE}


def test_only_what_is_over_ends() -> None:
    """Whoever looked for what is over may have looked before it was moved to another day."""
    for times, is_over in (
        (replace(TIMES, now=TIMES.starts_at + timedelta(hours=5)), False),
        (replace(TIMES, now=TIMES.starts_at + timedelta(hours=6)), True),
        (replace(TIMES, now=TIMES.starts_at + timedelta(hours=2), duration_min=120), True),
    ):
        outcome = decide(ShowState.ON_SALE, Action.END, times)
        assert (outcome is ShowState.PAST) == is_over
