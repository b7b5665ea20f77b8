"""Small edits of a plan: what each does, that all or none are done, and what is refused where."""

from time import process_time
from typing import Any

import msgspec
import pytest

from engine.catalog.compact_table import read_table
from engine.catalog.differences import DifferenceKind, compare_plans
from engine.catalog.plan_edits import PlanEdit, PlanEditsError, edit_plan
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.manifest import Traits
from engine.inventory.seating_plan import SeatingPlan, export_plan, read_plan

Json = dict[str, Any]

_PLAN = read_table(
    "section,row,from,to,category,area,capacity\n"
    "Hall,A,1,6,VIP,,\nHall,B,1,8,Standard,,\nTier,1,1,4,Standard,,\n,,,,Standing,Floor,50\n",
    "Hall",
)


def _edited(*edits: Json, plan: SeatingPlan = _PLAN) -> SeatingPlan:
    return edit_plan(plan, msgspec.convert(list(edits), list[PlanEdit]))


def _labels(plan: SeatingPlan) -> dict[str, list[str]]:
    return {
        f"{zone.title()}/{row.row_number}": [seat.seat_guid for seat in row.seats]
        for zone in plan.zones
        for row in zone.rows
    }


@pytest.mark.parametrize(
    ("edit", "counts"),
    [
        (
            {"edit": "add_row", "zone": "Hall", "row": "C", "last": 7, "category": "VIP"},
            {"seat_added": 7},
        ),
        (
            {"edit": "add_row", "zone": "Box", "row": "1", "last": 2, "category": "VIP"},
            {"seat_added": 2},
        ),
        ({"edit": "remove_row", "zone": "Hall", "row": "B"}, {"seat_removed": 8}),
        (
            {
                "edit": "add_seats",
                "zone": "Hall",
                "row": "A",
                "first": 7,
                "last": 9,
                "category": "VIP",
            },
            {"seat_added": 3},
        ),
        (
            {"edit": "remove_seats", "seats": ["Hall-A-1", "Tier-1-4", "Hall-A-1"]},
            {"seat_removed": 2},
        ),
        (
            {"edit": "set_category", "category": "Standard", "seats": ["Hall-A-1", "Hall-B-1"]},
            {"seat_category_changed": 1},
        ),
        (
            {"edit": "set_category", "category": "VIP", "zone": "Hall", "rows": ["A", "B"]},
            {"seat_category_changed": 8},
        ),
        (
            {"edit": "set_category", "category": "VIP", "areas": ["floor"]},
            {"area_category_changed": 1},
        ),
        (
            {"edit": "add_area", "area": "Bar", "capacity": 9, "category": "Standing"},
            {"area_added": 1},
        ),
        ({"edit": "remove_area", "area": "floor"}, {"area_removed": 1}),
        (
            {"edit": "set_capacity", "area": "floor", "capacity": 40},
            {"area_capacity_changed": 1},
        ),
        (
            {"edit": "set_attributes", "seats": ["Hall-A-1"], "accessible": True},
            {"seat_attributes_changed": 1},
        ),
        (
            {"edit": "set_zone", "zone": "Tier", "entrance": "B", "gate": "4"},
            {"zone_attributes_changed": 1},
        ),
        ({"edit": "add_category", "name": "Balcony", "color": "#fff"}, {}),
    ],
)
def test_an_edit_changes_what_it_names_and_nothing_else(edit: Json, counts: dict[str, int]) -> None:
    """By what differs between the plan before and after."""
    found = compare_plans(_PLAN, _edited(edit))
    assert {kind: count for kind, count in found.counts.items() if count} == counts


def test_edits_are_done_in_their_order() -> None:
    """A category that an edit makes is there for the next; a row that goes can come anew."""
    plan = _edited(
        {"edit": "add_category", "name": "Balcony"},
        {"edit": "remove_row", "zone": "Tier", "row": "1"},
        {
            "edit": "add_row",
            "zone": "Tier",
            "row": "1",
            "first": 3,
            "last": 4,
            "category": "Balcony",
        },
    )
    assert _labels(plan)["Tier/1"] == ["Tier-1-3", "Tier-1-4"]
    assert compile_manifest(plan).levels[-1].slug == "balcony"


