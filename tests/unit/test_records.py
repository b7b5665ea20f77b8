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

_integers = st.integers(0, 2**53 - 1)
_sales = st.builds(
    SaleRecord,
    key=st.text(min_size=1),
    body_fingerprint=_integers,
    epoch=_integers,
    n=_integers,
    sold_at_ms=_integers,
)
_holds = st.builds(
    HoldRecord,
    deadline_ms=_integers,
    fingerprint=_integers,
    buyer=st.text(min_size=1),
    price_version=_integers,
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
        b"\x02" + msgspec.msgpack.encode([3, 1, 1]),
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
    assert msgspec.msgpack.decode(pack_buyer(1, 2, 3)[1:]) == [1, 2, 3]
    assert pack_buyer(1, 2, 3)[:1] == b"\x01"
