"""Who asks for what: the mix of holds, purchases and releases that a million requests are made of.

`hold_buy_release.lua` says the same to wrk; its header tells what it is for. Here it drives the
generator in Python.
"""

import random
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

SELL_OUT_AT: Final = 0.9
"""The share of the requests after which the hall is sold out, if the holds suffice."""
BOUGHT_MAX: Final = 0.45
"""Of the holds that were won; the others are released."""
POPULAR_SHARE: Final = 0.7
"""Of the holds: for one of the best groups rather than for one that is not sold."""

_CREATED: Final = 201
_REDIRECTS: Final = 300
_SERVER_ERROR: Final = 500
_KEY_DIGITS: Final = 7


class Kind(StrEnum):
    """What a request asks for."""

    HOLD = "hold"
    PURCHASE = "purchase"
    RELEASE = "release"


class Asking(Struct):
    """One buyer's request, and later what follows from it."""

    kind: Kind
    group: int
    key: str
    hold: str = ""


class _Won(Struct):
    hold: str


class _Ordered(Struct):
    order: str


class Buyers:
    """A number of requests at one show, one after the other."""

    def __init__(self, groups: int, quota: int, run: str, luck: random.Random) -> None:
        """Take how many groups of seats there are, the best first, and how many to ask for."""
        self.sent = 0
        self.receipts: list[tuple[str, int]] = []
        """Orders and their groups."""
        self._groups = groups
        self._quota = quota
        self._run = run
        self._luck = luck
        self._wins = 0
        self._bought = 0
        self._next: list[Asking] = []
        self._unsold = list(range(groups))
        self._place = dict(enumerate(self._unsold))

    def ask(self) -> Asking | None:
        """Return the next request; None once all have been sent."""
        if self.sent == self._quota:
            return None
        self.sent += 1
        if self._next:
            return self._next.pop()
        return Asking(Kind.HOLD, self._choose(), f"{self._run}-{self.sent:0{_KEY_DIGITS}}")

    def learn(self, asked: Asking, status: int, body: bytes) -> None:
        """Take in the answer to a request."""
        if asked.kind is Kind.HOLD:
            if status == _CREATED:
                asked.hold = msgspec.json.decode(body, type=_Won).hold
                self._win(asked)
        elif status >= _SERVER_ERROR:
            self._next.append(asked)  # once more, with the same key
        elif asked.kind is Kind.PURCHASE and status < _REDIRECTS:
            order = msgspec.json.decode(body, type=_Ordered).order
            self.receipts.append((order, asked.group))
            self._note_sold(asked.group)

    def _choose(self) -> int:
        if not self._unsold or self._luck.random() < POPULAR_SHARE:
            return int(self._groups * self._luck.random() ** 2)
        return self._luck.choice(self._unsold)

    def _win(self, asked: Asking) -> None:
        self._wins += 1
        if self._bought < bought_by_now(self._groups, self.sent / self._quota, self._wins):
            self._bought += 1
            asked.kind = Kind.PURCHASE
        else:
            asked.kind = Kind.RELEASE
        self._next.append(asked)

    def _note_sold(self, group: int) -> None:
        at = self._place.pop(group, None)
        if at is None:
            return
        last = self._unsold.pop()
        if last != group:
            self._unsold[at] = last
            self._place[last] = at


def bought_by_now(groups: int, progress: float, wins: int) -> float:
    """Return how many holds should have been bought: the hall fills evenly, then is sold out.

    `progress` is the share of the requests that has been sent, `wins` how many holds were won.
    """
    return min(groups * progress / SELL_OUT_AT, BOUGHT_MAX * wins)
