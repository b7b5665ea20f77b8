"""Slows down who guesses: pauses that grow with each wrong guess, and end.

Counted in memory, in a table of bounded size: behind N API processes one gets up to N times as
many guesses. It never locks anybody out for good: the longest pause is `pause_max_s`, and who lets
a whole window pass begins anew. An attempt is counted when it starts, so that a thousand at once
are no way around it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from msgspec import Struct

_REMEMBERED_MAX: Final = 20_000
_DOUBLINGS_MAX: Final = 30


class _Guesses(Struct):
    count: int
    last_s: float
    free_again_s: float


class Throttle:
    """Counts attempts by whatever they aim at, or come from."""

    def __init__(  # noqa: PLR0913 - one rule, by its parts
        self,
        *,
        free: int,
        window_s: float = 900,
        pause_s: float = 15,
        pause_max_s: float = 600,
        remembered_max: int = _REMEMBERED_MAX,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take how many attempts are free in a window, the first pause after them, the longest."""
        self._free = free
        self._window_s = window_s
        self._pause_s = pause_s
        self._pause_max_s = pause_max_s
        self._remembered_max = remembered_max
        self._clock = clock
        self._known: OrderedDict[bytes, _Guesses] = OrderedDict()

    def take(self, key: bytes) -> float | None:
        """Count an attempt; return None, or after how many seconds to make it (not counted)."""
        now_s = self._clock()
        guesses = self._known.get(key)
        if guesses is None or now_s - guesses.last_s > self._window_s:
            guesses = self._known[key] = _Guesses(0, now_s, now_s)
            while len(self._known) > self._remembered_max:
                self._known.popitem(last=False)
        if now_s < guesses.free_again_s:
            return guesses.free_again_s - now_s
        self._known.move_to_end(key)
        guesses.count += 1
        guesses.last_s = now_s
        beyond = guesses.count - self._free
        if beyond >= 0:
            pause_s = self._pause_s * 2 ** min(beyond, _DOUBLINGS_MAX)
            guesses.free_again_s = now_s + min(pause_s, self._pause_max_s)
        return None

    def give_back(self, key: bytes) -> None:
        """Uncount an attempt that was none: it was right, or could not be judged."""
        guesses = self._known.get(key)
        if guesses is None:
            return
        guesses.count = max(guesses.count - 1, 0)
        if guesses.count < self._free:
            guesses.free_again_s = guesses.last_s

    def forget(self, key: bytes) -> None:
        """Begin anew: who asks has shown that they are no stranger."""
        self._known.pop(key, None)
