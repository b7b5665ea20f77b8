"""Looks at a run once a second: what was answered, how far the recorder is, how much memory."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from msgspec import Struct

from loadtests.spike.lag import UNREADABLE, Recorder
from loadtests.spike.processes import memory_mib
from loadtests.spike.venue import Parts

_EVERY_S: Final = 1.0
_PAUSE_S: Final = 0.2


class Sample(Struct, frozen=True):
    """What one look saw."""

    at: float
    """Seconds since 1970."""
    lag: int | None
    """Sales decided and not recorded; None if a store did not say, or none can be asked."""
    mib: dict[str, float]
    """Memory by part of the platform."""


class Watch:
    """The looks at one run."""

    def __init__(self, parts: Parts, recorder: Recorder | None) -> None:
        """Take what to look at; without a recorder the lag stays unknown."""
        self.samples: list[Sample] = []
        self._parts = parts
        self._recorder = recorder

    @property
    def peak_mib(self) -> dict[str, float]:
        """The most memory that each part had in any look."""
        peaks: dict[str, float] = {}
        for sample in self.samples:
            for part, mib in sample.mib.items():
                peaks[part] = max(peaks.get(part, 0.0), mib)
        return peaks

    @property
    def lag_max(self) -> int | None:
        """The longest lag of any look."""
        return max((s.lag for s in self.samples if s.lag is not None), default=None)

    async def look(self) -> Sample:
        """Look once."""
        at = time.time()
        mib = await asyncio.to_thread(memory_mib, self._parts())
        sample = Sample(at, await self._lag(), mib)
        self.samples.append(sample)
        return sample

    async def look_on(self, seen: Callable[[Sample], None], over: asyncio.Event) -> None:
        """Look every second until it is over, and tell what was seen."""
        while not over.is_set():
            began = time.monotonic()
            seen(await self.look())
            with suppress(TimeoutError):
                async with asyncio.timeout(began + _EVERY_S - time.monotonic()):
                    await over.wait()

    async def look_until_drained(self, patience_s: float) -> bool:
        """Look until the recorder has everything; False if it has not when patience ends."""
        deadline = time.monotonic() + patience_s
        while (await self.look()).lag != 0:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_PAUSE_S)
        return True

    async def _lag(self) -> int | None:
        if self._recorder is None:
            return None
        try:
            return await self._recorder.lag()
        except UNREADABLE:
            return None
