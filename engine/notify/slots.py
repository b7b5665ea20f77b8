"""How many messages may be on their way, and whose: what keeps a dead endpoint from all others.

Each endpoint that is told has one slot for as long as a courier is at it. Those that have yet to
prove themselves, or failed lately, share a part of all slots, so that however many of them hang,
the others have theirs. One that is well gets more slots as it answers, its reseller up to a bound.
"""

from collections import Counter
from typing import Final

from msgspec import Struct

AT_ONCE_MAX: Final = 8
"""Messages on their way to one endpoint."""


class Bounds(Struct, frozen=True):
    """Of one worker."""

    most: int = 256
    doubtful_most: int = 128
    well_most: int = 224
    """Who has yet to prove themselves is not kept waiting by those who have, and are slow."""
    extra_most: int = 192
    """Nobody gets a further slot while so many are in use: the rest is for who has none yet."""
    extra_of_reseller_most: int = 32


class Slots:
    """Counts them."""

    def __init__(self, bounds: Bounds) -> None:
        """Begin with all of them free."""
        self._bounds = bounds
        self._doubtful = 0
        self._well = 0
        self._extra: Counter[int] = Counter()

    @property
    def in_use(self) -> int:
        """How many."""
        return self._doubtful + self._well + self._extra.total()

    def free(self, *, doubtful: bool) -> int:
        """Return how many endpoints of a kind may be taken on."""
        left = self._bounds.most - self.in_use
        if doubtful:
            return min(left, self._bounds.doubtful_most - self._doubtful)
        return min(left, self._bounds.well_most - self._well)

    def take(self, *, doubtful: bool) -> None:
        """Take an endpoint on."""
        if doubtful:
            self._doubtful += 1
        else:
            self._well += 1

    def give_back(self, *, doubtful: bool) -> None:
        """Let an endpoint go. It keeps its kind for as long as a courier is at it."""
        if doubtful:
            self._doubtful -= 1
        else:
            self._well -= 1

    def take_extra(self, reseller: int) -> bool:
        """Take a further slot for an endpoint that is well; False: there is none for it."""
        if self.in_use >= self._bounds.extra_most:
            return False
        if self._extra[reseller] >= self._bounds.extra_of_reseller_most:
            return False
        self._extra[reseller] += 1
        return True

    def give_extra_back(self, reseller: int) -> None:
        """Give a further slot back."""
        self._extra[reseller] -= 1
        if not self._extra[reseller]:
            del self._extra[reseller]
