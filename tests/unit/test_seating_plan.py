"""Reading seating plans: what is accepted, what is refused and where, what is written back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.seating_plan import export_plan, read_plan
from loadtests.generated_plans import arena_plan
from tests.unit.plan_world import Json, refusal, seat, setting, small_plan

REAL_HALL = Path(__file__).parents[2] / "loadtests/data/riethsporthalle.seatingplan.json"


def row(plan: Json, n: int = 0) -> Json:
    """Return the nth row of a plan's first zone."""
    return plan["zones"][0]["rows"][n]


def area(plan: Json, n: int) -> Json:
    """Return the nth area of a plan."""
    return plan["zones"][0]["areas"][n]


def test_the_real_hall_is_read_and_written_back_unchanged() -> None:
    """The export has the same fields with the same values as the plan that was imported."""
    document = REAL_HALL.read_bytes()
    plan = read_plan(document)
    assert json.loads(export_plan(plan)) == json.loads(document)
    assert read_plan(export_plan(plan)) == plan


def test_the_first_published_format_is_read_and_written_back_unchanged() -> None:
    """Plans of pretix's first schema have other fields on zones, rows and areas, and no size."""
    plan = small_plan()
    del plan["size"]
    zone = plan["zones"][0]
    zone["displayed"] = True
    zone["rows"][0] |= {"number_of_seats": 2, "seats_spacing": 10}
    del zone["rows"][1]["position"]
    zone["areas"] = [
        {"width": 10, "height": 5, "position": {"x": 0, "y": 0}, "text": "Stage", "rotation": 1.5}
    ]
    assert json.loads(export_plan(read_plan(json.dumps(plan)))) == plan


def test_every_optional_field_of_the_newest_format_is_kept_and_null_stays_null() -> None:
    """An absent field and one that is null are told apart."""
    plan = small_plan()
    plan["zones"][0] |= {"zone_id": "m", "uuid": "1"}
    row(plan, 0).update(row_label="Row %s", seat_label=None, uuid="2", row_number_position=None)
    row(plan, 1).update(row_label=None, row_number_position="start")
    row(plan)["seats"][0] |= {"uuid": "3", "radius": 4.5, "start_direction": "<>"}
    row(plan)["seats"][1] |= {"start_direction": None}
    row(plan)["seats"][0] |= {"accessible": True, "restricted_view": False}
    row(plan)["seats"][1] |= {"companion_of": "A-1"}
    plan["zones"][0] |= {"entrance": "West", "gate": ""}
    text = {"text": "Bar\nSnacks", "position": {"x": 1, "y": 1}, "color": "red", "size": 12}
    points = [{"x": 0, "y": 0}, {"x": 5, "y": 0}, {"x": 0, "y": 5.5}]
    plan["zones"][0]["areas"] += [
        {"shape": "polygon", "polygon": {"points": points}, "color": "a", "border_color": "b"},
        {"shape": "ellipse", "ellipse": {"radius": {"x": 3, "y": 2}}, "rotation": 45, "uuid": "4"},
        {"shape": "text", "text": text, "position": {"x": 0.5, "y": -1}},
    ]
    assert json.loads(export_plan(read_plan(json.dumps(plan)))) == plan


def test_a_plan_may_start_with_a_byte_order_mark() -> None:
    """Editors on Windows write one."""
    assert read_plan(b"\xef\xbb\xbf" + json.dumps(small_plan()).encode()).name == "Small hall"


def _drop(*path: str | int) -> Callable[[Json], None]:
    def change(plan: Json) -> None:
        place: Any = plan
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

    return change


A1 = ("zones", 0, "rows", 0, "seats", 0)
A2 = ("zones", 0, "rows", 0, "seats", 1)
STAGE = ("zones", 0, "areas", 0)
FLOOR = ("zones", 0, "areas", 1)
B1_AT = "/zones/0/rows/1/seats/0"
A1_AT = "/zones/0/rows/0/seats/0"
A2_AT = "/zones/0/rows/0/seats/1"
STAGE_AT = "/zones/0/areas/0"
FLOOR_AT = "/zones/0/areas/1"


