"""Reads what a search asks for: query parameters, all that is wrong with them told at once."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from api.inputs import Moment
from api.problems import Fault, invalid
from engine.catalog.finder import Answer, Asked
from engine.catalog.search import Place
from engine.catalog.search_terms import KEY_KINDS, TEXT_MAX, Near, Sort, Wanted, phases
from engine.catalog.spelling import Corrected
from engine.platform.ids import IdError, Ids, Prefix

PARAMETERS: Final = (
    *("search", "performer", "venue", "city", "country", "type", "from", "to", "near"),
    *("within_km", "price_min", "price_max", "currency", "available", "reseller", "sort"),
    *("facets", "cursor", "limit"),
)
LIMIT_MAX: Final = 100
LIMIT_DEFAULT: Final = 20
CURSOR_MAX: Final = 1000
WITHIN_KM_MAX: Final = 20_000
PRICE_MAX: Final = 1_000_000_000
PATTERNS: Final = {
    "from": r"^\d{4}-\d{2}-\d{2}([Tt ]\S{1,40})?$",
    "near": r"^-?\d{1,2}(\.\d{1,10})?,-?\d{1,3}(\.\d{1,10})?$",
    "within_km": r"^\d{1,5}(\.\d{1,3})?$",
    "price": r"^\d{1,10}$",
    "available": "^(true|false)$",
    "country": "^[A-Za-z]{2}$",
    "currency": "^[A-Z]{3}$",
    "type": "^[a-z_]{1,40}$",
}
"""What values look like, where a pattern can say it."""

_NO_CURSOR: Final = "is no page's next_cursor, or one of another search"
_SORTS: Final = {sort.value: sort for sort in Sort}
_DIGEST_BYTES: Final = 6
_WITHIN_KM_DEFAULT: Final = 50.0
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)

T = TypeVar("T")


class _Cursor(Struct, frozen=True, array_like=True):
    """What a page's cursor carries: of which search it is, and where that goes on."""

    digest: bytes
    phase: int
    keys: tuple[Any, ...]
    corrected: Corrected | None


class _UnfitError(ValueError):
    """A value does not fit; the message is told."""


class SearchQuery:
    """The query parameters of one search, read one by one."""

    def __init__(self, given: Mapping[str, str], ids: Ids) -> None:
        """Take the parameters by their names, and how ids read."""
        self._given = given
        self._ids = ids
        self._faults: list[Fault] = []

    def read(self) -> Asked:
        """Return what is asked for.

        Raises:
            ProblemError: `invalid-request`, with all that is wrong.
            ForeignIdError: an id is another cell's.
        """
        near = self._take("near", _near)
        text = self._take("search", _text)
        default = Sort.RELEVANCE if text else Sort.DISTANCE if near else Sort.DATE
        within_km = self._take("within_km", _within_km)
        wanted = Wanted(
            text=text,
            performer=self._take("performer", lambda told: self._id_or_name("performer", told)),
            venue=self._take("venue", lambda told: self._id_or_name("venue", told)),
            city=self._take("city", _text),
            country=self._take("country", lambda told: _matching("country", told).upper()),
            type=self._take("type", lambda told: _matching("type", told)),
            since=self._take("from", _since),
            until=self._take("to", _until),
            near=near,
            within_m=None if near is None else 1000 * (within_km or _WITHIN_KM_DEFAULT),
            price_min=self._take("price_min", _price),
            price_max=self._take("price_max", _price),
            currency=self._take("currency", lambda told: _matching("currency", told)),
            available=self._take("available", _flag) or False,
            reseller=self._take(
                "reseller", lambda told: self._ids.parse_entity(Prefix.RESELLER, told)
            ),
            sort=self._take("sort", _sort) or default,
        )
        limit = self._take("limit", _limit) or LIMIT_DEFAULT
        facets = self._take("facets", _flag) or False
        self._check_together(wanted)
        cursor = self._take("cursor", lambda told: _cursor(told, wanted))
        if self._faults:
            raise invalid(*self._faults)
        return Asked(
            wanted,
            after=None if cursor is None else Place(cursor.phase, cursor.keys),
            limit=limit,
            facets=facets,
            corrected=None if cursor is None else cursor.corrected,
        )

    def _take(self, name: str, read: Callable[[str], T]) -> T | None:
        told = self._given.get(name)
        if told is None:
            return None
        try:
            return read(told)
        except _UnfitError as error:
            self._faults.append(Fault(str(error), parameter=name))
        except IdError:
            self._faults.append(Fault("is no such id of this region", parameter=name))
        return None

    def _id_or_name(self, kind: str, told: str) -> int | str:
        prefix = Prefix.PERFORMER if kind == "performer" else Prefix.VENUE
        if re.fullmatch(rf"{prefix.value}_[a-z0-9]{{1,8}}_[0-9a-f]{{16}}", told):
            return self._ids.parse_entity(prefix, told)
        return _text(told)

    def _check_together(self, wanted: Wanted) -> None:
        def fault(name: str, reason: str) -> None:
            self._faults.append(Fault(reason, parameter=name))

        if wanted.since and wanted.until and wanted.until <= wanted.since:
            fault("to", "must be after `from`")
        low, high = wanted.price_min, wanted.price_max
        if low is not None and high is not None and high < low:
            fault("price_max", "must not be below `price_min`")
        has_near = "near" in self._given
        if wanted.sort is Sort.DISTANCE and not has_near:
            fault("sort", "`distance` needs `near`")
        if wanted.sort is Sort.RELEVANCE and "search" not in self._given:
            fault("sort", "`relevance` needs `search`")
        if "within_km" in self._given and not has_near:
            fault("within_km", "needs `near`")


