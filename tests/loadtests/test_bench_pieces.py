"""What measurements are made of: requests, answers, what was spent, processes, reports."""

import io
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from msgspec import structs
from rich.console import Console

from loadtests.bench.answers import (
    all_confirmed,
    all_created,
    all_refused,
    all_shown,
    batches_of,
)
from loadtests.bench.http_bench import BenchError, Cores
from loadtests.bench.machine import read_machine
from loadtests.bench.measurement import Figure, Rounds, alternate
from loadtests.bench.processes import cpu_seconds, family
from loadtests.bench.registry import MEASUREMENTS
from loadtests.bench.report import figures_as_json, print_figures
from loadtests.bench.requests import RequestWriter, seat_groups
from loadtests.bench.spent import Run, Spent
from loadtests.generated_plans import arena_plan
from loadtests.generator import LoadResult
from ops.workbench import share_cores

_RESULT = LoadResult(
    answered=200,
    statuses={201: 200},
    counted=0,
    repeated=0,
    whole=True,
    failures=[],
    connection_errors=0,
    wall_s=2.0,
    cpu_s=0.5,
    p50_ms=1.0,
    p99_ms=2.0,
    max_ms=3.0,
)
_FIGURE = Figure(
    name="hold",
    value=17_000.4,
    unit="holds/s",
    control=39_000.0,
    control_unit="answers/s",
    ratio=0.436,
    target="at least 0.42 of the control",
    met=True,
    rounds=[(17_000.4, 39_000.0)],
    details={"generator": "wrk 4.1.0", "value": {"cpu_s": {"api": 1.5}}},
    settings={"connections": 256},
)


# ---------------------------------------------------------------- rounds


def test_value_and_control_are_measured_in_turns_and_their_medians_compared() -> None:
    """One outlier on either side changes nothing."""
    order: list[str] = []
    values, controls = [10.0, 99.0, 11.0], [20.0, 22.0, 1.0]

    def take(side: str, given: list[float]) -> Callable[[int], float]:
        def measure(n: int) -> float:
            order.append(f"{side}{n}")
            return given[n]

        return measure

    rounds = alternate(3, take("v", values), take("c", controls))
    assert order == ["v0", "c0", "v1", "c1", "v2", "c2"]
    assert (rounds.value, rounds.control, rounds.ratio) == (11.0, 20.0, 0.55)
    assert rounds == Rounds([(10.0, 20.0), (99.0, 22.0), (11.0, 1.0)])


# ---------------------------------------------------------------- requests


def test_pairs_are_neighbours_of_one_row_and_every_seat_is_there_once() -> None:
    """Section and row are the same, the numbers follow each other."""
    groups = seat_groups(arena_plan(1001))
    assert max(map(len, groups)) == 2
    seats = [seat for group in groups for seat in group]
    assert len(seats) == len(set(seats)) == 1001
    for group in groups:
        rows = {seat.rpartition("-")[0] for seat in group}
        numbers = [int(seat.rpartition("-")[2]) for seat in group]
        assert len(rows) == 1
        assert numbers[-1] - numbers[0] == len(group) - 1
    assert groups == seat_groups(arena_plan(1001)), "the same order each time"


def _parts(request: bytes) -> tuple[str, dict[str, str], Any]:
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    return first, headers, msgspec.json.decode(body)


def test_each_hold_has_a_buyer_and_a_key_of_its_own() -> None:
    """And the seats that it was given, for the show, signed by the reseller."""
    groups = [["A-1-1", "A-1-2"], ["A-1-3", "A-1-4"]]
    sent = [_parts(r) for r in RequestWriter("osk_1", "shw_1").holds(groups)]
    sent += [_parts(r) for r in RequestWriter("osk_1", "shw_1").holds(groups)]
    assert {first for first, _, _ in sent} == {"POST /v1/shows/shw_1/holds HTTP/1.1"}
    assert {headers["Authorization"] for _, headers, _ in sent} == {"Bearer osk_1"}
    assert [body["seats"] for _, _, body in sent] == groups * 2
    assert len({body["buyer"] for _, _, body in sent}) == 4
    assert len({headers["Idempotency-Key"] for _, headers, _ in sent}) == 4


