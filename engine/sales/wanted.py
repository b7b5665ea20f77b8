"""What a request names, in the API's words, and what that is in a show's manifest."""

from typing import Final

from msgspec import Struct

from engine.inventory.commands import Selection
from engine.inventory.shows import Show


class Wanted(Struct, frozen=True):
    """A selection as a request names it: seat labels, (area slug, count), (level slug, count)."""

    seats: tuple[str, ...] = ()
    areas: tuple[tuple[str, int], ...] = ()
    best: tuple[tuple[str, int], ...] = ()


class UnknownPlaces(Struct, frozen=True):
    """The show has no such seats, areas or price levels."""

    seats: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    price_levels: tuple[str, ...] = ()


def resolve(show: Show, wanted: Wanted) -> Selection | UnknownPlaces:
    """Return the positions and indexes of what is wanted, or all of it that the show has not."""
    manifest = show.manifest
    seats = {label: manifest.index(label) for label in wanted.seats}
    areas = {slug: manifest.area_index(slug) for slug, _ in wanted.areas}
    levels = {slug: manifest.level_index(slug) for slug, _ in wanted.best}
    unknown = UnknownPlaces(
        seats=tuple(label for label, seat in seats.items() if seat is None),
        areas=tuple(slug for slug, area in areas.items() if area is None),
        price_levels=tuple(slug for slug, level in levels.items() if level is None),
    )
    if unknown != _ALL_KNOWN:
        return unknown
    return Selection(
        seats=tuple(seat for seat in seats.values() if seat is not None),
        areas=tuple((manifest.area_by_slug[slug], count) for slug, count in wanted.areas),
        best=tuple((manifest.level_by_slug[slug], count) for slug, count in wanted.best),
    )


_ALL_KNOWN: Final = UnknownPlaces()
