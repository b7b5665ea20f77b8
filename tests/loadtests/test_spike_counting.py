"""How answers are counted: buckets, seconds, and what a run makes of them."""

from pathlib import Path

import msgspec
import pytest

from loadtests.spike.histogram import BUCKETS, Histogram, bucket_of, ms_of
from loadtests.spike.rush import count_strange
from loadtests.spike.seconds import (
    SUFFIX,
    Moment,
    Second,
    SecondsReader,
    SecondsWriter,
    count,
    read_seconds,
)


@pytest.mark.parametrize(
    ("took_us", "ms"),
    [
        *((0, 0.1), (99, 0.1), (100, 0.2), (199_999, 200.0)),
        *((200_000, 201.0), (200_999, 201.0), (201_000, 202.0), (1_234_567, 1235.0)),
    ],
)
def test_a_bucket_ends_just_above_what_is_in_it(took_us: int, ms: float) -> None:
    """By a tenth of a ms below 200 ms, by a ms above."""
    assert ms_of(bucket_of(took_us)) == pytest.approx(ms)


def test_what_is_off_the_scale_is_in_the_last_or_the_first_bucket() -> None:
    """Minutes, and a clock that went back, do not break the count."""
    assert bucket_of(10**9) == BUCKETS - 1
    assert ms_of(BUCKETS - 1) == 30_000
    assert bucket_of(-5) == 0


def test_a_percentile_is_the_time_within_which_that_share_was_answered() -> None:
    """Nearest rank: of 100 answers p99 is the second slowest."""
    histogram = Histogram()
    histogram.add_pairs([0, 49, 9, 49, bucket_of(500_000), 1, bucket_of(900_000), 1])
    assert histogram.count == 100
    assert histogram.percentile_ms(0.49) == 0.1
    assert histogram.percentile_ms(0.5) == 1.0
    assert histogram.percentile_ms(0.99) == 501.0
    assert histogram.percentile_ms(1.0) == 901.0
    assert Histogram().percentile_ms(0.99) == 0.0


def test_seconds_of_several_generators_become_one_run(tmp_path: Path) -> None:
    """Same seconds are added up, empty ones in between are zeros, an unfinished line is left."""
    one = Second(7, {"hold": {"201": 2, "409": 1}}, {"hold": [0, 3]})
    other = Second(
        7, {"hold": {"201": 1}, "release": {"204": 1}}, {"hold": [9, 1], "release": [1, 1]}
    )
    late = Second(9, {"hold": {"409": 5}}, {"hold": [19, 5]})
    encode = msgspec.json.encode
    (tmp_path / f"a{SUFFIX}").write_bytes(encode(one) + b"\n" + encode(late) + b"\n")
    (tmp_path / f"b{SUFFIX}").write_bytes(encode(other) + b'\n{"at": 9, "answ')
    counted = count(read_seconds(tmp_path))
    assert counted.answers == {"hold": {"201": 3, "409": 6}, "release": {"204": 1}}
    assert counted.answered == 10
    assert counted.moments == [Moment(7, 5, 0.1, 1.0), Moment(8, 0, 0, 0), Moment(9, 5, 2.0, 2.0)]
    assert counted.took["release"].percentile_ms(0.5) == 0.2
    assert counted.all_took.count == 10


def test_a_reader_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Half a line is read when it is whole, and nothing twice."""
    line = msgspec.json.encode(Second(7, {"hold": {"201": 2}}, {"hold": [0, 2]})) + b"\n"
    path, reader = tmp_path / f"a{SUFFIX}", SecondsReader(tmp_path)
    assert reader.read_on() == []
    path.write_bytes(line + line[:9])
    assert len(reader.read_on()) == 1
    assert reader.read_on() == []
    path.write_bytes(line + line + line)
    assert count(reader.read_on()).answered == 4


def test_kinds_can_be_counted_by_themselves() -> None:
    """Commands of a batch are no requests."""
    second = Second(
        7,
        {"batch": {"200": 1}, "hold in a batch": {"201": 9}},
        {"batch": [0, 1], "hold in a batch": [0, 9]},
    )
    assert count([second], lambda kind: kind == "batch").answered == 1
    assert count([]).moments == []


def test_the_writer_leaves_what_was_noted(tmp_path: Path) -> None:
    """By kind and answer, also the second that was not over when it closed."""
    writer = SecondsWriter(tmp_path / f"x{SUFFIX}")
    writer.note("hold", "201", 1_550)
    writer.note("hold", "409", 250_500)
    writer.close()
    counted = count(read_seconds(tmp_path))
    assert counted.answers == {"hold": {"201": 1, "409": 1}}
    assert counted.all_took.percentile_ms(0.5) == pytest.approx(1.6)
    assert counted.all_took.percentile_ms(1) == 251.0


def test_strange_answers_are_told_from_the_sales_own() -> None:
    """409 and 410 are the sale's, `overloaded` is counted apart; all else is an error."""
    fine = {
        "hold": {"201": 5, "409": 4, "410": 1, "overloaded": 3},
        "purchase": {"201": 1, "202": 1},
        "release": {"204": 2},
    }
    assert count_strange(fine) == 0
    assert count_strange({"hold": {"503": 1, "500": 1, "422": 1, "nameless": 1, "202": 1}}) == 5
    assert count_strange({"release": {"201": 1}, "purchase": {"404": 1}}) == 2
