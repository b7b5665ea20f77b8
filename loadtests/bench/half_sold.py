"""A hall that has been sold in part the way halls are: by groups, here and there.

Pure: it says which seats go; who buys them is another's business. The same seed gives the same.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Final

_GROUPS: Final = (1, 2, 3, 4)


class Hall:
    """Runs of neighbours, from aisle to aisle, and which of their seats are still open."""

    def __init__(self, runs: Iterable[Sequence[str]], *, seed: int) -> None:
        """Take the seats' labels by run, and the seed of the dice."""
        self._runs = [list(run) for run in runs]
        self._open = [[True] * len(run) for run in self._runs]
        self._luck = random.Random(seed)  # noqa: S311 -- where buyers sit

    @property
    def open_count(self) -> int:
        """How many seats are open."""
        return sum(map(sum, self._open))

    @property
    def open_seats(self) -> list[str]:
        """The labels of the open seats, in order."""
        return [
            label
            for run, states in zip(self._runs, self._open, strict=True)
            for label, is_open in zip(run, states, strict=True)
            if is_open
        ]

    @property
    def open_runs(self) -> list[int]:
        """How many open seats there are side by side, run for run."""
        lengths: list[int] = []
        for states in self._open:
            length = 0
            for is_open in [*states, False]:
                if is_open:
                    length += 1
                elif length:
                    lengths.append(length)
                    length = 0
        return lengths

    def sell_at_random(self, count: int) -> list[tuple[str, ...]]:
        """Sell so many seats to groups of one to four who sit together anywhere; name the groups.

        Raises:
            ValueError: there are not so many.
        """
        if count > self.open_count:
            msg = f"{count} of {self.open_count} open seats can't be sold"
            raise ValueError(msg)
        groups: list[tuple[str, ...]] = []
        places = [(run, n) for run, states in enumerate(self._open) for n in range(len(states))]
        self._luck.shuffle(places)
        left = count
        for run, first in places:
            if not left:
                break
            wanted = min(self._luck.choice(_GROUPS), left)
            group = self._take(run, first, wanted)
            if group:
                groups.append(group)
                left -= len(group)
        return groups

    def sell_until_none_together(self, together: int) -> list[tuple[str]]:
        """Sell single seats until nowhere so many are open side by side; name them."""
        sold: list[tuple[str]] = []
        for run, states in enumerate(self._open):
            length = 0
            for n, is_open in enumerate(states):
                length = length + 1 if is_open else 0
                if length == together:
                    states[n] = False
                    length = 0
                    sold.append((self._runs[run][n],))
        return sold

    def _take(self, run: int, first: int, wanted: int) -> tuple[str, ...]:
        """Sell the open seats from here, as many as wanted or as are side by side."""
        states = self._open[run]
        taken: list[str] = []
        for n in range(first, min(first + wanted, len(states))):
            if not states[n]:
                break
            states[n] = False
            taken.append(self._runs[run][n])
        return tuple(taken)
