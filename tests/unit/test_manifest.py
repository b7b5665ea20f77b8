"""Compiling plans into manifests: who sits beside whom, which rows are best, what is known."""

import json
import time
from hashlib import blake2b
from itertools import pairwise
from math import cos, dist, pi, sin
from pathlib import Path
from random import Random
from statistics import median_low
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.manifest import NO_LEVEL, Area, Manifest, PriceLevel, Seat, Traits
from engine.inventory.seat_order import aisles, walking_order
from engine.inventory.seating_plan import read_plan
from engine.inventory.slug import slug
from loadtests.generated_plans import arena_plan

Json = dict[str, Any]
Point = tuple[float, float]

REAL_HALL = Path(__file__).parents[2] / "loadtests/data/riethsporthalle.seatingplan.json"


def real_hall() -> Manifest:
    """Compile the real hall."""
    return compile_manifest(read_plan(REAL_HALL.read_bytes()))


def row(name: str, points: list[Point], category: str | list[str] = "Stalls") -> Json:
    """Make a row of seats at these points, in one category or one for each."""
    categories = [category] * len(points) if isinstance(category, str) else category
    return {
        "row_number": name,
        "seats": [
            {
                "seat_guid": f"{name}-{n + 1}",
                "seat_number": str(n + 1),
                "position": {"x": x, "y": y},
                "category": categories[n],
            }
            for n, (x, y) in enumerate(points)
        ],
    }


def line(y: float, *xs: float) -> list[Point]:
    """Return points along a straight row."""
    return [(x, y) for x in xs]


def compiled(
    rows: list[Json],
    areas: list[Json] | None = None,
    categories: tuple[str, ...] = ("Stalls", "Box", "Standing"),
    focus: Point | None = None,
) -> Manifest:
    """Compile a plan of these zones."""
    plan = {
        "name": "Hall",
        "categories": [{"name": name} for name in categories],
        "zones": [
            {"name": "Main", "position": {"x": 0, "y": 0}, "rows": rows, "areas": areas or []}
        ],
    }
    return compile_manifest(read_plan(json.dumps(plan)), focus=focus)


def runs(manifest: Manifest) -> list[list[str]]:
    """Return the labels of the seats between two separators, run by run."""
    found: list[list[str]] = [[]]
    for label in manifest.labels:
        if label is not None:
            found[-1].append(label)
        elif found[-1]:
            found.append([])
    return found[:-1]


def row_order(manifest: Manifest) -> list[str]:
    """Return the rows' numbers in the order of their positions."""
    return [row.number for row in manifest.rows]


def stage(x: float, y: float, **more: object) -> Json:
    """Make an area that nobody sits in."""
    shape = {"shape": "rectangle", "rectangle": {"width": 10, "height": 10}}
    return shape | {"position": {"x": x - 5, "y": y - 5}} | more


def test_the_real_hall_has_its_seats_blocks_and_levels() -> None:
    """1 222 seats in six blocks; three price levels, each in one range."""
    manifest = real_hall()
    assert manifest.name == "Riethsporthalle Erfurt"
    assert manifest.seat_count == manifest.capacity == 1222
    assert {row.zone for row in manifest.rows} == {f"Block {letter}" for letter in "ABCDEF"}
    assert [(level.slug, level.name, level.color) for level in manifest.levels] == [
        ("kategorie-i", "Kategorie I", "#E87722"),
        ("kategorie-ii", "Kategorie II", "#1D3557"),
        ("vip", "VIP", "#8E44AD"),
    ]
    assert manifest.seats_by_level == (290, 851, 81)
    assert [len(level.ranges) for level in manifest.levels] == [1, 1, 1]
    assert manifest.areas == ()


