"""Brings a program or a library of Debian's without installing anything."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

_FETCH_TIMEOUT_S: Final = 60
_UNPACK_TIMEOUT_S: Final = 30


def fetch(what: str, packages: Sequence[str], cache: Path, say: Callable[[str], None]) -> bool:
    """Unpack Debian's packages into `cache`, unless there is no apt or its archive is out of reach.

    Fetched by `apt-get download`: apt checks them against its signed lists, needs no root for that
    and changes nothing outside of `cache`. `say` gets a line that tells what is done, or why it
    can't be.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        say(f"{what} is not installed, and without apt-get it can't be fetched")
        return False
    say(f"fetching {what}")
    try:
        _fetch(packages, cache)
    except subprocess.CalledProcessError as error:
        told = str(error.stderr).strip().splitlines()
        say(f"{what} could not be fetched: {told[-1] if told else error}")
        return False
    except (subprocess.TimeoutExpired, OSError) as error:
        say(f"{what} could not be fetched: {error}")
        return False
    return True


def _fetch(packages: Sequence[str], cache: Path) -> None:
    """Unpack the packages beside `cache`, then move them there: a half-made one never counts."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent, prefix=".fetching-") as folder:
        _run(["apt-get", "-q", "download", *packages], folder, _FETCH_TIMEOUT_S)
        unpacked = Path(folder, "unpacked")
        for package in sorted(Path(folder).glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(unpacked)], folder, _UNPACK_TIMEOUT_S)
        try:
            unpacked.rename(cache)
        except OSError:
            # Somebody else was faster: theirs is as good.
            if not cache.is_dir():
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
