"""What places of a show cost, itemised; what was asked before is in memory.

A quote depends on the price version and on the price levels of the places alone, so that a whole
on-sale asks for a few dozen of them.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from engine.inventory.commands import Areas
from engine.inventory.shows import Show
from engine.sales.pricing import Quote, Tariff, quote

_REMEMBERED_MAX: Final = 4096

_Composition = tuple[int, int, int, int, int, tuple[int, ...], Areas]


class Quotes:
    """The quotes that were asked for last. The same places get the same object."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: OrderedDict[_Composition, Quote] = OrderedDict()

    def known(self, show: Show, version: int, seats: Iterable[int], areas: Areas) -> Quote | None:
        """Return what places cost at a price version, None if it was not asked for lately."""
        return self._known.get(_compose(show, version, seats, areas))

    def make(
        self, show: Show, version: int, seats: Iterable[int], areas: Areas, tariff: Tariff
    ) -> Quote:
        """Return what places cost at this version's tariff, and remember it."""
        made = price_places(show, tariff, seats, areas)
        self._known[_compose(show, version, seats, areas)] = made
        if len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)
        return made


def _compose(show: Show, version: int, seats: Iterable[int], areas: Areas) -> _Composition:
    # By position, as the lines of a quote come in the order of their levels' first places.
    levels = tuple(map(show.manifest.level_by_position.__getitem__, sorted(seats)))
    return show.id, version, show.fee_bps, show.fee_fixed, show.tax_bps, levels, areas


def price_places(show: Show, tariff: Tariff, seats: Iterable[int], areas: Areas) -> Quote:
    """Return what seats and places of a show cost, itemised, in the order of their positions."""
    manifest = show.manifest
    return quote(
        tariff,
        (manifest.levels[manifest.level_of(seat)].slug for seat in sorted(seats)),
        ((area, manifest.areas[area].price_level, count) for area, count in sorted(areas)),
    )