def test_batches_are_whole() -> None:
    """Seven pairs make two batches of three; each command has what a request of its own has."""
    groups = [[f"A-{n}-1", f"A-{n}-2"] for n in range(7)]
    sent = [_parts(r) for r in RequestWriter("osk_1", "shw_1").batches(groups, 3)]
    commands = [command for _, _, body in sent for command in body["commands"]]
    assert [len(body["commands"]) for _, _, body in sent] == [3, 3]
    assert [command["seats"] for command in commands] == groups[:6]
    assert {command["op"] for command in commands} == {"hold"}
    assert len({command["key"] for command in commands}) == 6
    assert len({command["buyer"] for command in commands}) == 6


# ---------------------------------------------------------------- answers


def _answers(**changes: object) -> LoadResult:
    return structs.replace(_RESULT, **changes)


def test_the_right_answers_are_counted() -> None:
    """Holds, refusals, orders, and the commands of batches."""
    assert all_created(_RESULT) == 200
    assert all_refused(_answers(statuses={409: 200})) == 200
    assert all_shown(_answers(statuses={200: 200})) == 200
    assert all_confirmed(_answers(statuses={201: 190, 202: 10}, counted=95)) == 95
    assert batches_of(100)(_answers(answered=2, statuses={200: 2}, counted=200)) == 200


@pytest.mark.parametrize(
    ("expect", "changes"),
    [
        (all_created, {"statuses": {201: 199, 503: 1}, "failures": ["overloaded"]}),
        (all_created, {"statuses": {200: 200}}),
        (all_created, {"connection_errors": 1}),
        (all_created, {"answered": 0, "statuses": {}}),
        (all_refused, {"statuses": {409: 199, 201: 1}}),
        (all_shown, {"statuses": {200: 199, 503: 1}}),
        (all_confirmed, {"statuses": {201: 200}, "counted": 0}),
        (all_confirmed, {"statuses": {201: 199, 409: 1}, "counted": 99}),
        (batches_of(100), {"answered": 2, "statuses": {200: 2}, "counted": 199}),
        (batches_of(100), {"answered": 2, "statuses": {200: 1, 503: 1}, "counted": 100}),
    ],
)
def test_any_other_answer_fails_the_measurement(
    expect: Callable[[LoadResult], int], changes: dict[str, object]
) -> None:
    """Speed with wrong answers is no figure."""
    with pytest.raises(BenchError):
        expect(_answers(**changes))


# ---------------------------------------------------------------- what was spent


def test_what_was_spent_is_told_by_part_and_by_unit() -> None:
    """Medians of rates and times, sums of CPU seconds, and whose core was the limit."""
    spent = Spent()
    spent.add(Run(_RESULT, 200, {"api": 1.9, "valkey": 0.3, "idle": 0.0, "generator": 0.5}))
    spent.add(Run(_answers(wall_s=1.0, p50_ms=3.0), 200, {"api": 0.9, "generator": 0.25}))
    told = spent.told("api", other_cores=1)
    assert told["rate"] == 150.0
    assert (told["units"], told["wall_s"], told["p50_ms"]) == (400, 3.0, 2.0)
    assert told["cpu_s"] == {"api": 2.8, "valkey": 0.3, "generator": 0.75}
    assert told["cpu_us_a_unit"]["api"] == 7000.0
    assert told["busy"] == {"server": 0.93, "others": 0.35}
    assert (told["limit"], told["generator_busy"]) == ("the server's core", 0.25)
    assert spent.cpu_us("valkey") == pytest.approx(750)


@pytest.mark.parametrize(
    ("cpu_s", "other_cores", "limit"),
    [
        ({"api": 0.5, "valkey": 0.9, "generator": 1.0}, 1, "the cores of generator, stores"),
        ({"api": 0.5, "valkey": 0.9, "generator": 1.0}, 2, "no core"),
        ({"api": 2.0, "generator": 1.0}, 0, "not pinned"),
    ],
)
def test_the_limit_is_named(cpu_s: dict[str, float], other_cores: int, limit: str) -> None:
    """The others share their cores; unpinned, nobody knows."""
    spent = Spent()
    spent.add(Run(_RESULT, 200, cpu_s))
    assert spent.told("api", other_cores)["limit"].startswith(limit)


