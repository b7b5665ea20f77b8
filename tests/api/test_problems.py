"""Every problem that a client can meet, and what it says."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.problems import ProblemKind
from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem, show_body, small_plan

GUIDE = Path(__file__).parents[2] / "docs/API.md"


@pytest.fixture(scope="module")
def quiet(desk: FrontDesk) -> ShowDesk:
    """A show for requests that change nothing."""
    return desk.new_show()


def test_taken_seats_are_listed(show: ShowDesk) -> None:
    """Only the ones that are taken."""
    show.held("B-1", "B-3", buyer="b-2")
    refused = show.hold("B-1", "B-2", "B-3")
    assert (refused.status_code, problem(refused)) == (409, "seats-taken")
    assert refused.json()["seats"] == ["B-1", "B-3"]


def test_an_area_says_how_many_places_are_left(show: ShowDesk) -> None:
    """So that a client can offer fewer."""
    refused = show.hold(areas={"floor": 6})
    assert (refused.status_code, problem(refused)) == (409, "area-short")
    assert refused.json()["areas"] == {"floor": 5}


def test_not_enough_seats_together(show: ShowDesk) -> None:
    """Level and quantity are told."""
    refused = show.hold(best_available={"price_level": "vip", "quantity": 7})
    assert (refused.status_code, problem(refused)) == (409, "none-together")
    assert (refused.json()["price_level"], refused.json()["quantity"]) == ("vip", 7)


def test_a_hold_has_a_limit(desk: FrontDesk) -> None:
    """Over it a request can never succeed: 422."""
    show = desk.new_show(max_per_hold=2)
    refused = show.hold("B-1", "B-2", "B-3")
    assert (refused.status_code, problem(refused)) == (422, "over-hold-limit")
    assert refused.json()["most"] == 2


def test_a_buyer_has_a_limit(desk: FrontDesk) -> None:
    """Counted over holds and purchases."""
    show = desk.new_show(max_per_buyer=3)
    show.purchase(show.held("B-1"))
    show.held("B-2")
    refused = show.hold("B-3", "B-4")
    assert (refused.status_code, problem(refused)) == (409, "over-buyer-limit")
    assert (refused.json()["most"], refused.json()["has"]) == (3, 2)
    assert show.hold("B-3", "B-4", buyer="b-2").status_code == 201


def test_before_the_on_sale_it_is_too_early(desk: FrontDesk) -> None:
    """With the moment, and when to come back."""
    opens_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    show = desk.new_show(opens_at=opens_at.isoformat())
    refused = show.hold("B-1")
    assert (refused.status_code, problem(refused)) == (409, "too-early")
    assert refused.json()["opens_at"] == opens_at.isoformat().replace("+00:00", "Z")
    assert 3500 < int(refused.headers["retry-after"]) <= 3600


def test_after_the_end_there_are_no_sales(desk: FrontDesk) -> None:
    """With the moment."""
    show = desk.new_show(closes_at="2021-01-01T00:00:00Z")
    refused = show.hold("B-1")
    assert (refused.status_code, problem(refused)) == (409, "sales-ended")
    assert refused.json()["closed_at"] == "2021-01-01T00:00:00Z"


def test_unknown_places_are_all_named(show: ShowDesk) -> None:
    """Seats, areas and levels in one answer."""
    refused = show.hold(
        "B-1", "Z-1", areas={"pit": 1}, best_available={"price_level": "gold", "quantity": 1}
    )
    assert (refused.status_code, problem(refused)) == (422, "unknown-seats")
    told = refused.json()
    assert (told["seats"], told["areas"], told["price_levels"]) == (["Z-1"], ["pit"], ["gold"])
    assert [fault["pointer"] for fault in told["errors"]] == [
        "/seats",
        "/areas/pit",
        "/best_available/price_level",
    ]
    assert problem(show.hold(areas={"pit": 1})) == "unknown-areas"
    assert (
        problem(show.hold(best_available={"price_level": "gold", "quantity": 1}))
        == "unknown-price-levels"
    )


def test_a_released_hold_can_not_be_purchased(show: ShowDesk) -> None:
    """410: it was here."""
    hold = show.held("B-1")
    show.release(hold)
    for refused in (show.purchase(hold), show.look(hold), show.replace(hold, {"seats": ["B-2"]})):
        assert (refused.status_code, problem(refused)) == (410, "hold-released")


def test_an_invented_hold_is_not_found(show: ShowDesk) -> None:
    """Ids carry a MAC: guessing them is told from asking for an old one."""
    hold = show.held("B-1")
    invented = hold[:-1] + ("0" if hold[-1] != "0" else "1")
    for refused in (show.look(invented), show.purchase(invented), show.release(invented)):
        assert (refused.status_code, problem(refused)) == (404, "hold-not-found")


def test_withholding_what_buyers_have_is_refused(show: ShowDesk) -> None:
    """All or none, and it says which."""
    show.held("B-1", areas={"floor": 3})
    refused = show.desk.post(
        f"{show.path}/blocks", {"seats": ["B-1", "B-2"], "areas": {"floor": 3}}
    )
    assert (refused.status_code, problem(refused)) == (409, "blocks-refused")
    assert refused.json()["seats"] == ["B-1"]
    assert show.availability()["total"]["blocked"] == 0


def test_a_bad_seating_plan_names_every_place(desk: FrontDesk) -> None:
    """JSON pointers into the request's own body."""
    plan = small_plan()
    seats = plan["zones"][0]["rows"][0]["seats"]
    seats[1]["seat_guid"] = "A-1"
    seats[2]["category"] = "Gold"
    refused = desk.post("/v1/shows", show_body(plan=plan))
    assert (refused.status_code, problem(refused)) == (422, "invalid-seating-plan")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == [
        "/plan/zones/0/rows/0/seats/1/seat_guid",
        "/plan/zones/0/rows/0/seats/2/category",
    ]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "a\u0000b"}, "/name"),
        ({"currency": "euro"}, "/currency"),
        ({"tax_bps": 10_001}, "/tax_bps"),
        ({"starts_at": "tomorrow"}, "/starts_at"),
        ({"starts_at": "2030-01-01T00:00:00"}, "/starts_at"),
        ({"opens_at": "9999-12-31T23:59:59-12:00"}, "/opens_at"),
        ({"closes_at": "2019-01-01T00:00:00Z"}, "/closes_at"),
        ({"max_per_hold": 0}, "/max_per_hold"),
        ({"max_per_hold": 10**30}, "/max_per_hold"),
        ({"prices": {"vip": 1, "standard": 1}}, "/prices"),
        ({"prices": {"vip": -1, "standard": 1, "standing": 1}}, "/prices"),
        ({"prices": {"vip": 1, "standard": 1, "standing": 1, "gold": 1}}, "/prices/gold"),
        ({"stage": "left"}, "/stage"),
    ],
)
def test_a_bad_show_names_the_field(desk: FrontDesk, changes: Json, pointer: str) -> None:
    """Whatever is wrong with it."""
    refused = desk.post("/v1/shows", show_body(**changes))
    assert (refused.status_code, problem(refused)) == (422, "invalid-request")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"seats": ["B-1"]}, [""]),
        ({"buyer": "b"}, [""]),
        ({"buyer": "b", "seats": []}, [""]),
        ({"buyer": "", "seats": ["B-1"]}, ["/buyer"]),
        ({"buyer": " ", "seats": ["B-1"]}, ["/buyer"]),
        ({"buyer": "x" * 65, "seats": ["B-1"]}, ["/buyer"]),
        ({"buyer": "\U0001f3ab" * 51, "seats": ["B-1"]}, ["/buyer"]),
        ({"buyer": "a\nb", "seats": ["B-1"]}, ["/buyer"]),
        ({"buyer": "a\n", "seats": ["B-1"]}, ["/buyer"]),
        ({"buyer": 7, "seats": ["B-1"]}, ["/buyer"]),
        ({"buyer": "b", "seats": "B-1"}, ["/seats"]),
        ({"buyer": "b", "seats": ["B-1", 2]}, ["/seats/1"]),
        ({"buyer": "b", "seats": ["B-1", "B-2", "B-1"]}, ["/seats/2"]),
        ({"buyer": "b", "seats": ["B-1"], "ttl_s": 29}, ["/ttl_s"]),
        ({"buyer": "b", "seats": ["B-1"], "ttl_s": 3601}, ["/ttl_s"]),
        ({"buyer": "b", "seats": ["B-1"], "ttl_s": 60.5}, ["/ttl_s"]),
        ({"buyer": "b", "seats": ["B-1"], "ttl_s": True}, ["/ttl_s"]),
        ({"buyer": "b", "areas": {"floor": 0}}, ["/areas"]),
        ({"buyer": "b", "areas": ["floor"]}, ["/areas"]),
        ({"buyer": "b", "best_available": {"quantity": 1}}, ["/best_available"]),
        (
            {"buyer": "b", "best_available": {"price_level": "vip", "quantity": 0}},
            ["/best_available/quantity"],
        ),
        (
            {"buyer": "b", "best_available": {"price_level": "vip", "quantity": 1, "row": 1}},
            ["/best_available/row"],
        ),
        ({"buyer": 7, "seats": [1], "colour": "red"}, ["/buyer", "/seats/0", "/colour"]),
    ],
)
def test_a_bad_hold_names_every_field(quiet: ShowDesk, body: Json, pointers: list[str]) -> None:
    """All that is wrong with its shape, at once."""
    refused = quiet.desk.post(f"{quiet.path}/holds", body)
    assert (refused.status_code, problem(refused)) == (422, "invalid-request")
    assert [fault["pointer"] for fault in refused.json()["errors"]] == pointers


