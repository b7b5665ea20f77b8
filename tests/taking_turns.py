"""Tests that measure time have the machine to themselves: the other workers wait between tests.

Two locks on files that the workers of one run share. Whoever is to be alone closes the gate, so
that no other test begins, and waits for those under way; all others pass the gate and share.
"""

import fcntl
import os
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_WAITING_S_MAX: Final = 600
_PAUSE_S: Final = 0.02


@contextmanager
def turn(*, alone: bool) -> Generator[None]:
    """Run a test beside those of other workers, or alone; nothing to wait for without workers."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        yield
        return
    place = Path(tempfile.gettempdir()) / f"onsale-tests-{run}"
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    with place.with_suffix(".gate").open("w") as gate, place.with_suffix(".lock").open("w") as lock:
        _wait(gate, kind)
        _wait(lock, kind)
        if not alone:
            fcntl.flock(gate, fcntl.LOCK_UN)
        yield


def _wait(file: IO[str], kind: int) -> None:
    until = time.monotonic() + _WAITING_S_MAX
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE_S)
        else:
            return
