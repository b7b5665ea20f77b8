"""What a claim finds: how a show stood when its recovery fenced it.

A show that lost nothing need not be written anew. Every change writes its fact in the same script,
an epoch has one line of facts, and a store that fell back, or a replica that was behind, has a
beginning of that line and never a part of a script. So if the show was open under the epoch just
before, and its last sale is none before the ledger's position in that epoch, then its content has
every sale that the ledger has, and what is missing in the ledger is in the stream, to be drained.
What goes the other way, from the ledger to the store, is numbered: changes by the house, returns.
"""

from typing import Any, Final, Self

from msgspec import Struct

from engine.inventory.facts import StreamId

OUTAGE_MS_MAX: Final = 3_600_000
"""Deadlines are put off by the outage, but by no more than this."""

SHORT_OUTAGE_MS: Final = 3_000
"""Live holds stay as they are after an outage of this length, a tenth of the shortest hold's."""


class Claimed(Struct, frozen=True, kw_only=True):
    """How a show stood when it was claimed: see `lua/claim_show.lua`."""

    outage_ms: int
    inventory_version: int
    return_no: int
    """The last return that the store had."""
    open_under: int
    """The epoch that it was open under; 0 if it was not open, or something in it is spoilt."""
    last_sale: StreamId | None
    live_holds: int

    @classmethod
    def read(cls, told: list[Any]) -> Self:
        """Read the script's answer behind its status."""
        seen_ms, now_ms, version, return_no, open_under, last_sale, live_holds = told
        return cls(
            outage_ms=min(now_ms - seen_ms, OUTAGE_MS_MAX) if seen_ms else 0,
            inventory_version=version,
            return_no=return_no,
            open_under=open_under,
            last_sale=StreamId.parse(last_sale) if last_sale else None,
            live_holds=live_holds,
        )

    def lost_nothing(self, epoch: int, position: StreamId) -> bool:
        """Tell whether no sale can be missing, and no deadline has to be put off.

        Args:
            epoch: the one that it was claimed under.
            position: how far the ledger was when that epoch was committed.
        """
        follows = 0 < self.open_under == epoch - 1 == position.epoch
        has_all = position.n < 0 or (self.last_sale is not None and self.last_sale >= position)
        in_time = not self.live_holds or self.outage_ms <= SHORT_OUTAGE_MS
        return follows and has_all and in_time

    def is_recorded(self, position: StreamId) -> bool:
        """Tell whether the ledger has its last sale."""
        return self.last_sale is None or self.last_sale <= position
