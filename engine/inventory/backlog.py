"""How many of a show's sales are recorded: told to the store, which bounds those that are not.

Each note is a write of the store, so it is made in steps: what the store takes to be waiting is
more than what waits, by less than a step, until the show is quiet for a moment.
"""

from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic
from typing import Final

import structlog
from msgspec import Struct
from redis.exceptions import RedisError

from engine.inventory.facts import StreamId
from engine.inventory.keys import show_keys
from engine.inventory.scripts import load_script
from engine.platform.ids import entity_hex
from engine.platform.redis import Store

_QUIET_S: Final = 1.0
_SHOWS_MAX: Final = 250_000
_STEPS: Final = 100

_log = structlog.stdlib.get_logger(__name__)


def note_step(backlog_max: int) -> int:
    """Return how many recorded sales the store need not hear of at once: a hundredth of the bound.

    A small bound is kept exactly.
    """
    return max(1, backlog_max // _STEPS)


async def longest_backlog(redis: Store, shows: Sequence[int]) -> int:
    """Return how many sales wait to be recorded, of the show that has the most.

    Raises:
        redis.RedisError, OSError: the store could not be asked.
    """
    pipeline = redis.pipeline(transaction=False)
    for show in shows:
        pipeline.hmget(show_keys(show).meta, ["sold", "recorded"])
    found = await pipeline.execute(raise_on_error=False)
    # What is spoilt is the recovery's business.
    counts = [pair for pair in found if not isinstance(pair, Exception)]
    return max((int(sold or 0) - int(recorded or 0) for sold, recorded in counts), default=0)


class _Noted(Struct, frozen=True):
    position: StreamId
    at_s: float


class RecordedNotes:
    """What one recorder has told the store, show by show."""

    def __init__(self, redis: Store, *, step: int = 1, quiet_s: float = _QUIET_S) -> None:
        """Take the store, and how many sales at the most it may not have been told of.

        After `quiet_s` a show of which nothing more is to be recorded is told exactly.
        """
        self._redis = redis
        self._step = step
        self._quiet_s = quiet_s
        self._noted: OrderedDict[int, _Noted] = OrderedDict()

    async def note(self, show: int, position: StreamId, *, is_quiet: bool = False) -> None:
        """Tell the store up to where a show is recorded, if it is time for it.

        A note that fails is made up for by the next, at the latest when the show is quiet.
        """
        if not self.is_time(show, position, is_quiet=is_quiet):
            return
        try:
            # Only this epoch's sales count, and their numbers begin with 0.
            await load_script("note_recorded").call(
                self._redis, show_keys(show).inventory(), position.epoch, position.n + 1
            )
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("recorded sales not noted", show=entity_hex(show), error=repr(error))
            return
        self._remember(show, position)

    def learn(self, show: int, position: StreamId, recorded: bytes | None) -> None:
        """Note what the store was told before, maybe by others, as it says itself."""
        if show not in self._noted and recorded == str(position.n + 1).encode():
            self._remember(show, position)

    def is_known(self, show: int) -> bool:
        """Tell whether it is known what the store was told of a show."""
        return show in self._noted

    def _remember(self, show: int, position: StreamId) -> None:
        self._noted[show] = _Noted(position, monotonic())
        self._noted.move_to_end(show)
        if len(self._noted) > _SHOWS_MAX:
            self._noted.popitem(last=False)

    def is_time(self, show: int, position: StreamId, *, is_quiet: bool) -> bool:
        """Tell whether the store is to be told of a position."""
        if position.n < 0:
            return False  # nothing of the epoch is recorded, which is how the store opened it
        noted = self._noted.get(show)
        if noted is None or noted.position.epoch != position.epoch:
            return True
        if position.n - noted.position.n >= self._step:
            return True
        return is_quiet and position > noted.position and monotonic() - noted.at_s >= self._quiet_s
