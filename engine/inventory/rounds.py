"""Whom a worker looks at each second: shows in which something happens, and some of the others.

To ask both stores about each of a hundred thousand shows takes longer than a second. But nearly all
are quiet, and whoever does something to a show says so on the wake channel (`Wake.STIR`, or what it
wakes workers for). So these are looked at each second, and the others in turns: what the channel
lost is found when the show's turn comes. With up to `QUIET_MAX` shows that is each second, too.
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from itertools import islice
from time import monotonic
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.tending import TendedShow, tended_after, tended_shows

QUIET_MAX: Final = 2000
"""Shows of one look in which nothing is known to happen."""

STIRRED_S: Final = 25.0
"""For how long a show is taken to be busy: more than twice as long as lanes leave between words."""

_BUSY_MAX: Final = 20_000

_MISSED_MAX: Final = 32
"""Shows that stand for all whose servers did not answer: of a few servers some of each."""


class Stirred:
    """The shows in which something happened lately, as one process has heard."""

    def __init__(self, *, kept_s: float = STIRRED_S, most: int = _BUSY_MAX) -> None:
        """Take for how long a show is kept, and how many are at the most: the latest."""
        self._kept_s = kept_s
        self._most = most
        self._until: OrderedDict[int, float] = OrderedDict()
        self.losses = 0
        """How often words may have been lost: then all shows are looked at, without pauses."""
        self.places: dict[str, int] = {}
        """How far each task has come on its way, by its name: one that was started again goes on
        there. Else whatever ends tasks often would keep them from the shows at the end."""

    def note(self, show: int) -> None:
        """Note that something happens in a show."""
        self._until[show] = monotonic() + self._kept_s
        self._until.move_to_end(show)
        if len(self._until) > self._most:
            self._until.popitem(last=False)

    def note_loss(self) -> None:
        """Note that nobody listened for a while."""
        self.losses += 1

    def now(self) -> list[int]:
        """Return the shows in which something happened lately."""
        now = monotonic()
        while self._until:
            show, until = next(iter(self._until.items()))
            if until > now:
                break
            del self._until[show]
        return list(self._until)


class Round:
    """One task's way through all shows, again and again."""

    def __init__(
        self, engine: AsyncEngine, stirred: Stirred, task: str, *, most: int = QUIET_MAX
    ) -> None:
        """Take an engine of the recorder's role, who is busy, whose way it is, and its step.

        `task` names it among those of the process; `most` shows that are not busy go at once.
        """
        self._engine = engine
        self._stirred = stirred
        self._task = task
        self._most = most
        self._losses = stirred.losses
        self._came_from = self._place
        self._has_turned = False
        self._missed: set[int] = set()
        self.is_first = True
        """Whether there are shows that were not looked at since the task began, or since words may
        have been lost. It makes no pauses until then."""

    async def next(self, also: Collection[int] = ()) -> list[TendedShow]:
        """Return the shows of the next look: busy ones, these as well, and whose turn it is.

        And some of those that were missed.

        Raises:
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
        """
        if self._losses != self._stirred.losses:
            self._losses = self._stirred.losses
            self.hurry()
        turn = await tended_after(self._engine, self._place, self._most)
        self._move_on(turn)
        seen = {show.id for show in turn}
        others = {*self._stirred.now(), *also, *self._missed} - seen
        shows = turn + await tended_shows(self._engine, others)
        # What is no show any more says nothing about a server.
        self._missed.intersection_update(show.id for show in shows)
        return shows

    def note_missed(self, shows: Collection[int]) -> None:
        """Note whose server did not answer this time; to be called after each look.

        Some of them are in each look from now on. When one of these answers, its server is back,
        and all shows are gone past without pauses: nobody has to remember who else was missed.
        """
        is_back = not self._missed.issubset(shows)
        self._missed = set(islice(shows, _MISSED_MAX))
        if is_back:
            self.hurry()

    def hurry(self) -> None:
        """Go once past all shows without pauses, from where it stands."""
        self._came_from, self._has_turned, self.is_first = self._place, False, True

    @property
    def _place(self) -> int:
        """Behind which show it goes on."""
        return self._stirred.places.get(self._task, 0)

    def _move_on(self, turn: Sequence[TendedShow]) -> None:
        is_at_end = len(turn) < self._most
        is_past_all = is_at_end and self._has_turned
        self._has_turned |= is_at_end
        self._stirred.places[self._task] = place = 0 if is_at_end else turn[-1].id
        if is_past_all or (self._has_turned and place >= self._came_from):
            self.is_first = False