@pytest.mark.parametrize(
    ("change", "pointer", "reason"),
    [
        # The shape: which fields.
        (setting("prices", to=1), "/prices", "unknown field"),
        (setting(*A1, "a/b~c", to=1), f"{A1_AT}/a~1b~0c", "unknown field"),
        (setting(*A1, "position", "z", to=1), f"{A1_AT}/position/z", "known here are x, y"),
        (setting(*STAGE, "text", "font", to="x"), f"{STAGE_AT}/text/font", "unknown field"),
        (_drop("name"), "", "lacks the field 'name'"),
        (_drop("zones"), "", "lacks the field 'zones'"),
        (_drop(*A1, "seat_guid"), A1_AT, "lacks the field 'seat_guid'"),
        (_drop("zones", 0, "position", "x"), "/zones/0/position", "lacks the field 'x'"),
        # The shape: of which type.
        (setting("zones", to={}), "/zones", "expected an array, found an object"),
        (setting("zones", 0, to=None), "/zones/0", "expected an object, found null"),
        (setting("zones", 0, "name", to=None), "/zones/0/name", "expected a string, found null"),
        (
            setting(*A1, "seat_number", to=1),
            f"{A1_AT}/seat_number",
            "expected a string, found a whole",
        ),
        (
            setting(*A1, "position", "x", to="1"),
            f"{A1_AT}/position/x",
            "expected a number, found a str",
        ),
        (
            setting(*A1, "position", "x", to=True),
            f"{A1_AT}/position/x",
            "expected a number, found true",
        ),
        (setting(*FLOOR, "capacity", to=1.5), f"{FLOOR_AT}/capacity", "expected a whole number"),
        (setting(*STAGE, "text", to=[]), f"{STAGE_AT}/text", "expected a string or an object"),
        (
            setting(*STAGE, "shape", to="star"),
            f"{STAGE_AT}/shape",
            "'star' is none of polygon, rect",
        ),
        # What one value may be.
        (setting(*A1, "seat_guid", to=""), f"{A1_AT}/seat_guid", "is empty"),
        (setting(*A1, "seat_guid", to="   "), f"{A1_AT}/seat_guid", "nothing but blanks"),
        (setting(*A1, "seat_guid", to="A\n1"), f"{A1_AT}/seat_guid", "control characters"),
        (setting(*A1, "seat_guid", to="A1\n"), f"{A1_AT}/seat_guid", "control characters"),
        (setting(*A1, "seat_guid", to="A\x00"), f"{A1_AT}/seat_guid", "control characters"),
        (setting(*A1, "seat_guid", to="x" * 65), f"{A1_AT}/seat_guid", "more than 64 characters"),
        (setting("name", to="x" * 201), "/name", "more than 200 characters"),
        (setting("name", to=""), "/name", "is empty"),
        (setting("zones", 0, "name", to="x" * 201), "/zones/0/name", "more than 200 characters"),
        (setting("zones", 0, "uuid", to="\x00"), "/zones/0/uuid", "control characters"),
        (setting(*STAGE, "text", "text", to="\x00"), f"{STAGE_AT}/text/text", "control characters"),
        (setting(*A1, "position", "x", to=1_000_001), f"{A1_AT}/position/x", "more than 1000000"),
        (setting(*A1, "position", "x", to=-1e7), f"{A1_AT}/position/x", "less than -1000000"),
        (setting(*A1, "position", "x", to=10**40), f"{A1_AT}/position/x", "more than 1000000"),
        (setting(*A1, "radius", to=-1), f"{A1_AT}/radius", "less than 0"),
        (setting(*FLOOR, "capacity", to=0), f"{FLOOR_AT}/capacity", "less than 1"),
        (setting(*FLOOR, "capacity", to=1_000_001), f"{FLOOR_AT}/capacity", "more than 1000000"),
        # Absurd sizes.
        (
            setting("zones", 0, "rows", 0, "seats", to=[seat(f"A-{n}", n) for n in range(2001)]),
            "/zones/0/rows/0/seats",
            "more than 2000 entries",
        ),
        (
            setting("categories", to=[{"name": str(n)} for n in range(251)]),
            "/categories",
            "more than 250 entries",
        ),
        (
            setting("zones", to=[None] * 10_001),
            "/zones",
            "more than 10000 entries",
        ),
        (
            setting("zones", 0, "areas", to=[None] * 2001),
            "/zones/0/areas",
            "more than 2000 entries",
        ),
        # Rules.
        (setting(*A2, "seat_guid", to="A-1"), f"{A2_AT}/seat_guid", f"already the seat at {A1_AT}"),
        (
            setting("zones", 0, "rows", 1, "seats", 0, "seat_guid", to="A-1"),
            f"{B1_AT}/seat_guid",
            f"'A-1' is already the seat at {A1_AT}",
        ),
        (
            setting(*A2, "position", "x", to=0),
            f"{A2_AT}/position",
            f"the seat at {A1_AT} has the same",
        ),
        (
            setting("zones", 0, "rows", 1, "position", to={"x": 10.0, "y": 20.0}),
            f"{B1_AT}/position",
            f"the seat at {A2_AT} has the same place in the plan, (10, 20)",
        ),
        (setting(*A1, "category", to="Box"), f"{A1_AT}/category", "no category is called 'Box'"),
        (
            setting(*FLOOR, "category", to="Box"),
            f"{FLOOR_AT}/category",
            "no category is called 'Box'",
        ),
        (
            setting("categories", to=[{"name": n} for n in ("Stalls", "Standing", "Stalls")]),
            "/categories/2/name",
            "'Stalls' is already the category at /categories/0",
        ),
        (
            setting("categories", to=[{"name": n} for n in ("Stalls", "Standing", "STALLS!")]),
            "/categories/2/name",
            "same slug as the category at /categories/0: stalls",
        ),
        (
            setting("categories", to=[{"name": n} for n in ("Stalls", "Standing", "★★")]),
            "/categories/2/name",
            "no letter or digit",
        ),
        (setting("zones", 0, "rows", 1, "seats", to=[]), "/zones/0/rows/1", "row 'B' has no seats"),
        (setting(*A2, "accessible", to="yes"), f"{A2_AT}/accessible", "expected true or false"),
        (setting(*A2, "companion_of", to=""), f"{A2_AT}/companion_of", "is empty"),
        (setting(*A2, "companion_of", to="Z-1"), f"{A2_AT}/companion_of", "has no seat 'Z-1'"),
        (setting(*A2, "companion_of", to="A-2"), f"{A2_AT}/companion_of", "not its own companion"),
        (
            setting(*A2, "companion_of", to="A-1"),
            f"{A2_AT}/companion_of",
            "'A-1' is not accessible",
        ),
        (setting("zones", 0, "gate", to=4), "/zones/0/gate", "expected a string, found a whole"),
        (setting("zones", to=[]), "/zones", "no seat and no area with a capacity"),
        (_drop(*FLOOR, "category"), FLOOR_AT, "needs a category"),
        (_drop(*FLOOR, "capacity"), FLOOR_AT, "needs a capacity"),
        (_drop(*FLOOR, "area_id"), FLOOR_AT, "needs an area_id or a text"),
        (
            setting(*STAGE, to={"capacity": 1, "category": "Standing", "text": "Floor"}),
            FLOOR_AT,
            f"the area at {STAGE_AT} has the same slug: floor",
        ),
    ],
)
def test_a_fault_is_named_with_its_place_and_reason(
    change: Callable[[Json], None], pointer: str, reason: str
) -> None:
    """One fault in a good plan gives one fault, with the JSON pointer and the reason."""
    plan = small_plan()
    change(plan)
    error = refusal(plan)
    assert [fault.pointer for fault in error.faults] == [pointer]
    assert reason in error.faults[0].reason
    assert error.more == 0


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "is not JSON"),
        (b"seats: 3", "is not JSON"),
        (b'{"name": "x"', "is not JSON"),
        (b'{"name": NaN}', "is not JSON"),
        (b'{"name": "\xff"}', "is not JSON"),
        (b'{"name": "\\ud800"}', "is not JSON"),
        ("\ud800", "is not valid Unicode"),
        (b"[]", "expected an object, found an array"),
        (b"null", "expected an object, found null"),
        (b"[" * 100_000, "is nested too deeply"),
        (b'{"a":' * 100_000, "is nested too deeply"),
        (b'{"zones":[' * 100_000, "is nested too deeply"),
    ],
)
def test_what_is_no_plan_at_all_is_refused_as_a_whole(document: bytes | str, reason: str) -> None:
    """The pointer of such a fault is the whole document's."""
    error = refusal(document)
    assert [fault.pointer for fault in error.faults] == [""]
    assert reason in error.faults[0].reason