def test_the_aisles_of_the_real_hall_are_where_its_rows_have_gaps() -> None:
    """63 rows; every gap of two seats' width is an aisle, and no other."""
    plan = json.loads(REAL_HALL.read_bytes())
    gaps = 0
    for zone in plan["zones"]:
        for plan_row in zone["rows"]:
            xs = [seat["position"]["x"] for seat in plan_row["seats"]]
            gaps += sum(right - left > 10 for left, right in pairwise(xs))
    manifest = real_hall()
    assert len(manifest.rows) == 63
    assert gaps == 53
    assert manifest.layout.count("|") == 63 + gaps + 1


def test_the_best_rows_of_the_real_hall_are_nearest_to_its_field() -> None:
    """Block E's row 6 is the front row of its side; VIP starts with the front row of block B."""
    manifest = real_hall()
    best = {level.slug: manifest.describe(level.ranges[0][0]) for level in manifest.levels}
    assert (best["kategorie-i"].zone, best["kategorie-i"].row) == ("Block E", "6")
    assert (best["vip"].zone, best["vip"].row) == ("Block B", "1")


def test_a_seat_is_found_by_its_label_and_described_by_its_position() -> None:
    """Label, zone, row, number and level of the seat at a position; None for an unknown label."""
    manifest = real_hall()
    position = manifest.index("B-3-7")
    assert position is not None
    assert manifest.describe(position) == Seat(
        position=position,
        label="B-3-7",
        zone="Block B",
        row="3",
        number="7",
        price_level="vip",
    )
    assert manifest.levels[manifest.level_of(position)].slug == "vip"
    assert manifest.label_of(position) == "B-3-7"
    assert manifest.labels_and_levels([position]) == (["B-3-7"], [manifest.level_of(position)])
    assert manifest.index("B-3-777") is None


@pytest.mark.parametrize("position", [-1, 0, 1338, 1339, 10_000])
def test_there_is_no_seat_at_a_separator_or_outside(position: int) -> None:
    """Asking for one is a mistake of the caller."""
    manifest = real_hall()
    assert manifest.is_seat(1)
    assert manifest.is_seat(1337)
    assert not manifest.is_seat(position)
    for look_up in (manifest.describe, manifest.level_of, manifest.label_of):
        with pytest.raises(IndexError, match=f"no seat at position {position}"):
            look_up(position)
    with pytest.raises(IndexError):
        manifest.labels_and_levels([1, position])


def test_the_same_plan_always_gives_the_same_manifest() -> None:
    """Positions are fixed for a show's life: two processes must agree on them."""
    manifest = real_hall()
    assert manifest == real_hall()
    content = "\n".join(label or "|" for label in manifest.labels)
    # If this fails, shows that are on sale would find their seats moved: keep the old rules too.
    assert blake2b(content.encode(), digest_size=8).hexdigest() == "1409eb1adfdeee46"
    # The order of equally good rows is the plan's, and mirrored rows are equally good.
    mirrored = [row("L", line(0, -30.1, -20.1)), row("R", line(0, 20.1, 30.1))]
    assert row_order(compiled(mirrored, [stage(0, 0)])) == ["L", "R"]
    assert row_order(compiled(mirrored[::-1], [stage(0, 0)])) == ["R", "L"]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (line(0, 0, 10, 20, 30), "oooo"),
        (line(0, 0, 10, 25, 35), "oooo"),  # exactly 1.5 times
        (line(0, 0, 10, 25.1, 35.1), "oo|oo"),
        (line(0, 0, 10, 30), "oo|o"),
        (line(0, 0), "o"),
        (line(0, 0, 1000), "oo"),  # two seats alone: their gap is the usual one
        (line(0, 0, 10, 30, 40, 60, 70), "oo|oo|oo"),
        (line(0, 70, 60, 40, 30, 20), "oo|ooo"),  # from right to left
        ([(0, 70), (0, 60), (0, 40), (0, 30), (0, 20)], "oo|ooo"),  # upwards
        ([(7 * n, 7.1 * n) for n in (0, 1, 2, 4, 5)], "ooo|oo"),  # slanted
        (line(0, 0.1, 0.2, 0.30000000000000004, 0.45, 0.55), "ooooo"),  # float noise at 1.5 times
    ],
)
def test_an_aisle_is_a_gap_of_more_than_one_and_a_half_times_the_usual(
    points: list[Point], expected: str
) -> None:
    """A separator stands at both ends of the row, and at each aisle."""
    assert compiled([row("A", points)]).layout == f"|{expected}|"


