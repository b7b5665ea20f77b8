"""How what is safe to repeat is repeated: later each time, not all at once, and within bounds.

Not stamina's way, which repeats one call until it succeeds: what is repeated here are loops that
live as long as their process and begin afresh once they were well for a while. Nothing that may
have acted is ever repeated by this; only its caller knows whether that is safe.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from typing import Final

import structlog
from msgspec import Struct

_JITTER: Final = 0.25
_DOUBLINGS_MAX: Final = 30
_FAILURES_MAX: Final = 5
_PROBE_TIMEOUT_S: Final = 3.0

_log = structlog.stdlib.get_logger(__name__)


class Backoff(Struct, frozen=True):
    """Pauses that double from the first to the longest, each up to a quarter longer by chance."""

    first_s: float
    most_s: float

    def pause_s(self, failures: int) -> float:
        """Return how long to wait after so many failures in a row, of which there is one."""
        doubled = self.first_s * 2 ** min(failures - 1, _DOUBLINGS_MAX)
        return min(doubled, self.most_s) * random.uniform(1, 1 + _JITTER)  # noqa: S311 - no secret


OUTAGE: Final = Backoff(first_s=0.1, most_s=0.2)
"""A store is away: how soon buyers are served again once it is back rests on this."""
TASK: Final = Backoff(first_s=0.1, most_s=5.0)
"""A task ends by a fault of its own, which to repeat soon hardly helps."""
LISTENING: Final = Backoff(first_s=0.1, most_s=1.0)
"""A subscription or a reader of a stream was cut off; whoever waits has another way to ask."""
RELOAD: Final = Backoff(first_s=0.02, most_s=0.1)
"""The store has another version of a show than the ledger told a moment ago; buyers wait."""
PROBE: Final = Backoff(first_s=0.1, most_s=1.0)
"""A breaker is open."""
SOON: Final = Backoff(first_s=0.05, most_s=0.1)
"""A breaker is open that every buyer waits for: a probe costs a connection a process."""


class Patience:
    """Counts the failures in a row of one thing that is done again and again."""

    def __init__(self, policy: Backoff) -> None:
        """Begin with none."""
        self._policy = policy
        self._failures = 0

    def is_well(self) -> None:
        """Start over: it succeeded, or was well for long enough."""
        self._failures = 0

    async def pause(self) -> None:
        """Wait after a failure, longer each time."""
        self._failures += 1
        await asyncio.sleep(self._policy.pause_s(self._failures))


class BreakerOpenError(ConnectionError):
    """The other side did not answer lately, and is not asked until it does."""


class Breaker:
    """Refuses at once to ask what has failed several times in a row, until a probe is answered.

    The probe runs beside the callers (Nygard's half-open state, in the background), so that none of
    them waits for it: while the breaker is open every one is refused in no time.
    """

    def __init__(
        self,
        name: str,
        probe: Callable[[], Awaitable[object]],
        *,
        is_away: Callable[[BaseException], bool],
        failures_max: int = _FAILURES_MAX,
        pauses: Backoff = PROBE,
    ) -> None:
        """Take who is asked, how to try them, and which errors mean that they can't be reached."""
        self._name = name
        self._probe = probe
        self._is_away = is_away
        self._failures_max = failures_max
        self._pauses = pauses
        self._failures = 0
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether everybody is refused."""
        return self._probing is not None

    @contextmanager
    def watch(self) -> Generator[None]:
        """Ask within this; what it raises tells whether it was answered.

        Raises:
            BreakerOpenError: it is not asked at present.
        """
        self.check()
        try:
            yield
        except Exception as error:
            self.failed(error)
            raise
        self.answered()

    def check(self) -> None:
        """Return if it may be asked.

        Raises:
            BreakerOpenError: it is not asked at present.
        """
        if self._probing is not None:
            msg = f"{self._name} has not answered lately, and is not asked until it does"
            raise BreakerOpenError(msg)

    def answered(self) -> None:
        """Note that it answered."""
        self._failures = 0

    def failed(self, error: BaseException) -> None:
        """Note what asking it came to, which may be an answer too."""
        if self._is_away(error):
            self._fail(error)
        else:
            self._failures = 0

    async def stop(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()
            with suppress(asyncio.CancelledError):
                await self._probing

    def _fail(self, error: BaseException) -> None:
        self._failures += 1
        if self._failures >= self._failures_max and self._probing is None:
            _log.warning("asked no more: it does not answer", party=self._name, error=repr(error))
            self._probing = asyncio.create_task(self._probe_until_answered())

    async def _probe_until_answered(self) -> None:
        patience = Patience(self._pauses)
        try:
            while not await self._is_answered():
                await patience.pause()
            _log.info("asked again: it answers", party=self._name)
        finally:
            self._failures, self._probing = 0, None

    async def _is_answered(self) -> bool:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                await self._probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the breaker must go on probing
            return not self._is_away(error)
        return True
