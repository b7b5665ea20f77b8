"""What is told of listed shows, kept in memory but for what changes while they sell.

A show's document follows from its listing, and is made anew when that has changed: results say as
of when a show is listed. So to tell a page takes the few columns that change often, and no more.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from engine.catalog.finding import PublicShow
from engine.catalog.search import Result
from engine.catalog.search_terms import Near, Point

_ENTRY_BYTES: Final = 400
"""What an entry takes beside its content, about."""

ReadListed = Callable[[Sequence[int]], Awaitable[list[PublicShow]]]


class Document(Struct, frozen=True):
    """What is told of a show, and where it is."""

    changed_at: datetime
    content: bytes
    point: Point | None


class Documents:
    """What one process keeps, up to a bound."""

    def __init__(self, *, bytes_max: int) -> None:
        """Take a bound on the memory."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[int, Document] = OrderedDict()

    async def of(
        self, found: Sequence[Result], read: ReadListed, write: Callable[[PublicShow], bytes]
    ) -> dict[int, Document]:
        """Return the documents of shows by their ids; what is listed no more has none.

        Raises what `read` raises, which is asked for those that are missing.
        """
        documents: dict[int, Document] = {}
        missing: list[int] = []
        for one in found:
            kept = self._kept.get(one.show_id)
            # A listing that is older than the document was read before it: what is newer is told.
            if kept is None or kept.changed_at < one.changed_at:
                missing.append(one.show_id)
            else:
                self._kept.move_to_end(one.show_id)
                documents[one.show_id] = kept
        for show in await read(missing) if missing else ():
            documents[show.show_id] = self._keep(show, write(show))
        return documents

    @property
    def bytes_kept(self) -> int:
        """How much memory it takes, about."""
        return self._bytes

    def _keep(self, show: PublicShow, content: bytes) -> Document:
        point = None
        if show.latitude is not None and show.longitude is not None:
            point = Near(show.latitude, show.longitude).point()
        document = Document(show.changed_at, content, point)
        before = self._kept.pop(show.show_id, None)
        if before is not None:
            self._bytes -= len(before.content) + _ENTRY_BYTES
        self._kept[show.show_id] = document
        self._bytes += len(content) + _ENTRY_BYTES
        while self._bytes > self._bytes_max and self._kept:
            _, forgotten = self._kept.popitem(last=False)
            self._bytes -= len(forgotten.content) + _ENTRY_BYTES
        return document
