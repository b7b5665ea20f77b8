"""Ticket types: rates on a price level (adult, child, ...), and how a hold keeps them.

A hold's types are one text, which the scripts store and put into a sale's fact without reading it:
runs of `type:count`, with commas between, for its tickets in their order: its seats as its record
has them, then the places of each of its areas, there in the order of their types. No text means
that all are of the type `STANDARD`.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

from msgspec import Struct

STANDARD: Final = "standard"
"""The type of whoever names none: it costs the level's face value."""

TYPES_BYTES_MAX: Final = 4096
"""What `batch.lua` takes: a hundred tickets, each of another type than the one before."""

_Areas = Iterable[tuple[int, int]]


class TicketType(Struct, frozen=True, kw_only=True):
    """A ticket type of a show."""

    slug: str
    name: str
    kind: str
    description: str = ""
    min_per_hold: int | None = None
    """Fewer than that of it are not sold together; none is always fine."""
    max_per_hold: int | None = None
    levels: tuple[str, ...] | None = None
    """Slugs of the price levels that it is offered in; None: in all."""

    def is_for(self, level: str) -> bool:
        """Tell whether it is offered in a price level."""
        return self.levels is None or level in self.levels


class TicketTypesError(ValueError):
    """A text does not tell the types of that many tickets."""


def write_types(types: Sequence[str]) -> str:
    """Return the text for tickets of these types; empty if all are `STANDARD`."""
    if all(one == STANDARD for one in types):
        return ""
    return ",".join(f"{slug}:{len(list(run))}" for slug, run in groupby(types))


def read_types(text: str, tickets: int) -> tuple[str, ...]:
    """Return the type of each of so many tickets; nothing if all are `STANDARD`.

    Raises:
        TicketTypesError: the text is not for so many.
    """
    if not text:
        return ()
    types: list[str] = []
    for run in text.split(","):
        slug, _, count = run.rpartition(":")
        if not slug or not count.isdecimal() or len(types) + int(count) > tickets:
            break
        types += [slug] * int(count)
    else:
        if len(types) == tickets:
            return tuple(types)
    msg = f"{text!r} are not the types of {tickets} tickets"
    raise TicketTypesError(msg)


def sorted_types(text: str, seats: Sequence[int], areas: _Areas) -> tuple[str, ...]:
    """Return the types of a record's tickets: of its seats by position, of its areas by index.

    Raises:
        TicketTypesError: the text is not for so many.
    """
    if not text:
        return ()
    pairs = list(areas)
    types = read_types(text, len(seats) + sum(count for _, count in pairs))
    of_seat = dict(zip(seats, types, strict=False))
    told = [of_seat[seat] for seat in sorted(seats)]
    at = len(seats)
    of_area: dict[int, tuple[str, ...]] = {}
    for area, count in pairs:
        of_area[area] = types[at : at + count]
        at += count
    for area in sorted(of_area):
        told += of_area[area]
    return tuple(told)
