"""Who comes to a rehearsal, when, and what becomes of their wish.

docs/REHEARSAL.md has the reasons for the numbers.
"""

import math
import random
from enum import StrEnum
from typing import Final

from msgspec import Struct

TICKETS_MAX: Final = 8

# Of those who abandon, where they do.
_ABANDONS: Final = (0.60, 0.08, 0.10, 0.12, 0.10)

_BEFORE_SHARE: Final = 0.65
_PEAK_SHARE: Final = 0.20
_RISE: Final = 0.4
_FALL: Final = 0.2

_REACTION_MIN: Final = 0.75
_CHOOSING_MIN: Final = 1.5
_PAYING_MIN: Final = 2.0
_PAYING_LATE_MIN: Final = (6.0, 8.5)
_SPREAD: Final = 0.5


class Fate(StrEnum):
    """What becomes of somebody who joined."""

    BUYS = "buys"
    PAYS_LATE = "pays late"
    NEVER_COMES = "never comes"
    """Closes the page while waiting, without a word."""
    LEAVES_LINE = "leaves the line"
    FORGETS = "forgets the pass"
    """Takes the pass, and is not heard of again."""
    NEVER_PAYS = "never pays"
    """Holds places and walks away from them."""
    LEAVES_CHECKOUT = "leaves checkout"


_ABANDONING: Final = (
    Fate.NEVER_COMES,
    Fate.LEAVES_LINE,
    Fate.FORGETS,
    Fate.NEVER_PAYS,
    Fate.LEAVES_CHECKOUT,
)

RUNNING_OUT: Final = frozenset({Fate.FORGETS, Fate.NEVER_PAYS})
"""Whose pass is not given back."""


class Habits(Struct, frozen=True, kw_only=True):
    """How people behave, as shares of one."""

    abandon: float = 0.4
    """Of all who join."""
    slow: float = 0.1
    """Of those who pay, who do so late."""
    tickets: float = 2.5
    """Mean of the tickets that somebody wants."""

    def fate(self, luck: random.Random) -> Fate:
        """Roll somebody's fate."""
        if luck.random() < self.abandon:
            return luck.choices(_ABANDONING, _ABANDONS)[0]
        return Fate.PAYS_LATE if luck.random() < self.slow else Fate.BUYS

    def quantity(self, luck: random.Random) -> int:
        """Roll how many tickets somebody wants: 1 and a binomial number more."""
        more = (self.tickets - 1) / (TICKETS_MAX - 1)
        return 1 + sum(luck.random() < more for _ in range(TICKETS_MAX - 1))

    @property
    def claiming(self) -> float:
        """The share of all who join that claims a pass."""
        return 1 - self.abandon * (_ABANDONS[0] + _ABANDONS[1])

    @property
    def buying(self) -> float:
        """The share of those with a pass that buys, while there is something to buy."""
        return (1 - self.abandon) / self.claiming

    @property
    def lapsing(self) -> float:
        """The share of those with a pass that lets it run out."""
        return self.abandon * (_ABANDONS[2] + _ABANDONS[3]) / self.claiming


ACTIVE_MIN: Final = _CHOOSING_MIN + _PAYING_MIN
"""Mean minutes in checkout of who neither dawdles nor walks away."""


def reaction_min(luck: random.Random) -> float:
    """Roll the minutes from being admitted until somebody notices."""
    return _log_normal(luck, _REACTION_MIN)


def choosing_min(luck: random.Random) -> float:
    """Roll the minutes until somebody with a pass knows what to hold."""
    return _log_normal(luck, _CHOOSING_MIN)


def paying_min(luck: random.Random) -> float:
    """Roll the minutes from the hold to the purchase."""
    return _log_normal(luck, _PAYING_MIN)


def paying_late_min(luck: random.Random) -> float:
    """Roll the same of who pays shortly before a hold of ten minutes ends."""
    return luck.uniform(*_PAYING_LATE_MIN)


def _log_normal(luck: random.Random, mean: float) -> float:
    return luck.lognormvariate(math.log(mean) - _SPREAD**2 / 2, _SPREAD)


class Curve(Struct, frozen=True):
    """When people come, in minutes since the doors opened; the sale begins at `before_min`.

    Most come before the sale, ever more of them towards its beginning; then a peak that dies away,
    and on top of it a steady trickle until `end_min`.
    """

    before_min: float
    end_min: float

    def arrived(self, minute: float) -> float:
        """Return the share of all that has come by then."""
        if minute <= 0:
            return 0.0
        rise = _RISE * self.before_min
        if minute < self.before_min:
            return _BEFORE_SHARE * math.expm1(minute / rise) / math.expm1(self.before_min / rise)
        length = self.end_min - self.before_min
        since = min(minute - self.before_min, length)
        fall = _FALL * length
        peak = math.expm1(-since / fall) / math.expm1(-length / fall)
        trickle = 1 - _BEFORE_SHARE - _PEAK_SHARE
        return _BEFORE_SHARE + _PEAK_SHARE * peak + trickle * since / length
