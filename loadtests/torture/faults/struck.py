"""What a strike is, and what it tells of itself."""

import random
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from loadtests.torture.ground import Ground


class Struck(Struct, frozen=True, kw_only=True):
    """A fault that struck, and is over."""

    kind: str
    at_ns: int
    """When it began, by the monotonic clock."""
    until_ns: int
    """When the world was whole again: what died runs and answers, what was in the way is gone."""
    details: str
    loses_store: bool = False
    """Whether holds, and sales that were not recorded yet, may be gone from the store."""
    loses_holds: bool = False
    """Whether holds may be gone, or stand as a little before, while no answered sale may be."""
    serves_ns: int | None = None
    """When the show had a server again on which it is to be recovered, if that is told."""
    clock_step_s: float = 0.0
    """By how much the store's clock was ahead meanwhile (behind, if negative)."""


Strike = Callable[[Ground, random.Random], Awaitable[Struck]]
"""Does one fault, by dice of its own, and ends with the world whole again.

May raise `StackError`: a part did not come back, which is a finding of its own.
"""

Act = Callable[[Ground, random.Random], Awaitable[str]]
"""The fault itself; returns its details."""


def strike(kind: str, act: Act, *, loses_store: bool = False) -> Strike:
    """Make a strike of an act: note when it began and ended."""

    async def struck(ground: Ground, dice: random.Random) -> Struck:
        began = time.monotonic_ns()
        details = await act(ground, dice)
        return Struck(
            kind=kind,
            at_ns=began,
            until_ns=time.monotonic_ns(),
            details=details,
            loses_store=loses_store,
        )

    return struck