def test_new_seats_are_labelled_as_their_neighbours() -> None:
    """A row's labels go on, whatever scheme they have; one's own prefix is taken where given."""
    imported = read_plan(
        msgspec.json.encode(
            {
                "name": "Hall",
                "categories": [{"name": "One"}],
                "zones": [
                    {
                        "name": "Parkett",
                        "position": {"x": 0, "y": 0},
                        "rows": [
                            {
                                "row_number": "1",
                                "seats": [
                                    {
                                        "seat_guid": f"seat#{n}",
                                        "seat_number": str(n),
                                        "position": {"x": 20 * n, "y": 0},
                                        "category": "One",
                                    }
                                    for n in (1, 2)
                                ],
                            }
                        ],
                    }
                ],
            }
        )
    )
    seats: Json = {"edit": "add_seats", "zone": "Parkett", "row": "1", "category": "One"}
    plan = _edited(
        {**seats, "first": 3, "last": 3},
        {**seats, "first": 4, "last": 4, "label_prefix": "new-"},
        plan=imported,
    )
    row = plan.zones[0].rows[0]
    assert [seat.seat_guid for seat in row.seats] == ["seat#1", "seat#2", "seat#3", "new-4"]
    assert [seat.position.x for seat in row.seats] == [20, 40, 60, 80]


def test_attributes_are_set_and_cleared() -> None:
    """`null` clears, what is left out stays; a companion goes with an accessible seat."""
    plan = _edited(
        {"edit": "set_attributes", "seats": ["Hall-A-1"], "accessible": True},
        {"edit": "set_attributes", "seats": ["Hall-A-2"], "companion_of": "Hall-A-1"},
        {"edit": "set_attributes", "seats": ["Hall-A-2"], "restricted_view": True},
    )
    traits = compile_manifest(plan).traits
    assert set(traits.values()) == {
        Traits(accessible=True),
        Traits(companion_of="Hall-A-1", restricted_view=True),
    }
    cleared: Json = {
        "edit": "set_attributes",
        "seats": ["Hall-A-1", "Hall-A-2"],
        "accessible": None,
        "companion_of": None,
        "restricted_view": None,
    }
    assert compile_manifest(_edited(cleared, plan=plan)).traits == {}


@pytest.mark.parametrize(
    ("edit", "pointer", "reason"),
    [
        ({"edit": "remove_row", "zone": "Hell", "row": "A"}, "/0/zone", "no zone is called"),
        ({"edit": "remove_row", "zone": "Hall", "row": "Z"}, "/0/row", "no row of the zone"),
        (
            {"edit": "add_row", "zone": "Hall", "row": "A", "last": 2, "category": "VIP"},
            "/0/row",
            "has a row 'A' already",
        ),
        (
            {"edit": "add_row", "zone": "Hall", "row": "C", "last": 2, "category": "Box"},
            "/0/category",
            "no category is called 'Box'; add it first",
        ),
        (
            {
                "edit": "add_row",
                "zone": "Hall",
                "row": "C",
                "category": "VIP",
                "first": 3,
                "last": 2,
            },
            "/0/last",
            "less than first",
        ),
        (
            {
                "edit": "add_row",
                "zone": "Hall",
                "row": "C",
                "category": "VIP",
                "last": 2,
                "label_prefix": "Hall-A-",
            },
            "/0",
            "there is a seat 'Hall-A-1' already",
        ),
        (
            {"edit": "remove_seats", "seats": ["Hall-A-1", "Hall-A-99"]},
            "/0/seats/1",
            "no seat 'Hall-A-99'",
        ),
        ({"edit": "set_category", "category": "VIP"}, "/0", "at least one of seats, rows"),
        (
            {"edit": "set_category", "category": "VIP", "rows": ["A"]},
            "/0/rows",
            "with the zone",
        ),
        ({"edit": "remove_area", "area": "pit"}, "/0/area", "no area 'pit'"),
        ({"edit": "add_category", "name": "VIP"}, "/0/name", "a category 'VIP' already"),
        (
            {"edit": "set_attributes", "seats": ["Hall-A-1"], "companion_of": "Hall-A-2"},
            "",
            "the seat 'Hall-A-2' is not accessible",
        ),
        (
            {"edit": "add_area", "area": "Floor", "capacity": 1, "category": "VIP"},
            "",
            "the same slug: floor",
        ),
    ],
)
def test_what_can_not_be_done_is_told_where(edit: Json, pointer: str, reason: str) -> None:
    """By a pointer into the list of edits; `""` is what would come of them all."""
    with pytest.raises(PlanEditsError) as refused:
        _edited(edit)
    [fault] = refused.value.faults
    assert fault.pointer == pointer
    assert reason in fault.reason