def arc(degrees: float, seats: int) -> list[Point]:
    """Return points along a curved row."""
    angles = [n * degrees / (seats - 1) * pi / 180 for n in range(seats)]
    return [(round(100 * cos(angle), 2), round(100 * sin(angle), 2)) for angle in angles]


@pytest.mark.parametrize("degrees", [20, 90, 180, 270, 330])
def test_seats_along_a_curve_keep_their_neighbours(degrees: float) -> None:
    """Curved rows and round tables, listed seat by seat, have no aisle and stay in order."""
    points = arc(degrees, 24)
    assert walking_order(points) == list(range(24))
    assert not aisles(points)


def test_seats_listed_out_of_order_are_put_beside_their_neighbours() -> None:
    """Plans list seats by number or by name at times: places count, not the listing."""
    manifest = compiled([row("A", line(0, 0, 20, 10, 60, 50, 30))])
    assert runs(manifest) == [["A-1", "A-3", "A-2", "A-6"], ["A-5", "A-4"]]


def test_rows_are_grouped_by_level_and_nearest_to_the_stage_first() -> None:
    """Levels in the order of the categories; in each the row with the nearest centre first."""
    rows = [
        row("far", line(90, 0, 10)),
        row("box", line(10, 0, 10), "Box"),
        row("near", line(20, 0, 10)),
        row("middle", line(50, 0, 10)),
    ]
    manifest = compiled(rows, [stage(0, 0)])
    assert row_order(manifest) == ["near", "middle", "far", "box"]
    assert [level.ranges for level in manifest.levels] == [((1, 9),), ((10, 12),)]
    assert manifest.layout == "|oo|oo|oo|oo|"


def test_a_given_focus_goes_before_the_stage() -> None:
    """The caller knows better what people want to see, even at the plan's origin."""
    rows = [row("top", line(0, 0, 10)), row("low", line(90, 0, 10))]
    assert row_order(compiled(rows, [stage(0, 100)])) == ["low", "top"]
    assert row_order(compiled(rows, [stage(0, 100)], focus=(0.0, 0.0))) == ["top", "low"]


def test_without_a_stage_the_order_of_the_plan_is_the_best_first_order() -> None:
    """General admission areas are no stage."""
    floor = stage(0, 0, capacity=10, category="Standing", area_id="floor")
    rows = [row("far", line(90, 0, 10)), row("near", line(10, 0, 10))]
    assert row_order(compiled(rows, [floor])) == ["far", "near"]


POLYGON = {
    "polygon": {
        "points": [{"x": 0, "y": 0}, {"x": 20, "y": 0}, {"x": 20, "y": 20}, {"x": 0, "y": 20}]
    }
}
WORDS = {"text": "Stage", "position": {"x": 10, "y": 10}}


@pytest.mark.parametrize(
    "area",
    [
        {"rectangle": {"width": 20, "height": 20}, "position": {"x": -10, "y": 90}},
        {"width": 20, "height": 20, "position": {"x": -10, "y": 90}, "text": "Stage"},
        {"circle": {"radius": 5}, "position": {"x": 0, "y": 100}},
        {"ellipse": {"radius": {"x": 5, "y": 5}}, "position": {"x": 0, "y": 100}},
        POLYGON | {"position": {"x": -10, "y": 90}},
        {"shape": "text", "text": WORDS, "position": {"x": -10, "y": 90}},
        # Turned clockwise around its first corner by a quarter: it lies to the left of it.
        {
            "rectangle": {"width": 20, "height": 20},
            "position": {"x": 10, "y": 90},
            "rotation": 90,
        },
    ],
)
def test_the_centre_of_an_area_follows_its_shape(area: Json) -> None:
    """The stage is at (0, 100) in all of these, so the rows around that point are ranked by it."""
    rows = [
        row("far", line(60, -5, 5)),
        row("right", line(100, 25, 35)),
        row("left", line(100, -34.9, -24.9)),
        row("near", line(80, -5, 5)),
        row("below", line(120.1, -5, 5)),
    ]
    expected = ["near", "below", "left", "right", "far"]
    assert row_order(compiled(rows, [area])) == expected


