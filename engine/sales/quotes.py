"""What places of a show cost, itemised; what was asked before is in memory.

A quote depends on the price version and on the price levels of the places alone, so that a whole
on-sale asks for a few dozen of them.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from engine.inventory.commands import Areas
from engine.inventory.manifest import Manifest
from engine.inventory.shows import Show
from engine.sales.pricing import Quote, Tariff, quote

_REMEMBERED_MAX: Final = 4096

_Types = tuple[str, ...]
_Composition = tuple[int, int, int, int, int, tuple[int, ...], Areas, _Types]


class Quotes:
    """The quotes that were asked for last. The same places get the same object.

    Seats are given by their price levels, as indexes in the manifest's, in the order of the seats'
    positions: the lines of a quote come in the order of their levels' first places. Types, if any,
    come in that order, too, and then those of the areas by index.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._known: OrderedDict[_Composition, Quote] = OrderedDict()

    def known(
        self, show: Show, version: int, levels: Iterable[int], areas: Areas, types: _Types = ()
    ) -> Quote | None:
        """Return what places cost at a price version, None if it was not asked for lately."""
        return self._known.get(_compose(show, version, levels, areas, types))

    def make(  # noqa: PLR0913, PLR0917 - what a price follows from
        self,
        show: Show,
        manifest: Manifest,
        version: int,
        levels: Iterable[int],
        areas: Areas,
        types: _Types,
        tariff: Tariff,
    ) -> Quote:
        """Return what places cost at this version's tariff, and remember it.

        `manifest` is what was sold from at this version.
        """
        made = quote(
            tariff,
            [manifest.levels[level].slug for level in levels],
            [(area, manifest.areas[area].price_level, count) for area, count in sorted(areas)],
            types,
        )
        self._known[_compose(show, version, levels, areas, types)] = made
        if len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)
        return made


def _compose(
    show: Show, version: int, levels: Iterable[int], areas: Areas, types: _Types
) -> _Composition:
    fees = show.fee_bps, show.fee_fixed
    return show.id, version, *fees, show.tax_bps, tuple(levels), areas, types
