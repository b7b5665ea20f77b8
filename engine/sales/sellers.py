"""Sales of one reseller's show by another: whose buyers and keys these are, and who sold an order.

Buyers and purchase keys are names that each reseller chooses for itself, and a show keeps them
side by side. So those of another seller are kept behind that seller's id, which none that comes in
a request can begin with: there are no control characters in them.
"""

import re
from typing import Final

from engine.inventory.shows import Show
from engine.platform.ids import EntityId, entity_hex

_SEPARATOR: Final = "\x1f"
_read_kept: Final = re.compile(rf"([0-7][0-9a-f]{{15}}){_SEPARATOR}(.*)", re.DOTALL).fullmatch


def kept_name(show: Show, name: str) -> str:
    """Return by what a buyer, or a purchase's key, of who asks is kept."""
    return name if show.seller is None else name_of_seller(show.seller, name)


def name_of_seller(seller: int, name: str) -> str:
    """Return by what a buyer, or a key, of a seller is kept in another reseller's show."""
    return f"{entity_hex(seller)}{_SEPARATOR}{name}"


def told_name(kept: str) -> str:
    """Return a buyer in the words of who sold to them."""
    found = _read_kept(kept) if _SEPARATOR in kept else None
    return found[2] if found else kept


def seller_of(kept: str) -> EntityId | None:
    """Return which other reseller has sold to a buyer; None: the show's own."""
    found = _read_kept(kept) if _SEPARATOR in kept else None
    return EntityId(int(found[1], 16)) if found else None
