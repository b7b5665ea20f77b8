"""Packed records are read and written outside the scripts exactly as the scripts do."""

from typing import Any

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
_versions = st.integers(0, 2**16 - 1)
_selections: dict[str, Any] = {
    "buyer": st.text(min_size=1),
    "price_version": _versions,
    "seats": st.lists(_integers).map(tuple),
    "areas": st.lists(st.tuples(_integers, _integers)).map(tuple),
    "types": st.sampled_from(("", "child:1", "child:2,standard:1")),
}
_live = st.builds(
    HoldRecord,
    deadline_ms=_integers,
    fingerprint=_integers,
    selection_fingerprint=_integers,
    sale=st.none(),
    **_selections,
)


def _sell(
    record: HoldRecord, body_fp: int, epoch: int, n: int, *, returned: bool = False
) -> HoldRecord:
    """Sell it at its deadline: of a sold hold nothing else is kept of deadline and selection."""
    return msgspec.structs.replace(
        record,
        selection_fingerprint=record.fingerprint,
        sale=SaleRecord(body_fp, epoch, n, record.deadline_ms, returned=returned),
    )


_sold = st.builds(_sell, _live, _integers, _small, _small, returned=st.booleans())


def _bundle(record: HoldRecord, bundle: int, *, committing: bool) -> HoldRecord:
    """Make it a part of a bundle: its selection is never another than its body's."""
    return msgspec.structs.replace(
        record,
        selection_fingerprint=record.fingerprint,
        bundle=f"{bundle:016x}",
        committing=committing,
    )


_bundled = st.builds(_bundle, _live, st.integers(1, 2**63 - 1), committing=st.booleans())
_holds = _live | _sold | _bundled
_tombstones = st.builds(
    Tombstone,
    state=st.sampled_from((HoldState.RELEASED, HoldState.EXPIRED)),
    forgotten_at_ms=_integers,
    fingerprint=_integers,
)


@settings(derandomize=True, database=None)
@given(record=_holds | _tombstones)
def test_a_record_is_read_as_it_was_written(record: HoldRecord | Tombstone) -> None:
    """Live, purchased, returned, released or expired."""
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
        b"\x01" + msgspec.msgpack.encode([3, 1, 1]),
        b"\x21",
        b"\x20" + bytes(40),
        b"\x27" + bytes(30),
        b"\x27" + bytes(14) + b"\xff" * 16 + b"\xa3ann\x90",
        b"\x29" + bytes(40),
        b"\x23" + bytes(11),
        b"\x21" + bytes(14),
        b"\x21" + bytes(14) + b"\xa3ann",
        b"\x22" + bytes(28) + b"\xa3ann\x90\x90\x90",
        b"\x22" + bytes(28) + b"\xa3ann\x90\xc1",
        b"\x22" + bytes(28) + b"\xa3ann\x90\x90\xa1x\xa1x",
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
    assert pack_buyer(1, 2, 3).hex(" ") == "01 02 00 00 00 00 00 03"
    assert pack_buyer(1, 256, 3).hex(" ") == "00 00 01 00 01 00 00 00 00 00 00 03"


def test_a_record_is_as_small_as_the_memory_figures_say() -> None:
    """33 bytes for a live hold of two seats, 47 for a sold one: the sizes that Valkey embeds."""
    record = HoldRecord(
        deadline_ms=1_800_000_000_000,
        fingerprint=2**47,
        buyer="b-0123abcd",
        price_version=1,
        selection_fingerprint=2**47,
        seats=(40_000, 40_001),
        areas=(),
    )
    assert len(pack_record(record)) == 33
    assert len(pack_record(_sell(record, 2**47, 1, 29_999))) == 47
