"""The cells of a deployment: this one, and what it knows of the others."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from engine.platform.ids import REGION

_SCHEMES: Final = ("http", "https")


class Cells(Struct, frozen=True):
    """This cell's region, and the addresses of the others by theirs."""

    region: str
    others: Mapping[str, str | None]
    """Without a closing slash; None: the region is known, and where its cell is, is not."""


def read_cells(region: str, told: str) -> Cells:
    """Read what `ONSALE_CELLS` says: `us=https://us.onsale.example,ap`, in this region.

    Raises:
        ValueError: a part is none, names this cell or a region twice; the message says which.
    """
    others: dict[str, str | None] = {}
    for part in filter(None, (part.strip() for part in told.split(","))):
        other, named, address = (text.strip() for text in part.partition("="))
        if not REGION.fullmatch(other):
            msg = f"{other!r} is no region: 2 to 8 lower-case letters and digits, a letter first"
            raise ValueError(msg)
        if other == region or other in others:
            msg = f"{other} is this cell itself" if other == region else f"{other} is named twice"
            raise ValueError(msg)
        others[other] = _read_address(address) if named else None
    return Cells(region, others)


def _read_address(text: str) -> str:
    parts = urlsplit(text)
    is_one = parts.scheme in _SCHEMES and parts.hostname and text.isascii() and text.isprintable()
    has_more = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if not is_one or has_more or set(text) & set(' "<>\\'):
        msg = f"{text!r} is no address like https://us.onsale.example or http://127.0.0.1:8001"
        raise ValueError(msg)
    _ = parts.port  # raises for what is none
    return f"{parts.scheme}://{parts.netloc}"
