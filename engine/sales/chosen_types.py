"""The ticket types that a request names for its places: whether they may be so, and as a text."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from engine.inventory.commands import Selection
from engine.inventory.shows import Show
from engine.inventory.ticket_types import STANDARD, TicketType, write_types
from engine.sales.wanted import Wanted, WantedType

_POINTER: Final = "/ticket_types"


class TypeFault(Struct, frozen=True):
    """What is wrong with a type: a JSON pointer into the request, and why."""

    pointer: str
    reason: str


class TypesRefused(Struct, frozen=True):
    """The show does not sell these places at these types; all that is wrong, at once."""

    faults: tuple[TypeFault, ...]


def choose_types(show: Show, wanted: Wanted, selection: Selection) -> Selection | TypesRefused:
    """Return the selection with the types of its tickets, as far as it names any."""
    if not wanted.types:
        return selection
    faults = tuple(chain.from_iterable(_faults(show, wanted, one) for one in wanted.types))
    if faults:
        return TypesRefused(faults)
    return replace(selection, types=write_types(_list_types(wanted)))


def _list_types(wanted: Wanted) -> list[str]:
    """List the types of the tickets: of the seats as named, of the best, of each area in turn.

    Places that nothing tells apart come in the order of their types.
    """
    of_seat = {label: one.slug for one in wanted.types for label in one.seats}
    types = [of_seat.get(label, STANDARD) for label in wanted.seats]
    best = [slug for one in wanted.types for slug in [one.slug] * one.best]
    types += _filled(best, sum(count for _, count in wanted.best))
    for area, count in wanted.areas:
        own = [one.slug for one in wanted.types for _ in range(dict(one.areas).get(area, 0))]
        types += _filled(own, count)
    return types


def _filled(types: Sequence[str], count: int) -> list[str]:
    return sorted([*types, *[STANDARD] * (count - len(types))])


def _faults(show: Show, wanted: Wanted, one: WantedType) -> Iterator[TypeFault]:
    here = f"{_POINTER}/{_escaped(one.slug)}"
    known = show.ticket_types.get(one.slug)
    if known is None:
        if one.slug != STANDARD:
            offered = ", ".join(dict.fromkeys((STANDARD, *show.ticket_types)))
            yield TypeFault(here, f"no such ticket type now; the show has {offered}")
        return
    yield from _level_faults(show, wanted, one, known, here)
    count = len(one.seats) + sum(places for _, places in one.areas) + one.best
    if known.min_per_hold is not None and 0 < count < known.min_per_hold:
        yield TypeFault(here, f"at least {known.min_per_hold} in one hold, or none")
    if known.max_per_hold is not None and count > known.max_per_hold:
        yield TypeFault(here, f"at most {known.max_per_hold} in one hold")


def _level_faults(
    show: Show, wanted: Wanted, one: WantedType, known: TicketType, here: str
) -> Iterator[TypeFault]:
    manifest = show.manifest
    places = [
        *(
            (manifest.levels[manifest.level_of(manifest.index_by_label[label])].slug, f"seats/{n}")
            for n, label in enumerate(one.seats)
        ),
        *(
            (manifest.areas[manifest.area_by_slug[area]].price_level, f"areas/{_escaped(area)}")
            for area, _ in one.areas
        ),
        *((level, "best_available") for level, _ in wanted.best if one.best),
    ]
    for level, place in places:
        if not known.is_for(level):
            yield TypeFault(f"{here}/{place}", f"not offered in price level {level}")


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
