"""Static files: read once, sent compressed, and kept by browsers while they are the same."""

import hashlib
from pathlib import Path
from typing import Final

from msgspec import Struct

from api.compressing import gzipped

_FOLDER: Final = Path(__file__).parent / "static"
_KINDS: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_VERSION_CHARACTERS: Final = 12


class Asset(Struct, frozen=True):
    """A file as it is sent."""

    kind: str
    content: bytes
    gzipped: bytes
    version: str
    """Changes with the content."""


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:_VERSION_CHARACTERS]
    return Asset(_KINDS[path.suffix], content, gzipped(content), digest)


ASSETS: Final = {path.name: _read(path) for path in _FOLDER.iterdir() if path.suffix in _KINDS}


def asset_address(name: str) -> str:
    """Return where a file is, with its version: the same address never has another content."""
    return f"/queue/static/{name}?v={ASSETS[name].version}"
