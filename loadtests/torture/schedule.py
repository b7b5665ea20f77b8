"""What strikes when: made from a seed alone, so that a run can be had again.

The same seed, rounds, kinds and seconds give the same schedule. What buyers do comes from the seed
too; only how their calls interleave does not.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

STRIKES: Final = (1, 3)
"""In a round, at least and at most."""

ALONE: Final = frozenset(
    {
        *("two-recoveries", "duplicate-deliveries", "clock-step", "disk-full"),
        *("forge-sale", "forge-old-sale"),
    }
)
"""Faults that need the rest of the platform to be well."""

_FIRST: Final = 0.12
_LAST: Final = 0.75
_VOLLEY: Final = 0.4
_VOLLEY_S_MAX: Final = 0.3
_ON_VALKEY: Final = frozenset(
    {
        *("truncate-aof", "script-flush"),
        *("kill-primary", "pause-primary", "kill-replica", "pause-replica", "promote-replica"),
        "replace-paused-primary",
        *("failover", "migrate-slot", "elect-late-replica", "there-and-back"),
    }
)


class Planned(Struct, frozen=True):
    """A fault that strikes so many seconds after its round's first call."""

    at_s: float
    kind: str
    seed: int
    """Of the fault's own dice."""
    joins: bool = False
    """It strikes while the one before it may last; others wait for its end."""

    def as_text(self) -> str:
        """Return it in a few words."""
        return f"{'with it ' if self.joins else ''}{self.kind} at {self.at_s:.2f} s"


class RoundPlan(Struct, frozen=True):
    """One round: its faults, and the seed of its buyers."""

    number: int
    """From 1 on."""
    seed: int
    seconds: float
    """How long buyers go on making new holds."""
    strikes: tuple[Planned, ...]

    def as_text(self) -> str:
        """Return it in a line."""
        struck = ", ".join(one.as_text() for one in self.strikes)
        return f"round {self.number}, {self.seconds:g} s: {struck or 'no fault'}"

    def volleys(self) -> list[list[Planned]]:
        """Return the faults, those together that strike together."""
        found: list[list[Planned]] = []
        for one in self.strikes:
            if one.joins:
                found[-1].append(one)
            else:
                found.append([one])
        return found


def make_schedule(
    seed: int,
    rounds: int,
    kinds: Sequence[str],
    seconds: float,
    strikes_each: tuple[int, int] = STRIKES,
) -> tuple[RoundPlan, ...]:
    """Plan all rounds.

    Kinds are dealt like cards, so that each strikes once before any strikes twice. Many a fault
    comes right after the one before it or joins it, to meet what that set off; two never work on
    the same part at once.
    """
    dice = random.Random(f"schedule {seed}")  # noqa: S311 -- dice, no secrets
    deck: list[str] = []
    plans: list[RoundPlan] = []
    for number in range(1, rounds + 1):
        count = dice.randint(*strikes_each) if kinds else 0
        strikes: list[Planned] = []
        volley: set[str] = set()
        for moment in sorted(seconds * dice.uniform(_FIRST, _LAST) for _ in range(count)):
            deck = deck or dice.sample(sorted(kinds), len(kinds))
            kind = deck.pop()
            at_s, joins = moment, False
            if strikes and dice.random() < _VOLLEY:
                at_s = strikes[-1].at_s + dice.uniform(0, _VOLLEY_S_MAX)
                joins = _may_join(kind, volley)
            volley = {*volley, kind} if joins else {kind}
            strikes.append(Planned(round(at_s, 3), kind, dice.getrandbits(32), joins))
        plans.append(RoundPlan(number, dice.getrandbits(32), seconds, tuple(strikes)))
    return tuple(plans)


def make_volleys(
    seed: int, rounds: int, kinds: Sequence[str], seconds: float
) -> tuple[RoundPlan, ...]:
    """Plan rounds in which all these faults strike together, in their order, once each."""
    dice = random.Random(f"volleys {seed}")  # noqa: S311 -- dice, no secrets
    plans: list[RoundPlan] = []
    for number in range(1, rounds + 1):
        at_s = seconds * dice.uniform(_VOLLEY, _LAST)
        strikes: list[Planned] = []
        for kind in kinds:
            strikes.append(Planned(round(at_s, 3), kind, dice.getrandbits(32), bool(strikes)))
            at_s += dice.uniform(0, _VOLLEY_S_MAX)
        plans.append(RoundPlan(number, dice.getrandbits(32), seconds, tuple(strikes)))
    return tuple(plans)


def part_of(kind: str) -> str:
    """Return the part that a fault works on, by its name: `kill-valkey`, `cut-api-valkey`."""
    if kind in _ON_VALKEY:
        return "valkey"
    return kind.partition("-")[2].removesuffix("-backend").removesuffix("-process")


def _may_join(kind: str, volley: Iterable[str]) -> bool:
    return not any(ALONE & {kind, other} or part_of(kind) == part_of(other) for other in volley)
