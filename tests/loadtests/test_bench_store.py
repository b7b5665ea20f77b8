"""The measurements of the store, at a small size, on a real platform."""

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
import redis

from loadtests.bench import best_available, memory, script
from loadtests.bench.batch_door import (
    BatchDoor,
    UnexpectedAnswerError,
    hold_seats,
    in_batches,
    runs_of,
)
from loadtests.bench.half_sold import Hall
from loadtests.bench.measurement import Site
from loadtests.bench.store_side import StoreError, StoreSide
from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import arena_plan
from ops.resellers import make_reseller
from ops.stack import Stack
from ops.workbench import site_of

_SMALL_SCRIPT = script.Size(batches=2, alone=2, warm_batches=1, sets=100, seats_min=600)
_SMALL_BEST = best_available.Size(seats=3000, batches=1, alone=2, failures=2)
_SMALL_MEMORY = 1200


class SmallBench:
    """Opens every site on one platform, each with a reseller of its own."""

    rounds = 1

    def __init__(self, stack: Stack) -> None:
        """Take the platform, which has the settings that the measurements ask for."""
        self._stack = stack
        self.asked: dict[str, str] = {}

    @contextmanager
    def open_site(self, **settings: str) -> Generator[Site]:
        """Return the platform, and note what was asked of it."""
        self.asked = settings
        key = asyncio.run(make_reseller(self._stack.settings, "Bench"))
        yield site_of(self._stack, key.text)

    def say(self, line: str) -> None:
        """Nobody watches."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallBench]:
    """A platform whose worker trims soon, and whose purchases wait for nothing."""
    environment = {"ONSALE_SALES_KEPT_S": "1", "ONSALE_CONFIRM_TIMEOUT_MS": "1"}
    with Stack(tmp_path_factory.mktemp("bench"), environment=environment) as stack:
        yield SmallBench(stack)


# ---------------------------------------------------------------- the measurements


def test_the_scripts_time_is_measured_beside_a_sets(bench: SmallBench) -> None:
    """A hold takes the store longer than a SET; every kind of command has a time."""
    figure = script.measure(bench, _SMALL_SCRIPT)
    assert figure.control is not None
    assert 0 < figure.control < figure.value
    assert figure.ratio == pytest.approx(figure.value / figure.control)
    assert figure.met is (figure.value <= 8)
    assert figure.rounds == [(figure.value, figure.control)]
    assert {"hold", "hold, alone", "hold, repeated", "purchase", "release"} <= set(
        figure.details["us"]
    )
    assert figure.settings["appendfsync"] == "always"
    assert bench.asked == {"confirm_timeout_ms": "1"}


def test_a_batch_that_is_not_one_call_of_the_script_is_no_measurement(bench: SmallBench) -> None:
    """64 holds in two requests are two calls: the time by the hold would be of batches of 32."""
    plan = arena_plan(400)
    with bench.open_site() as site, StoreSide(site.settings.redis_url) as store:
        show = asyncio.run(put_on_sale(site.base_url, site.api_key, plan))
        with script.worker_paused(site), BatchDoor(site, show) as door:
            trial = script.Trial(store, door, plan, _SMALL_SCRIPT)
            seats = [label for run in runs_of(plan) for label in run][:129]
            door.hold([hold_seats([seats.pop()])])  # the first batch asks for the time, too
            (first, second) = in_batches([hold_seats([seat]) for seat in seats], 64)
            trial.time("whole", [first], door.hold)
            with pytest.raises(UnexpectedAnswerError, match="1 batches were 2 calls"):
                trial.time("halves", [second], lambda b: [door.hold(b[:32]), door.hold(b[32:])])


def test_memory_is_read_at_every_station_of_a_show(bench: SmallBench) -> None:
    """A seat takes its byte, a hold a record and a deadline, a sale its replay record."""
    figure = memory.measure(bench, _SMALL_MEMORY)
    opened, held, sold = (figure.details[name] for name in ("open", "held", "sold"))
    assert opened["by_key"]["seats"] >= 1
    assert "holds" not in opened["by_key"]
    assert held["by_key"]["holds"] >= 16 + 20
    assert held["by_key"]["expiry"] >= 16
    assert sold["by_key"]["holds"] >= (16 + 20) / 2
    assert "expiry" not in sold["by_key"]
    assert held["units"] * 2 == sold["units"]
    assert figure.value == figure.details["sold_seat"] >= sold["keys"]
    assert figure.details["live_hold"] >= held["by_key"]["holds"]
    assert bench.asked["sales_kept_s"] == "1"


def test_four_together_are_found_and_missed_in_a_half_sold_hall(bench: SmallBench) -> None:
    """The largest level is thinned out, so that a search of it fails; first failures are calls."""
    figure = best_available.measure(bench, _SMALL_BEST)
    assert figure.value > 0
    assert figure.control is not None
    assert figure.control > 0
    half = figure.details["half_sold"]
    assert sum(level["open"] for level in half.values()) == pytest.approx(1500, abs=len(half))
    assert figure.details["calls_of_the_script"]["first failure, alone"] == 2
    assert figure.details["us"]["found"] == pytest.approx(figure.value, abs=0.001)
    level = figure.details["thinned_out"]["level"]
    assert figure.details["thinned_out"]["open"] < half[level]["open"]


def test_the_worker_goes_on_after_a_measurement_that_failed(servers: Stack) -> None:
    """What was paused is resumed, whatever happened."""
    said: list[str] = []
    site = Site(
        base_url="",
        api_key="",
        new_key=str,
        settings=servers.settings,
        processes=dict,
        pause_worker=lambda: said.append("pause"),
        resume_worker=lambda: said.append("resume"),
        restart_store=lambda down_s: said.append(f"down for {down_s}"),
    )
    with pytest.raises(ZeroDivisionError), script.worker_paused(site):
        _fail()
    assert said == ["pause", "resume"]


# ---------------------------------------------------------------- the store's side


def test_what_others_call_is_counted_by_command(servers: Stack) -> None:
    """Calls and time are those of the commands that were asked for, while it was done."""
    with (
        StoreSide(servers.settings.redis_url) as store,
        redis.Redis.from_url(servers.settings.redis_url, socket_timeout=10) as client,
    ):
        used = store.spent(
            lambda: [client.incr("bench-test:n") for _ in range(7)], "incrby", "decrby"
        )
        client.delete("bench-test:n")
        assert used.calls == 7
        assert store.spent(lambda: None, "incrby").calls == 0


def test_the_controls_keys_are_removed(servers: Stack) -> None:
    """The control leaves nothing in the store."""
    with (
        StoreSide(servers.settings.redis_url) as store,
        redis.Redis.from_url(servers.settings.redis_url, socket_timeout=10) as client,
    ):
        used = store.spent(lambda: store.set_many(25, at_once=10, value=b"x"), "set")
        assert used.calls == 25
        assert client.keys("bench:set:*") == []


def test_bytes_are_told_by_key_of_one_show(servers: Stack) -> None:
    """A show's keys are those under its tag, named without it."""
    with (
        StoreSide(servers.settings.redis_url) as store,
        redis.Redis.from_url(servers.settings.redis_url, socket_timeout=10) as client,
    ):
        client.set("{00000000deadbeef}:seats", b"o" * 5000)
        client.set("{00000000deadbee0}:seats", b"o")
        try:
            sizes = store.bytes_by_key("shw_dev_00000000deadbeef")
        finally:
            client.delete("{00000000deadbeef}:seats", "{00000000deadbee0}:seats")
        assert list(sizes) == ["seats"]
        assert 5000 < sizes["seats"] < 6500