def test_a_number_beyond_all_floats_is_named_by_its_place() -> None:
    """1e999 is JSON, and no number that anything here could hold."""
    plan = small_plan()
    row(plan)["seats"][1]["position"]["x"] = "huge"
    error = refusal(json.dumps(plan).replace('"huge"', "1e999"))
    assert error.faults[0].pointer == f"{A2_AT}/position/x"


def test_all_faults_of_a_shape_are_told_at_once() -> None:
    """Each is listed, in document order, those of one object together."""
    plan = small_plan()
    plan["zones"][0]["colour"] = "red"
    row(plan)["seats"][0]["seat_number"] = 5
    row(plan, 1)["seats"][1]["position"] = {"x": None, "z": 0}
    del area(plan, 0)["rectangle"]["width"]
    assert {fault.pointer for fault in refusal(plan).faults} == {
        "/zones/0/colour",
        f"{A1_AT}/seat_number",
        "/zones/0/rows/1/seats/1/position/x",
        "/zones/0/rows/1/seats/1/position/z",
        "/zones/0/rows/1/seats/1/position",
        "/zones/0/areas/0/rectangle",
    }


def test_all_broken_rules_are_told_at_once() -> None:
    """Each is listed, in document order."""
    plan = small_plan()
    plan["categories"].append({"name": "Stalls"})
    row(plan)["seats"].append(seat("A-1", 20, "Box"))
    row(plan, 1)["seats"] = []
    del area(plan, 1)["category"]
    assert [fault.pointer for fault in refusal(plan).faults] == [
        "/categories/2/name",
        "/zones/0/rows/0/seats/2/seat_guid",
        "/zones/0/rows/0/seats/2/category",
        "/zones/0/rows/1",
        "/zones/0/areas/1",
    ]


