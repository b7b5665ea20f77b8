"""What watchers are told: pictures, frames, and that both together are the truth."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.inventory.facts import StreamId
from engine.inventory.live_frames import (
    CHANGES_KEPT_MAX,
    FRAMES_KEPT_MAX,
    Frame,
    GapError,
    History,
    Picture,
    pack_states,
    read_frames,
    unpack_states,
)

_SEATS = 11
_CHANGE = st.tuples(st.integers(0, _SEATS - 1), st.sampled_from(list(b"ohsb")))
_AREA = st.tuples(*[st.integers(0, 9)] * 4)
_DELTA = st.tuples(st.lists(_CHANGE, max_size=6), st.lists(_AREA, max_size=1))
_Change = tuple[list[tuple[int, int]], list[tuple[int, int, int, int]]]


def _packed(
    changes: Sequence[tuple[int, int]], areas: Sequence[tuple[int, ...]] = (), at_ms: int = 5
) -> bytes:
    flat = [part for change in changes for part in change]
    return msgspec.msgpack.encode([2, at_ms, flat, [[0, *counts] for counts in areas], []])


def _picture(n: int = 0) -> Picture:
    return Picture(StreamId(1, n), 1, b"o" * _SEATS, [(9, 0, 0, 0)])


def _apply(seats: bytearray, areas: list[tuple[int, ...]], frame: Frame) -> None:
    for position, state in frame.seats.items():
        seats[position] = state
    for area, counts in frame.areas.items():
        areas[area] = counts


@given(st.lists(_DELTA, max_size=30), st.sets(st.integers(0, 30)), st.integers(0, 30))
def test_a_snapshot_and_what_follows_are_the_truth(
    deltas: list[_Change], frames_after: set[int], joins_after: int
) -> None:
    """However the deltas are merged into frames, and whenever somebody begins, or comes back."""
    picture, history = _picture(), History()
    seats, areas = bytearray(picture.seats), list(picture.areas)
    known: tuple[StreamId, bytearray, list[tuple[int, ...]]] | None = None
    for n, (changes, counts) in enumerate(deltas, 1):
        picture.learn(StreamId(1, n), _packed(changes, counts))
        if n in frames_after:
            frame = picture.take_frame()
            assert frame is not None
            history.add(frame)
            _apply(seats, areas, frame)
            assert (seats, areas) == (picture.seats, picture.areas)
        if n == joins_after:
            known = picture.at, bytearray(picture.seats), list(picture.areas)
    frame = picture.take_frame()
    if frame is not None:
        history.add(frame)
    if known is not None and known[0] != picture.at:
        last, seats, areas = known
        missed = history.since(last)
        assert missed is not None
        assert missed.at == picture.at
        _apply(seats, areas, missed)
        assert (seats, areas) == (picture.seats, picture.areas)


@given(st.binary(max_size=70).map(lambda some: bytes(b"ohsb"[byte % 4] for byte in some)))
def test_two_bits_a_position_tell_its_state(states: bytes) -> None:
    """And none is added at the end."""
    packed = pack_states(states)
    assert len(packed) == (len(states) + 3) // 4
    assert unpack_states(packed, len(states)) == states


def test_the_first_position_has_the_lowest_bits_and_separators_are_not_for_sale() -> None:
    """As docs/LIVE.md says it."""
    assert pack_states(b"ohsb|") == bytes([0b11_10_01_00, 0b11])


@pytest.mark.parametrize("at", [StreamId(1, 2), StreamId(1, 0), StreamId(2, 0), StreamId(2, 1)])
def test_a_gap_is_noticed(at: StreamId) -> None:
    """So is a delta that was learnt already, and another epoch's."""
    with pytest.raises(GapError):
        _picture().learn(at, _packed([]))


@pytest.mark.parametrize(
    "packed",
    [b"", b"\xc0", _packed([(_SEATS, 115)]), msgspec.msgpack.encode([2, 5, [], [[1, 0, 0, 0, 0]]])],
)
def test_what_is_no_delta_of_this_show_is_not_learnt(packed: bytes) -> None:
    """Nothing of it."""
    picture = _picture()
    with pytest.raises(GapError):
        picture.learn(StreamId(1, 1), packed)
    assert picture.at == StreamId(1, 0)
    assert picture.take_frame() is None


def test_the_next_format_has_more_at_its_end() -> None:
    """Which is passed over."""
    picture = _picture()
    more = [*msgspec.msgpack.decode(_packed([(3, 115)])), [b"x" * 16]]
    picture.learn(StreamId(1, 1), msgspec.msgpack.encode(more))
    assert picture.seats[3] == ord("s")


def test_nothing_is_told_where_nothing_was_decided() -> None:
    """No frame follows another without a delta between them."""
    picture = _picture()
    assert picture.take_frame() is None
    picture.learn(StreamId(1, 1), _packed([(0, 104)]))
    assert picture.take_frame() is not None
    assert picture.take_frame() is None


def test_history_forgets_beyond_its_bounds() -> None:
    """Then it says that it does not know; of what it keeps it knows all."""
    history = History()
    for n in range(FRAMES_KEPT_MAX + 10):
        history.add(Frame(StreamId(1, n), StreamId(1, n + 1), 0, {n % 5: 104}, {}))
    assert history.since(StreamId(1, 9)) is None
    assert history.since(StreamId(1, 10)) is not None
    full = dict.fromkeys(range(CHANGES_KEPT_MAX // 2 + 1), 104)
    last = FRAMES_KEPT_MAX + 10
    history.add(Frame(StreamId(1, last), StreamId(1, last + 1), 0, full, {}))
    history.add(Frame(StreamId(1, last + 1), StreamId(1, last + 2), 0, full, {}))
    assert history.since(StreamId(1, last)) is None
    assert history.since(StreamId(1, last + 1)) is not None


def test_history_has_no_holes() -> None:
    """A frame that does not follow the last one begins anew."""
    history = History()
    history.add(Frame(StreamId(1, 0), StreamId(1, 1), 0, {}, {}))
    history.add(Frame(StreamId(1, 2), StreamId(1, 3), 0, {}, {}))
    assert history.since(StreamId(1, 0)) is None
    assert history.since(StreamId(1, 2)) is not None
    assert history.since(StreamId(2, 2)) is None
    assert history.since(StreamId(1, 4)) is None


def test_frames_of_old_deltas_are_read_one_by_one() -> None:
    """A gap among them is an error."""
    entries = [(StreamId(1, n), _packed([(n, 104)])) for n in (4, 5)]
    frames = list(read_frames(entries, StreamId(1, 3)))
    assert [(frame.after.n, frame.at.n, frame.seats) for frame in frames] == [
        (3, 4, {4: 104}),
        (4, 5, {5: 104}),
    ]
    with pytest.raises(GapError):
        list(read_frames(entries, StreamId(1, 2)))
