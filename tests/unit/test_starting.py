"""What no process reads at its start: most never need it, and all would wait for it."""

import subprocess
import sys

import pytest

SELDOM = ("aiohttp", "email_validator", "icalendar", "openpyxl")
SAY_WHAT = "import gc, sys, {}; print(*sys.modules, gc.isenabled(), gc.get_freeze_count() > 0)"


@pytest.mark.parametrize("module", ["web.app", "workers.__main__"])
def test_what_is_seldom_needed_is_imported_late(module: str) -> None:
    """And by then garbage is collected as ever, but for what was imported."""
    command = (sys.executable, "-c", SAY_WHAT.format(module))
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    *imported, collects, frozen = told.split()
    assert set(SELDOM).isdisjoint(imported)
    assert {"sqlalchemy", "msgspec"} <= set(imported)
    assert (collects, frozen) == ("True", "True")
