"""Reads the cells of a line: each says what is wrong and how it is put right.

Every reader returns None where there is nothing, or nothing that can be read; the second is a
problem that it adds.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from engine.catalog.sheets.amounts import decimals_of
from engine.catalog.sheets.table import Line, Problems
from engine.platform.money import BPS

YEAR_MIN: Final = 2000
YEAR_MAX: Final = 2200
_LOCAL: Final = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2})(:\d{2}(?:\.0+)?)?")
_WITH_OFFSET: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}.*(?:[zZ]|[+-]\d{2}:\d{2})")
_WHOLE: Final = re.compile(r"\d{1,18}")
_AMOUNT: Final = re.compile(r"(\d{1,15})(?:[.,](\d{1,15}))?")
_SHARE: Final = re.compile(r"(\d{1,3})(?:[.,](\d{1,2}))?\s?%")
_PARTING: Final = re.compile(r"[,;|/+&]")
_TIME_EXAMPLE: Final = "2027-03-28 20:00"


class Cells:
    """One line's cells, and where its problems go."""

    def __init__(self, line: Line, problems: Problems) -> None:
        """Take the line."""
        self._line = line
        self._problems = problems
        self.is_sound = True

    @property
    def number(self) -> int:
        """The line in the file."""
        return self._line.number

    def wrong(self, column: str, reason: str) -> None:
        """Add a problem of this line."""
        self.is_sound = False
        self._problems.add(self._line.number, column, reason)

    def is_empty(self, column: str) -> bool:
        """Tell whether a cell has nothing."""
        return column not in self._line.cells

    def text(self, column: str, *, required: bool = False, characters_max: int = 200) -> str | None:
        """Return a text."""
        value = self._line.cells.get(column)
        if value is None:
            if required:
                self.wrong(column, "is missing")
            return None
        if len(value) > characters_max:
            self.wrong(column, f"has {len(value)} characters, {characters_max} at most")
            return None
        if not value.isprintable():
            self.wrong(column, "has a line break or another character that can't be shown")
            return None
        return value

    def choice(self, column: str, among: Collection[str], default: str) -> str:
        """Return one of a few words."""
        value = self.text(column)
        if value is None:
            return default
        if value.lower() not in among:
            self.wrong(column, f"“{value}” is not one of: {', '.join(among)}")
            return default
        return value.lower()

    def choices(
        self, column: str, among: Collection[str], default: tuple[str, ...]
    ) -> tuple[str, ...]:
        """Return some of a few words, in the order of the cell, with blanks between them."""
        value = self.text(column)
        if value is None:
            return default
        if _PARTING.search(value):
            example = " ".join(list(among)[:2])
            self.wrong(column, f"“{value}”: put only blanks between the words, as in {example}")
        words = _PARTING.sub(" ", value.lower()).split()
        for word in dict.fromkeys(words):
            if word not in among:
                self.wrong(column, f"“{word}” is not one of: {', '.join(among)}")
            elif words.count(word) > 1:
                self.wrong(column, f"“{word}” is named twice: take one of them out")
        return tuple(words)

    def whole(self, column: str, least: int, most: int, default: int | None = None) -> int | None:
        """Return a whole number."""
        value = self.text(column)
        if value is None:
            return default
        if not _WHOLE.fullmatch(value) or not value.isascii() or not least <= int(value) <= most:
            self.wrong(column, f"“{value}” is not a whole number from {least} to {most}")
            return default
        return int(value)

    def amount(self, column: str, currency: str, most: int) -> int | None:
        """Return an amount of money in minor units; it is written in major ones, as 39.90."""
        value = self.text(column)
        if value is None:
            return None
        match = _AMOUNT.fullmatch(value) if value.isascii() else None
        if match is None:
            self.wrong(column, f"“{value}” is not a price: write it as 1234.50")
            return None
        whole, fraction = match[1], (match[2] or "").rstrip("0")
        decimals = decimals_of(currency)
        if len(fraction) > decimals:
            self.wrong(column, f"“{value}” has {len(fraction)} decimals, {currency} has {decimals}")
            return None
        minor = int(whole + fraction.ljust(decimals, "0"))
        if minor > most:
            self.wrong(column, f"“{value}” is more than a ticket may cost")
            return None
        return minor

    def share(self, column: str) -> int | None:
        """Return a share in basis points; it is written in percent, with the sign."""
        value = self.text(column)
        if value is None:
            return None
        match = _SHARE.fullmatch(value) if value.isascii() else None
        bps = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else BPS + 1
        if bps > BPS:
            self.wrong(column, f"“{value}” is not a share of the price: write it as 50% or 33.33%")
            return None
        return bps

    def moment(
        self, column: str, zone: ZoneInfo | None, *, required: bool = False
    ) -> datetime | None:
        """Return a moment: local at the venue, or with an offset of its own.

        Without a zone one that is local can't be known, but whether it is a time.
        """
        value = self.text(column, required=required)
        if value is None:
            return None
        found = self._with_offset(value) if _WITH_OFFSET.fullmatch(value) else None
        if found is None and (match := _LOCAL.fullmatch(value)) is not None:
            return self._local(column, f"{match[1]} {match[2]}{(match[3] or ':00')[:3]}", zone)
        if found is None:
            self.wrong(
                column,
                f"“{value}” is not a time: write {_TIME_EXAMPLE} for the venue's own time, "
                "or with an offset 2027-03-28T20:00:00+02:00",
            )
            return None
        return self._in_bounds(column, found)

    def _with_offset(self, value: str) -> datetime | None:
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def _local(self, column: str, value: str, zone: ZoneInfo | None) -> datetime | None:
        try:
            naive = datetime.fromisoformat(value)
        except ValueError:
            self.wrong(column, f"there is no such day or time as {value}")
            return None
        if not YEAR_MIN <= naive.year <= YEAR_MAX:
            self.wrong(column, f"the year must be {YEAR_MIN} to {YEAR_MAX}")
            return None
        if zone is None:
            return None
        early, late = (naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
        if early.utcoffset() == late.utcoffset():
            return early.astimezone(UTC)
        if early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
            after = late.astimezone(UTC).astimezone(zone)
            later = max(after, early.astimezone(UTC).astimezone(zone))
            self.wrong(
                column,
                f"{value[:16]} does not exist at the venue ({zone.key}): clocks are put forward "
                f"then; write {later:%Y-%m-%d %H:%M}",
            )
            return None
        first, second = early.isoformat(), late.isoformat()
        self.wrong(
            column,
            f"{value[:16]} comes twice at the venue ({zone.key}): clocks are put back then; "
            f"write {first} or {second}",
        )
        return None

    def _in_bounds(self, column: str, found: datetime) -> datetime | None:
        if YEAR_MIN <= found.year <= YEAR_MAX:
            return found
        self.wrong(column, f"the year must be {YEAR_MIN} to {YEAR_MAX}")
        return None
