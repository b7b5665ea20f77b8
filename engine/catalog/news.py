"""What has changed among listed shows, told to all processes by PostgreSQL as it is committed.

Whoever writes listings or counts notifies in the same transaction, and a worker says several times
a second that all is told: while it is heard, what was found stays true until a change of its shows
is heard. While it is not, nobody knows.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final, Protocol, cast

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import connect_once
from engine.platform.settings import APP_ROLE, Settings

CHANNEL: Final = "onsale_listings"
UNHEARD_S: Final = 0.6
"""Who has heard nothing for so long does not know what has changed."""

LISTED_S: Final = 1.0
"""While shows are listed anew, what is found is asked anew no sooner than after so long."""

_ALL: Final = "*"
_LISTED: Final = "+"
_NEVER: Final = float("-inf")
_MOMENTS_MAX: Final = 100
_MOMENT_S: Final = 0.2
_TOLD_AT_ONCE: Final = 300
_TOLD_MAX: Final = 3000
_REMEMBERED_MAX: Final = 100_000
_AGAIN_S: Final = 1.0
_ASK_EVERY_S: Final = 10.0
_ANSWER_S: Final = 5.0
_NOTIFY: Final = text(
    f"SELECT pg_notify('{CHANNEL}', told)"  # noqa: S608 - our own name
    " FROM unnest(CAST(:told AS TEXT[])) AS told"
)

_log = structlog.stdlib.get_logger(__name__)


class _Driver(Protocol):
    async def execute(self, query: str, *, timeout: float) -> str: ...  # noqa: ASYNC109
    async def add_listener(self, channel: str, callback: Callable[..., None]) -> None: ...
    def add_termination_listener(self, callback: Callable[..., None]) -> None: ...


async def tell_changes(
    connection: AsyncConnection, shows: Sequence[int], *, listed: bool = False
) -> None:
    """Tell, when the transaction commits, that these shows have changed; of none: that all is told.

    `listed`: not only what is left of them, so that they may be among other results than before.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL failed.
    """
    if len(shows) > _TOLD_MAX:
        told = [_ALL]
    elif listed:
        parts = range(0, len(shows), _TOLD_AT_ONCE)
        told = [_LISTED + ",".join(map(str, shows[at : at + _TOLD_AT_ONCE])) for at in parts]
    else:
        parts = range(0, max(len(shows), 1), _TOLD_AT_ONCE)
        told = [",".join(map(str, shows[at : at + _TOLD_AT_ONCE])) for at in parts]
    await connection.execute(_NOTIFY, {"told": told})


class ListingNews:
    """What one process has heard."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = monotonic) -> None:
        """Take where to listen. Nothing is heard before `start`."""
        self._settings = settings
        self._clock = clock
        self._heard_at = self._complete_since = _NEVER
        self._listed_at: deque[float] = deque(maxlen=_MOMENTS_MAX)
        self._listed_last = _NEVER
        """The last of these moments, however soon it came after the one before."""
        self._changed: OrderedDict[int, float] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to listen, and go on until `stop`."""
        self._task = asyncio.create_task(self._listen_on())

    async def stop(self) -> None:
        """Listen no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def is_heard(self) -> bool:
        """Whether what changes is heard of."""
        return self._clock() - self._heard_at <= UNHEARD_S

    def doubtful_since(self, shows: Sequence[int], read_at: float) -> float | None:
        """Return when what was found, then, became doubtful; None: it holds.

        `shows` are those that were found. All moments are of the clock.
        """
        if not self.is_heard:
            return max(read_at, self._heard_at)
        if read_at < self._complete_since:
            return self._complete_since
        changed = self._changed
        moments = [at for show in shows if (at := changed.get(show, _NEVER)) >= read_at]
        if self._listed_last >= read_at:
            first = next((at for at in self._listed_at if at >= read_at), self._listed_last)
            # Who found nothing may wait for what is listed just now.
            moments.append(max(first, read_at + LISTED_S) if shows else first)
        since = min(moments, default=None)
        return since if since is None or since <= self._clock() else None

    def hear(self, told: str) -> None:
        """Take a notification."""
        now = self._heard_at = self._clock()
        if told == _ALL:
            self._forget(now)
            return
        if told.startswith(_LISTED):
            told = told.removeprefix(_LISTED)
            self._listed_last = now
            if not self._listed_at or now - self._listed_at[-1] > _MOMENT_S:
                self._listed_at.append(now)
        for show in map(int, told.split(",") if told else ()):
            self._changed[show] = now
            self._changed.move_to_end(show)
        if len(self._changed) > _REMEMBERED_MAX:
            self._forget(now)

    def _forget(self, now: float) -> None:
        self._changed.clear()
        self._complete_since = now

    async def _listen_on(self) -> None:
        while True:
            why = ""
            try:
                await self._listen()
            except Exception as error:  # noqa: BLE001 - the driver raises of its own; told
                why = repr(error)
            _log.info("listings' news are not heard for a moment", error=why)
            await asyncio.sleep(_AGAIN_S)

    async def _listen(self) -> None:
        """Listen until the connection ends."""
        url, role = self._settings.database_login(APP_ROLE)
        ended = asyncio.Event()
        async with connect_once(url, role=role) as connection:
            raw = await connection.get_raw_connection()
            driver = cast("_Driver", raw.driver_connection)
            driver.add_termination_listener(lambda *_: ended.set())
            await driver.add_listener(CHANNEL, self._take)
            # What was told before is not known.
            self._forget(self._clock())
            while not await _happens(ended, within_s=_ASK_EVERY_S):
                # Nobody says so if the way to PostgreSQL is cut: who is not answered begins anew.
                await driver.execute("SELECT 1", timeout=_ANSWER_S)

    def _take(self, _connection: Any, _pid: int, _channel: str, told: str) -> None:  # noqa: ANN401
        self.hear(told)


async def _happens(event: asyncio.Event, *, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await event.wait()
    except TimeoutError:
        return False
