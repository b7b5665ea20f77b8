"""Holds of a show with a waiting room: each needs a pass, and lasts no longer than it."""

import asyncio
from collections.abc import Sequence
from typing import Final, NoReturn

from api.inputs import HoldBody
from api.outcomes import problem_of_store
from api.queue_outcomes import not_admitted
from engine.inventory.shows import Show
from engine.runtime import Serving
from engine.waitingroom.commands import Issued
from engine.waitingroom.room import NoRoom, NotAdmitted

_ON_THE_WAY_MS: Final = 1000
"""What may pass between the look at a pass and the hold: it must not outlive the pass."""


async def admitted_ttl_ms(runtime: Serving, show: Show, show_text: str, body: HoldBody) -> int:
    """Return for how long a buyer may hold: what they asked for, and no longer than their pass.

    Raises:
        ProblemError: `not-admitted`, or the store could not be asked.
    """
    checked = await runtime.waiting_room.check_pass(show, body.queue_pass, body.buyer)
    if isinstance(checked, NoRoom):
        return body.ttl_ms(show.hold_ttl_s)
    if isinstance(checked, Issued):
        return max(1, min(body.ttl_ms(show.hold_ttl_s), checked.left_ms - _ON_THE_WAY_MS))
    if isinstance(checked, NotAdmitted):
        raise not_admitted(checked, show_text)
    raise problem_of_store(checked)


async def admitted_ttls_ms(
    runtime: Serving, show: Show, show_text: str, bodies: Sequence[HoldBody]
) -> list[int | Exception]:
    """Return the same for each of several holds, asked for at once; what is refused is told so."""
    asked = (admitted_ttl_ms(runtime, show, show_text, body) for body in bodies)
    found = await asyncio.gather(*asked, return_exceptions=True)
    return [one if isinstance(one, int | Exception) else _raise(one) for one in found]


def _raise(error: BaseException) -> NoReturn:
    raise error
