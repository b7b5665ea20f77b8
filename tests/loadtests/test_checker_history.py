"""The format of a history: what is written is read again, and what is wrong is told by its line."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from loadtests.checker import (
    Ambiguous,
    Bought,
    Held,
    HistoryError,
    Recorder,
    Refused,
    Released,
    Request,
    read_history,
)

HOLD = Request(
    client="c1", kind="hold", show="s", buyer="b", key="k", seats=("A", "B"), areas={"floor": 2}
)
BUY = Request(client="c1", kind="purchase", show="s", buyer="b", key="p", hold="h")
RELEASE = Request(client="c2", kind="release", show="s", buyer="b", hold="h")


def ticking() -> Callable[[], int]:
    """Return a clock that goes on by one whenever it is read."""
    return count(1).__next__


def test_what_was_recorded_is_read_again(tmp_path: Path) -> None:
    """In the order of invocation, whatever the order of the answers."""
    path = tmp_path / "history.jsonl"
    with Recorder(path, clock=ticking()) as recorder:
        hold, buy = recorder.begin(HOLD), recorder.begin(BUY)
        release = recorder.begin(RELEASE)
        recorder.end(release, Released())
        recorder.end(buy, Bought("o", "confirmed"))
        recorder.end(hold, Held("h", ("A", "B"), {"floor": 2}, deadline_ns=99))
    calls = read_history(path)
    assert [call.op for call in calls] == ["c1-0", "c1-1", "c2-0"]
    assert [(call.invoked_ns, call.completed_ns) for call in calls] == [(1, 6), (2, 5), (3, 4)]
    assert calls[0].answer == Held("h", ("A", "B"), {"floor": 2}, deadline_ns=99)
    assert calls[0].areas == {"floor": 2}


def test_a_record_is_on_disk_as_soon_as_its_call_has_ended(tmp_path: Path) -> None:
    """A run that is killed leaves all that had ended."""
    path = tmp_path / "history.jsonl"
    with Recorder(path) as recorder:
        recorder.end(recorder.begin(HOLD), Refused("seats-taken", seats=("A",)))
        assert len(read_history(path)) == 1


def test_what_is_under_way_at_the_end_is_ambiguous(tmp_path: Path) -> None:
    """It has no time of completion, and is not forgotten."""
    path = tmp_path / "history.jsonl"
    recorder = Recorder(path)
    recorder.begin(HOLD)
    recorder.close()
    recorder.close()
    (call,) = read_history(path)
    assert call.completed_ns is None
    assert isinstance(call.answer, Ambiguous)


def test_a_recorder_keeps_no_more_calls_than_it_was_told(tmp_path: Path) -> None:
    """Rather than growing it refuses to begin another."""
    with Recorder(tmp_path / "history.jsonl", under_way_max=2) as recorder:
        recorder.end(recorder.begin(HOLD), Ambiguous("time-out"))
        recorder.begin(HOLD)
        recorder.begin(BUY)
        with pytest.raises(RuntimeError, match="2 calls are under way"):
            recorder.begin(RELEASE)


GOOD = (
    '{"client":"c","kind":"hold","show":"s","buyer":"b","key":"k","seats":["A"],"op":"c-0",'
    '"invoked_ns":5,"completed_ns":9,"answer":{"type":"refused","reason":"seats-taken"}}\n'
)


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ("{}\n", "missing required field"),
        ("nonsense\n", "malformed"),
        (GOOD.replace('"op"', '"colour":1,"op"'), "unknown field `colour`"),
        (GOOD, "operation c-0 was told in line 1 already"),
        (GOOD[:40], "cut off"),
        (GOOD.replace('"key":"k",', ""), "a key is for hold and purchase"),
        (GOOD.replace('"key":"k"', '"key":"k","hold":"h"'), "every kind but hold names a hold"),
        (GOOD.replace('"seats":["A"],', ""), "hold and replace ask for places"),
        (GOOD.replace('["A"]', '["A","A"]'), "a seat is asked for twice"),
        (GOOD.replace('"op"', '"areas":{"floor":0},"op"'), "a count is not above zero"),
        (GOOD.replace('"completed_ns":9', '"completed_ns":4'), "it ends too early"),
        (GOOD.replace('"completed_ns":9', '"completed_ns":null'), "an answer without the time"),
        (GOOD.replace('"refused","reason":"seats-taken"', '"released"'), "never answered so"),
        (GOOD.replace('"refused"', '"strange"'), "Invalid value 'strange'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, second: str, says: str) -> None:
    """Nothing is guessed or passed over."""
    path = tmp_path / "history.jsonl"
    unique = second if says.startswith("operation") else second.replace("c-0", "c-1")
    path.write_text(GOOD + unique)
    with pytest.raises(HistoryError, match="line 2") as told:
        read_history(path)
    assert says in str(told.value)