def test_a_buyer_of_64_characters_and_200_bytes_is_fine(show: ShowDesk) -> None:
    """The longest that there may be, and the widest."""
    assert show.hold("B-1", buyer="x" * 64).status_code == 201
    assert show.hold("B-2", buyer="\U0001f3ab" * 50).status_code == 201


@pytest.mark.parametrize(
    ("reference", "status"),
    [("", 201), ("x" * 255, 201), ("x" * 256, 422), ("\U0001f3ab" * 126, 422), ("a\x00b", 422)],
)
def test_a_payment_reference_is_bounded(show: ShowDesk, reference: str, status: int) -> None:
    """255 characters and 500 bytes."""
    response = show.purchase(show.held("B-1"), payment_reference=reference)
    assert response.status_code == status
    if status != 201:
        assert response.json()["errors"][0]["pointer"] == "/payment_reference"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=2001", "limit"),
        ("limit=many", "limit"),
        ("limit=1&limit=2", "limit"),
        ("status=gone", "status"),
        ("price_max=-1", "price_max"),
        ("cursor=x", "cursor"),
        ("pricelevel=vip", "pricelevel"),
    ],
)
def test_a_bad_query_names_the_parameter(quiet: ShowDesk, query: str, parameter: str) -> None:
    """A filter that nobody knows is refused, since ignoring it would answer something else."""
    refused = quiet.desk.get(f"{quiet.path}/seats?{query}")
    assert (refused.status_code, problem(refused)) == (422, "invalid-request")
    assert refused.json()["errors"][0]["parameter"] == parameter


def test_the_guide_lists_every_problem() -> None:
    """docs/API.md has a row for each, with its status, and no other."""
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (\d{3}) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(rows) == sorted((kind.slug, str(kind.status)) for kind in ProblemKind)
