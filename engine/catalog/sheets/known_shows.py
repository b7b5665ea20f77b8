"""The shows that a sheet names, and what they are sold at."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct
from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.catalog.price_steps import PriceStep, read_pending_steps
from engine.catalog.prices import read_types_of
from engine.catalog.sheets.cells import Cells
from engine.catalog.sheets.guesses import NAMES_MAX, Guesses, parsed
from engine.catalog.sheets.table import Line, Problems
from engine.catalog.transitions import ShowState
from engine.inventory.price_versions import Prices, read_type_prices
from engine.inventory.ticket_types import TicketType
from engine.platform.ids import EntityId, Ids, Prefix
from engine.platform.tables import configurations, price_versions, shows, venues

_SHOWS_MAX: Final = 20_000
_NO_VENUE: Final = "UTC"


class KnownShow(Struct, frozen=True, kw_only=True):
    """A show that a sheet may name. Without a venue of its own it is told in UTC."""

    id: EntityId
    name: str
    starts_at: datetime
    time_zone: str
    currency: str

    @property
    def zone(self) -> ZoneInfo:
        """Return where its times are."""
        return ZoneInfo(self.time_zone)


class Offer(Struct, frozen=True, kw_only=True):
    """What a show sells at, and what is to come."""

    state: ShowState
    prices: Prices
    types: dict[str, TicketType]
    steps: Sequence[PriceStep]


class KnownShows:
    """Finds the shows that lines name; what it does not find it says in words."""

    def __init__(self, ids: Ids, found: Sequence[KnownShow], others: Sequence[str]) -> None:
        """Take the shows that are named, and the names of others that may be meant."""
        self._ids = ids
        self._others = others
        self._guesses = Guesses()
        self._named: dict[str | EntityId, list[KnownShow]] = defaultdict(list)
        self._starts: dict[str, dict[str, dict[datetime, list[KnownShow]]]] = {}
        for show in found:
            self._named[show.name].append(show)
            self._named[show.id].append(show)
            zone = self._starts.setdefault(show.name, {}).setdefault(show.time_zone, {})
            zone.setdefault(show.starts_at, []).append(show)

    def find(self, line: Line, cells: Cells) -> KnownShow | None:
        """Return the show that a line names, by its id, or its name and, if need be, its start."""
        text = cells.text("show", required=True)
        if text is None:
            return None
        number = parsed(self._ids, Prefix.SHOW, text)
        named = self._named.get(text if number is None else number, [])
        if not named:
            cells.wrong("show", self._guesses.unknown("show", text, self._others))
            return None
        found = self._starting(line, named)
        if len(found) == 1:
            self._compare(cells, found[0])
            return found[0]
        if found:
            cells.wrong(
                "show",
                f"{len(found)} shows are called “{text}”: name it by its id, as shw_..., or say "
                "which by the column starts_at",
            )
            return None
        one = named[0]
        there = one.starts_at.astimezone(one.zone).isoformat()
        cells.wrong("starts_at", f"“{one.name}” does not start then, but {there}")
        return None

    def _starting(self, line: Line, named: Sequence[KnownShow]) -> Sequence[KnownShow]:
        """Return those of the shows of an id or a name that start when the line says."""
        if "starts_at" not in line.cells:
            return named
        # Only whether it is one of these: a time that is none fits none, and that is told.
        scratch = Cells(line, Problems())
        if len(named) == 1:
            moment = scratch.moment("starts_at", named[0].zone)
            return named if moment == named[0].starts_at else ()
        found: list[KnownShow] = []
        for time_zone, starts in self._starts[named[0].name].items():
            moment = scratch.moment("starts_at", ZoneInfo(time_zone))
            found += starts.get(moment, ()) if moment else ()
        return found

    def _compare(self, cells: Cells, show: KnownShow) -> None:
        """Refuse what people read in a sheet, and is not what an import would do."""
        name, currency = cells.text("name"), cells.text("currency")
        if name is not None and name != show.name:
            cells.wrong("name", f"this show is called “{show.name}”: is another one meant?")
        if currency is not None and currency != show.currency:
            cells.wrong("currency", f"“{show.name}” is sold in {show.currency}")


def select_known() -> Any:  # noqa: ANN401 - SQLAlchemy's
    """Return a query of all that `known_show` reads of a show."""
    one = shows.c
    return (
        select(one.id, one.name, one.starts_at, one.currency, venues.c.time_zone)
        .outerjoin(configurations, configurations.c.id == one.configuration_id)
        .outerjoin(venues, venues.c.id == configurations.c.venue_id)
    )


def known_show(row: Row[Any]) -> KnownShow:
    """Read what `select_known` finds."""
    return KnownShow(
        id=EntityId(row.id),
        name=row.name,
        starts_at=row.starts_at,
        time_zone=row.time_zone or _NO_VENUE,
        currency=row.currency,
    )


async def read_known_shows(
    connection: AsyncConnection, ids: Ids, named: Collection[str]
) -> KnownShows:
    """Return those of a reseller's shows that lines name, by id or name.

    Raises:
        sqlalchemy.exc.DBAPIError: the ledger failed.
    """
    numbers = {number for text in named if (number := parsed(ids, Prefix.SHOW, text)) is not None}
    query = (
        select_known()
        .where(or_(shows.c.id.in_(numbers), shows.c.name.in_(named)))
        .order_by(shows.c.id.in_(numbers).desc(), shows.c.starts_at)
        .limit(_SHOWS_MAX)
    )
    rows = (await connection.execute(query)).all()
    found = [known_show(row) for row in rows]
    there = {one.name for one in found} | {one.id for one in found}
    others: Sequence[str] = ()
    if any((parsed(ids, Prefix.SHOW, text) or text) not in there for text in named):
        names = select(shows.c.name).order_by(shows.c.starts_at.desc()).limit(NAMES_MAX)
        others = (await connection.execute(names)).scalars().all()
    return KnownShows(ids, found, others)


async def read_offers(
    connection: AsyncConnection, wanted: Collection[EntityId]
) -> dict[EntityId, Offer]:
    """Return what shows sell at now, with their ticket types and the steps to come.

    Raises:
        sqlalchemy.exc.DBAPIError: the ledger failed.
    """
    query = (
        select(
            shows.c.id,
            shows.c.state,
            price_versions.c.version,
            price_versions.c.prices,
            price_versions.c.type_prices,
        )
        .join(
            price_versions,
            (price_versions.c.show_id == shows.c.id)
            & (price_versions.c.version == shows.c.price_version),
        )
        .where(shows.c.id.in_(list(wanted)))
    )
    rows = (await connection.execute(query)).all()
    types = await read_types_of(connection, wanted)
    steps = await read_pending_steps(connection, wanted)
    return {
        EntityId(row.id): Offer(
            state=ShowState(row.state),
            prices=Prices(row.version, row.prices, read_type_prices(row.type_prices)),
            types=types.get(row.id, {}),
            steps=steps.get(row.id, ()),
        )
        for row in rows
    }
