"""`live` at a small size on a real platform, and how its figures are counted."""

from collections import Counter

import pytest
from msgspec import structs

from loadtests.bench import live
from loadtests.bench.http_bench import QUICK, BenchError
from loadtests.bench.live import latencies, percentile
from loadtests.bench.live_told import read_events, told_states
from loadtests.generator.choosing import PythonGenerator
from ops.workbench import Workbench


def _bench() -> Workbench:
    size = structs.replace(QUICK, watchers=40, watching_s=2.0)
    return Workbench(rounds=1, generator=PythonGenerator(), size=size, say=print)


@pytest.mark.timeout(150)
def test_watchers_are_told_while_a_show_sells() -> None:
    """All of them, and what they know is the truth."""
    figure = live.measure(_bench())
    details = figure.details
    assert figure.value == details["p99_ms"] >= details["p50_ms"] > 0
    assert details["watchers"] == 40
    assert details["dropped"] == 0
    assert details["deliveries"] >= 40
    assert details["deliveries_per_cpu_s"] > 0
    assert details["control"]["watchers"] == 1
    assert details["sales"]["purchases 201"] > 0
    assert figure.settings["audit"] == "clean"


def test_what_a_watcher_was_not_told_fails_the_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However fast all else came."""

    def mistaken(kept: str) -> str:
        return told_states(kept).replace("s", "o", 1)

    monkeypatch.setattr(live, "told_states", mistaken)
    with pytest.raises(BenchError, match="something else"):
        live.measure(_bench())


def test_each_delta_of_a_frame_counts_from_its_own_time() -> None:
    """A frame tells all after the one before it."""
    decided = [("1-0", 0), ("1-1", 100), ("1-2", 150), ("1-3", 190), ("1-4", 300)]
    seen = [("1-1", 110, 2), ("1-3", 200, 1), ("1-3", 201, 1), ("1-4", 340, 2)]
    times, deltas = latencies(seen, decided)
    assert times == Counter({10: 3, 50: 1, 51: 1, 11: 1, 40: 2})
    assert deltas == 3
    assert percentile(times, 50) == 11
    assert percentile(times, 99) == 51
    assert percentile(Counter(), 99) == 0


def test_an_answer_in_chunks_is_read_as_a_client_does() -> None:
    """A snapshot of five positions, the third of which is then sold."""
    answer = (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        "c\r\nretry: 700\n\n\r\n"
        '55\r\nid: 1-0\nevent: snapshot\ndata: {"states":"5AM=","ranges":[[0,5]]}\n\n\r\n'
        "1e\r\n: still there\nid: 1-0\n\n\r\n"
        '30\r\nid: 1-1\nevent: delta\ndata: {"sold":[2]}\n\n\r\n'
    )
    assert [event["event"] for event in read_events(answer)] == ["snapshot", "delta"]
    assert told_states(answer) == "ohsbb"
