"""Generates plausible arenas of any size, as seating plans in pretix's JSON format.

An arena is a bowl around a stage: tiers of 20 curved rows, cut into sections by gangways, with an
aisle in the middle of each section. Rows are filled from the stage outwards, so that a small arena
is whole too. The same arguments give the same bytes.
"""

from collections.abc import Iterator
from itertools import count
from math import ceil, cos, pi, sin
from typing import Any, Final, NamedTuple

import msgspec

SEATS_MAX: Final = 150_000

_SEAT_PITCH: Final = 10.0
_ROW_PITCH: Final = 18.0
_AISLE: Final = 12.0
_GANGWAY: Final = 30.0
_FIRST_RADIUS: Final = 240.0
_FLOOR_RADIUS: Final = 150.0
_STAGE_RADIUS: Final = 70
_FLOOR_SIDE: Final = 60
_TIER_ROWS: Final = 20
_TIER_GAP: Final = 60.0
_SECTION_WIDTH: Final = 300.0
_VIP_ROWS: Final = 5
_MARGIN: Final = 20

_CATEGORIES: Final = (
    {"name": "VIP", "color": "#8e44ad"},
    {"name": "Category 1", "color": "#e87722"},
    {"name": "Category 2", "color": "#1d3557"},
    {"name": "Category 3", "color": "#2a9d8f"},
    {"name": "Standing", "color": "#adb5bd"},
)

_Json = dict[str, Any]


class _Row(NamedTuple):
    """A row to fill. `turn` is the angle of its section's middle, `arc` what its seats may take."""

    tier: int
    number: int
    section: str
    turn: float
    radius: float
    arc: float


def arena_plan(seats: int, *, floor_areas: int = 0, floor_capacity: int = 500) -> bytes:
    """Return the seating plan of an arena with exactly this many seats, as JSON.

    `floor_areas` general admission areas of `floor_capacity` places each lie around the stage.

    Raises:
        ValueError: more than 150 000 seats, or nothing to sell.
    """
    if not 0 <= seats <= SEATS_MAX or floor_areas < 0 or not seats + floor_areas:
        msg = f"an arena has up to {SEATS_MAX} seats, and at least one seat or area"
        raise ValueError(msg)
    rows_by_section: dict[str, list[_Json]] = {}
    radius = _FIRST_RADIUS
    left = seats
    for row in _rows():
        if not left:
            break
        filled = _filled(row, left)
        left -= len(filled["seats"])
        radius = max(radius, row.radius)
        rows_by_section.setdefault(row.section, []).append(filled)
    half = ceil(radius) + _MARGIN  # the stage is in the middle, and no coordinate is negative
    middle = {"x": half, "y": half}
    zones = [_floor(middle, floor_areas, floor_capacity)]
    zones += [
        {
            "name": f"Section {section}",
            "zone_id": section,
            "position": middle,
            "rows": rows,
            "areas": [],
        }
        for section, rows in rows_by_section.items()
    ]
    return msgspec.json.encode(
        {
            "name": f"Arena of {seats} seats",
            "categories": _CATEGORIES,
            "size": {"width": 2 * half, "height": 2 * half},
            "zones": zones,
        }
    )


def _rows() -> Iterator[_Row]:
    """Yield the rows of an endless arena: tier by tier, ring by ring, section by section."""
    for tier in count():
        inner = _FIRST_RADIUS + tier * (_TIER_ROWS * _ROW_PITCH + _TIER_GAP)
        sections = max(4, round(2 * pi * inner / _SECTION_WIDTH))
        for number in range(1, _TIER_ROWS + 1):
            radius = inner + (number - 1) * _ROW_PITCH
            for section in range(sections):
                yield _Row(
                    tier=tier,
                    number=number,
                    section=f"{tier + 1}{section + 1:02}",
                    turn=2 * pi * section / sections,
                    radius=radius,
                    arc=2 * pi * radius / sections - _GANGWAY,
                )


def _filled(row: _Row, seats_max: int) -> _Json:
    """Return a row with as many seats as fit, or as are left."""
    places = int((row.arc - _AISLE) / _SEAT_PITCH) + 1
    first = -((places - 1) * _SEAT_PITCH + _AISLE) / 2
    category = _category(row)
    seats: list[_Json] = []
    for n in range(min(places, seats_max)):
        along = first + n * _SEAT_PITCH + (_AISLE if n >= places // 2 else 0)
        angle = row.turn + along / row.radius
        seats.append(
            {
                "seat_guid": f"{row.section}-{row.number}-{n + 1}",
                "seat_number": str(n + 1),
                "radius": 4,
                "position": {
                    "x": round(row.radius * cos(angle), 2),
                    "y": round(row.radius * sin(angle), 2),
                },
                "category": category,
            }
        )
    return {
        "row_number": str(row.number),
        "row_number_position": "both",
        "position": {"x": 0, "y": 0},
        "seats": seats,
    }


def _category(row: _Row) -> str:
    if row.tier == 0:
        return "VIP" if row.number <= _VIP_ROWS else "Category 1"
    return "Category 2" if row.tier <= 2 else "Category 3"  # noqa: PLR2004 - the third tier


def _floor(middle: dict[str, int], areas: int, capacity: int) -> _Json:
    """Return the zone inside the bowl: the stage, and the standing areas around it."""
    stage = {
        "shape": "circle",
        "circle": {"radius": _STAGE_RADIUS},
        "color": "#dee2e6",
        "border_color": "#868e96",
        "position": {"x": 0, "y": 0},
        "text": {"text": "Stage", "position": {"x": 0, "y": 0}, "size": 24},
    }
    standing = [
        {
            "area_id": f"floor-{n + 1}",
            "capacity": capacity,
            "category": "Standing",
            "shape": "rectangle",
            "rectangle": {"width": _FLOOR_SIDE, "height": _FLOOR_SIDE},
            "position": {
                "x": round(_FLOOR_RADIUS * cos(2 * pi * n / areas) - _FLOOR_SIDE / 2, 2),
                "y": round(_FLOOR_RADIUS * sin(2 * pi * n / areas) - _FLOOR_SIDE / 2, 2),
            },
            "text": {
                "text": f"Floor {n + 1}",
                "position": {"x": _FLOOR_SIDE // 2, "y": _FLOOR_SIDE // 2},
            },
        }
        for n in range(areas)
    ]
    return {
        "name": "Floor",
        "zone_id": "floor",
        "position": middle,
        "rows": [],
        "areas": [stage, *standing],
    }
