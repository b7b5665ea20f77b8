"""What a sheet of shows says, line by line, before anybody asks what there is."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from engine.catalog.sheets.cells import Cells
from engine.catalog.sheets.known import Known, Place
from engine.catalog.sheets.table import Line, Problems, Sheet
from engine.catalog.shows import (
    BUYER_LIMIT_MAX,
    DURATION_MIN_MAX,
    FACE_VALUE_MAX,
    HOLD_TTL_S_MAX,
    HOLD_TTL_S_MIN,
    HOLD_TTL_USUAL_S,
    LIMIT_MAX,
    METHODS_USUAL,
    PaymentMethod,
    Visibility,
    faults_of_times,
)
from engine.catalog.transitions import ShowState
from engine.inventory.slug import slug
from engine.platform.ids import EntityId
from engine.platform.legible import list_some
from engine.platform.money import MoneyError, check_currency
from engine.tenancy.names import clean_name, name_fault

SHOW_COLUMNS: Final = (
    "show", "event", "name", "venue", "configuration", "configuration_version", "starts_at",
    "doors_at", "duration_min", "opens_at", "closes_at", "currency", "tax_bps", "max_per_hold",
    "max_per_buyer", "visibility", "public_from", "hold_ttl_s", "payment_methods", "state",
)  # fmt: skip
"""All but the prices, of which there is a column for each price level: `price:vip`."""

PRICE: Final = "price:"
MOMENTS: Final = ("starts_at", "doors_at", "opens_at", "closes_at", "public_from")
_REQUIRED: Final = ("starts_at", "opens_at", "currency")
_STATES: Final = (ShowState.DRAFT, ShowState.ANNOUNCED, ShowState.ON_SALE)
_VERSION_MAX: Final = 10_000
_LIMIT_USUAL: Final = 10
DURATION_USUAL_MIN: Final = 180


class ShowLine(Struct, frozen=True, kw_only=True):
    """A line that could be a show. `place`: the version of a configuration that it is made from."""

    line: int
    name: str
    event: EntityId | None
    place: Place
    starts_at: datetime
    doors_at: datetime | None
    duration_min: int | None
    opens_at: datetime
    closes_at: datetime | None
    currency: str
    tax_bps: int
    prices: dict[str, int]
    max_per_hold: int
    max_per_buyer: int
    visibility: str
    public_from: datetime | None
    hold_ttl_s: int
    payment_methods: tuple[str, ...]
    state: str

    @property
    def begins_at(self) -> datetime:
        """From when it takes its venue."""
        return min(self.starts_at, self.doors_at or self.starts_at)

    @property
    def ends_at(self) -> datetime:
        """Until when, as a venue's calendar counts it."""
        return self.starts_at + timedelta(minutes=self.duration_min or DURATION_USUAL_MIN)


def check_columns(sheet: Sheet, problems: Problems) -> None:
    """Add what is wrong with the heading: names that nobody knows, and those that are missing."""
    known = ", ".join((*SHOW_COLUMNS, f"{PRICE}<price level>"))
    column_of: dict[str, str] = {}
    for column in sheet.columns:
        level = _level_of(column) if column.startswith(PRICE) else ""
        if level and column_of.setdefault(level, column) != column:
            reason = f"it is the price level of the column “{column_of[level]}”: take one out"
            problems.add(sheet.heading_line, column, reason)
        if column in SHOW_COLUMNS or level:
            continue
        reason = f"there is no such column: take it out, or name it as one of {known}"
        problems.add(sheet.heading_line, column, reason)
    for column in _REQUIRED:
        if column not in sheet.columns:
            problems.add(sheet.heading_line, column, "the column is missing: add it")
    if not {"configuration", "venue"} & set(sheet.columns):
        reason = "the column is missing: add it, or the column venue"
        problems.add(sheet.heading_line, "configuration", reason)


