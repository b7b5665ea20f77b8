"""Data directories of PostgreSQL with all migrations, made once for a run and copied after.

To make one takes longer than most modules' tests. What tests how it is made (tests/ops) makes its
own.
"""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

from ops.stack import Stack

Initialise = Callable[[Path, str], None]
"""Makes a data directory for a server that runs as this identity."""


class PreparedDatabase:
    """One migrated data directory, which all processes of a run share."""

    def __init__(self, directory: Path, initialise: Initialise) -> None:
        """Take where it is to be, and how one is made from nothing."""
        self._directory = directory
        self.from_nothing = initialise
        """How one is made without it."""

    def initialise(self, data: Path, identity: str) -> None:
        """Make a data directory like it, under another name first, as if from nothing."""
        if data.is_relative_to(self._directory):
            self.from_nothing(data, identity)
            return
        fresh = data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(self._prepared(), fresh, symlinks=True)
        fresh.rename(data)

    def _prepared(self) -> Path:
        prepared = self._directory / "prepared"
        self._directory.mkdir(exist_ok=True)
        with (self._directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not prepared.exists():
                made = self._directory / "stack"
                with Stack(made, with_api=False, with_worker=False, environment={}):
                    pass
                (made / "postgres").rename(prepared)
        return prepared