# ---------------------------------------------------------------- processes and cores


@pytest.fixture
def parent_and_child() -> Iterator[int]:
    """A process with a child of its own that is busy; both end with their standard input."""
    program = (
        "import subprocess, sys\n"
        "busy = 'import threading, sys\\n"
        "threading.Thread(target=lambda: [x for x in iter(int, 1)], daemon=True).start()\\n"
        "sys.stdin.read()'\n"
        "child = subprocess.Popen([sys.executable, '-c', busy], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "child.communicate(timeout=20)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process.pid
        process.communicate(timeout=30)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_a_familys_cpu_time_is_its_members(parent_and_child: int) -> None:
    """The busy child counts for its part; a process that has ended counts nothing."""
    members = family(parent_and_child)
    assert members[0] == parent_and_child
    assert len(members) == 2
    before = cpu_seconds({"both": members, "none": [2**22 + 1]})
    time.sleep(0.3)
    after = cpu_seconds({"both": members, "none": [2**22 + 1]})
    assert after["both"] > before["both"]
    assert after["none"] == 0


def test_the_measured_server_has_a_core_of_its_own() -> None:
    """The first; the rest is for everything else, and with one core nothing is pinned."""
    assert share_cores([0, 1]) == Cores((0,), (1,))
    assert share_cores([2, 3, 5]) == Cores((2,), (3, 5))
    assert share_cores([0]) == Cores((), ())


# ---------------------------------------------------------------- what is told


def test_one_figure_is_one_flat_object_beside_the_machine() -> None:
    """With name, value, control, ratio and the settings on top."""
    machine = read_machine()
    told = figures_as_json([_FIGURE], machine, asked_for_one=True, failed={})
    told = msgspec.json.decode(msgspec.json.encode(told))
    assert (told["name"], told["value"], told["control"], told["ratio"]) == (
        *("hold", 17_000.4, 39_000.0, 0.436),
    )
    assert told["settings"] == {"connections": 256}
    assert told["machine"]["cores"] == machine.cores >= 1
    assert told["machine"]["fsync_us"] > 0


def test_several_figures_are_a_list_with_those_that_failed() -> None:
    """A failed one is never missing in silence."""
    told = figures_as_json(
        [_FIGURE, _FIGURE], read_machine(), asked_for_one=False, failed={"batch": "503"}
    )
    assert [figure["name"] for figure in told["figures"]] == ["hold", "hold"]
    assert told["failed"] == {"batch": "503"}
    alone = figures_as_json([], read_machine(), asked_for_one=True, failed={"hold": "503"})
    assert alone["failed"] == {"hold": "503"}


def test_the_table_shows_targets_missed_and_met_and_what_stands_behind() -> None:
    """A figure without a control has none in the table."""
    missed = structs.replace(
        _FIGURE, name="memory", value=1.94, unit="bytes", control=None, ratio=None, met=False
    )
    out = io.StringIO()
    print_figures([_FIGURE, missed], read_machine(), Console(file=out, width=160))
    lines = out.getvalue().splitlines()
    (met,) = [line.split() for line in lines if line.strip().startswith("hold ")]
    assert met[:5] == ["hold", "17,000", "holds/s", "39,000", "answers/s"]
    assert met[-1] == "yes"
    (not_met,) = [line.split() for line in lines if line.strip().startswith("memory ")]
    assert not_met[:3] == ["memory", "1.94", "bytes"]
    assert not_met[-1] == "no"
    assert any("value: cpu_s api 1.5" in line for line in lines)
    assert any("machine: cpu" in line for line in lines)


def test_the_registry_has_the_table_of_the_harness() -> None:
    """Each of its names, and a module that measures it."""
    assert list(MEASUREMENTS) == [
        *("hold", "hold-ordinary", "hold-sql", "purchase", "sold-out", "batch", "fairness"),
        "script",
        *("durable", "record", "memory", "best-available"),
        *("queue-serving", "queue-join", "queue-memory", "live", "search", "catalog"),
        *("opening", "recovery", "recovery-many", "migration", "failover"),
    ]
    for measurement in MEASUREMENTS.values():
        assert callable(measurement.load()), measurement.name