def test_sales_that_are_never_trimmed_end_the_wait(servers: Stack) -> None:
    """Nothing waits for ever for a worker that is not there."""
    with (
        StoreSide(servers.settings.redis_url) as store,
        redis.Redis.from_url(servers.settings.redis_url, socket_timeout=10) as client,
    ):
        for _ in range(2):
            client.xadd("{00000000deadbee1}:sales", {"f": "x"})
        try:
            with pytest.raises(StoreError, match="2 sales are still in their stream"):
                store.wait_until_trimmed("shw_dev_00000000deadbee1", 0.1)
        finally:
            client.delete("{00000000deadbee1}:sales")


# ---------------------------------------------------------------- the half-sold hall


def test_groups_sit_together_and_nobody_on_a_sold_seat() -> None:
    """Exactly so many seats are sold, each once, to groups of up to four neighbours."""
    runs = [[f"{run}-{n}" for n in range(20)] for run in range(50)]
    hall = Hall(runs, seed=5)
    groups = hall.sell_at_random(500)
    sold = [seat for group in groups for seat in group]
    assert len(sold) == len(set(sold)) == 500
    assert hall.open_count == 500
    assert set(hall.open_seats).isdisjoint(sold)
    assert {len(group) for group in groups} == {1, 2, 3, 4}
    for group in groups:
        places = [tuple(map(int, label.split("-"))) for label in group]
        assert all(there == (run, n + 1) for (run, n), there in pairwise(places))


def test_the_same_luck_sells_the_same_seats() -> None:
    """Two runs of a benchmark measure the same hall."""
    runs = [[f"{run}-{n}" for n in range(9)] for run in range(9)]
    first, second = (Hall(runs, seed=3).sell_at_random(40) for _ in range(2))
    assert first == second


def test_a_thinned_out_hall_has_none_together() -> None:
    """No run of four is left, and as many seats as can be are."""
    hall = Hall([[f"0-{n}" for n in range(11)], ["1-0", "1-1", "1-2"]], seed=1)
    assert hall.sell_until_none_together(4) == [("0-3",), ("0-7",)]
    assert hall.open_runs == [3, 3, 3, 3]


def test_more_than_is_open_can_not_be_sold() -> None:
    """A hall that is too small is said to be."""
    with pytest.raises(ValueError, match="3 of 2 open seats"):
        Hall([["0-0", "0-1"]], seed=1).sell_at_random(3)


def _fail() -> None:
    raise ZeroDivisionError
