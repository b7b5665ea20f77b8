"""How fast a line has moved lately, as a range: what waits are estimated from."""

from collections import deque
from typing import Final

from msgspec import Struct

_WINDOW_S: Final = 10.0
_WINDOWS_MAX: Final = 30
_WINDOWS_MIN: Final = 2


class Pace(Struct, frozen=True):
    """People a second by whom the line has moved: the 10th and the 90th percentile of windows.

    `slow` is 0.0 if it stood still in some of them: nobody can say then how long a wait may be.
    """

    slow: float
    fast: float


class PaceMeter:
    """Measures windows in which the line moved on its own: neither paused, nor empty."""

    def __init__(self) -> None:
        """Have nothing measured."""
        self._speeds: deque[float] = deque(maxlen=_WINDOWS_MAX)
        self._begin: tuple[float, int] | None = None

    def observe(self, now_s: float, admitted: int, *, is_moving: bool) -> None:
        """Learn how many people were admitted so far."""
        if not is_moving:
            self._begin = None
            return
        if self._begin is None:
            self._begin = now_s, admitted
            return
        begin_s, before = self._begin
        if now_s - begin_s >= _WINDOW_S:
            self._speeds.append((admitted - before) / (now_s - begin_s))
            self._begin = now_s, admitted

    def quantiles(self) -> Pace | None:
        """Return the range, or None until something is measured."""
        if len(self._speeds) < _WINDOWS_MIN:
            return None
        ordered = sorted(self._speeds)
        last = len(ordered) - 1
        return Pace(ordered[round(0.1 * last)], ordered[round(0.9 * last)])
