"""Where a run takes place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from loadtests.spike.queue_watch import QueueRules

Parts = Callable[[], Mapping[str, Sequence[int]]]
"""Process ids by part of the platform, as they are now."""

_HEX_OF_A_NUMBER: Final = 16


class Venue(Struct, frozen=True, kw_only=True):
    """A deployment and a show that it sells."""

    base_url: str
    api_key: str
    show: str
    parts: Parts
    """Nothing, where the platform runs elsewhere."""
    queue: QueueRules | None = None
    """Of the waiting room that visitors go through, if they do."""

    @property
    def show_number(self) -> int:
        """The show as the stores know it."""
        return int(self.show[-_HEX_OF_A_NUMBER:], 16)