def test_a_large_field_outweighs_a_small_bar() -> None:
    """The focus is the centre of all areas by their surface."""
    bar = {"rectangle": {"width": 2, "height": 2}, "position": {"x": 0, "y": 200}}
    field = {"rectangle": {"width": 100, "height": 50}, "position": {"x": -50, "y": -25}}
    rows = [row("bar side", line(90, 0, 10)), row("field side", line(60, 0, 10))]
    assert row_order(compiled(rows, [bar, field])) == ["field side", "bar side"]


def test_a_row_of_two_levels_gives_each_its_ranges() -> None:
    """The row stands with the level of most of its seats; a range never holds another level's."""
    mixed = ["Box", "Stalls", "Stalls", "Stalls", "Box"]
    rows = [
        row("A", line(0, 0, 10, 20, 30, 40), mixed),
        row("B", line(20, 0, 10)),
        row("C", line(40, 0, 10), "Box"),
    ]
    manifest = compiled(rows)
    assert manifest.layout == "|ooooo|oo|oo|"
    assert [level.ranges for level in manifest.levels] == [
        ((2, 5), (7, 9)),
        ((1, 2), (5, 6), (10, 12)),
    ]


def test_zone_row_and_seat_positions_add_up() -> None:
    """Rows of different zones are compared by where they are in the plan."""
    zones: list[Json] = [
        {"name": "Far", "position": {"x": 0, "y": 500}, "rows": [row("F", line(0, 0, 10))]},
        {"zone_id": "N", "position": {"x": 0, "y": 50}, "rows": [row("N", line(0, 0, 10))]},
        {"position": {"x": 0, "y": 500}, "rows": [row("M", line(0, 0, 10))], "areas": []},
    ]
    zones[2]["rows"][0]["position"] = {"x": 0, "y": -400}
    zones[2]["areas"] = [{"position": {"x": 0, "y": -500}, "width": 10, "height": 10}]
    plan = {"name": "Hall", "categories": [{"name": "Stalls"}], "zones": zones}
    manifest = compile_manifest(read_plan(json.dumps(plan)))
    assert [row.zone for row in manifest.rows] == ["N", "", "Far"]
    assert row_order(manifest) == ["N", "M", "F"]


def test_areas_with_a_capacity_are_general_admission() -> None:
    """Their slug is made of the id, or else of the text; others are decoration."""
    areas = [
        stage(0, 0, text="Stage"),
        stage(50, 50, capacity=300, category="Standing", area_id="FLOOR 1", text="Front of stage"),
        stage(90, 90, capacity=2, category="Stalls", text="Wheelchair  users"),
    ]
    manifest = compiled([row("A", line(0, 0, 10))], areas)
    assert manifest.areas == (
        Area(slug="floor-1", name="Front of stage", capacity=300, price_level="standing"),
        Area(slug="wheelchair-users", name="Wheelchair users", capacity=2, price_level="stalls"),
    )
    assert manifest.capacity == 304
    assert manifest.area_index("wheelchair-users") == 1
    assert manifest.area_index("stage") is None


def test_a_category_that_nothing_has_is_no_price_level() -> None:
    """A level without seats keeps its place only where an area needs it."""
    floor = stage(0, 0, capacity=10, category="Standing", area_id="floor")
    manifest = compiled([row("A", line(0, 0, 10))], [floor])
    assert manifest.levels == (
        PriceLevel(slug="stalls", name="Stalls", ranges=((1, 3),)),
        PriceLevel(slug="standing", name="Standing"),
    )
    assert manifest.seats_by_level == (2, 0)
    assert manifest.level_index("standing") == 1
    assert manifest.level_index("box") is None


