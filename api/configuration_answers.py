"""What is told about configurations, their versions, what differs and what conflicts."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.catalog.configurations import Configuration
from engine.catalog.conflicts import ShowConflict
from engine.catalog.differences import (
    Difference,
    DifferenceKind,
    Planned,
    PlannedArea,
    PlannedSeat,
    ZoneWays,
)
from engine.catalog.occupancy import VenueShow
from engine.catalog.versions import Version
from engine.platform.ids import Ids, Prefix

SEATS_NAMED_MAX: Final = 100


class ConfigurationAnswer(Struct, frozen=True, kw_only=True):
    """A way to set a venue up. `version` is the one that was added last, null before the first."""

    configuration: str
    venue: str
    name: str
    description: str
    version: int | None
    created_at: datetime
    changed_at: datetime
    archived_at: datetime | None


class ConfigurationList(Struct, frozen=True):
    """Configurations, the newest first. `next_cursor` is null on the last page."""

    configurations: list[ConfigurationAnswer]
    next_cursor: str | None


class CategoryAnswer(Struct, frozen=True):
    """What a category has: numbered seats, and places of general admission."""

    price_level: str
    name: str
    color: str | None
    seats: int
    places: int
    capacity: int


class VersionAnswer(Struct, frozen=True, kw_only=True):
    """A version: for shows from the day `valid_from` on. It never changes."""

    configuration: str
    version: int
    valid_from: date
    note: str
    seat_count: int
    capacity: int
    categories: list[CategoryAnswer]
    created_at: datetime


class VersionList(Struct, frozen=True):
    """Versions, the last added first. `next_cursor` is null on the last page."""

    versions: list[VersionAnswer]
    next_cursor: str | None


class PlannedAnswer(Struct, frozen=True, kw_only=True):
    """A seat, an area or a zone in one of two versions; what it has not is left out."""

    zone: str | UnsetType = UNSET
    row: str | UnsetType = UNSET
    number: str | UnsetType = UNSET
    price_level: str | UnsetType = UNSET
    accessible: bool | UnsetType = UNSET
    companion_of: str | UnsetType = UNSET
    restricted_view: bool | UnsetType = UNSET
    capacity: int | UnsetType = UNSET
    entrance: str | UnsetType = UNSET
    gate: str | UnsetType = UNSET


class DifferenceAnswer(Struct, frozen=True, kw_only=True):
    """One difference: of a seat, an area or a zone, as it was before and as it is after."""

    kind: str
    seat: str | UnsetType = UNSET
    area: str | UnsetType = UNSET
    zone: str | UnsetType = UNSET
    before: PlannedAnswer | None
    after: PlannedAnswer | None


class DifferencesAnswer(Struct, frozen=True, kw_only=True):
    """What differs between two versions: how many of each kind, and a page of them all.

    Seats are compared by label, areas by slug, zones by name. A seat moves when its zone, row or
    number is another.
    """

    configuration: str
    before: int
    after: int
    counts: Annotated[
        dict[str, int], Meta(examples=[{"seat_removed": 12, "seat_category_changed": 40}])
    ]
    differences: list[DifferenceAnswer]
    next_cursor: str | None


class SeatsLost(Struct, frozen=True):
    """Seats that would vanish: how many, and the labels of up to a hundred."""

    count: int
    seats: list[str]


class AreaTooSmall(Struct, frozen=True):
    """An area that would take fewer than it has to; `capacity` 0: it would vanish."""

    area: str
    sold: int
    held: int
    capacity: int


class OverlappingShow(Struct, frozen=True):
    """Another show at the same venue meanwhile."""

    show: str
    name: str
    begins_at: datetime
    ends_at: datetime


class ConflictAnswer(Struct, frozen=True, kw_only=True):
    """A show to come that conflicts with a change, and by what.

    `held_known` is false while its inventory is being rebuilt: then what is held was not looked at.
    """

    show: str
    name: str
    starts_at: datetime
    state: str
    version: int
    sold_seats: SeatsLost
    held_seats: SeatsLost
    areas: list[AreaTooSmall]
    overlaps: list[OverlappingShow]
    held_known: bool


class ConflictsAnswer(Struct, frozen=True):
    """The shows to come that conflict, the soonest first, among `looked_at` that were looked at.

    `next_cursor` asks for those behind them; null: there are no more.
    """

    shows: list[ConflictAnswer]
    looked_at: int
    next_cursor: str | None


def tell_configuration(configuration: Configuration, ids: Ids) -> ConfigurationAnswer:
    """Tell a configuration."""
    return ConfigurationAnswer(
        configuration=ids.entity(Prefix.CONFIGURATION, configuration.id),
        venue=ids.entity(Prefix.VENUE, configuration.venue),
        name=configuration.name,
        description=configuration.description,
        version=configuration.version,
        created_at=configuration.created_at,
        changed_at=configuration.changed_at,
        archived_at=configuration.archived_at,
    )


def tell_version(version: Version, ids: Ids) -> VersionAnswer:
    """Tell a version with what its categories have."""
    return VersionAnswer(
        configuration=ids.entity(Prefix.CONFIGURATION, version.configuration),
        version=version.version,
        valid_from=version.valid_from,
        note=version.note,
        seat_count=version.seat_count,
        capacity=version.capacity,
        categories=[
            CategoryAnswer(
                one.price_level, one.name, one.color, one.seats, one.places, one.seats + one.places
            )
            for one in version.categories
        ],
        created_at=version.created_at,
    )


def tell_difference(difference: Difference) -> DifferenceAnswer:
    """Tell a difference."""
    kind, name = difference.kind, difference.name
    return DifferenceAnswer(
        kind=kind,
        seat=name if kind.startswith("seat") else UNSET,
        area=name if kind.startswith("area") else UNSET,
        zone=name if kind is DifferenceKind.ZONE_ATTRIBUTES_CHANGED else UNSET,
        before=_tell_planned(difference.before),
        after=_tell_planned(difference.after),
    )


def tell_conflict(conflict: ShowConflict, ids: Ids) -> ConflictAnswer:
    """Tell a show that conflicts."""
    show, clash = conflict.show, conflict.clash
    return ConflictAnswer(
        show=ids.entity(Prefix.SHOW, show.id),
        name=show.name,
        starts_at=show.starts_at,
        state=show.state,
        version=show.version,
        sold_seats=_tell_lost(clash.sold_seats),
        held_seats=_tell_lost(clash.held_seats),
        areas=[AreaTooSmall(one.area, one.sold, one.held, one.capacity) for one in clash.areas],
        overlaps=[_tell_overlap(other, ids) for other in conflict.overlaps],
        held_known=conflict.is_known,
    )


def _tell_planned(planned: Planned | None) -> PlannedAnswer | None:
    match planned:
        case None:
            return None
        case PlannedSeat():
            traits = planned.traits
            return PlannedAnswer(
                zone=planned.zone,
                row=planned.row,
                number=planned.number,
                price_level=planned.price_level,
                accessible=traits.accessible or UNSET,
                companion_of=traits.companion_of or UNSET,
                restricted_view=traits.restricted_view or UNSET,
            )
        case PlannedArea():
            return PlannedAnswer(price_level=planned.price_level, capacity=planned.capacity)
        case ZoneWays():
            return PlannedAnswer(entrance=planned.entrance or UNSET, gate=planned.gate or UNSET)


def _tell_lost(seats: Sequence[str]) -> SeatsLost:
    return SeatsLost(len(seats), list(seats[:SEATS_NAMED_MAX]))


def _tell_overlap(show: VenueShow, ids: Ids) -> OverlappingShow:
    return OverlappingShow(
        ids.entity(Prefix.SHOW, show.id), show.name, show.begins_at, show.ends_at
    )
