"""What a run came to: the promised object, and when a run counts as good."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from loadtests.auditor import AuditResult, Finding
from loadtests.bench.machine import Machine
from loadtests.buyers import Verdict
from loadtests.spike.generating import Sent
from loadtests.spike.histogram import bucket_of
from loadtests.spike.playing import Play, Played, Scenario
from loadtests.spike.processes import memory_mib, share_out
from loadtests.spike.report import (
    PICTURE,
    RESULT,
    RushReport,
    report_play,
    report_rush,
    write_report,
)
from loadtests.spike.rush import Rush, Rushed
from loadtests.spike.seconds import Moment, Second, count
from loadtests.spike.watching import Sample, Watch

_PROMISED = (
    *("requests", "answered", "errors", "overloaded", "sold", "double_sold", "audit", "wall_s"),
    *("rate", "p50_ms", "p99_ms", "max_ms", "peak_mib"),
)
_SLEEPER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
child.wait()
"""
_MACHINE = Machine(cpu="c", cores=2, kernel="k", python="p", load_average=0.0, fsync_us=1.0)
_CLEAN = AuditResult(shows=1, rows=[], findings=[])
_SECONDS = [
    Second(100, {"hold": {"201": 3, "409": 2}}, {"hold": [0, 4, bucket_of(80_000), 1]}),
    Second(
        102,
        {"purchase": {"201": 2}, "release": {"204": 1, "overloaded": 2}},
        {"purchase": [0, 2], "release": [0, 3]},
    ),
]


def _watch() -> Watch:
    watch = Watch(dict, None)
    watch.samples += [
        Sample(100.5, 7, {"api": 80.0, "valkey": 5.0}),
        Sample(101.5, None, {"api": 90.0, "valkey": 4.0}),
    ]
    return watch


def _rushed() -> Rushed:
    return Rushed(
        sent=Sent(
            answered=10, wall_s=4.0, errors={"read": 0}, max_ms=80.2, generator="wrk", cpu_s=0.5
        ),
        counted=count(_SECONDS),
        watch=_watch(),
        drained_s=0.1,
        told_sold=4,
        verdict=Verdict(sold=4, double_sold=0, lost=0),
        audit=_CLEAN,
    )


def _report(rushed: Rushed, requests: int = 10) -> RushReport:
    rush = Rush(requests=requests, connections=5, wrk=None)
    return report_rush(rush, rushed, seats=6, workers=1, machine=_MACHINE, folder=Path("here"))


def test_the_object_begins_with_what_was_promised() -> None:
    """The issue's keys in its order, with what the generators counted and the stores have."""
    told = msgspec.to_builtins(_report(_rushed()))
    assert tuple(told)[: len(_PROMISED)] == _PROMISED
    assert (told["requests"], told["answered"], told["rate"]) == (10, 10, 2.5)
    assert (told["errors"], told["overloaded"], told["sold"], told["double_sold"]) == (0, 2, 4, 0)
    assert (told["holds_won"], told["holds_refused"]) == (3, 2)
    assert (told["purchases"], told["releases"]) == (2, 1)
    assert (told["p50_ms"], told["p99_ms"]) == (0.1, 80.1)
    assert told["peak_mib"] == {"api": 90.0, "valkey": 5.0}
    assert (told["lag_max"], told["told_sold"]) == (7, 4)
    assert told["audit"] == "clean"


@pytest.mark.parametrize(
    "changed",
    [
        {"sent": replace(_rushed().sent, answered=9)},
        {"sent": replace(_rushed().sent, errors={"read": 1})},
        {"counted": count([*_SECONDS, Second(103, {"hold": {"500": 1}}, {"hold": [0, 1]})])},
        {"verdict": Verdict(sold=4, double_sold=1, lost=0)},
        {"verdict": Verdict(sold=4, double_sold=0, lost=1)},
        {"audit": AuditResult(shows=1, rows=[], findings=[Finding(1, "capacity", "A", "says")])},
    ],
)
def test_a_rush_is_good_only_if_all_was_answered_and_all_is_clean(
    changed: dict[str, object],
) -> None:
    """An answer missing, an error, a seat sold twice, an order lost, a finding: each spoils it."""
    assert _report(_rushed()).is_good, "turned away is not failed"
    assert not _report(replace(_rushed(), **changed)).is_good