def read_line(line: Line, sheet: Sheet, known: Known, problems: Problems) -> ShowLine | None:
    """Return the show of a line, None if it can't be one; its problems are added."""
    cells = Cells(line, problems)
    event, name = _named(cells, known)
    place = _place(cells, known)
    # Without a venue its times can't be placed, but what is no time at all is told even so.
    zone = ZoneInfo(place.time_zone) if place else None
    moments = {
        column: cells.moment(column, zone, required=column in {"starts_at", "opens_at"})
        for column in MOMENTS
        if column in sheet.columns
    }
    starts_at, opens_at = moments.get("starts_at"), moments.get("opens_at")
    doors_at, closes_at = moments.get("doors_at"), moments.get("closes_at")
    if starts_at is not None and opens_at is not None:
        for fault in faults_of_times(starts_at, opens_at, closes_at, doors_at):
            cells.wrong(fault.pointer[1:], fault.reason)
    currency = _currency(cells, sheet)
    version = cells.whole("configuration_version", 1, _VERSION_MAX)
    of_day = place and known.version_for(place, version, starts_at)
    if place and of_day is None and (version is not None or starts_at is not None):
        _no_version(cells, place, version, known)
    prices = _prices(cells, sheet, of_day or None, currency)
    tax_bps = cells.whole("tax_bps", 0, 10_000, 0)
    per_hold = cells.whole("max_per_hold", 1, LIMIT_MAX, _LIMIT_USUAL)
    per_buyer = cells.whole("max_per_buyer", 1, BUYER_LIMIT_MAX, _LIMIT_USUAL)
    duration = cells.whole("duration_min", 1, DURATION_MIN_MAX)
    visibility = cells.choice("visibility", list(Visibility), Visibility.PUBLIC)
    hold_ttl_s = cells.whole("hold_ttl_s", HOLD_TTL_S_MIN, HOLD_TTL_S_MAX, HOLD_TTL_USUAL_S)
    methods = cells.choices("payment_methods", list(PaymentMethod), METHODS_USUAL)
    state = cells.choice("state", _STATES, ShowState.DRAFT)
    if starts_at is not None and opens_at is not None:
        _check_against_now(cells, known.now, state, starts_at, opens_at)
    if not cells.is_sound or not (starts_at and opens_at and of_day and currency and name):
        return None
    return ShowLine(
        line=line.number,
        name=name,
        event=event,
        place=of_day,
        starts_at=starts_at,
        doors_at=doors_at,
        duration_min=duration,
        opens_at=opens_at,
        closes_at=closes_at,
        currency=currency,
        tax_bps=tax_bps or 0,
        prices=prices,
        max_per_hold=per_hold or _LIMIT_USUAL,
        max_per_buyer=per_buyer or _LIMIT_USUAL,
        visibility=visibility,
        public_from=moments.get("public_from"),
        hold_ttl_s=hold_ttl_s or HOLD_TTL_USUAL_S,
        payment_methods=methods,
        state=state,
    )


def _level_of(column: str) -> str:
    """Return the price level that a column is for; it may be named as people say it."""
    named = column.removeprefix(PRICE).strip()
    return slug(named) if named else ""


def _named(cells: Cells, known: Known) -> tuple[EntityId | None, str | None]:
    """Return the event, and what the show is called: by default as its event."""
    text, name = cells.text("event"), cells.text("name")
    if name is not None and (fault := name_fault(name)):
        cells.wrong("name", fault)
        name = None
    event = None
    if text is not None:
        event = known.event(text)
        if isinstance(event, str):
            cells.wrong("event", event)
            return None, name
    elif name is None:
        cells.wrong("event", "is missing: name the event, or give the show a name of its own")
        return None, None
    called = name or (event.name if event else None)
    return (event.id if event else None), (clean_name(called) if called else None)


def _place(cells: Cells, known: Known) -> Place | None:
    """Return the configuration that a line names, by its id or by its venue and its name."""
    venue, configuration = cells.text("venue"), cells.text("configuration")
    if venue is None and configuration is None:
        cells.wrong("configuration", "is missing: name the configuration, and its venue")
        return None
    found = known.place(venue, configuration)
    if isinstance(found, Place):
        return found
    cells.wrong(*found)
    return None


def _currency(cells: Cells, sheet: Sheet) -> str | None:
    if "currency" not in sheet.columns:
        return None
    currency = cells.text("currency", required=True)
    if currency is None:
        return None
    try:
        return check_currency(currency)
    except MoneyError:
        cells.wrong("currency", f"“{currency}” is no currency: write three capitals, as EUR")
        return None


def _no_version(cells: Cells, place: Place, version: int | None, known: Known) -> None:
    there = known.versions_of(place)
    if version is not None:
        has = ", ".join(str(one) for one in there) or "none"
        cells.wrong(
            "configuration_version",
            f"“{place.configuration_name}” has no version {version}; it has {has}",
        )
    else:
        cells.wrong(
            "starts_at",
            f"“{place.configuration_name}” has no version that is valid on that day yet: add one, "
            "or name a version in the column configuration_version",
        )


def _prices(
    cells: Cells, sheet: Sheet, place: Place | None, currency: str | None
) -> dict[str, int]:
    found: dict[str, int] = {}
    for column in sheet.columns:
        if not column.startswith(PRICE):
            continue
        level = _level_of(column)
        if currency is None:
            continue
        amount = cells.amount(column, currency, FACE_VALUE_MAX)
        if amount is None:
            continue
        if place is not None and level not in place.levels:
            has = list_some(place.levels)
            cells.wrong(
                column, f"“{place.configuration_name}” has no such price level; it has {has}"
            )
        found[level] = amount
    if place is not None and currency is not None:
        _check_all_priced(cells, sheet, place)
    return found


def _check_all_priced(cells: Cells, sheet: Sheet, place: Place) -> None:
    columns = {_level_of(column): column for column in sheet.columns if column.startswith(PRICE)}
    for level in place.levels:
        column = columns.get(level)
        if column is None:
            cells.wrong(f"{PRICE}{level}", "the price is missing: add the column")
        elif cells.is_empty(column):
            cells.wrong(column, "the price is missing; 0 is free of charge")


def _check_against_now(
    cells: Cells, now: datetime, state: str, starts_at: datetime, opens_at: datetime
) -> None:
    if state != ShowState.DRAFT and starts_at <= now:
        cells.wrong("starts_at", "is past: such a show can only be a draft")
    elif state == ShowState.ANNOUNCED and opens_at <= now:
        cells.wrong("opens_at", "is past: a show that is announced is not sold yet")
