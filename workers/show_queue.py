"""Shows that wait for a turn: each waits at most once, and none is taken twice at the same time."""

import asyncio


class ShowQueue:
    """First come, first served; bounded by the number of shows."""

    def __init__(self) -> None:
        """Start empty."""
        self._waiting: dict[int, None] = {}
        self._taken: set[int] = set()
        self._again: set[int] = set()
        self._filled = asyncio.Event()

    def add(self, show: int) -> None:
        """Ask for a turn. While the show has one, it gets another afterwards."""
        if show in self._taken:
            self._again.add(show)
        else:
            self._waiting[show] = None
            self._filled.set()

    async def take(self) -> int:
        """Wait for a show and take it; `done` gives it back."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        show = next(iter(self._waiting))
        del self._waiting[show]
        self._taken.add(show)
        return show

    def done(self, show: int) -> None:
        """End a show's turn."""
        self._taken.discard(show)
        if show in self._again:
            self._again.discard(show)
            self.add(show)
