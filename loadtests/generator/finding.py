"""Finds wrk, or fetches it from Debian without installing anything."""

import logging
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

_PACKAGES: Final = ("wrk", "libluajit-5.1-2", "libluajit-5.1-common")
_FETCH_TIMEOUT_S: Final = 60
_UNPACK_TIMEOUT_S: Final = 30
_PROGRAM: Final = Path("usr", "bin", "wrk")

_logger = logging.getLogger("onsale.loadtests")


def find_generator(cache: Path, say: Callable[[str], None] = _logger.info) -> Path | None:
    """Return wrk's path: the one on PATH, or that of Debian's package, unpacked into `cache`.

    The package is fetched once, by `apt-get download`: apt checks it against its signed lists,
    needs no root for that and changes nothing outside `cache`. None where there is neither wrk nor
    apt, or apt can't reach its archive; `say` gets a line that tells why.
    """
    installed = shutil.which("wrk")
    if installed:
        return Path(installed)
    program = cache / _PROGRAM
    if program.exists():
        return program
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        say("wrk is not on PATH, and without apt-get it can't be fetched")
        return None
    say("fetching wrk")
    try:
        _fetch(cache)
    except subprocess.CalledProcessError as error:
        told = str(error.stderr).strip().splitlines()
        say(f"wrk could not be fetched: {told[-1] if told else error}")
        return None
    except (subprocess.TimeoutExpired, OSError) as error:
        say(f"wrk could not be fetched: {error}")
        return None
    return program


def _fetch(cache: Path) -> None:
    """Unpack the packages beside `cache`, then move them there: a half-made one never counts."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent, prefix=".fetching-") as folder:
        _run(["apt-get", "-q", "download", *_PACKAGES], folder, _FETCH_TIMEOUT_S)
        unpacked = Path(folder, "unpacked")
        for package in sorted(Path(folder).glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(unpacked)], folder, _UNPACK_TIMEOUT_S)
        try:
            unpacked.rename(cache)
        except OSError:
            # Somebody else was faster: theirs is as good.
            if not (cache / _PROGRAM).exists():
                raise


def _run(command: list[str], folder: str, timeout_s: int) -> None:
    subprocess.run(  # noqa: S603 -- the two programs above
        command,
        cwd=folder,
        env=dict(os.environ, LC_ALL="C.UTF-8", DEBIAN_FRONTEND="noninteractive"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=timeout_s,
    )
