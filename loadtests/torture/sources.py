"""Copies of the platform's code with text replaced: what API and worker run under torture.

Production code knows nothing of it: the copy is what children are started in.
"""

import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from msgspec import Struct

from ops.child import Plan
from ops.places import ROOT

_COPIED: Final = ("api", "engine", "lua", "workers")
_RUN_IN: Final = "import os, sys; os.chdir(sys.argv[1]); os.execv(sys.argv[2], sys.argv[2:])"
_PARTS: Final = frozenset({"api", "worker"})


class Change(Struct, frozen=True):
    """A piece of a source file, which stands in it just once, and what it becomes."""

    path: str
    was: str
    becomes: str


SHORT_HOLDS: Final = (
    # Holds that end within a round; the API itself allows none under half a minute.
    Change("engine/catalog/shows.py", "HOLD_TTL_S_MIN: Final = 30", "HOLD_TTL_S_MIN: Final = 1"),
)
"""What every run under torture differs in."""


class ChangeError(ValueError):
    """A change does not fit the code any more; the message says which."""


class Source:
    """A copy of the code, in a directory of its own."""

    def __init__(self, directory: Path, changes: Iterable[Change]) -> None:
        """Copy the code and make the changes.

        Raises:
            ChangeError: one is not there just once.
        """
        self.directory = directory
        for name in _COPIED:
            # Times are kept, so that what was compiled before is valid here too.
            shutil.copytree(ROOT / name, directory / name)
        for change in changes:
            path = directory / change.path
            text = path.read_text(encoding="utf-8")
            found = text.count(change.was)
            if found != 1:
                msg = f"{change.path} has {found} times what is to be changed: {change.was!r}"
                raise ChangeError(msg)
            path.write_text(text.replace(change.was, change.becomes), encoding="utf-8")

    def adjust(self, plan: Plan) -> Plan:
        """Return the plan of a child that runs this code, if it is API or worker."""
        if plan.name not in _PARTS:
            return plan
        command = (sys.executable, "-c", _RUN_IN, str(self.directory), *plan.command())
        return replace(plan, command=lambda: command)
