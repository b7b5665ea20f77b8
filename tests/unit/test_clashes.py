"""What a changed plan takes away from a show's buyers, compared with a model that knows no better.

The model works on the JSON of both plans and on who has which label: it knows nothing of positions,
manifests, slugs or states as the engine has them.
"""

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from engine.catalog.clashes import Occupied, find_clash, places_of, vanishing_seats
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.manifest import SEPARATOR
from engine.inventory.seating_plan import read_plan

Json = dict[str, Any]

_CATEGORIES = ("One", "Two")
_NAMES = [f"{row}{n}" for row in "ABCD" for n in range(1, 6)]
_AREAS = ("Floor", "Bar", "Pit")


class House(Struct):
    """What buyers have of a show: by label, and by the name of an area."""

    sold: set[str]
    unrecorded: set[str]
    held: set[str]
    area_sold: dict[str, int]
    area_held: dict[str, int]


@st.composite
def plans(draw: st.DrawFn) -> Json:
    """A plan of some of twenty seats, in rows as they come, and some of three areas."""
    names = draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=20))
    rows: dict[str, list[Json]] = {}
    for n, name in enumerate(names):
        row = draw(st.sampled_from("xyz"))
        rows.setdefault(row, []).append(
            {
                "seat_guid": name,
                "seat_number": str(n),
                "position": {"x": 10 * n, "y": 0},
                "category": draw(st.sampled_from(_CATEGORIES)),
            }
        )
    areas = [
        {
            "area_id": area,
            "capacity": draw(st.integers(1, 9)),
            "category": draw(st.sampled_from(_CATEGORIES)),
        }
        for area in draw(st.lists(st.sampled_from(_AREAS), unique=True))
    ]
    if not names and not areas:
        areas = [{"area_id": "Other", "capacity": 1, "category": "One"}]
    return {
        "name": "Hall",
        "categories": [{"name": name} for name in _CATEGORIES],
        "zones": [
            {
                "name": "Z",
                "position": {"x": 0, "y": 0},
                "rows": [
                    {"row_number": row, "position": {"x": 0, "y": 20 * n}, "seats": seats}
                    for n, (row, seats) in enumerate(rows.items())
                ],
                "areas": areas,
            }
        ],
    }


@st.composite
def houses(draw: st.DrawFn, plan: Json) -> House:
    """Who has what of a plan; a seat that is sold may be in the ledger, or not yet."""
    house = House(set(), set(), set(), {}, {})
    for label in _seats(plan):
        state = draw(st.sampled_from(["open", "open", "sold", "unrecorded", "held", "blocked"]))
        if state in {"sold", "unrecorded", "held"}:
            getattr(house, state).add(label)
    for area, capacity in _areas(plan).items():
        house.area_sold[area] = draw(st.integers(0, capacity))
        house.area_held[area] = draw(st.integers(0, capacity - house.area_sold[area]))
    return house


@st.composite
def changes(draw: st.DrawFn) -> tuple[Json, House, Json]:
    """A plan, who has what of it, and another plan: most often with parts of the first."""
    before = draw(plans())
    house = draw(houses(before))
    after = draw(plans())
    if draw(st.booleans()):
        after = json.loads(json.dumps(before))
        for row in after["zones"][0]["rows"]:
            row["seats"] = [seat for seat in row["seats"] if draw(st.integers(0, 3))] or row[
                "seats"
            ]
        for area in after["zones"][0]["areas"]:
            area["capacity"] = draw(st.integers(1, 9))
    return before, house, after


def _seats(plan: Json) -> list[str]:
    return [s["seat_guid"] for z in plan["zones"] for r in z["rows"] for s in r["seats"]]


def _areas(plan: Json) -> dict[str, int]:
    return {a["area_id"]: a["capacity"] for z in plan["zones"] for a in z["areas"]}


def _model(house: House, after: Json) -> tuple[set[str], set[str], set[tuple[str, int, int, int]]]:
    """Say which sold seats, which held seats and which areas conflict with a plan."""
    there, room = _seats(after), _areas(after)
    sold = {label for label in house.sold | house.unrecorded if label not in there}
    held = {label for label in house.held if label not in there}
    short: set[tuple[str, int, int, int]] = set()
    for area in house.area_sold:
        taken = house.area_sold[area] + house.area_held[area]
        if taken > room.get(area, 0):
            short.add(
                (area.lower(), house.area_sold[area], house.area_held[area], room.get(area, 0))
            )
    return sold, held, short


def _occupied(before: Json, house: House) -> Occupied:
    """Put it as the stores do: states by position, and positions that the ledger has."""
    manifest = compile_manifest(read_plan(json.dumps(before)))
    states = {**dict.fromkeys(house.unrecorded, "s"), **dict.fromkeys(house.held, "h")}
    # A sale is in both stores, or for a moment in one: Redis says nothing of some.
    states |= dict.fromkeys([label for n, label in enumerate(sorted(house.sold)) if n % 2], "s")
    seats = "".join(
        SEPARATOR if label is None else states.get(label, "o") for label in manifest.labels
    )
    ledger = [manifest.index_by_label[label] for label in house.sold]
    by_slug: Mapping[str, str] = {area.lower(): area for area in house.area_sold}
    areas = [
        (house.area_sold[by_slug[area.slug]], house.area_held[by_slug[area.slug]])
        for area in manifest.areas
    ]
    return Occupied(seats=seats.encode(), sold=ledger, areas=areas)


@settings(max_examples=150, deadline=None)
@given(changes())
def test_conflicts_are_those_of_the_model(change: tuple[Json, House, Json]) -> None:
    """Each seat and each area, no more and no fewer, whatever else has changed."""
    before, house, after = change
    manifest = compile_manifest(read_plan(json.dumps(before)))
    places = places_of(read_plan(json.dumps(after)))
    vanishing = vanishing_seats(manifest, places)
    clash = find_clash(manifest, vanishing, places, _occupied(before, house))
    sold, held, short = _model(house, after)
    event(f"conflicts: {bool(sold)}, {bool(held)}, {bool(short)}")
    assert sorted(clash.sold_seats) == sorted(sold)
    assert sorted(clash.held_seats) == sorted(held)
    assert sorted((a.area, a.sold, a.held, a.capacity) for a in clash.areas) == sorted(short)
    assert bool(clash) == bool(sold or held or short)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_a_plan_does_not_conflict_with_itself(data: st.DataObject) -> None:
    """Whoever has what, and however its rows and categories are called."""
    before = data.draw(plans())
    house = data.draw(houses(before))
    manifest = compile_manifest(read_plan(json.dumps(before)))
    places = places_of(read_plan(json.dumps(before)))
    assert not vanishing_seats(manifest, places)
    assert not find_clash(manifest, [], places, _occupied(before, house))
