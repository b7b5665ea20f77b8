"""The geometry behind a manifest: who sits beside whom, where the aisles are, what is near.

Points are in the plan's coordinates. The rules, for people: docs/SEATING_PLANS.md.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import cos, dist, fsum, pi, radians, sin
from statistics import median_low
from typing import Final

from engine.inventory.seating_plan_format import AreaText, PlanArea, Position

Point = tuple[float, float]

AISLE_FACTOR: Final = 1.5
"""A gap of more than this many times the row's usual spacing is an aisle."""

_SLACK: Final = 1.000001
"""Lengths that differ by less than this factor are equal: they are sums of floats."""


def walking_order(points: Sequence[Point]) -> list[int]:
    """Return the indexes of a row's seats in the order in which one walks past them.

    It is the shortest of three walks: in the order given, along x, and along y. So a curved row or
    a round table that is listed seat by seat keeps its order, and a shuffled row is put straight.
    """
    given = list(range(len(points)))
    shortest, length = given, _walk(points)
    first, last = points[0], points[-1]
    if length <= dist(first, last) * _SLACK:  # straight already
        return given
    for axis in (0, 1):
        order = sorted(given, key=lambda n: (points[n][axis], points[n][1 - axis], n))
        walk = _walk([points[n] for n in order])
        if walk * _SLACK < length:
            shortest, length = order, walk
    return shortest


def aisles(points: Sequence[Point]) -> frozenset[int]:
    """Return the indexes of the points after which an aisle lies; `points` in walking order.

    The usual spacing is the lower median of the gaps, so that a row of three seats with an aisle
    in it has one.
    """
    gaps = [dist(here, there) for here, there in pairwise(points)]
    if not gaps:
        return frozenset()
    widest = AISLE_FACTOR * _SLACK * median_low(gaps)
    return frozenset(n for n, gap in enumerate(gaps) if gap > widest)


def center(points: Sequence[Point]) -> Point:
    """Return the mean of some points."""
    return fsum(x for x, _ in points) / len(points), fsum(y for _, y in points) / len(points)


def focus_of(areas: Iterable[tuple[Point, PlanArea]]) -> Point | None:
    """Return the centre of some areas, each weighted by its surface; None if there are none.

    Each comes with the position of its zone. Areas without a surface (words on the plan) count
    only where no area has one.
    """
    shapes = [_center_and_surface(zone, area) for zone, area in areas]
    if not shapes:
        return None
    total = fsum(surface for _, surface in shapes)
    if not total:
        return center([middle for middle, _ in shapes])
    return (
        fsum(x * surface for (x, _), surface in shapes) / total,
        fsum(y * surface for (_, y), surface in shapes) / total,
    )


def _walk(points: Sequence[Point]) -> float:
    return fsum(map(dist, points, points[1:]))


def _center_and_surface(zone: Point, area: PlanArea) -> tuple[Point, float]:
    at = _point(area.position) if area.position else (0.0, 0.0)
    inner, surface = _inner_center_and_surface(area)
    turn = radians(area.rotation or 0)  # clockwise around the area's position; y points down
    x = zone[0] + at[0] + inner[0] * cos(turn) - inner[1] * sin(turn)
    y = zone[1] + at[1] + inner[0] * sin(turn) + inner[1] * cos(turn)
    return (x, y), surface


def _inner_center_and_surface(area: PlanArea) -> tuple[Point, float]:
    if area.circle:
        return (0.0, 0.0), pi * area.circle.radius**2
    if area.ellipse:
        return (0.0, 0.0), pi * abs(area.ellipse.radius.x * area.ellipse.radius.y)
    if area.polygon and area.polygon.points:
        points = [_point(point) for point in area.polygon.points]
        return center(points), _polygon_surface(points)
    width, height = area.width or 0, area.height or 0
    if area.rectangle:
        width, height = area.rectangle.width, area.rectangle.height
    if not width * height and isinstance(area.text, AreaText):
        return _point(area.text.position), 0.0
    return (width / 2, height / 2), float(width * height)


def _polygon_surface(points: Sequence[Point]) -> float:
    corners = zip(points, [*points[1:], points[0]], strict=True)
    return abs(fsum(a[0] * b[1] - b[0] * a[1] for a, b in corners)) / 2


def _point(position: Position) -> Point:
    return position.x, position.y
