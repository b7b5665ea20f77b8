"""Groups of seats to ask for: two next to each other, the best first, until the hall is shared out.

Every seat is in one group, so a hall whose groups are all sold is sold out. Where a row has an
odd number, its last seat is a group by itself.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

import aiohttp

from loadtests.buyers.desk import Desk
from loadtests.buyers.storefront import Storefront
from loadtests.buyers.tally import Tally

SIZE: Final = 2

Group = tuple[str, ...]
"""Labels."""


async def read_groups(base_url: str, api_key: str, show: str) -> list[Group]:
    """Ask the API for a show's seats and share them out.

    Raises:
        GaveUpError: it does not answer.
    """
    async with aiohttp.ClientSession() as session:
        front = Storefront(Desk(session, base_url, api_key, Tally()), show)
        await front.load()
    return list(share_out(front.labels))


def share_out(labels: Sequence[str]) -> Iterator[Group]:
    """Yield the groups of seats given by position, where "" is an aisle or the end of a row."""
    for is_seat, run in groupby(labels, bool):
        row = list(run) if is_seat else []
        for first in range(0, len(row), SIZE):
            yield tuple(row[first : first + SIZE])
