"""The Locust scenarios, without Locust's patches in this process: sources, wishes, shapes."""

import ast
import random
import subprocess
import sys
from collections import Counter
from typing import Any

import msgspec
import pytest

from loadtests.scenarios.hall import Hall
from loadtests.spike.playing import SCENARIOS, Scenario
from ops.places import ROOT

_TICKS = """
import json, sys
from argparse import Namespace
from types import SimpleNamespace
from loadtests.scenarios.browse import BeforeTheDoors
from loadtests.scenarios.on_sale import Doors
from loadtests.scenarios.soak import OrdinaryDay

def ticks(shape, moments, **options):
    environment = SimpleNamespace(parsed_options=Namespace(**options))
    shape.runner = SimpleNamespace(environment=environment)
    told = []
    for moment in moments:
        shape.get_run_time = lambda: moment
        told.append(shape.tick())
    return told

given = dict(num_users=100, spawn_rate=7, run_time=1000)
print(json.dumps({
    "on_sale": ticks(Doors(), [0, 999, 1000], **given),
    "browse": ticks(BeforeTheDoors(), [0, 375, 750, 999, 1000], **given),
    "soak": ticks(OrdinaryDay(), [0, 25, 50, 500, 975, 999, 1000], **given),
    "endless": ticks(OrdinaryDay(), [60, 10**6], num_users=100, spawn_rate=7, run_time=None),
    "bare": ticks(Doors(), [0]),
}))
"""


@pytest.mark.parametrize("scenario", list(Scenario))
def test_a_scenario_says_what_it_imitates_and_where_that_is_told(scenario: Scenario) -> None:
    """Its docstring names a public source, and the command that plays it."""
    source = (SCENARIOS / f"{scenario}.py").read_text(encoding="utf-8")
    told = ast.get_docstring(ast.parse(source)) or ""
    assert "https://" in told
    assert "imitates" in told
    assert f"locust -f loadtests/scenarios/{scenario}.py" in told


def test_shapes_follow_locusts_options() -> None:
    """At once, building up, a plateau with slopes; None ends a run, and a bare one has defaults."""
    done = subprocess.run(
        [sys.executable, "-c", _TICKS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert told["on_sale"] == [[100, 7], [100, 7], None]
    assert told["browse"] == [[1, 7], [50, 7], [100, 7], [100, 7], None]
    assert told["soak"] == [[1, 7], [50, 7], [100, 7], [100, 7], [50, 7], [2, 7], None]
    assert told["endless"] == [[50, 7], [100, 7]]
    assert told["bare"] == [[10, 10]]


def _show(seats: int, places: int) -> dict[str, Any]:
    """A show with two levels of seats, one of them dearer, and one of an area."""
    levels = [
        {"price_level": "back", "seat_count": seats, "price": {"total": 10}},
        {"price_level": "front", "seat_count": seats, "price": {"total": 20}},
        {"price_level": "standing", "seat_count": 0, "price": {"total": 90}},
    ]
    return {
        "price_levels": levels,
        "areas": [{"area": "floor", "capacity": places}] if places else [],
    }


def test_wishes_are_for_what_the_hall_has() -> None:
    """The dearest seats are the best; areas are wanted as much as there are places in them."""
    luck = random.Random(1)  # noqa: S311 -- dice
    hall = Hall(_show(150, 100))
    assert hall.best(2) == {"best_available": {"price_level": "front", "quantity": 2}}
    wishes = Counter(next(iter(hall.any(luck, 2))) for _ in range(2000))
    assert wishes["areas"] / 2000 == pytest.approx(0.25, abs=0.04)
    assert Hall(_show(0, 9)).best(3) == {"areas": {"floor": 3}} == Hall(_show(0, 9)).any(luck, 3)
    assert "best_available" in Hall(_show(5, 0)).any(luck, 1)
