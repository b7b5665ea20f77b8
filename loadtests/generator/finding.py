"""Finds wrk, or fetches it from Debian without installing anything."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from loadtests.fetching import fetch

_PACKAGES: Final = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")
_PROGRAM: Final = Path("usr", "bin", "wrk")

_logger = logging.getLogger("onsale.loadtests")


def find_generator(cache: Path, say: Callable[[str], None] = _logger.info) -> Path | None:
    """Return wrk's path: the one on PATH, or that of Debian's package, unpacked into `cache`.

    None where there is neither wrk nor apt, or apt can't reach its archive; `say` gets a line that
    tells why.
    """
    installed = shutil.which("wrk")
    if installed:
        return Path(installed)
    program = cache / _PROGRAM
    if program.exists() or fetch("wrk", _PACKAGES, cache, say):
        return program
    return None
