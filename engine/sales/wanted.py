"""What a request names, in the API's words, and what that is in a show's manifest."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

from msgspec import Struct

from engine.inventory.commands import Selection
from engine.inventory.shows import Show


class WantedType(Struct, frozen=True):
    """Which of the wanted places are to be of a ticket type: as `Wanted`, but so many of `best`."""

    slug: str
    seats: Sequence[str] = ()
    areas: tuple[tuple[str, int], ...] = ()
    best: int = 0


class Wanted(Struct, frozen=True):
    """A selection as a request names it: seat labels, (area slug, count), (level slug, count).

    Of what its types name, all is among that, and nothing named twice; the rest is standard.
    """

    seats: Sequence[str] = ()
    areas: tuple[tuple[str, int], ...] = ()
    best: tuple[tuple[str, int], ...] = ()
    types: tuple[WantedType, ...] = ()


class UnknownPlaces(Struct, frozen=True):
    """The show has no such seats, areas or price levels."""

    seats: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()
    price_levels: tuple[str, ...] = ()


def resolve(show: Show, wanted: Wanted) -> Selection | UnknownPlaces:
    """Return the positions and indexes of what is wanted, or all of it that the show has not.

    Of its types nothing is said: see `chosen_types`.
    """
    manifest = show.manifest
    if not wanted.areas and not wanted.best:
        positions = _positions(wanted.seats, manifest.index_by_label)
        if positions is not None:
            return Selection(positions)
    # One that was taken out, as far as this process knows, may be back: the store decides.
    seats = tuple(map(manifest.planned_index, wanted.seats))
    areas = tuple([(manifest.area_by_slug.get(slug), count) for slug, count in wanted.areas])
    best = tuple([(manifest.level_by_slug.get(slug), count) for slug, count in wanted.best])
    if _all_known(seats) and _all_paired(areas) and _all_paired(best):
        return Selection(seats, areas, best)
    return UnknownPlaces(
        seats=tuple(
            dict.fromkeys(
                label
                for label, position in zip(wanted.seats, seats, strict=True)
                if position is None
            )
        ),
        areas=_missing((slug for slug, _ in wanted.areas), manifest.area_by_slug),
        price_levels=_missing((slug for slug, _ in wanted.best), manifest.level_by_slug),
    )


def _positions(labels: Iterable[str], known: Mapping[str, int]) -> tuple[int, ...] | None:
    positions: list[int] = []
    for label in labels:
        position = known.get(label)
        if position is None:
            return None
        positions.append(position)
    return tuple(positions)


def _all_known(positions: tuple[int | None, ...]) -> TypeGuard[tuple[int, ...]]:
    return None not in positions


def _all_paired(
    pairs: tuple[tuple[int | None, int], ...],
) -> TypeGuard[tuple[tuple[int, int], ...]]:
    return not pairs or all(index is not None for index, _ in pairs)


def _missing(names: Iterable[str], known: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name not in known))
