"""How a show stands: counts that add up, and a seat map that travels light."""

import gzip
import random
from typing import Any

import httpx
import msgspec
import pytest

from api.availability import tell_availability
from api.compressing import accepts_gzip, gzipped
from engine.inventory.availability import InventoryState
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.keys import show_keys
from engine.inventory.records import AreaCounts
from engine.inventory.seating_plan import read_plan
from engine.inventory.shows import Show
from engine.platform.ids import EntityId, Ids
from engine.sales.pricing import FeeSchedule, Tariff
from loadtests.generated_plans import arena_plan
from tests.api.front_desk import Json, ShowDesk


def test_every_count_adds_up(show: ShowDesk) -> None:
    """Capacity - sold - held - blocked = open: per level, per area, and in total."""
    show.desk.post(f"{show.path}/blocks", {"seats": ["A-6"], "areas": {"floor": 1}})
    show.purchase(show.held("A-1", "B-1", areas={"floor": 1}))
    show.held("B-2", areas={"floor": 2}, buyer="b-2")
    told = show.availability()
    parts: list[Json] = [*told["price_levels"], *told["areas"]]
    for part in (*parts, told["total"]):
        assert part["open"] == part["capacity"] - part["sold"] - part["held"] - part["blocked"]
    for count in ("capacity", "sold", "held", "blocked", "open"):
        assert told["total"][count] == sum(part[count] for part in parts)
    assert told["total"] == {"capacity": 41, "sold": 3, "held": 3, "blocked": 2, "open": 33}
    floor = told["areas"][0]
    assert (floor["sold"], floor["held"], floor["blocked"], floor["open"]) == (1, 2, 1, 1)
    states: str = told["seat_map"]["states"]
    assert [states.count(letter) for letter in "oshb"] == [32, 2, 1, 1]


def test_a_seating_plan_is_kept_by_who_has_it(show: ShowDesk) -> None:
    """It never changes, whatever is sold; another tag gets it again."""
    path = f"{show.path}/seating-plan"
    first = show.desk.get(path)
    assert first.headers["cache-control"] == "private, max-age=86400, immutable"
    show.purchase(show.held("B-1"))
    same = show.desk.get(path, {"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert show.desk.get(path, {"If-None-Match": '"other"'}).content == first.content


def test_nothing_new_is_told_in_304(show: ShowDesk) -> None:
    """Until something changes; then the sequence has risen."""
    path = f"{show.path}/availability"
    first = show.desk.get(path)
    etag = first.headers["etag"]
    for tags in (etag, f'"other", {etag}', etag.removeprefix("W/"), "*"):
        same = show.desk.get(path, {"If-None-Match": tags})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["etag"] == etag
    hold = show.held("B-1")
    changed = show.desk.get(path, {"If-None-Match": etag})
    assert changed.status_code == 200
    assert _sequence(changed.json()) > _sequence(first.json())
    show.release(hold)
    again = show.desk.get(path)
    assert again.headers["etag"] not in {etag, changed.headers["etag"]}


@pytest.mark.parametrize("what", ["availability", "seating-plan"])
def test_head_tells_the_headers_alone(show: ShowDesk, what: str) -> None:
    """Those that GET would."""
    path = f"{show.path}/{what}"
    told, head = show.desk.get(path), show.desk.http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "content-length", "content-type", "content-encoding", "vary"):
        assert head.headers[name] == told.headers[name]
    assert (
        show.desk.http.head(path, headers={"If-None-Match": told.headers["etag"]}).status_code
        == 304
    )


def test_head_tells_how_many_places_are_open(show: ShowDesk) -> None:
    """As the body does, seats and areas together; also to who has the answer already."""
    path = f"{show.path}/availability"
    before = show.availability()["total"]["open"]
    assert show.desk.http.head(path).headers["onsale-available"] == str(before)
    show.held("B-1", areas={"floor": 2})
    head = show.desk.http.head(path)
    assert head.headers["onsale-available"] == str(before - 3)
    had = show.desk.http.head(path, headers={"If-None-Match": head.headers["etag"]})
    assert (had.status_code, had.headers["onsale-available"]) == (304, str(before - 3))


@pytest.mark.parametrize("what", ["availability", "seating-plan"])
def test_gzip_is_for_those_who_accept_it(show: ShowDesk, what: str) -> None:
    """Both get the same document."""
    path = f"{show.path}/{what}"
    plain = show.desk.get(path, {"Accept-Encoding": "identity"})
    small = show.desk.get(path, {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < int(plain.headers["content-length"])
    assert small.json() == plain.json()
    assert plain.headers["vary"] == small.headers["vary"] == "Accept-Encoding"


def test_accept_encoding_is_read_with_its_weights() -> None:
    """`q=0` is a refusal."""
    accepted = ["gzip", "gzip, br", "br;q=1.0, gzip;q=0.5", "*", "GZIP", "x-gzip"]
    refused = ["", "br", "gzip;q=0", "gzip;q=0.000, *", "*;q=0", "identity"]
    assert [value for value in accepted if not accepts_gzip(value)] == []
    assert [value for value in refused if accepts_gzip(value)] == []


def test_60000_seats_in_random_states_stay_below_20_kb() -> None:
    """The worst case: every seat's state equally likely, so that nothing repeats."""
    dice = random.Random(1)  # noqa: S311 -- no secret
    show = _large_show()
    states = "".join(
        letter if letter == "|" else dice.choice("ohsb") for letter in show.manifest.layout
    )
    content = _written(show, states)
    compressed = gzipped(content)
    assert gzip.decompress(compressed) == content
    assert len(compressed) < 20_000, len(compressed)


def test_a_quiet_hall_of_60000_seats_takes_next_to_nothing() -> None:
    """Long runs are folded."""
    show = _large_show()
    assert len(gzipped(_written(show, show.manifest.layout))) < 3_000


def test_large_pages_are_compressed_and_small_ones_are_not(show: ShowDesk) -> None:
    """Below a kilobyte the effort is not worth it."""
    page: httpx.Response = show.desk.get(f"{show.path}/seats", {"Accept-Encoding": "gzip"})
    small = show.desk.get(f"{show.path}/seats?limit=1", {"Accept-Encoding": "gzip"})
    assert page.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in small.headers


def _sequence(told: dict[str, Any]) -> tuple[int, int]:
    epoch, _, n = told["sequence"].partition("-")
    return int(epoch), int(n)


def _large_show() -> Show:
    manifest = compile_manifest(read_plan(arena_plan(60_000)))
    return Show(
        id=EntityId(1),
        reseller=EntityId(1),
        manifest_id=1,
        name="Arena",
        venue="Arena",
        starts_at_ms=0,
        opens_at_ms=0,
        closes_at_ms=None,
        state="on_sale",
        currency="EUR",
        tax_bps=1900,
        fee_bps=350,
        fee_fixed=79,
        max_per_hold=10,
        max_per_buyer=10,
        epoch=1,
        inventory_version=1,
        price_version=1,
        manifest=manifest,
        keys=show_keys(1),
    )


def _written(show: Show, states: str) -> bytes:
    areas = tuple(AreaCounts(area.capacity, 0, 0, 0) for area in show.manifest.areas)
    state = InventoryState(show, 0, "1-1", states.encode(), areas)
    tariff = Tariff(
        currency="EUR",
        prices={level.slug: 5000 for level in show.manifest.levels},
        fees=FeeSchedule(fee_bps=350, fee_fixed=79),
        tax_bps=1900,
    )
    return msgspec.json.encode(tell_availability(state, tariff, Ids("dev", b"s" * 32)))
