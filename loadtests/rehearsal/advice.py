"""Which rate, cap and hold time a reseller should set: docs/REHEARSAL.md explains the formulas."""

import math
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from loadtests.buyers.tally import percentile
from loadtests.rehearsal.people import RUNNING_OUT
from loadtests.rehearsal.plan import Plan, passes_needed, room_for
from loadtests.rehearsal.record import Record, Turn

HOLD_MIN_LEAST: Final = 5
"""Shorter holds lose buyers whose bank asks twice."""
HOLD_MIN_MOST: Final = 60

_PAID_IN_TIME: Final = 0.98
_MARGIN: Final = 1.25
_LATE_SHARE: Final = 0.9


class Advice(Struct, frozen=True, kw_only=True):
    """What the rehearsal recommends for the sale itself; minutes and passes are the sale's."""

    rate_per_minute: float
    rate: float
    """The same as the API takes it: passes a second."""
    checkout_max: int
    hold_min: int
    pass_ttl_min: int
    passes_needed: int
    tickets_per_pass: float
    """Measured: tickets sold, by passes that were over before the hall was nearly sold."""
    checkout_min: float
    """How long a pass lives on average, by Little's law what the cap follows from."""
    expected_occupancy: float
    served_people: int
    """How many of those who join can be let in until all is sold."""
    last_wait_min: float
    """How long after the sale's beginning the last of them is."""


def advise(plan: Plan, record: Record) -> Advice:
    """Derive what to set from what was measured, in the sale's own time."""
    tickets_per_pass = _tickets_per_pass(plan, record.passes)
    hold_min = _hold_min(plan, record.passes)
    pass_min = hold_min + math.ceil(plan.minutes(_choosing_s(record.passes)) * _MARGIN)
    checkout_min = _checkout_min(plan, record.passes, pass_min)
    needed = passes_needed(plan.seats, 1.0, tickets_per_pass)
    left_min = max(plan.sell_out_min - checkout_min, plan.sell_out_min / 2)
    rate_min = needed / left_min
    served = min(plan.people, math.floor(needed / plan.habits.claiming))
    return Advice(
        rate_per_minute=round(rate_min, 1),
        rate=round(rate_min / 60, 3),
        checkout_max=room_for(rate_min * checkout_min),
        hold_min=hold_min,
        pass_ttl_min=pass_min,
        passes_needed=math.ceil(needed),
        tickets_per_pass=round(tickets_per_pass, 2),
        checkout_min=round(checkout_min, 1),
        expected_occupancy=round(rate_min * checkout_min, 1),
        served_people=served,
        last_wait_min=round(served * plan.habits.claiming / rate_min, 1),
    )


def _tickets_per_pass(plan: Plan, passes: Sequence[Turn]) -> float:
    """Return how many tickets a pass sold while there was a choice; as planned, if nothing was."""
    ordered = sorted(passes, key=lambda turn: turn.issued_s)
    sold, early = 0, 0
    for turn in ordered:
        if sold >= _LATE_SHARE * plan.seats:
            break
        sold += turn.tickets
        early += 1
    return sold / early if sold else plan.habits.tickets * plan.habits.buying


def _hold_min(plan: Plan, passes: Sequence[Turn]) -> int:
    """Return whole minutes within which nearly all have paid who do."""
    took_s = [turn.paid_after_s - turn.held_after_s for turn in passes if turn.paid_after_s]
    wanted = math.ceil(plan.minutes(percentile(took_s, _PAID_IN_TIME)) * _MARGIN)
    return min(max(wanted, HOLD_MIN_LEAST), HOLD_MIN_MOST)


def _choosing_s(passes: Sequence[Turn]) -> float:
    return percentile([turn.held_after_s for turn in passes if turn.held_after_s], _PAID_IN_TIME)


def _checkout_min(plan: Plan, passes: Sequence[Turn], pass_min: int) -> float:
    """Return how long a pass would live on average if it lasted `pass_min`.

    Compressed time can't shorten a pass below what the API allows, so those that ran out are
    counted as what they would have taken.
    """
    if not passes:
        return plan.minutes(plan.checkout_s)
    lived = [
        pass_min
        if turn.fate in RUNNING_OUT or not turn.ended_s
        else min(plan.minutes(turn.ended_s - turn.issued_s), pass_min)
        for turn in passes
    ]
    return sum(lived) / len(lived)