def test_a_plan_of_areas_alone_has_an_empty_row() -> None:
    """The seats string is one separator, so that a script finds no seat in it."""
    floor = stage(0, 0, capacity=10, category="Standing", area_id="floor")
    manifest = compiled([], [floor])
    assert (manifest.layout, manifest.seat_count, manifest.capacity) == ("|", 0, 10)
    assert list(manifest.positions()) == []


def test_fields_that_contradict_each_other_make_no_manifest() -> None:
    """A manifest that is made by hand is held to the same rules."""
    good = compiled([row("A", line(0, 0, 10))])
    assert good.seat_count == 2
    changes: list[Json] = [
        {"labels": (None, "A-1", "A-2")},
        {"labels": (None, "A-1", "A-1", None)},
        {"labels": (None, "A-1", None, None)},
        {"layout": "|ox|"},
        {"levels": (PriceLevel(slug="stalls", name="Stalls", ranges=((1, 2),)),)},
        {"levels": tuple(PriceLevel(slug=str(n), name=str(n)) for n in range(256))},
    ]
    for change in changes:
        with pytest.raises(ValueError, match=r"need|255"):
            replace(good, **change)


def test_a_manifest_names_itself_briefly() -> None:
    """A failing test or a log line does not print 150 000 labels."""
    assert repr(real_hall()) == (
        "Manifest('Riethsporthalle Erfurt', 1222 seats in 63 rows, 3 price levels, 0 areas)"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("VIP", "vip"),
        ("Kategorie II", "kategorie-ii"),
        ("  Café_2 / Straße ", "cafe-2-strasse"),
        ("Паркет", "паркет"),
        ("一楼 A席", "一楼-a席"),
        ("객석", "객석"),
        ("★", ""),
    ],
)
def test_a_slug_is_the_name_in_lower_case_with_hyphens(name: str, expected: str) -> None:
    """Accents go, letters of other scripts stay, everything else joins words."""
    assert slug(name) == expected
    assert slug(expected) == expected


PLANS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True),
        st.lists(st.sampled_from(["Stalls", "Box", "Standing"]), min_size=12, max_size=12),
        st.sampled_from(["across", "down", "slanted"]),
    ),
    min_size=1,
    max_size=6,
)


def _drawn_rows(drawn: list[tuple[list[int], list[str], str]]) -> list[Json]:
    rows: list[Json] = []
    for n, (places, categories, direction) in enumerate(drawn):
        x, y = {"across": (1.0, 0.0), "down": (0.0, 1.0), "slanted": (0.6, 0.8)}[direction]
        points = [(1000.0 * n + place * x, place * y) for place in places]
        rows.append(row(str(n), points, categories[: len(points)]))
    return rows


@settings(max_examples=200, deadline=None)
@given(PLANS)
def test_every_seat_stands_once_in_its_row_and_in_one_range_of_its_level(
    drawn: list[tuple[list[int], list[str], str]],
) -> None:
    """Layout, labels, rows and ranges tell one story, whatever the plan."""
    rows = _drawn_rows(drawn)
    manifest = compiled(rows)
    seats = {seat["seat_guid"]: (row, seat) for row in rows for seat in row["seats"]}
    assert sorted(label for label in manifest.labels if label) == sorted(seats)
    assert manifest.layout[0] == manifest.layout[-1] == "|"
    assert "||" not in manifest.layout
    for position in manifest.positions():
        told = manifest.describe(position)
        in_row, seat = seats[told.label]
        assert manifest.index(told.label) == position
        assert (told.row, told.number) == (in_row["row_number"], seat["seat_number"])
        assert told.price_level == slug(seat["category"])
    ranged = [p for level in manifest.levels for r in level.ranges for p in range(*r)]
    assert len(ranged) == len(set(ranged))
    assert {p for p in ranged if manifest.is_seat(p)} == set(manifest.positions())
    for n, level in enumerate(manifest.levels):
        for start, end in level.ranges:
            assert set(manifest.level_by_position[start:end]) <= {n, NO_LEVEL}
            assert manifest.is_seat(start)
            assert manifest.is_seat(end - 1)


