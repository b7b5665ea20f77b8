"""Packed records are read and written outside the scripts exactly as the scripts do."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.inventory.records import (
    AreaCounts,
    HoldRecord,
    HoldState,
    RecordError,
    SaleRecord,
    Tombstone,
    pack_area,
    pack_buyer,
    pack_record,
    unpack_area,
    unpack_record,
)

_integers = st.integers(0, 2**48 - 1)
_small = st.integers(0, 2**32 - 1)
_sales = st.builds(
    SaleRecord,
    key=st.text(min_size=1),
    body_fingerprint=_integers,
    epoch=_small,
    n=_integers,
    sold_at_ms=_integers,
)
_holds = st.builds(
    HoldRecord,
    deadline_ms=_integers,
    fingerprint=_integers,
    buyer=st.text(min_size=1),
    price_version=_small,
    selection_fingerprint=_integers,
    seats=st.lists(_integers).map(tuple),
    areas=st.lists(st.tuples(_integers, _integers)).map(tuple),
    sale=st.none() | _sales,
)
_tombstones = st.builds(
    Tombstone,
    state=st.sampled_from((HoldState.RELEASED, HoldState.EXPIRED)),
    forgotten_at_ms=_integers,
    fingerprint=_integers,
)


@settings(derandomize=True, database=None)
@given(record=_holds | _tombstones)
def test_a_record_is_read_as_it_was_written(record: HoldRecord | Tombstone) -> None:
    """Live, purchased, released or expired."""
    assert unpack_record(pack_record(record)) == record


def test_a_hold_counts_seats_and_places() -> None:
    """Tickets are both."""
    record = HoldRecord(
        deadline_ms=1,
        fingerprint=1,
        buyer="ann",
        price_version=1,
        selection_fingerprint=1,
        seats=(1, 2),
        areas=((0, 3), (1, 1)),
    )
    assert record.tickets == 6


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\x03" + msgspec.msgpack.encode([3, 1, 1]),
        b"\x02",
        b"\x02\x01",
        b"\x02\x05" + bytes(40),
        b"\x02\x03" + bytes(11),
        b"\x02\x01" + bytes(22) + b"\xa3ann\x90",
        b"\x02\x02" + bytes(44) + b"\xa3ann\x90\x90",
        b"\x01",
        b"\x01\xc1",
        b"\x01" + msgspec.msgpack.encode([]),
        b"\x01" + msgspec.msgpack.encode({"a": 1}),
        b"\x01" + msgspec.msgpack.encode([1, 2, 3]),
        b"\x01" + msgspec.msgpack.encode([1, 2, 3, "ann", 1, 1, 7, []]),
        b"\x01" + msgspec.msgpack.encode([1, 2, 3, "ann", 1, 1, [], [[1]]]),
        b"\x01" + msgspec.msgpack.encode([2, 2, 3, "ann", 1, 1, [], [], "key"]),
    ],
)
def test_what_is_no_record_is_refused(packed: bytes) -> None:
    """Another format, or broken: never a wrong record."""
    with pytest.raises(RecordError):
        unpack_record(packed)


def test_area_counts_are_read_as_they_were_written() -> None:
    """And those of another format are refused."""
    counts = AreaCounts(1, 2, 3, 4)
    assert unpack_area(pack_area(counts)) == counts
    with pytest.raises(RecordError):
        unpack_area(b"\x02" + pack_area(counts)[1:])


def test_a_buyer_is_packed_as_held_bought_and_deadline() -> None:
    """In this order, behind the format byte."""
    assert pack_buyer(1, 2, 3).hex(" ") == "02 00 00 01 00 00 02 00 00 00 00 00 03"


def test_a_record_of_the_first_format_is_read() -> None:
    """One msgpack list behind the format byte."""
    live = [1, 60_000, 7, "ann", 3, 8, [1, 2], [[0, 4]]]
    expected = HoldRecord(
        deadline_ms=60_000,
        fingerprint=7,
        buyer="ann",
        price_version=3,
        selection_fingerprint=8,
        seats=(1, 2),
        areas=((0, 4),),
    )
    assert unpack_record(b"\x01" + msgspec.msgpack.encode(live)) == expected
    sold = unpack_record(b"\x01" + msgspec.msgpack.encode([2, *live[1:], "key", 9, 1, 5, 70_000]))
    assert sold == msgspec.structs.replace(expected, sale=SaleRecord("key", 9, 1, 5, 70_000))
    ended = msgspec.msgpack.encode([3, 60_000, 7])
    assert unpack_record(b"\x01" + ended) == Tombstone(HoldState.RELEASED, 60_000, 7)
