"""What places of a show cost, itemised; what was asked before is in memory.

A quote depends on the price version and on the price levels of the places alone, so that a whole
on-sale asks for a few dozen of them.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.commands import Areas
from engine.inventory.manifest import Manifest
from engine.inventory.shows import Show, ShowBook
from engine.platform.database import tenant_transaction
from engine.platform.errors import store_failures
from engine.sales.pricing import FeeSchedule, Quote, Tariff, quote

_REMEMBERED_MAX: Final = 4096

_Types = tuple[str, ...]
_Composition = tuple[int, int, int, int, int, tuple[int, ...], Areas, _Types]


class Quotes:
    """The quotes that were asked for last. The same places get the same object.

    Seats are given by their price levels, as indexes in the manifest's, in the order of the seats'
    positions: the lines of a quote come in the order of their levels' first places. Types, if any,
    come in that order, too, and then those of the areas by index.
    """

    def __init__(self, book: ShowBook, app: AsyncEngine) -> None:
        """Begin with none; prices are read from the ledger through `book`, which knows most."""
        self._book = book
        self._app = app
        self._known: OrderedDict[_Composition, Quote] = OrderedDict()

    def known(
        self, show: Show, version: int, levels: Iterable[int], areas: Areas, types: _Types = ()
    ) -> Quote | None:
        """Return what places cost at a price version, None if it was not asked for lately."""
        return self._known.get(_compose(show, version, levels, areas, types))

    async def read(  # noqa: PLR0913, PLR0917 - what a price follows from
        self,
        show: Show,
        manifest: Manifest,
        version: int,
        levels: Sequence[int],
        areas: Areas,
        types: _Types,
    ) -> Quote:
        """Return what places cost at a price version, at its tariff if it was not asked for lately.

        `manifest` is what was sold from at this version.

        Raises:
            StoreUnavailableError: the ledger can't be asked.
        """
        known = self.known(show, version, levels, areas, types)
        if known is not None:
            return known
        made = quote(
            await self.prices(show, version),
            [manifest.levels[level].slug for level in levels],
            [(area, manifest.areas[area].price_level, count) for area, count in sorted(areas)],
            types,
        )
        self._known[_compose(show, version, levels, areas, types)] = made
        if len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)
        return made

    async def prices(self, show: Show, version: int) -> Tariff:
        """Return what tickets cost at a price version.

        Raises:
            StoreUnavailableError: the ledger can't be asked.
        """
        with store_failures():
            known = self._book.known_prices(show.id, version)
            if known is None:
                async with tenant_transaction(self._app, show.reseller) as connection:
                    known = await self._book.prices(connection, show.id, version)
        return Tariff(
            currency=show.currency,
            prices=known.face_values,
            types=known.types,
            fees=FeeSchedule(fee_bps=show.fee_bps, fee_fixed=show.fee_fixed),
            tax_bps=show.tax_bps,
        )

    async def places(self, show: Show, price_version: int) -> Manifest:
        """Return what places were sold by at a price version, before or after an edit of them.

        Raises:
            StoreUnavailableError: the ledger can't be asked.
        """
        with store_failures():
            return await self._book.places_at(self._app, show, price_version)


def _compose(
    show: Show, version: int, levels: Iterable[int], areas: Areas, types: _Types
) -> _Composition:
    fees = show.fee_bps, show.fee_fixed
    return show.id, version, *fees, show.tax_bps, tuple(levels), areas, types
