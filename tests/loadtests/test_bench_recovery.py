"""The measurements of recoveries, at a small size, on real platforms that lose their servers."""

import asyncio

import pytest

from loadtests.bench import failover, migration, recovery, recovery_many
from loadtests.bench.http_bench import QUICK, BenchError
from loadtests.bench.measurement import Figure
from loadtests.bench.outage import check_confirmed, check_held, longest_gap
from loadtests.generator.choosing import PythonGenerator
from ops.workbench import Workbench

_SEATS = 4_000
_LIVE_HOLDS = 20


@pytest.fixture(scope="module")
def bench() -> Workbench:
    """One round of each."""
    return Workbench(rounds=1, generator=PythonGenerator(), size=QUICK, say=print)


def _assert_measured(figure: Figure, name: str) -> None:
    assert figure.name == name
    assert [figure.rounds[0][0]] == [figure.value]
    assert 0 < figure.value < 60


def test_a_restarted_show_sells_again(bench: Workbench) -> None:
    """After an outage that its buyers notice, and after one that they hardly do."""
    figure = recovery.measure(bench, _SEATS, _LIVE_HOLDS)
    _assert_measured(figure, "recovery")
    assert figure.details["holds_kept"] == _LIVE_HOLDS
    assert 0 < figure.details["back_at_once"] < 60


def test_all_shows_of_a_restarted_server_sell_again(bench: Workbench) -> None:
    """The busiest is not the last."""
    figure = recovery_many.measure(bench, shows=6, seats=60)
    _assert_measured(figure, "recovery-many")
    assert 0 < figure.details["busiest"] <= figure.value


def test_a_show_moves_and_purchases_survive_their_primary(bench: Workbench) -> None:
    """On a cluster: the holds that lived before live afterwards, and all that was confirmed is."""
    figure = migration.measure(bench, _SEATS, _LIVE_HOLDS)
    _assert_measured(figure, "migration")
    assert figure.details["holds_kept"] == _LIVE_HOLDS
    figure = failover.measure(bench, _SEATS)
    _assert_measured(figure, "failover")
    assert figure.details["confirmed"] > 4


def test_what_was_lost_is_noticed(bench: Workbench) -> None:
    """A hold or an order that is not there ends a measurement."""
    with bench.open_site() as site:
        with pytest.raises(BenchError, match=r"hold .* is lost: 404"):
            asyncio.run(check_held(site, "shw_dev_0123456789abcdef", ["hld_dev_" + 48 * "0"]))
        with pytest.raises(BenchError, match=r"order .* is lost: 404"):
            asyncio.run(check_confirmed(site, ["ord_dev_" + 48 * "0"]))


@pytest.mark.parametrize(
    ("had", "gap"),
    [([], 10.0), ([5.0], 5.0), ([1.0, 2.0, 9.0], 7.0), ([9.0, 1.0, 0.5, 40.0], 8.0)],
)
def test_the_longest_gap_is_found(had: list[float], gap: float) -> None:
    """Between two that were had, and from either end."""
    assert longest_gap(had, 0.0, 10.0) == gap
