"""A clock that can be stepped: libfaketime between Valkey and the clock of the machine.

Only the time of day is stepped, the monotonic clock goes on as it does. A step takes effect within
a second, for as long as the library keeps what it read.
"""

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from loadtests.fetching import fetch
from ops.child import Plan

STEP_WITHIN_S: Final = 3.0
"""A step has taken effect by then."""

_PACKAGES: Final = ("libfaketime",)
_LIBRARY: Final = "usr/lib/*/faketime/libfaketimeMT.so.1"

_logger = logging.getLogger("onsale.torture")


def find_library(cache: Path, say: Callable[[str], None] = _logger.info) -> Path | None:
    """Return libfaketime's path: the system's, or Debian's package, unpacked into `cache`.

    None where there is neither, or no Linux; `say` gets a line that tells why.
    """
    if sys.platform != "linux":
        say("libfaketime is used on Linux only")
        return None
    for root in (Path("/"), cache):
        if found := sorted(root.glob(_LIBRARY)):
            return found[0]
    if not fetch("libfaketime", _PACKAGES, cache, say):
        return None
    return next(cache.glob(_LIBRARY), None)


class Clock:
    """What one process takes for the time of day."""

    def __init__(self, library: Path, file: Path) -> None:
        """Take the library, and a file of our own that it reads the step from."""
        self._library = library
        self._file = file
        self.step(0.0)

    def step(self, seconds: float) -> None:
        """Put the clock ahead of the machine's by so much, or behind it if negative; 0 is right."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.3f}\n", encoding="ascii")
        fresh.rename(self._file)

    def given_to(self, plan: Plan) -> Plan:
        """Return the plan of a process that goes by this clock."""
        preload = {
            "LD_PRELOAD": os.fspath(self._library),
            "FAKETIME_TIMESTAMP_FILE": os.fspath(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        return replace(plan, environment={**plan.environment, **preload})
