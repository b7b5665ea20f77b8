"""pretix's seating plan JSON as structs, with the limits that hold for one value at a time.

The fields are those of `seating-plan.schema.json` in pretix, of its first version and of the
newest, and some of our own: `capacity`, `category` and `area_id` make an area general admission;
`accessible`, `companion_of` and `restricted_view` of a seat, `entrance` and `gate` of a zone are
told to buyers. Field by field: docs/SEATING_PLANS.md. Absent and null are kept apart, so that a
plan is written back as it came.
"""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

SEATS_MAX: Final = 150_000
ROW_SEATS_MAX: Final = 2_000
ZONE_ROWS_MAX: Final = 10_000
ZONE_AREAS_MAX: Final = 2_000
ZONES_MAX: Final = 10_000
CATEGORIES_MAX: Final = 250
POLYGON_POINTS_MAX: Final = 10_000
GA_AREAS_MAX: Final = 1_000
CAPACITY_MAX: Final = 1_000_000
LABEL_CHARACTERS_MAX: Final = 64
NAME_CHARACTERS_MAX: Final = 200
TEXT_CHARACTERS_MAX: Final = 2_000
COORDINATE_MAX: Final = 1_000_000

# PostgreSQL stores no NUL, and a label with a line break in it breaks every list that it is in.
_NO_CONTROLS: Final = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"
_SOMETHING_WITHOUT_CONTROLS: Final = r"\A(?=.*\S)[^\x00-\x1f\x7f-\x9f]*\Z"
_LINES: Final = r"\A[^\x00-\x08\x0b-\x1f\x7f-\x9f]*\Z"

Label = Annotated[
    str, Meta(min_length=1, max_length=LABEL_CHARACTERS_MAX, pattern=_SOMETHING_WITHOUT_CONTROLS)
]
Number = Annotated[str, Meta(max_length=LABEL_CHARACTERS_MAX, pattern=_NO_CONTROLS)]
Name = Annotated[
    str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX, pattern=_SOMETHING_WITHOUT_CONTROLS)
]
Word = Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX, pattern=_NO_CONTROLS)]
Lines = Annotated[str, Meta(max_length=TEXT_CHARACTERS_MAX, pattern=_LINES)]
Coordinate = (
    Annotated[int, Meta(ge=-COORDINATE_MAX, le=COORDINATE_MAX)]
    | Annotated[float, Meta(ge=-COORDINATE_MAX, le=COORDINATE_MAX)]
)
Length = (
    Annotated[int, Meta(ge=0, le=COORDINATE_MAX)] | Annotated[float, Meta(ge=0, le=COORDINATE_MAX)]
)
Count = Annotated[int, Meta(ge=0, le=COORDINATE_MAX)]
Capacity = Annotated[int, Meta(ge=1, le=CAPACITY_MAX)]


# gc=False: none of these can be part of a cycle, and 150 000 seats are 300 000 of them.
class Position(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A point, relative to what it stands in: seat in row, row in zone, zone in plan."""

    x: Coordinate
    y: Coordinate


class PlanCategory(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A group of seats that cost the same: it becomes a price level."""

    name: Name
    color: Word | UnsetType = UNSET


class PlanSeat(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One seat. Its `seat_guid` is its label here; `category` is a category's name.

    The last three fields are Onsale's; `companion_of` is the label of an accessible seat.
    """

    seat_guid: Label
    seat_number: Number
    position: Position
    category: Name
    uuid: Word | UnsetType = UNSET
    radius: Length | UnsetType = UNSET
    start_direction: Word | UnsetType | None = UNSET
    accessible: bool | UnsetType = UNSET
    companion_of: Label | UnsetType = UNSET
    restricted_view: bool | UnsetType = UNSET


class PlanRow(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Seats that stand together. The last two fields are the first schema's."""

    row_number: Number
    seats: Annotated[list[PlanSeat], Meta(max_length=ROW_SEATS_MAX)]
    position: Position | UnsetType = UNSET
    row_label: Word | UnsetType | None = UNSET
    seat_label: Word | UnsetType | None = UNSET
    uuid: Word | UnsetType = UNSET
    row_number_position: Literal["start", "end", "both"] | UnsetType | None = UNSET
    number_of_seats: Count | UnsetType = UNSET
    seats_spacing: Length | UnsetType = UNSET


class Polygon(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Points, relative to the area's position."""

    points: Annotated[list[Position], Meta(max_length=POLYGON_POINTS_MAX)]


class Rectangle(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Its first corner is the area's position."""

    width: Length
    height: Length


class Ellipse(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Its centre is the area's position."""

    radius: Position


class Circle(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Its centre is the area's position."""

    radius: Length


class AreaText(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What is written on an area, and where relative to it."""

    text: Lines
    position: Position
    color: Word | UnsetType = UNSET
    size: Length | UnsetType = UNSET


class PlanArea(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A stage, a field, a table; with a `capacity`, general admission.

    `width` and `height`, and `text` as a plain string, are the first schema's. `capacity`,
    `category` and `area_id` are Onsale's.
    """

    position: Position | UnsetType = UNSET
    color: Word | UnsetType = UNSET
    border_color: Word | UnsetType = UNSET
    rotation: Coordinate | UnsetType = UNSET
    uuid: Word | UnsetType = UNSET
    shape: Literal["polygon", "rectangle", "ellipse", "circle", "text"] | UnsetType = UNSET
    polygon: Polygon | UnsetType = UNSET
    rectangle: Rectangle | UnsetType = UNSET
    ellipse: Ellipse | UnsetType = UNSET
    circle: Circle | UnsetType = UNSET
    text: AreaText | Lines | UnsetType = UNSET
    width: Length | UnsetType = UNSET
    height: Length | UnsetType = UNSET
    capacity: Capacity | UnsetType = UNSET
    category: Name | UnsetType = UNSET
    area_id: Label | UnsetType = UNSET

    def title(self) -> str:
        """Return what the area is called: its text on one line, else its id, else nothing."""
        text = self.text.text if isinstance(self.text, AreaText) else self.text or ""
        return " ".join(text.split()) or self.area_id or ""


class PlanZone(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A block, a balcony, a field. `displayed` is the first schema's, the last two are Onsale's."""

    position: Position
    rows: Annotated[list[PlanRow], Meta(max_length=ZONE_ROWS_MAX)]
    name: Word | UnsetType = UNSET
    zone_id: Word | UnsetType = UNSET
    uuid: Word | UnsetType = UNSET
    areas: Annotated[list[PlanArea], Meta(max_length=ZONE_AREAS_MAX)] | UnsetType = UNSET
    displayed: bool | UnsetType = UNSET
    entrance: Word | UnsetType = UNSET
    gate: Word | UnsetType = UNSET

    def title(self) -> str:
        """Return what the zone is called, nothing if the plan does not say."""
        return self.name or self.zone_id or ""


class Size(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Width and height of the whole drawing."""

    width: Length
    height: Length


class SeatingPlan(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A whole plan. `size` is required since pretix's second schema, and optional here."""

    name: Name
    categories: Annotated[list[PlanCategory], Meta(max_length=CATEGORIES_MAX)]
    zones: Annotated[list[PlanZone], Meta(max_length=ZONES_MAX)]
    size: Size | UnsetType = UNSET