def write_cursor(answer: Answer, wanted: Wanted) -> str | None:
    """Return the cursor of the page behind this one; None: it is the last."""
    place = answer.results.next_place
    if place is None:
        return None
    made = _Cursor(_digest(wanted), place.phase, place.keys, answer.corrected)
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(made)).decode().rstrip("=")


def _cursor(told: str, wanted: Wanted) -> _Cursor:
    """Read a cursor of this very search, or refuse it: its keys are told to PostgreSQL as they are.

    So each has to be of the kind that the order's key is.
    """
    try:
        padded = told[:CURSOR_MAX] + "=" * (-len(told) % 4)
        read = msgspec.msgpack.decode(base64.urlsafe_b64decode(padded), type=_Cursor)
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise _UnfitError(_NO_CURSOR) from None
    parts = phases(wanted.sort, corrected=read.corrected is not None)
    if read.digest != _digest(wanted) or not 0 <= read.phase < len(parts):
        raise _UnfitError(_NO_CURSOR)
    kinds = [KEY_KINDS[key] for key in parts[read.phase].keys]
    if len(kinds) != len(read.keys):
        raise _UnfitError(_NO_CURSOR)
    if read.corrected is not None and (wanted.text is None or not _is_printable(read.corrected)):
        raise _UnfitError(_NO_CURSOR)
    try:
        keys = tuple(_key(key, kind) for key, kind in zip(read.keys, kinds, strict=True))
    except (msgspec.ValidationError, OverflowError):
        raise _UnfitError(_NO_CURSOR) from None
    return msgspec.structs.replace(read, keys=keys)


def _key(told: Any, kind: Any) -> Any:  # noqa: ANN401 - as msgspec has them
    key = msgspec.convert(told, kind)
    return key.astimezone(UTC) if isinstance(key, datetime) else key


def _is_printable(corrected: Corrected) -> bool:
    return all(word.isprintable() for alike in corrected.alternatives for word in alike)


def _digest(wanted: Wanted) -> bytes:
    """Return what stands for a search, so that a cursor of another one is told from its own."""
    return blake2b(msgspec.msgpack.encode(wanted), digest_size=_DIGEST_BYTES).digest()


def _text(told: str) -> str:
    text = told.strip()
    if not text or len(text) > TEXT_MAX or not text.isprintable():
        msg = f"1 to {TEXT_MAX} printable characters"
        raise _UnfitError(msg)
    return text


def _matching(name: str, told: str) -> str:
    if re.fullmatch(PATTERNS[name], told, re.ASCII) is None:
        msg = f"does not fit {PATTERNS[name]}"
        raise _UnfitError(msg)
    return told


def _flag(told: str) -> bool:
    return _matching("available", told) == "true"


def _price(told: str) -> int:
    price = int(_matching("price", told))
    if price > PRICE_MAX:
        msg = f"0 to {PRICE_MAX} minor units"
        raise _UnfitError(msg)
    return price


def _limit(told: str) -> int:
    if re.fullmatch(r"[0-9]{1,3}", told) is None or not 1 <= int(told) <= LIMIT_MAX:
        msg = f"1 to {LIMIT_MAX}"
        raise _UnfitError(msg)
    return int(told)


def _sort(told: str) -> Sort:
    if told not in _SORTS:
        msg = f"one of {', '.join(_SORTS)}"
        raise _UnfitError(msg)
    return _SORTS[told]


def _near(told: str) -> Near:
    if re.fullmatch(PATTERNS["near"], told, re.ASCII) is None:
        msg = "latitude and longitude in degrees, as 50.98,11.03"
        raise _UnfitError(msg)
    latitude, longitude = map(float, told.split(","))
    if abs(latitude) > 90 or abs(longitude) > 180:  # noqa: PLR2004 - of a globe
        msg = "a latitude has -90 to 90 degrees, a longitude -180 to 180"
        raise _UnfitError(msg)
    return Near(latitude, longitude)


def _within_km(told: str) -> float:
    within_km = float(_matching("within_km", told))
    if not 0 < within_km <= WITHIN_KM_MAX:
        msg = f"more than 0, up to {WITHIN_KM_MAX}"
        raise _UnfitError(msg)
    return within_km


def _since(told: str) -> datetime:
    return _moment(told, timedelta(0))


def _until(told: str) -> datetime | None:
    """Read the end: None where it is that of the calendar, so that nothing is behind it."""
    until = _moment(told, timedelta(days=1))
    return None if until == _LAST else until


def _moment(told: str, of_a_day: timedelta) -> datetime:
    """Read a moment, or a date: that many hours after it begins, in UTC.

    What is none in UTC, at the ends of the calendar, is the first or the last that there is.
    """
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", told, re.ASCII):
            read = datetime.combine(date.fromisoformat(told), time(), UTC)
            return read + of_a_day if read < _LAST - of_a_day else _LAST
        read = msgspec.convert(told, Moment)
    except (msgspec.ValidationError, ValueError):
        msg = "a date, or a moment of RFC 3339 with an offset"
        raise _UnfitError(msg) from None
    try:
        return read.astimezone(UTC)
    except OverflowError:
        return _FIRST if read.year == _FIRST.year else _LAST
