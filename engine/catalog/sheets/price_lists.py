"""Puts the lines of a sheet together to one price list a show, and holds it against the show."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from engine.catalog.price_rules import (
    NewPrices,
    NewStep,
    PriceFault,
    check_changes,
    check_steps,
    escaped,
)
from engine.catalog.price_steps import STEPS_MAX, change_prices
from engine.catalog.sheets.known_shows import KnownShow, Offer
from engine.catalog.sheets.price_lines import Due, PriceLine
from engine.catalog.sheets.table import Problems
from engine.catalog.transitions import Action, allowed_in
from engine.inventory.price_versions import VERSION_MAX, Prices, TypePrice
from engine.inventory.ticket_types import STANDARD
from engine.platform.ids import EntityId

_LAST: Final = datetime.max.replace(tzinfo=UTC)
_DUE_COLUMNS: Final = {"at": "from", "after_sold": "after_sold", "price_level": "after_sold_level"}


class PriceList(Struct, frozen=True, kw_only=True):
    """What a sheet says of one show."""

    show: KnownShow
    lines: list[PriceLine]
    now: NewPrices
    """What changes at once."""
    steps: list[NewStep]
    """None: those to come stay as they are."""
    places: dict[str, tuple[int, str]]
    """By JSON pointer, as price rules name what is wrong, its line and column."""


class PricesToMake(Struct, frozen=True, kw_only=True):
    """What becomes of a show: its next prices, its next steps; None: they stay."""

    show: EntityId
    line: int
    prices: Prices | None
    steps: list[NewStep] | None
    version: int
    """The price version that it has then."""
    steps_to_come: int


def put_together(lines: Iterable[PriceLine], problems: Problems) -> list[PriceList]:
    """Return a price list for each show, in the order of their first lines.

    A line that says again what another one says is a problem.
    """
    by_show: dict[EntityId, list[PriceLine]] = {}
    said: dict[tuple[object, ...], int] = {}
    for line in lines:
        what = (line.show.id, line.due, line.ticket_type, line.level)
        first = said.setdefault(what, line.line)
        if first != line.line:
            problems.add(line.line, "", f"is the same price as line {first}: take one of them out")
        else:
            by_show.setdefault(line.show.id, []).append(line)
    return [_price_list(of_show) for of_show in by_show.values()]


def _price_list(lines: list[PriceLine]) -> PriceList:
    by_due: dict[Due | None, list[PriceLine]] = {}
    for line in lines:
        by_due.setdefault(line.due, []).append(line)
    dues = [due for due in by_due if due is not None]
    if all(due.after_sold is None for due in dues):
        # By time alone there is one order; else it is that of their first lines.
        dues.sort(key=lambda due: due.at or _LAST)
    places: dict[str, tuple[int, str]] = {}
    now = _prices(by_due.get(None, []), "", places)
    steps: list[NewStep] = []
    for n, due in enumerate(dues):
        of_step = by_due[due]
        here = f"/steps/{n}"
        places[here] = of_step[0].line, "from"
        for name, column in _DUE_COLUMNS.items():
            places[f"{here}/{name}"] = of_step[0].line, column
        prices = _prices(of_step, here, places)
        steps.append(
            NewStep(
                at=due.at, after_sold=due.after_sold, price_level=due.price_level, prices=prices
            )
        )
    return PriceList(show=lines[0].show, lines=lines, now=now, steps=steps, places=places)


def _prices(lines: Sequence[PriceLine], at: str, places: dict[str, tuple[int, str]]) -> NewPrices:
    """Return the prices of lines; a type is priced by all of them that name it."""
    face_values: dict[str, int] = {}
    shares: dict[str, int | None] = {}
    of_types: dict[str, dict[str, int]] = {}
    for line in lines:
        here = f"{at}/prices"
        values = face_values
        if line.ticket_type != STANDARD:
            of_type = f"{at}/ticket_types/{escaped(line.ticket_type)}"
            places.setdefault(of_type, (line.line, "ticket_type"))
            here = f"{of_type}/prices"
            values = of_types.setdefault(line.ticket_type, {})
            if line.share_bps is not None:
                shares[line.ticket_type] = line.share_bps
                places[f"{of_type}/share_bps"] = line.line, "share"
        if line.level is not None and line.price is not None:
            values[line.level] = line.price
            places[f"{here}/{escaped(line.level)}"] = line.line, "price_level"
    types = {slug: TypePrice(shares.get(slug), prices) for slug, prices in of_types.items()}
    return NewPrices(face_values, types)


def compare(
    lists: Sequence[PriceList],
    offers: Mapping[EntityId, Offer],
    now: datetime,
    problems: Problems,
) -> list[PricesToMake]:
    """Return what changes of shows, those left out of which nothing does; add what is wrong."""
    found = [_compare(one, offers[one.show.id], now, problems) for one in lists]
    return [one for one in found if one is not None]


def _compare(
    wanted: PriceList, offer: Offer, now: datetime, problems: Problems
) -> PricesToMake | None:
    current = offer.prices
    prices = change_prices(current, wanted.now, offer.types)
    is_priced = (prices.face_values, prices.types) != (current.face_values, current.types)
    there = [
        NewStep(
            at=step.at, after_sold=step.after_sold, price_level=step.price_level, prices=step.prices
        )
        for step in offer.steps
    ]
    is_stepped = bool(wanted.steps) and wanted.steps != there
    levels = list(current.face_values)
    faults = check_changes(wanted.now, levels, offer.types)
    if is_stepped:
        faults += check_steps(wanted.steps, levels, offer.types, now)
    for fault in faults:
        _tell(wanted, fault, problems)
    if not (is_priced or is_stepped):
        return None
    _check_changeable(wanted, offer, problems)
    if is_priced and current.version >= VERSION_MAX:
        problems.add(wanted.lines[0].line, "show", "has had as many price versions as it can have")
    return PricesToMake(
        show=wanted.show.id,
        line=wanted.lines[0].line,
        prices=prices if is_priced else None,
        steps=wanted.steps if is_stepped else None,
        version=prices.version if is_priced else current.version,
        steps_to_come=len(wanted.steps if is_stepped else there),
    )


def _check_changeable(wanted: PriceList, offer: Offer, problems: Problems) -> None:
    first = wanted.lines[0].line
    if Action.CHANGE not in allowed_in(offer.state):
        reason = f"“{wanted.show.name}” is {offer.state}, its prices stay: take its lines out"
        problems.add(first, "show", reason)
    if len(wanted.steps) > STEPS_MAX:
        reason = f"“{wanted.show.name}” has {len(wanted.steps)} steps, {STEPS_MAX} at most"
        problems.add(first, "show", reason)
    for line in wanted.lines:
        if line.price_version not in {None, offer.prices.version}:
            problems.add(
                line.line,
                "price_version",
                f"the prices of “{wanted.show.name}” have changed since, to version "
                f"{offer.prices.version}: export them again",
            )
            break


def _tell(wanted: PriceList, fault: PriceFault, problems: Problems) -> None:
    line, column = wanted.places.get(fault.pointer, (wanted.lines[0].line, ""))
    problems.add(line, column, fault.reason)
