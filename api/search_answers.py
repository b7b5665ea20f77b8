"""What a search is told: events, each with the show that the order asked for puts first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, TypeVar, cast

import msgspec
from msgspec import Struct

from api.search_inputs import write_cursor
from engine.catalog.documents import Document
from engine.catalog.finder import BANDS, Answer
from engine.catalog.finding import PublicShow
from engine.catalog.pages import BilledPerformer, Picture, tell_bill
from engine.catalog.search import Facets, FacetValue
from engine.catalog.search_terms import Point, Wanted, arc_m
from engine.platform.ids import Ids, Prefix

# No JSON has this character in it.
_GAP: Final = b"\x00"
_PAGE: Final = b'{"events":[%b],"facets":%b,"corrected":%b,"next_cursor":%b}'

T = TypeVar("T")


class FoundVenue(Struct, frozen=True):
    """Where a show is. Only the name is known of a venue that is not in the catalogue."""

    venue: str | None
    name: str
    city: str | None
    country: str | None
    latitude: float | None
    longitude: float | None
    time_zone: str | None


class FoundShow(Struct, frozen=True, kw_only=True):
    """A show that fits. Prices are in minor units of its currency, with fee and tax.

    `price_min` is the lowest of what is left: null if nothing is, or if nobody has counted yet;
    `available` is how many places are left. Both are at most a second old. `distance_m` is from
    the place that was asked for.
    """

    show: str
    name: str
    starts_at: datetime
    doors_at: datetime | None
    duration_min: int | None
    opens_at: datetime
    closes_at: datetime | None
    state: str
    currency: str
    price_min: int | None
    price_max: int | None
    available: int | None
    venue: FoundVenue
    distance_m: int | None


class FoundEvent(Struct, frozen=True, kw_only=True):
    """An event with a show that fits: `show` is the first in the order asked for.

    `shows` is how many of its shows fit, up to 100. `event` and `type` are null where a show
    belongs to no event; then it is told by itself.
    """

    event: str | None
    name: str
    type: str | None
    performers: list[BilledPerformer]
    picture: Picture | None
    reseller: str
    shows: int
    show: FoundShow


class FacetCount(Struct, frozen=True):
    """A value, and how many of the shows that fit have it."""

    value: str
    shows: int


class PriceBand(Struct, frozen=True):
    """Shows whose lowest price is not below `least` and below `below`; null: without a bound."""

    least: int
    below: int | None
    shows: int


class SearchFacets(Struct, frozen=True):
    """What the shows that fit are like: at most the 1 000 soonest; `complete` says whether all.

    Months are in UTC. Facets may be half a minute old.
    """

    types: list[FacetCount]
    cities: list[FacetCount]
    months: list[FacetCount]
    prices: list[PriceBand]
    available: int
    shows: int
    complete: bool


class SearchPage(Struct, frozen=True):
    """Events that were found. `next_cursor` is null on the last page.

    `corrected`: nothing had the words that were asked for, and this is what these would find.
    """

    events: list[FoundEvent]
    facets: SearchFacets | None
    corrected: list[str] | None
    next_cursor: str | None


class SearchTeller:
    """Tells what was found: a `SearchPage`, put together from what was written of each show."""

    def __init__(self, ids: Ids) -> None:
        """Take how ids are written."""
        self._ids = ids

    def document(self, show: PublicShow) -> bytes:
        """Return a `FoundEvent`, in JSON, with gaps for what changes often."""
        bill = zip(show.performer_ids, show.performers, strict=True)
        event = FoundEvent(
            event=None if show.event_id is None else self._ids.entity(Prefix.EVENT, show.event_id),
            name=show.name,
            type=show.type,
            performers=tell_bill(bill, self._ids),
            picture=show.picture,
            reseller=show.reseller_name,
            shows=_gap(int),
            show=msgspec.structs.replace(
                tell_found_show(show, self._ids),
                state=_gap(str),
                price_min=_gap(int),
                price_max=_gap(int),
                available=_gap(int),
                distance_m=_gap(int),
            ),
        )
        return _encode(event).replace(b"%", b"%%").replace(_GAP, b"%b")

    def page(self, wanted: Wanted, answer: Answer, documents: Sequence[Document]) -> bytes:
        """Return a `SearchPage`, in JSON."""
        found = answer.results.found
        here = None if wanted.near is None else wanted.near.point()
        events = [
            document.content
            % (
                b"%d" % one.shows,
                b'"%b"' % one.state.encode(),
                _number(one.price_min),
                _number(one.price_max),
                _number(one.available),
                _distance(here, document),
            )
            for one, document in zip(found, documents, strict=True)
        ]
        corrected = answer.corrected
        return _PAGE % (
            b",".join(events),
            _encode(None if answer.facets is None else _facets(answer.facets)),
            _encode(None if corrected is None else corrected.words),
            _encode(write_cursor(answer, wanted)),
        )


def tell_found_show(show: PublicShow, ids: Ids, distance_m: float | None = None) -> FoundShow:
    """Tell a show as it is listed."""
    return FoundShow(
        show=ids.entity(Prefix.SHOW, show.show_id),
        name=show.show_name,
        starts_at=show.starts_at,
        doors_at=show.doors_at,
        duration_min=show.duration_min,
        opens_at=show.opens_at,
        closes_at=show.closes_at,
        state=show.state,
        currency=show.currency,
        price_min=show.price_min,
        price_max=show.price_max,
        available=show.available,
        venue=FoundVenue(
            venue=None if show.venue_id is None else ids.entity(Prefix.VENUE, show.venue_id),
            name=show.venue,
            city=show.city,
            country=show.country,
            latitude=show.latitude,
            longitude=show.longitude,
            time_zone=show.time_zone,
        ),
        distance_m=None if distance_m is None else round(distance_m),
    )


def _facets(found: Facets) -> SearchFacets:
    def counts(values: list[FacetValue]) -> list[FacetCount]:
        return [FacetCount(one.value, one.shows) for one in values]

    bounds = dict(enumerate((*BANDS, None)))
    return SearchFacets(
        types=counts(found.types),
        cities=counts(found.cities),
        months=counts(found.months),
        prices=[
            PriceBand(BANDS[int(one.value) - 1], bounds[int(one.value)], one.shows)
            for one in found.prices
        ],
        available=found.available,
        shows=found.shows,
        complete=found.complete,
    )


_encode: Final = msgspec.json.Encoder().encode


def _gap(_: type[T]) -> T:
    """Return what stands for a value that is told later."""
    return cast("T", msgspec.Raw(_GAP))


def _number(value: int | None) -> bytes:
    return b"null" if value is None else b"%d" % value


def _distance(here: Point | None, document: Document) -> bytes:
    if here is None or document.point is None:
        return b"null"
    return b"%d" % round(arc_m(here, document.point))
