"""What the recorder has to know of a show to price a sale and name its seats."""

from collections import OrderedDict
from typing import Final, Protocol

from msgspec import Struct, field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.manifest import Manifest
from engine.inventory.price_versions import read_type_prices
from engine.inventory.shows import ShowBook
from engine.platform.tables import price_versions
from engine.sales.pricing import FeeSchedule, Quote, Tariff, UnpricedError, quote

# Some 200 bytes each.
_POSITIONS_CACHED_MAX: Final = 2_000_000
_QUOTES_CACHED_MAX: Final = 4096

_Selection = tuple[int, tuple[str, ...], tuple[tuple[int, str, int], ...], tuple[str, ...]]


class SeatPlace(Struct, frozen=True):
    """One numbered seat: its label and its price level's slug."""

    label: str
    price_level: str


class AreaPlace(Struct, frozen=True):
    """One GA area: its slug, its price level's slug, how many it takes."""

    slug: str
    price_level: str
    capacity: int


class Places(Protocol):
    """Where a show's tickets are for: all that the recorder asks of a manifest."""

    def seat(self, position: int) -> SeatPlace:
        """Return the seat at a position; raises IndexError where none is."""
        ...

    def area(self, index: int) -> AreaPlace:
        """Return the area of that index; raises IndexError if there is none."""
        ...


class Terms(Struct, frozen=True):
    """What a show's tickets are sold on. A published price version never changes."""

    reseller: int
    places: Places
    tariffs: dict[int, Tariff]
    """By price version."""
    since: int = 0
    """From which price version on `places` is what was sold."""
    earlier: dict[int, Places] = {}
    """By price version, of before an edit of the show's places."""
    _quotes: dict[_Selection, Quote] = field(default_factory=dict[_Selection, Quote])

    def places_at(self, price_version: int) -> Places:
        """Return the places as they were sold at a price version."""
        return self.earlier.get(price_version, self.places)

    def knows(self, price_version: int) -> bool:
        """Tell whether it has what was sold at a price version."""
        if price_version not in self.tariffs:
            return False
        return price_version >= self.since or price_version in self.earlier

    def quote(
        self,
        price_version: int,
        seat_levels: tuple[str, ...],
        areas: tuple[tuple[int, str, int], ...],
        types: tuple[str, ...] = (),
    ) -> Quote:
        """Return what a selection costs: as `pricing.quote`, each computed once.

        Buyers choose alike, so that most sales of a batch have one of a few quotes, and equal ones
        are one object.

        Raises:
            UnpricedError: there is no such price version, or a level has no price in it.
        """
        selection = price_version, seat_levels, areas, types
        known = self._quotes.get(selection)
        if known is None:
            tariff = self.tariffs.get(price_version)
            if tariff is None:
                msg = f"no price version {price_version}"
                raise UnpricedError(msg)
            while len(self._quotes) >= _QUOTES_CACHED_MAX:
                del self._quotes[next(iter(self._quotes))]
            known = self._quotes[selection] = quote(tariff, seat_levels, areas, types)
        return known


class TermsSource(Protocol):
    """Where the recorder gets a show's terms."""

    async def terms(self, show: int, price_versions: frozenset[int]) -> Terms:
        """Return the terms, with at least those of the price versions asked for that exist."""
        ...


class ManifestPlaces:
    """A compiled manifest, as the recorder sees it."""

    def __init__(self, manifest: Manifest, now: Manifest | None = None) -> None:
        """Take the manifest that was sold from, and the show's own of now if that is another."""
        self._manifest = manifest
        self._now = now or manifest

    def seat(self, position: int) -> SeatPlace:
        """Return the seat at a position; raises IndexError where none is."""
        level = self._manifest.levels[self._manifest.level_of(position)]
        return SeatPlace(self._manifest.label_of(position), level.slug)

    def area(self, index: int) -> AreaPlace:
        """Return the area of that index; raises IndexError if there is none."""
        area = self._manifest.areas[index]
        return AreaPlace(area.slug, area.price_level, self._now.areas[index].capacity)


class LedgerTerms:
    """Terms read from PostgreSQL; those of the shows that sold last are remembered."""

    def __init__(
        self, engine: AsyncEngine, book: ShowBook, *, positions_max: int = _POSITIONS_CACHED_MAX
    ) -> None:
        """Take the recorder's engine, the book that compiles manifests, and a bound in seats."""
        self._engine = engine
        self._book = book
        self._positions_max = positions_max
        self._known: OrderedDict[int, tuple[Terms, int]] = OrderedDict()

    async def terms(self, show: int, price_versions: frozenset[int]) -> Terms:
        """Return a show's terms, read again when a price version asked for is not among them.

        Raises:
            UnknownShowError: the ledger has no such show.
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
        """
        known, _ = self._known.get(show, (None, 0))
        if known is None or not all(map(known.knows, price_versions)):
            known, positions = await self._read(show, price_versions)
            self._known[show] = known, positions
        self._known.move_to_end(show)
        while len(self._known) > 1 and self._positions() > self._positions_max:
            self._known.popitem(last=False)
        return known

    def _positions(self) -> int:
        return sum(positions for _, positions in self._known.values())

    async def _read(self, show: int, asked: frozenset[int]) -> tuple[Terms, int]:
        async with self._engine.connect() as connection:
            found = await self._book.read(connection, show)
            priced = select(
                price_versions.c.version, price_versions.c.prices, price_versions.c.type_prices
            ).where(price_versions.c.show_id == show)
            tariffs = {
                version: Tariff(
                    currency=found.currency,
                    prices=prices,
                    types=read_type_prices(types),
                    fees=FeeSchedule(fee_bps=found.fee_bps, fee_fixed=found.fee_fixed),
                    tax_bps=found.tax_bps,
                )
                for version, prices, types in await connection.execute(priced)
            }
            earlier = {
                version: await self._book.read_places_at(connection, found, version)
                for version in asked & tariffs.keys()
                if not found.knows_places_of(version)
            }
        now = found.manifest
        terms = Terms(
            reseller=found.reseller,
            places=ManifestPlaces(now),
            tariffs=tariffs,
            since=found.edit_price_version,
            earlier={version: ManifestPlaces(one, now) for version, one in earlier.items()},
        )
        return terms, len(now.layout) * (1 + len({id(one) for one in earlier.values()}))