def _played(answer: str, audit: AuditResult | None) -> Played:
    second = Second(
        5,
        {"hold": {answer: 2}, "hold: told to wait": {"503": 3}},
        {"hold": [0, 2], "hold: told to wait": [0, 3]},
    )
    command = Second(5, {"hold in a batch": {"201": 8}}, {"hold in a batch": [0, 8]})
    return Played(count([second]), count([command]), _watch(), audit)


def test_a_play_counts_waiting_apart_and_fails_with_its_audit() -> None:
    """503s are no failures, a failed answer is one, and findings are as bad."""
    play = Play(
        scenario=Scenario.BROWSE, users=3, rate=3, seconds=1, web_port=None, report=Path("here")
    )
    report = report_play(play, _played("201", _CLEAN), _MACHINE)
    assert report.is_good
    assert (report.requests, report.told_to_wait, report.failures, report.commands) == (5, 3, 0, 8)
    assert report_play(play, _played("201", None), _MACHINE).is_good, "nobody could audit"
    assert report_play(play, _played("201", None), _MACHINE).audit == "not run"
    assert not report_play(play, _played("500 failed", _CLEAN), _MACHINE).is_good
    dirty = AuditResult(shows=1, rows=[], findings=[Finding(1, "capacity", "A", "says")])
    assert not report_play(play, _played("201", dirty), _MACHINE).is_good
    nothing = Played(count([]), count([]), _watch(), _CLEAN)
    assert not report_play(play, nothing, _MACHINE).is_good, "no traffic proves nothing"


def test_the_folder_gets_a_picture_and_every_second(tmp_path: Path) -> None:
    """Rate, latency, lag and memory are drawn; the result has what they were drawn from."""
    rushed = _rushed()
    write_report(_report(rushed), "A rush", rushed.counted.moments, rushed.watch, tmp_path)
    picture = (tmp_path / PICTURE).read_text(encoding="utf-8")
    for name in ("A rush", "p50", "p99", "lag", "api", "valkey", "MiB"):
        assert name in picture
    result = msgspec.json.decode((tmp_path / RESULT).read_bytes())
    assert [moment["answered"] for moment in result["seconds"]] == [5, 0, 5]
    assert [sample["lag"] for sample in result["samples"]] == [7, None]
    assert result["requests"] == 10


def test_hours_are_drawn_with_fewer_points_and_their_worst_moments(tmp_path: Path) -> None:
    """A soak has a point for some seconds together: mean rate, median p50, worst p99 and lag."""
    rushed = _rushed()
    moments = [Moment(n, 10, 1.0, 90.0 if n == 4321 else 2.0) for n in range(7200)]
    samples = [Sample(float(n), 50 if n == 77 else 0, {"api": 1.0}) for n in range(7200)]
    rushed.watch.samples[:] = samples
    write_report(_report(rushed), "A soak", moments, rushed.watch, tmp_path)
    picture = (tmp_path / PICTURE).read_text(encoding="utf-8")
    assert len(picture) < 120_000
    assert ">100</text>" in picture, "the one slow second is drawn"
    assert ">60</text>" in picture, "and so is the one long lag"
    assert "a point for 12 s" in picture
    assert len(msgspec.json.decode((tmp_path / RESULT).read_bytes())["seconds"]) == 7200


def test_every_process_counts_in_one_part_and_has_memory() -> None:
    """A child of a part belongs to it, unless it is the root of another."""
    with subprocess.Popen([sys.executable, "-c", _SLEEPER], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        try:
            parts = share_out({"me": os.getpid(), "child": child.pid})
            if sys.platform == "linux":
                assert parts["child"] == [child.pid, grandchild]
                assert os.getpid() in parts["me"]
                assert not {child.pid, grandchild} & set(parts["me"])
                assert memory_mib(parts)["child"] > 1
            assert memory_mib({"gone": [2**22 + 1]}).get("gone", 0) == 0
        finally:
            os.kill(grandchild, signal.SIGKILL)
            child.kill()