def test_the_first_hundred_faults_are_listed_and_the_others_counted() -> None:
    """A long list helps nobody, and the message stays short."""
    plan = small_plan()
    row(plan)["seats"] = [seat("A-1", n) for n in range(151)]
    error = refusal(plan)
    assert len(error.faults) == 100
    assert error.more == 50
    assert str(error).endswith("(and 149 more)")


def test_more_than_150_000_seats_are_refused_at_once() -> None:
    """The count is given, and nothing else is looked at."""
    plan = small_plan()
    plan["zones"][0]["rows"] = [row(plan) | {"seats": [seat("A-1", 0)] * 1000}] * 151
    error = refusal(plan)
    assert error.faults[0].reason == "has 151000 seats: 150000 at most"


def test_a_long_text_in_a_fault_is_cut() -> None:
    """A hostile plan does not choose the length of our answer."""
    plan = small_plan()
    plan["x" * 100_000] = 1
    row(plan)["seats"][0]["category"] = "y" * 200
    assert all(len(f.pointer) + len(f.reason) < 300 for f in refusal(plan).faults)
    del plan["x" * 100_000]
    assert all(len(f.pointer) + len(f.reason) < 300 for f in refusal(plan).faults)


@pytest.mark.parametrize("seats", [0, 1, 7, 1222, 20_000])
def test_a_generated_arena_has_exactly_the_seats_that_were_asked_for(seats: int) -> None:
    """It is a sound plan of any size, the same each time, with its standing areas."""
    document = arena_plan(seats, floor_areas=3, floor_capacity=250)
    assert document == arena_plan(seats, floor_areas=3, floor_capacity=250)
    manifest = compile_manifest(read_plan(document))
    assert manifest.seat_count == seats
    assert manifest.capacity == seats + 750


def test_a_generated_arena_has_limits() -> None:
    """One too large or with nothing to sell is a mistake of the caller."""
    for seats in (-1, 0, 150_001):
        with pytest.raises(ValueError, match="an arena has"):
            arena_plan(seats)
