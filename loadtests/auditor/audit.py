"""The audit: every show, a few at a time, and what it found again and again.

It reads a moving system. Each show is read out of Redis in one transaction, then out of PostgreSQL
in one snapshot; a show with findings is read again, twice at least, and only what is found every
time counts. A sale that the recorder has not come to may take its time, up to the grace.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.settings import Settings
from loadtests.auditor.books import judge_books
from loadtests.auditor.findings import PATIENT, RETURN_ON_THE_WAY, Finding, Findings, persisting
from loadtests.auditor.hall import Hall, read_hall
from loadtests.auditor.judge_both import judge_both, judge_labels, judge_ledger, on_the_way
from loadtests.auditor.judge_store import as_planned, judge_store, stands
from loadtests.auditor.ledger import (
    LedgerShow,
    ShowSize,
    list_shows,
    open_ledger,
    read_ledger,
    read_plan,
)
from loadtests.auditor.servers import Servers, open_servers
from loadtests.auditor.store import Guard, StoreView, read_guard, read_show

GRACE_S: Final = 6.0
"""How long a sale may be on its way to the ledger."""

PAUSE_S: Final = 0.7
"""Between two readings of what seems wrong."""

_READINGS_MIN: Final = 3
_SHOWS_AT_ONCE: Final = 64
_SEATS_AT_ONCE: Final = 150_000
_PAGE: Final = 512

Progress = Callable[[int], None]
"""Told how many shows have been read."""


class UnknownShowError(LookupError):
    """No such show in the ledger."""


class AreaRow(Struct, frozen=True):
    """A general admission area's line in the table."""

    capacity: int
    open: int
    held: int
    sold: int
    blocked: int
    tickets: int


class ShowRow(Struct, frozen=True):
    """A show's line in the table: seats only, its areas below it."""

    show: int
    name: str
    condition: str
    """`open`; `fenced` (it waits for its recovery); `recovering`; `unopened`; `archived`; `lost`
    from Redis."""
    epoch: int
    capacity: int
    open: int
    held: int
    sold: int
    blocked: int
    tickets: int
    """Active tickets for numbered seats in the ledger."""
    orders: int
    on_the_way: int
    areas: tuple[AreaRow, ...]


class AuditResult(Struct, frozen=True):
    """What was audited and what is wrong with it."""

    shows: int
    rows: list[ShowRow]
    findings: list[Finding]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


async def audit(
    settings: Settings,
    *,
    show: int | None = None,
    grace_s: float = GRACE_S,
    pause_s: float = PAUSE_S,
    progress: Progress = lambda _: None,
) -> AuditResult:
    """Audit one show, or all.

    Raises:
        UnknownShowError: the one that was asked for does not exist.
        redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store can't be
            read.
    """
    async with open_servers(settings.redis_url) as servers, open_ledger(settings) as ledger:
        reading = _Reading(servers, ledger)
        return await _audit(reading, show, progress, grace_s=grace_s, pause_s=pause_s)


async def _audit(
    reading: "_Reading",
    only: int | None,
    progress: Progress,
    *,
    grace_s: float,
    pause_s: float,
) -> AuditResult:
    rows: dict[int, ShowRow] = {}
    suspects: dict[int, ShowSize] = {}
    findings: list[Finding] = []
    began = time.monotonic()
    async for chunk in reading.chunks(only):
        found = await reading.judge(chunk, rows)
        guilty = {finding.show for finding in found}
        suspects |= {size.id: size for size in chunk if size.id in guilty}
        findings += found
        progress(len(rows))
    if only is not None and not rows:
        raise UnknownShowError(only)
    readings = 1
    while findings:
        patient = any(finding.check in PATIENT for finding in findings)
        if readings >= _READINGS_MIN and not (patient and time.monotonic() - began < grace_s):
            break
        await asyncio.sleep(pause_s)
        found = list[Finding]()
        for chunk in _chunked(suspects.values()):
            found += await reading.judge(chunk, rows)
        findings = persisting(findings, found)
        guilty = {finding.show for finding in findings}
        suspects = {show: size for show, size in suspects.items() if show in guilty}
        readings += 1
    return AuditResult(shows=len(rows), rows=list(rows.values()), findings=findings)


