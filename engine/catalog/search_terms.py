"""What a search asks for, and the SQL that says it: conditions, orders, and where a page begins.

Every condition is about a row of the listings by an alias, `@.` here, so that the same is asked of
a show and of the other shows of its event. Values are parameters; the SQL is all our own.
"""

from datetime import datetime
from enum import StrEnum
from math import asin, cos, dist, radians, sin
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

TEXT_MAX: Final = 100
"""Characters of a text that is searched for."""

_EARTH_M: Final = 6371008.8

Point = tuple[float, float, float]


class Sort(StrEnum):
    """What results are ordered by."""

    RELEVANCE = "relevance"
    DATE = "date"
    PRICE = "price"
    PRICE_DOWN = "-price"
    DISTANCE = "distance"
    POPULARITY = "popularity"


BY_PRICE: Final = frozenset({Sort.PRICE, Sort.PRICE_DOWN})


class Near(Struct, frozen=True):
    """A place on the globe, in degrees."""

    latitude: float
    longitude: float

    def distance_m(self, other: "Near") -> float:
        """Return how far it is along the globe."""
        return arc_m(self.point(), other.point())

    def point(self) -> Point:
        """Return where it is, in metres from the earth's middle."""
        latitude, longitude = radians(self.latitude), radians(self.longitude)
        return (
            _EARTH_M * cos(latitude) * cos(longitude),
            _EARTH_M * cos(latitude) * sin(longitude),
            _EARTH_M * sin(latitude),
        )


def arc_m(one: Point, other: Point) -> float:
    """Return how far it is along the globe from one point to another."""
    return 2 * _EARTH_M * asin(min(dist(one, other) / (2 * _EARTH_M), 1))


class Wanted(Struct, frozen=True, kw_only=True):
    """What is searched for. Money is in minor units, fee and tax included.

    `performer` and `venue` are ids or names. `since` is now, unless told.
    """

    text: str | None = None
    performer: int | str | None = None
    venue: int | str | None = None
    city: str | None = None
    country: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    near: Near | None = None
    within_m: float | None = None
    price_min: int | None = None
    price_max: int | None = None
    currency: str | None = None
    available: bool = False
    reseller: int | None = None
    sort: Sort = Sort.DATE


class Phase(Struct, frozen=True):
    """A part of an order: the rows of one condition, all before those of the next phase."""

    condition: str
    keys: tuple[str, ...]
    """Expressions about a row; the last one tells all rows apart."""
    is_descending: bool = False


_BY_DATE: Final = ("@.starts_at", "@.show_id")
_BY_PRICE: Final = ("@.price_min", "@.show_id")
# As sub-queries, so that a text is read once and not for each row.
_QUERY: Final = "(SELECT websearch_to_tsquery('simple', unaccent(CAST(:text AS TEXT))))"
# For words that were mistyped: what they may have been, as `engine/catalog/spelling.py` found it.
_CORRECTED: Final = "(SELECT CAST(CAST(:corrected AS TEXT) AS TSQUERY))"
_NEAR: Final = "cube(CAST(:near AS FLOAT8[]))"
CHORD: Final = f"(@.place <-> {_NEAR})"
"""How far from there a row is, straight through the earth."""
PLACED: Final = "@.place IS NOT NULL"
# A cube around the place first, which the index knows; then the ball in it.
NEAR_BOX: Final = f"@.place <@ cube_enlarge({_NEAR}, CAST(:chord AS FLOAT8), 3)"
NEAR_BALL: Final = f"{CHORD} <= CAST(:chord AS FLOAT8)"
_PRICED: Final = "@.price_min IS NOT NULL"
_UNPRICED: Final = Phase("@.price_min IS NULL", _BY_DATE)
_PHASES: Final[dict[Sort, tuple[Phase, ...]]] = {
    Sort.DATE: (Phase("true", _BY_DATE),),
    Sort.PRICE: (Phase(_PRICED, _BY_PRICE), _UNPRICED),
    Sort.PRICE_DOWN: (Phase(_PRICED, _BY_PRICE, is_descending=True), _UNPRICED),
    Sort.DISTANCE: (Phase("true", (CHORD, *_BY_DATE)),),
    Sort.POPULARITY: (Phase("true", ("@.popularity", "@.show_id"), is_descending=True),),
}


