"""Who gets how much of a process that is short of time: each reseller with work an equal share.

The process is short of time while its event loop comes late to what is due. Then the calls that
may be under way are few, so few that it comes in time again, and each reseller with work may have
an equal part of them: what is beyond is refused before anything of it is done. They get more
again as long as it comes in time (additive increase and multiplicative decrease would be too slow:
both are multiplicative here). While one reseller alone has work, nobody is refused.

A refusal takes time too, so a client that repeats at once what was refused would take all of the
process' time by refusals. They are therefore told at a pace: so many a second, in the order of
their arrival, and at once only when too many wait for theirs.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from engine.platform.ids import EntityId

LATE_S: Final = 0.003
"""The event loop is late if it comes so much later than due, twice in a row: once is chance."""
UNDER_WAY_MIN: Final = 16
"""Calls that are shared out at the least."""
UNDER_WAY_SHORT: Final = 64
"""As many at the most, when the process first comes late."""
UNDER_WAY_MAX: Final = 16_384
OF_ONE_MIN: Final = 2
"""What each reseller may have under way, however many have work."""
REFUSALS_PER_S: Final = 1_000
PACED_MAX: Final = 4_096
"""Refusals that wait to be told."""

_ANY: Final = sys.maxsize
_LOOK_S: Final = 0.005
_REMEMBERED_S: Final = 1.0
"""How long a reseller counts as one who has work, after the last."""
_FORGET_EVERY_S: Final = 0.1
_LESS: Final = 0.7
_MORE: Final = 1.02


class Share:
    """What one reseller has under way."""

    __slots__ = ("seen_s", "under_way")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.under_way = 0
        self.seen_s = 0.0


class Shares:
    """What resellers have under way in one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Take a clock in seconds."""
        self.each = _ANY
        """How many calls a reseller may have under way now."""
        self._clock = clock
        self._of: dict[EntityId, Share] = {}
        self._total = float(UNDER_WAY_MAX)
        self._paced: deque[asyncio.Future[None]] = deque()
        self._owed = 0.0
        self._was_late = False
        self._looked_s = 0.0
        self._forgot_s = 0.0
        self._look: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """Return how many resellers have work, or had a moment ago."""
        return len(self._of)

    def begin(self, reseller: EntityId) -> Share:
        """Count a call as under way, until `under_way` of what is returned is lessened again.

        It is one too many if that is more than `each`.
        """
        share = self._of.get(reseller)
        if share is None:
            share = self._of[reseller] = Share()
        share.under_way += 1
        share.seen_s = self._looked_s
        if self._look is None:
            self._begin_to_look()
        return share

    async def pace(self) -> None:
        """Return when a refusal may be told."""
        if len(self._paced) < PACED_MAX:
            turn = asyncio.get_running_loop().create_future()
            self._paced.append(turn)
            await turn

    def note(self, late_s: float, passed_s: float) -> None:
        """Take how late the event loop came, and how long it is since it came last."""
        is_late = late_s > LATE_S
        if is_late and self._was_late:
            self._total = max(UNDER_WAY_MIN, min(self._total, UNDER_WAY_SHORT) * _LESS)
        elif not is_late:
            self._total = min(UNDER_WAY_MAX, self._total * _MORE)
        self._was_late = is_late
        resellers = len(self._of)
        is_shared = resellers > 1 and self._total < UNDER_WAY_MAX
        self.each = max(OF_ONE_MIN, int(self._total / resellers)) if is_shared else _ANY
        self._owed = min(self._owed + passed_s * REFUSALS_PER_S, float(len(self._paced)))
        while self._owed >= 1:
            self._owed -= 1
            turn = self._paced.popleft()
            if not turn.done():
                turn.set_result(None)

    def _begin_to_look(self) -> None:
        self._looked_s = self._clock()
        self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_around)

    def _look_around(self) -> None:
        now_s = self._clock()
        passed_s = now_s - self._looked_s
        self._looked_s = now_s
        if now_s - self._forgot_s > _FORGET_EVERY_S:
            self._forgot_s = now_s
            self._forget(now_s - _REMEMBERED_S)
        self.note(passed_s - _LOOK_S, passed_s)
        if self._of or self._paced:
            self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_around)
        else:
            self._look = None

    def _forget(self, before_s: float) -> None:
        """Forget who has no work any more."""
        idle = [r for r, one in self._of.items() if not one.under_way and one.seen_s < before_s]
        for reseller in idle:
            del self._of[reseller]