class _Reading:
    """Reads shows and judges them, with the hall of the last one in mind."""

    def __init__(self, servers: Servers, ledger: AsyncConnection) -> None:
        self._servers = servers
        self._ledger = ledger
        self._hall: tuple[int, Hall] | None = None

    async def chunks(self, only: int | None) -> AsyncGenerator[list[ShowSize]]:
        """Yield all shows, a bounded number of seats at a time, those of one hall together."""
        after: ShowSize | None = None
        while True:
            async with self._ledger.begin():
                page = await list_shows(self._ledger, after, only, _PAGE)
            for chunk in _chunked(page):
                yield chunk
            if len(page) < _PAGE:
                return
            after = page[-1]

    async def judge(self, chunk: Sequence[ShowSize], rows: dict[int, ShowRow]) -> list[Finding]:
        """Read these shows and return what seems wrong; `rows` gets their lines."""
        await self._servers.look()
        guards = {size.id: await read_guard(self._servers.of(size.id)) for size in chunk}
        views = {size.id: await read_show(self._servers.of(size.id), size.id) for size in chunk}
        async with self._ledger.begin():
            ledgers = await read_ledger(self._ledger, list(views))
            found = await judge_books(self._ledger, list(views))
            halls_missing = {ledger.manifest_id for ledger in ledgers.values()}
            for manifest in sorted(halls_missing):
                hall = await self._hall_of(manifest)
                for ledger in ledgers.values():
                    if ledger.manifest_id == manifest:
                        view, guard = views[ledger.id], guards[ledger.id]
                        edited = hall.with_capacities(ledger.capacities)
                        found += _judge(ledger, view, edited, guard)
                        condition = _condition(ledger, view, guard)
                        rows[ledger.id] = _row(ledger, view, edited, condition)
        return found

    async def _hall_of(self, manifest: int) -> Hall:
        if self._hall is None or self._hall[0] != manifest:
            self._hall = (manifest, read_hall(await read_plan(self._ledger, manifest)))
        return self._hall[1]


def _chunked(sizes: Iterable[ShowSize]) -> Iterable[list[ShowSize]]:
    chunk: list[ShowSize] = []
    seats = 0
    for size in sizes:
        if chunk and (len(chunk) == _SHOWS_AT_ONCE or seats + size.seat_count > _SEATS_AT_ONCE):
            yield chunk
            chunk, seats = [], 0
        chunk.append(size)
        seats += size.seat_count
    if chunk:
        yield chunk


def _condition(ledger: LedgerShow, view: StoreView, guard: Guard) -> str:
    if ledger.is_archived:
        return "archived"
    if not view.meta:
        return "lost" if ledger.epoch else "unopened"
    if view.meta.get("state") != "open":
        return "recovering"
    return "open" if stands(view, guard) else "fenced"


def _judge(ledger: LedgerShow, view: StoreView, hall: Hall, guard: Guard) -> list[Finding]:
    findings = Findings(ledger.id)
    judge_ledger(ledger, hall, findings)
    condition = _condition(ledger, view, guard)
    if ledger.is_archived and (view.meta or view.seats is not None):
        findings.add("archived", "meta", "the ledger has it archived, Redis still has it")
    if condition in {"open", "fenced"}:
        judge_store(view, hall, ledger.removed, findings, swept=condition == "open")
        judge_both(ledger, view, findings)
        if view.seats is not None:
            judge_labels(ledger, hall, as_planned(view.seats, ledger.removed), findings)
    if condition == "open":
        _judge_versions(ledger, view, findings)
    return findings.found


def _judge_versions(ledger: LedgerShow, view: StoreView, findings: Findings) -> None:
    for field, expected in (("epoch", ledger.epoch), ("version", ledger.inventory_version)):
        if view.meta.get(field) != str(expected):
            says = f"{view.meta.get(field)} in Redis, {expected} in the ledger"
            findings.add("behind", field, says)
    if view.return_no != ledger.return_no:
        check = RETURN_ON_THE_WAY if view.return_no < ledger.return_no else "return-numbers"
        says = f"Redis has applied {view.return_no} returns, the ledger has {ledger.return_no}"
        findings.add(check, "returns", says)


def _row(ledger: LedgerShow, view: StoreView, hall: Hall, condition: str) -> ShowRow:
    seats = view.seats or b""
    tickets: dict[int, int] = {}
    for order in ledger.orders.values():
        for area, count in order.areas:
            tickets[area] = tickets.get(area, 0) + count
    areas: list[AreaRow] = []
    for index, capacity in enumerate(hall.area_capacities):
        counts = view.areas.get(index)
        areas.append(
            AreaRow(
                capacity=capacity,
                open=counts.open if counts else 0,
                held=counts.held if counts else 0,
                sold=counts.sold if counts else 0,
                blocked=counts.blocked if counts else 0,
                tickets=tickets.get(index, 0),
            )
        )
    return ShowRow(
        show=ledger.id,
        name=ledger.name,
        condition=condition,
        epoch=ledger.epoch,
        capacity=ledger.seat_count - len(ledger.removed),
        open=seats.count(b"o"),
        held=seats.count(b"h"),
        sold=seats.count(b"s"),
        blocked=seats.count(b"b"),
        tickets=sum(len(order.seats) for order in ledger.orders.values()),
        orders=len(ledger.orders),
        on_the_way=len(on_the_way(ledger, view)),
        areas=tuple(areas),
    )
