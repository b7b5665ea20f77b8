"""Reads shows out of PostgreSQL: a few at a time, in one snapshot, as a role that only reads."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from msgspec import Struct
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import connect_once
from engine.platform.settings import AUDITOR_ROLE, Settings
from loadtests.auditor.store import Places, StreamPlace

STATEMENT_S_MAX: Final = 120


class LedgerOrder(Struct, frozen=True):
    """An order, with the places that its active tickets are for."""

    id: bytes
    buyer: str
    status: str
    price_version: int
    hold_fp: int
    key: str
    body_fp: int
    payment_reference: str
    place: StreamPlace
    sold_at_ms: int
    seats: tuple[tuple[int, str], ...]
    """Position and label of each numbered seat, by position."""
    areas: Places
    given_seats: tuple[int, ...]
    """Those of its tickets that were given back, and its areas of those."""
    given_areas: Places
    return_no: int | None
    """The number of its return."""

    @property
    def tickets(self) -> int:
        """How many active tickets it has."""
        return len(self.seats) + sum(count for _, count in self.areas)

    @property
    def sold_seats(self) -> list[int]:
        """Return the seats that it was sold with."""
        return sorted([*(seat for seat, _ in self.seats), *self.given_seats])

    @property
    def sold_areas(self) -> list[tuple[int, int]]:
        """Return the places that it was sold with."""
        sold = Counter(dict(self.areas))
        sold.update(dict(self.given_areas))
        return sorted(sold.items())


class LedgerShow(Struct, frozen=True):
    """A show as the ledger has it."""

    id: int
    name: str
    manifest_id: int
    seat_count: int
    epoch: int
    inventory_version: int
    return_no: int
    max_per_buyer: int
    recorded_to: StreamPlace
    orders: dict[bytes, LedgerOrder]
    stranded: frozenset[StreamPlace]
    seat_blocks: frozenset[int]
    area_blocks: dict[int, int]
    area_sales: dict[int, tuple[int, int]]
    """Area index to capacity and places sold."""
    removed: frozenset[int] = frozenset()
    """Seats that edits have taken out."""
    capacities: dict[int, int] = {}
    """Area index to the capacity that edits have given it."""
    is_archived: bool = False
    """Whether Redis is not to have it any more."""


class ShowSize(Struct, frozen=True):
    """A show to audit, and how much there is of it."""

    id: int
    manifest_id: int
    seat_count: int


_SHOWS: Final = text(
    "SELECT shows.id, manifest_id, seat_count FROM shows"
    " JOIN manifests ON manifests.id = manifest_id"
    " WHERE (manifest_id, shows.id) > (:manifest, :show)"
    " AND (CAST(:only AS bigint) IS NULL OR shows.id = :only)"
    " ORDER BY manifest_id, shows.id LIMIT :page"
)
_PLAN: Final = text("SELECT CAST(plan AS text) FROM manifests WHERE id = :manifest")
_HEADS: Final = text(
    "SELECT shows.id, shows.name, manifest_id, seat_count, shows.epoch, inventory_version,"
    " return_no, max_per_buyer, archived_at, recorder_positions.epoch AS recorded_epoch, seq"
    " FROM shows JOIN manifests ON manifests.id = manifest_id"
    " LEFT JOIN recorder_positions ON show_id = shows.id WHERE shows.id = ANY(:shows)"
)
_ORDERS: Final = text(
    "SELECT id, show_id, buyer, status, price_version, hold_fp, purchase_key, body_fp,"
    " payment_reference, epoch, position, round(extract(epoch FROM sold_at) * 1000) AS sold_at_ms,"
    " (SELECT return_no FROM returns WHERE order_id = orders.id) AS return_no"
    " FROM orders WHERE show_id = ANY(:shows)"
)
_TICKETS: Final = text(
    "SELECT order_id, array_agg(seat_index) AS seats, array_agg(area_index) AS areas,"
    " array_agg(label) AS labels, array_agg(tickets.status = 'returned') AS given"
    " FROM tickets JOIN orders ON orders.id = order_id WHERE orders.show_id = ANY(:shows)"
    " AND tickets.status IN ('active', 'returned') GROUP BY order_id"
)
_STRANDED: Final = text(
    "SELECT show_id, stream_epoch, stream_seq FROM stranded_facts WHERE show_id = ANY(:shows)"
)
_SEAT_BLOCKS: Final = text(
    "SELECT show_id, seat_index FROM seat_blocks WHERE show_id = ANY(:shows)"
)
_AREA_BLOCKS: Final = text(
    "SELECT show_id, area_index, count FROM area_blocks WHERE show_id = ANY(:shows)"
)
_AREA_SALES: Final = text(
    "SELECT show_id, area_index, capacity, sold FROM area_sales WHERE show_id = ANY(:shows)"
)
_OVERLAYS: Final = text(
    "SELECT DISTINCT ON (show_id) show_id, overlay->'removed' AS removed,"
    " overlay->'capacities' AS capacities FROM show_edits WHERE show_id = ANY(:shows)"
    " ORDER BY show_id, edit_no DESC"
)


@asynccontextmanager
async def open_ledger(settings: Settings) -> AsyncGenerator[AsyncConnection]:
    """Open a connection as the auditor; every transaction on it is one snapshot, read only."""
    url, role = settings.database_login(AUDITOR_ROLE)
    async with connect_once(url, role=role, command_timeout_s=STATEMENT_S_MAX) as connection:
        yield await connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )


async def list_shows(
    connection: AsyncConnection, after: ShowSize | None, only: int | None, page: int
) -> list[ShowSize]:
    """Return the next shows, those of one hall together."""
    found = await connection.execute(
        _SHOWS,
        {
            "manifest": after.manifest_id if after else -1,
            "show": after.id if after else -1,
            "only": only,
            "page": page,
        },
    )
    return [ShowSize(*row) for row in found]


async def read_plan(connection: AsyncConnection, manifest: int) -> str:
    """Return a manifest's seating plan as JSON."""
    return (await connection.execute(_PLAN, {"manifest": manifest})).scalar_one()