@settings(max_examples=200, deadline=None)
@given(PLANS)
def test_neighbours_are_never_across_an_aisle_or_in_two_rows(
    drawn: list[tuple[list[int], list[str], str]],
) -> None:
    """Two seats side by side in the layout are at most 1.5 usual spacings apart, in one row."""
    rows = _drawn_rows(drawn)
    manifest = compiled(rows)
    points: dict[str, Point] = {}
    usual: dict[str, float] = {}
    for in_row in rows:
        places = [(s["position"]["x"], s["position"]["y"]) for s in in_row["seats"]]
        points |= dict(zip([s["seat_guid"] for s in in_row["seats"]], places, strict=True))
        straight = sorted(places)
        gaps = [dist(a, b) for a, b in pairwise(straight)]
        usual[in_row["row_number"]] = median_low(gaps) if gaps else 0
    for run in runs(manifest):
        assert len({label.partition("-")[0] for label in run}) == 1
        for left, right in pairwise(run):
            gap = dist(points[left], points[right])
            assert gap <= 1.5 * usual[left.partition("-")[0]] * 1.0001


@settings(max_examples=100, deadline=None)
@given(PLANS, st.randoms(use_true_random=False))
def test_straight_rows_have_the_same_neighbours_however_their_seats_are_listed(
    drawn: list[tuple[list[int], list[str], str]],
    shuffle: Random,
) -> None:
    """Only the direction of a row depends on the listing."""
    rows = _drawn_rows(drawn)
    before = {frozenset(run) for run in runs(compiled(rows))}
    for in_row in rows:
        shuffle.shuffle(in_row["seats"])
    assert {frozenset(run) for run in runs(compiled(rows))} == before


def test_an_arena_of_150_000_seats_is_read_and_compiled_in_seconds() -> None:
    """The largest plan there may be: about 1.4 s on one core, with room for a slow machine."""
    document = arena_plan(150_000, floor_areas=4)
    started = time.monotonic()
    manifest = compile_manifest(read_plan(document))
    assert time.monotonic() - started < 6
    assert manifest.seat_count == 150_000
    assert [level.slug for level in manifest.levels] == [
        "vip",
        "category-1",
        "category-2",
        "category-3",
        "standing",
    ]
    assert [len(level.ranges) for level in manifest.levels] == [1, 1, 1, 1, 0]
    # An aisle in every row but the last, which ends before it.
    assert manifest.layout.count("|") == 2 * len(manifest.rows)


def test_attributes_move_no_seat() -> None:
    """With them a plan compiles to the same positions as without, and they are known by position.

    Every hold, sale and ticket of the shows that there are rests on the positions.
    """
    document = json.loads(REAL_HALL.read_text(encoding="utf-8"))
    plain = compile_manifest(read_plan(json.dumps(document)))
    assert plain.traits == {}
    seats = [seat for zone in document["zones"] for row in zone["rows"] for seat in row["seats"]]
    first, second, third = seats[0], seats[1], seats[-1]
    first["accessible"] = True
    second["companion_of"] = first["seat_guid"]
    third["restricted_view"] = True
    seats[2]["accessible"] = False
    document["zones"][0] |= {"entrance": "West", "gate": "3"}
    told = compile_manifest(read_plan(json.dumps(document)))
    assert (told.layout, told.labels, told.levels) == (plain.layout, plain.labels, plain.levels)
    assert {told.labels[n]: traits for n, traits in told.traits.items()} == {
        first["seat_guid"]: Traits(accessible=True),
        second["seat_guid"]: Traits(companion_of=first["seat_guid"]),
        third["seat_guid"]: Traits(restricted_view=True),
    }
    row = told.row_of(told.index_by_label[first["seat_guid"]])
    assert (row.entrance, row.gate) == ("West", "3")
