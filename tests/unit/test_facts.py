"""Facts are packed as the script packs them, and read back whole."""

import msgspec
import pytest

from engine.inventory.facts import FactError, SeatsSold, StreamId, read_sale, write_sale
from engine.platform.ids import HoldId

_SALE = SeatsSold(
    hold=HoldId(bytes(range(16))),
    buyer="Zoë",
    seats=(5, 6),
    areas=((0, 2),),
    price_version=3,
    sold_at_ms=4_000_000_000_000,
    purchase_key="key",
    body_fp=2**48 - 1,
    payment_reference="",
    hold_fp=0,
)


def test_a_sale_is_read_as_it_was_written() -> None:
    """All of it, with ticket types or without."""
    typed = msgspec.structs.replace(_SALE, types="child:1,standard:3")
    assert [read_sale(write_sale(sale)) for sale in (_SALE, typed)] == [_SALE, typed]


def _packed(*words: object) -> dict[bytes, bytes]:
    return {b"h": _SALE.hold, b"f": msgspec.msgpack.encode(words)}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"h": _SALE.hold},
        {b"f": write_sale(_SALE)[b"f"]},
        {b"h": _SALE.hold, b"f": b"\xc1"},
        _packed(),
        _packed(2, "ann", [1], [], 1, 1, "key", 1, "", 1),
        _packed(1, "ann", [1], [], 1, 1, "key", 1, ""),
        _packed(1, "ann", [1], [], 1, 1, "key", 1, "", 1, 1),
        _packed(1, "ann", [1], [], 1, 1, "key", 1, "", 1, "child:1", 1),
        _packed(1, "ann", 7, [], 1, 1, "key", 1, "", 1),
        _packed(1, "ann", [1], [[1]], 1, 1, "key", 1, "", 1),
    ],
)
def test_what_is_no_sale_is_refused(fields: dict[bytes, bytes]) -> None:
    """A missing field, another format, too few or too many words: never a wrong sale."""
    with pytest.raises(FactError):
        read_sale(fields)


def test_stream_ids_are_ordered_by_epoch_first() -> None:
    """So they rise across fail-overs, whatever the count within an epoch."""
    assert StreamId.parse(b"2-0") > StreamId.parse("1-99")
    assert StreamId.parse("1-10") > StreamId.parse("1-9")
    assert str(StreamId.parse(b"12-345")) == "12-345"
