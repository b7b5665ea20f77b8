"""Who waits in a lane and for what, and what of it the script need not be asked about."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from engine.inventory.allotments import NO_RIGHTS, NOWHERE, Allotments, Rights
from engine.inventory.commands import (
    Command,
    Done,
    Hold,
    NotOnSale,
    Outcome,
    Packed,
    Recovering,
    Release,
    Replace,
    Unknown,
)
from engine.inventory.shows import Show
from engine.inventory.ticket_types import TicketType

# A tuple, since a union would be made anew for each command.
SELECTING: Final = (Hold, Replace)


class Waiting(Struct, frozen=True):
    """A command in the queue, already packed, and who waits for what becomes of it."""

    command: Command
    packed: Packed
    future: asyncio.Future[Outcome]
    knows_of_queue: bool
    """Whether the show had a waiting room when this was asked for."""
    types: Mapping[str, TicketType] | None
    """The ticket types that it was asked for by; None: by none."""
    allotments: Allotments | None = None
    """Those that its selection was judged by; None: it selects nothing."""
    rights: Rights = NO_RIGHTS


def first_apart(batch: Sequence[Waiting]) -> int:
    """Return how many, from the first on, search under no number that others with other rights do.

    Numbers of what is searched may be shared by several sets of rights: the places of one set are
    not the other's, and a batch has one list of places for each number.
    """
    searched: dict[int, Rights] = {}
    for count, one in enumerate(batch):
        best = one.command.selection.best if isinstance(one.command, SELECTING) else ()
        for level, _ in best:
            if level != NOWHERE and searched.setdefault(level, one.rights) != one.rights:
                return count
    return len(batch)


def answer_unasked(show: Show, batch: list[Waiting]) -> Sequence[Outcome] | None:
    """Answer a batch that the script need not be asked about; None: ask it."""
    if not show.is_stored:
        return [_without_store(show, one.command) for one in batch]
    if show.has_queue and any(_lacks_pass(one) for one in batch):
        # Asked for when nobody needed a pass: who repeats it is asked for one.
        return [Recovering()] * len(batch)
    if any(one.types is not None and one.types != show.ticket_types for one in batch):
        # The show may not sell these places at these types any more: who repeats it is told.
        return [Recovering()] * len(batch)
    if not all(_is_judged_by(show, one) for one in batch):
        # They may be others' by now, or everybody's: who repeats it is judged by what is.
        return [Recovering()] * len(batch)
    return None


def _is_judged_by(show: Show, one: Waiting) -> bool:
    """Tell whether a selection may be had by the allotments that the show has now."""
    if one.allotments is None or one.allotments == show.allotments:
        return True
    if one.rights or not isinstance(one.command, SELECTING):
        return False
    return show.allotments.are_for_all(one.command.selection)


def _without_store(show: Show, command: Command) -> Outcome:
    """Answer a command on a show that the store is not to have: nothing of it is held."""
    if isinstance(command, Hold):
        return NotOnSale(show.state)
    return Done() if isinstance(command, Release) else Unknown()


def _lacks_pass(one: Waiting) -> bool:
    return isinstance(one.command, Hold) and not one.knows_of_queue


def tell_error(batch: Iterable[Waiting], error: Exception) -> None:
    """Tell who still waits what went wrong, in the place of an outcome."""
    for one in batch:
        if not one.future.done():
            one.future.set_exception(error)


def give_up(waiting: Iterable[Waiting]) -> None:
    """Cancel who waits for a lane that is being stopped, so that nobody waits for ever."""
    for one in waiting:
        one.future.cancel()