def test_all_that_is_wrong_with_all_edits_is_told_and_none_is_done() -> None:
    """The plan that was given stays as it is, also where some edits are right."""
    before = msgspec.json.encode(_PLAN)
    with pytest.raises(PlanEditsError) as refused:
        _edited(
            {"edit": "remove_seats", "seats": ["Hall-A-1"]},
            {"edit": "remove_seats", "seats": ["Hall-A-1", "nobody"]},
            {"edit": "remove_area", "area": "pit"},
        )
    assert [fault.pointer for fault in refused.value.faults] == [
        "/1/seats/0",
        "/1/seats/1",
        "/2/area",
    ]
    assert msgspec.json.encode(_PLAN) == before


def test_differences_name_each_seat_with_where_it_was_and_is() -> None:
    """In the order of the plans; one seat may differ in more than one way."""
    plan = _edited(
        {"edit": "remove_seats", "seats": ["Tier-1-1"]},
        {"edit": "add_row", "zone": "Tier", "row": "2", "last": 1, "category": "VIP"},
    )
    moved = msgspec.json.decode(
        msgspec.json.encode(plan).replace(b'"row_number":"A"', b'"row_number":"AA"'),
        type=SeatingPlan,
    )
    found = compare_plans(_PLAN, moved).listed
    assert [(one.kind, one.name) for one in found] == [
        *((DifferenceKind.SEAT_MOVED, f"Hall-A-{n}") for n in range(1, 7)),
        (DifferenceKind.SEAT_REMOVED, "Tier-1-1"),
        (DifferenceKind.SEAT_ADDED, "Tier-2-1"),
    ]
    assert compare_plans(plan, plan).listed == []


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        (
            [{"edit": "add_row", "zone": "Z" * 62, "row": "1", "last": 1, "category": "VIP"}],
            "then /zones/3/rows/0/seats/0/seat_guid: ",
        ),
        (
            [{"edit": "add_category", "name": f"Category {n}"} for n in range(300)],
            "then /categories: ",
        ),
    ],
    ids=["labels", "categories"],
)
def test_no_plan_is_made_that_could_not_be_read_again(edits: list[Json], reason: str) -> None:
    """What its parts may be is told of the whole that comes of the edits."""
    with pytest.raises(PlanEditsError) as refused:
        _edited(*edits)
    (fault,) = [fault for fault in refused.value.faults if fault.reason.startswith(reason)]
    assert fault.pointer == ""
    plan = _edited(*edits[:0])
    assert read_plan(export_plan(plan)) == plan


def test_many_rows_and_areas_are_found_at_once() -> None:
    """Each is looked up once, not in all others: a zone may have ten thousand rows."""
    rows = "".join(f"Hall,{n},1,1,One,,\n" for n in range(2_000))
    areas = "".join(f",,,,One,Area {n},5\n" for n in range(200))
    head = "section,row,from,to,category,area,capacity\n"
    plan = read_table(f"{head}{rows}{areas}Hall,last,1,1,Two,,\n", "Hall")
    edit = {
        "edit": "set_category",
        "category": "Two",
        "zone": "Hall",
        "rows": [str(n) for n in range(1000)],
        "areas": [f"area-{n}" for n in range(200)],
    }
    began = process_time()
    edited = _edited(*[edit] * 20, plan=plan)
    assert process_time() - began < 3
    found = compare_plans(plan, edited)
    assert found.counts[DifferenceKind.SEAT_CATEGORY_CHANGED] == 1000
    assert found.counts[DifferenceKind.AREA_CATEGORY_CHANGED] == 200


def test_all_areas_that_are_not_there_are_named() -> None:
    """Each where it was named."""
    with pytest.raises(PlanEditsError) as refused:
        _edited({"edit": "set_category", "category": "VIP", "areas": ["bar", "floor", "pit"]})
    assert [fault.pointer for fault in refused.value.faults] == ["/0/areas/0", "/0/areas/2"]
