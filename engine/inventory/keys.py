"""The one place where names of Redis keys and channels are built.

All keys of a show share the hash tag `{<show>}`, so a cluster keeps a show in one slot and every
script stays in it. What each key holds is in docs/ARCHITECTURE.md, *A show in Redis*.
"""

from typing import Final

from msgspec import Struct

from engine.platform.ids import entity_hex

WAKE_CHANNEL: Final = "onsale:wake"
"""Wakes the workers: `record:<show>` after a sale, `recover:<show>` when a show is fenced."""


class ShowKeys(Struct, frozen=True):
    """Names of one show's keys, and of the channel on which its recorded position is told."""

    seats: str
    areas: str
    holds: str
    expiry: str
    buyers: str
    keys: str
    meta: str
    sales: str
    deltas: str
    recorded: str

    def inventory(self) -> tuple[str, ...]:
        """Return the keys that every batch script takes, in the order of its KEYS."""
        return (
            self.seats,
            self.areas,
            self.holds,
            self.expiry,
            self.buyers,
            self.keys,
            self.meta,
            self.sales,
            self.deltas,
        )


def show_keys(show: int) -> ShowKeys:
    """Return the key names of a show."""
    tag = f"{{{entity_hex(show)}}}"
    return ShowKeys(*(f"{tag}:{name}" for name in ShowKeys.__struct_fields__))


def staged(key: str, epoch: int) -> str:
    """Return where a recovery under this epoch builds the next content of a key."""
    return f"{key}:next:{epoch}"