async def read_ledger(connection: AsyncConnection, shows: Sequence[int]) -> dict[int, LedgerShow]:
    """Return what the ledger has of these shows. The caller's transaction makes it one moment."""
    orders = await _orders(connection, shows)
    stranded: dict[int, set[StreamPlace]] = {show: set() for show in shows}
    for row in await _rows(connection, _STRANDED, shows):
        stranded[row["show_id"]].add((row["stream_epoch"], row["stream_seq"]))
    seat_blocks: dict[int, set[int]] = {show: set() for show in shows}
    for row in await _rows(connection, _SEAT_BLOCKS, shows):
        seat_blocks[row["show_id"]].add(row["seat_index"])
    area_blocks: dict[int, dict[int, int]] = {show: {} for show in shows}
    for row in await _rows(connection, _AREA_BLOCKS, shows):
        area_blocks[row["show_id"]][row["area_index"]] = row["count"]
    area_sales: dict[int, dict[int, tuple[int, int]]] = {show: {} for show in shows}
    for row in await _rows(connection, _AREA_SALES, shows):
        area_sales[row["show_id"]][row["area_index"]] = (row["capacity"], row["sold"])
    removed: dict[int, set[int]] = {show: set() for show in shows}
    capacities: dict[int, dict[int, int]] = {show: {} for show in shows}
    for row in await _rows(connection, _OVERLAYS, shows):
        for start, end, _ in row["removed"] or ():
            removed[row["show_id"]].update(range(start, end))
        capacities[row["show_id"]].update(row["capacities"] or ())
    return {
        row["id"]: LedgerShow(
            id=row["id"],
            name=row["name"],
            manifest_id=row["manifest_id"],
            seat_count=row["seat_count"],
            epoch=row["epoch"],
            inventory_version=row["inventory_version"],
            return_no=row["return_no"],
            max_per_buyer=row["max_per_buyer"],
            is_archived=row["archived_at"] is not None,
            recorded_to=(row["recorded_epoch"] or 0, row["seq"] or 0),
            orders=orders[row["id"]],
            stranded=frozenset(stranded[row["id"]]),
            seat_blocks=frozenset(seat_blocks[row["id"]]),
            area_blocks=area_blocks[row["id"]],
            area_sales=area_sales[row["id"]],
            removed=frozenset(removed[row["id"]]),
            capacities=capacities[row["id"]],
        )
        for row in await _rows(connection, _HEADS, shows)
    }


class _Tickets:
    """Some tickets of an order."""

    def __init__(self) -> None:
        self.seats: list[tuple[int, str]] = []
        self.areas: Counter[int] = Counter()


async def _orders(
    connection: AsyncConnection, shows: Sequence[int]
) -> dict[int, dict[bytes, LedgerOrder]]:
    active: dict[UUID, _Tickets] = {}
    given_back: dict[UUID, _Tickets] = {}
    for row in await _rows(connection, _TICKETS, shows):
        places = zip(row["seats"], row["areas"], row["labels"], row["given"], strict=True)
        for seat, area, label, given in places:
            tickets = (given_back if given else active).setdefault(row["order_id"], _Tickets())
            if seat is None:
                tickets.areas[area] += 1
            else:
                tickets.seats.append((seat, label))
    found: dict[int, dict[bytes, LedgerOrder]] = {show: {} for show in shows}
    for row in await _rows(connection, _ORDERS, shows):
        order: UUID = row["id"]
        has = active.get(order, _Tickets())
        had = given_back.get(order, _Tickets())
        found[row["show_id"]][order.bytes] = LedgerOrder(
            id=order.bytes,
            buyer=row["buyer"],
            status=row["status"],
            price_version=row["price_version"],
            hold_fp=row["hold_fp"],
            key=row["purchase_key"],
            body_fp=row["body_fp"],
            payment_reference=row["payment_reference"],
            place=(row["epoch"], row["position"]),
            sold_at_ms=int(row["sold_at_ms"]),
            seats=tuple(sorted(has.seats)),
            areas=tuple(sorted(has.areas.items())),
            given_seats=tuple(sorted(seat for seat, _ in had.seats)),
            given_areas=tuple(sorted(had.areas.items())),
            return_no=row["return_no"],
        )
    return found


async def _rows(
    connection: AsyncConnection, query: TextClause, shows: Sequence[int]
) -> list[Mapping[str, Any]]:
    found = await connection.execute(query, {"shows": list(shows)})
    return [dict(row) for row in found.mappings()]
