"""Shows that wait for a turn: each waits at most once, and none is taken twice at the same time.

Of a cluster one server may hang, and whoever asks it with it: so the shows of one server have a
part of the turns only, as soon as there is another server.
"""

import asyncio
from collections import Counter


class ShowQueue:
    """First come, first served; bounded by the number of shows."""

    def __init__(self, *, of_one_server_max: int) -> None:
        """Start empty; take how many shows of one among several servers have a turn at once."""
        self._of_one_server_max = of_one_server_max
        self._waiting: dict[int, str] = {}
        self._taken: dict[int, str] = {}
        self._again: dict[int, str] = {}
        self._servers: set[str] = set()
        self._changed = asyncio.Event()

    def add(self, show: int, server: str = "") -> None:
        """Ask for a turn. While the show has one, it gets another afterwards."""
        self._servers.add(server)
        if show in self._taken:
            self._again[show] = server
        else:
            self._waiting[show] = server
            self._changed.set()

    async def take(self) -> tuple[int, str]:
        """Wait for a show and take it, with its server; `done` gives it back."""
        while (show := self._next()) is None:
            self._changed.clear()
            await self._changed.wait()
        server = self._taken[show] = self._waiting.pop(show)
        return show, server

    def done(self, show: int) -> None:
        """End a show's turn."""
        self._taken.pop(show, None)
        self._changed.set()
        if show in self._again:
            self.add(show, self._again.pop(show))

    def _next(self) -> int | None:
        """Return the first whose server has not all the turns that it may have."""
        if len(self._servers) <= 1:
            return next(iter(self._waiting), None)
        busy = Counter(self._taken.values())
        return next(
            (
                show
                for show, server in self._waiting.items()
                if busy[server] < self._of_one_server_max
            ),
            None,
        )