_CONDITIONS: Final[dict[str, tuple[str, ...]]] = {
    "states": ("@.state NOT IN ('draft', 'cancelled', 'past')",),
    "since": ("@.starts_at >= CAST(:since AS TIMESTAMPTZ)",),
    "until": ("@.starts_at < CAST(:until AS TIMESTAMPTZ)",),
    "performer": ("@.performer_ids @> ARRAY[CAST(:performer AS BIGINT)]",),
    "venue": ("@.venue_id = CAST(:venue AS BIGINT)",),
    "city": ("@.city_key = (SELECT lower(unaccent(CAST(:city AS TEXT))))",),
    "country": ("@.country = CAST(:country AS CHAR(2))",),
    "type": ("@.type = CAST(:type AS TEXT)",),
    "near": (PLACED,),
    "within_m": (NEAR_BOX, NEAR_BALL),
    "price_min": ("@.price_max >= CAST(:price_min AS BIGINT)",),
    "price_max": ("@.price_min <= CAST(:price_max AS BIGINT)",),
    "currency": ("@.currency = CAST(:currency AS CHAR(3))",),
    "available": ("@.state = 'on_sale'", "@.available > 0"),
    "reseller": ("@.reseller_id = CAST(:reseller AS BIGINT)",),
}


_BIG: Final = Annotated[int, Meta(ge=0, le=2**63 - 1)]
KEY_KINDS: Final[dict[str, Any]] = {
    "@.starts_at": Annotated[datetime, Meta(tz=True)],
    "@.show_id": _BIG,
    "@.price_min": _BIG,
    "@.popularity": Annotated[int, Meta(ge=0, le=2**31 - 1)],
    CHORD: float,
}
"""What values the keys of phases have."""


def _named(name: str, words: str, told: str) -> tuple[str, ...]:
    """Return the conditions of a name: an index finds its words, then the whole is looked at."""
    return (
        f"@.{words} @@ (SELECT phraseto_tsquery('simple', unaccent(CAST(:{name} AS TEXT))))",
        f"{told} LIKE (SELECT lower(unaccent(CAST(:{name}_like AS TEXT))))",
    )


_NAMED: Final = {
    "performer": _named("performer", "title_words", "lower(unaccent(CAST(@.performers AS TEXT)))"),
    "venue": _named("venue", "words", "@.venue_key"),
}


def phases(sort: Sort, *, corrected: bool) -> tuple[Phase, ...]:
    """Return the parts of an order, the first one first.

    By relevance: what has the words in its names, the soonest first, and then what has them in
    its venue, its city or its seller's name.
    """
    if sort is not Sort.RELEVANCE:
        return _PHASES[sort]
    title = f"@.title_words @@ {_CORRECTED if corrected else _QUERY}"
    return (Phase(title, _BY_DATE), Phase(f"NOT {title}", _BY_DATE))


def leading_key(sort: Sort, *, corrected: bool) -> Phase | None:
    """Return an order's phases as one, told apart by its first key; None: each is read by itself.

    What has a word is found as a whole before it is sorted: to find it once is enough.
    """
    if sort is not Sort.RELEVANCE:
        return None
    title = f"@.title_words @@ {_CORRECTED if corrected else _QUERY}"
    return Phase("true", (f"CAST(NOT {title} AS INTEGER)", *_BY_DATE))


def is_by_words(wanted: Wanted) -> bool:
    """Tell whether words or performers are looked at, which only whole listings have."""
    is_named = wanted.performer is not None or isinstance(wanted.venue, str)
    return wanted.text is not None or is_named or wanted.sort is Sort.RELEVANCE


def list_conditions(
    wanted: Wanted, *, corrected: bool, found_only: bool = False
) -> tuple[str, ...]:
    """Return what a row has to be; `found_only`: there are none of what nobody finds."""
    known = _CONDITIONS | {"text": (f"@.words @@ {_CORRECTED if corrected else _QUERY}",)}
    for name in ("performer", "venue"):
        if isinstance(getattr(wanted, name), str):
            known[name] = _NAMED[name]
    fields = Wanted.__struct_fields__
    # By identity: 0 equals False, and is a price.
    asked = [n for n in fields if (value := getattr(wanted, n)) is not None and value is not False]
    names = dict.fromkeys(("since", *asked) if found_only else ("states", "since", *asked))
    return tuple(condition for name in names for condition in known.get(name, ()))


def values_of(wanted: Wanted, now: datetime, corrected: str | None) -> dict[str, Any]:
    """Return the parameters of those conditions."""
    values: dict[str, Any] = {
        name: getattr(wanted, name)
        for name in Wanted.__struct_fields__
        if name not in {"near", "sort", "available", "within_m"}
        and getattr(wanted, name) is not None
    }
    values["since"] = wanted.since or now
    if wanted.near is not None:
        values["near"] = list(wanted.near.point())
        if wanted.within_m is not None:
            values["chord"] = chord_of(wanted.within_m)
    if corrected is not None:
        values["corrected"] = corrected
        del values["text"]
    for name in ("performer", "venue"):
        if isinstance(values.get(name), str):
            values[f"{name}_like"] = _like(values[name])
    return values


def chord_of(arc_m: float) -> float:
    """Return how far apart two places on the globe are, straight through the earth."""
    return 2 * _EARTH_M * sin(min(arc_m / (2 * _EARTH_M), radians(90)))


def _like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
