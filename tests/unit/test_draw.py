"""The draw: a permutation of all entries, computed one by one, that another key makes another."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.waitingroom.draw import (
    COUNT_MAX,
    Draw,
    commitment,
    derive_key,
    digest_places,
    make_secret,
)

KEY = bytes(range(32))
SHOW = "shw_dev_0123456789abcdef"
PLACES_OF_12 = [1, 0, 8, 6, 3, 2, 11, 9, 4, 7, 10, 5]
PLACE_OF_MANY = 56271237250
DIGEST_OF_1000 = "e0a06f5e150aa6e2505698593f7cc9acee301e938572cdef9d42a4ef8d22cc28"


@pytest.mark.parametrize("count", [*range(130), 255, 256, 257, 1000, 4095, 4097, 9999, 10_001])
def test_every_entry_has_one_place_and_every_place_one_entry(count: int) -> None:
    """Whatever the count: squares, one more, one less, none at all."""
    draw = Draw(KEY, count)
    places = list(draw.places())
    assert sorted(places) == list(range(count))
    assert [draw.entry(place) for place in places] == list(range(count))


@given(count=st.integers(1, COUNT_MAX), key=st.binary(min_size=32, max_size=32), data=st.data())
def test_a_place_leads_back_to_its_entry(count: int, key: bytes, data: st.DataObject) -> None:
    """Up to the largest count, of which no table is made."""
    draw = Draw(key, count)
    entry = data.draw(st.integers(0, count - 1))
    place = draw.place(entry)
    assert 0 <= place < count
    assert draw.entry(place) == entry


def test_one_place_alone_is_what_it_is_among_all() -> None:
    """Before and after the values are prepared, in any part of the whole."""
    draw = Draw(KEY, 10_000)
    alone = [draw.place(entry) for entry in range(9_000, 9_200)]
    assert alone == list(draw.places(9_000, 9_200))
    assert alone == list(draw.places())[9_000:9_200]
    draw.prepare()
    assert alone == [draw.place(entry) for entry in range(9_000, 9_200)]


def test_the_draw_is_the_one_that_was_published() -> None:
    """These places are what `onsale-draw-1` means; if they change, old draws can't be checked."""
    assert list(Draw(KEY, 12).places()) == PLACES_OF_12
    assert Draw(KEY, 2**40).place(123_456_789) == PLACE_OF_MANY
    assert Draw(KEY, 1000).digest().hex() == DIGEST_OF_1000


def test_the_round_values_are_those_of_hmac() -> None:
    """The network as docs/DRAW.md writes it down, step by step with the library's HMAC."""
    count, a, b = 20, 6, 4

    def encrypt(point: int) -> int:
        left, right = point % a, point // a
        for number in range(36):
            half = left if number % 2 else right
            message = bytes([number]) + half.to_bytes(8, "big")
            value = int.from_bytes(hmac.digest(KEY, message, "sha256"), "big")
            if number % 2:
                right = (right + value) % b
            else:
                left = (left + value) % a
        return left + a * right

    for entry, place in enumerate(Draw(KEY, count).places()):
        point = encrypt(entry)
        while point >= count:
            point = encrypt(point)
        assert point == place


def test_a_key_longer_than_a_block_is_hashed_first() -> None:
    """As HMAC demands, so that any key means the same everywhere."""
    key = b"k" * 100
    assert list(Draw(key, 50).places()) == list(Draw(hashlib.sha256(key).digest(), 50).places())


@pytest.mark.parametrize("bit", [0, 7, 128, 255])
def test_another_key_is_another_draw(bit: int) -> None:
    """One bit of the key moves nearly everybody."""
    other = (int.from_bytes(KEY, "big") ^ (1 << bit)).to_bytes(32, "big")
    pairs = zip(Draw(KEY, 1000).places(), Draw(other, 1000).places(), strict=True)
    assert sum(ours == theirs for ours, theirs in pairs) < 10


def test_a_change_of_any_entry_shows_in_the_digest() -> None:
    """Two neighbors who changed places are enough, wherever they stand."""
    draw = Draw(KEY, 300)
    places = list(draw.places())
    assert digest_places(places, 300) == draw.digest()
    for entry in range(299):
        moved = places.copy()
        moved[entry], moved[entry + 1] = moved[entry + 1], moved[entry]
        assert digest_places(moved, 300) != draw.digest()


def test_the_digest_is_of_four_bytes_a_place_until_they_are_too_few() -> None:
    """Eight above 2**32 entries."""
    assert digest_places([1, 2], 2**32) == hashlib.sha256(bytes([0, 0, 0, 1, 0, 0, 0, 2])).digest()
    assert digest_places([1], 2**32 + 1) == hashlib.sha256(bytes(7) + b"\1").digest()
    assert Draw(KEY, 0).digest() == hashlib.sha256().digest()


@pytest.mark.parametrize("count", [0, 1, 10])
def test_who_is_no_entry_has_no_place(count: int) -> None:
    """Below zero, at the count, beyond."""
    draw = Draw(KEY, count)
    for wrong in (-1, count, count + 1):
        with pytest.raises(IndexError):
            draw.place(wrong)
        with pytest.raises(IndexError):
            draw.entry(wrong)
    with pytest.raises(IndexError):
        draw.places(0, count + 1)
    with pytest.raises(IndexError):
        draw.places(-1)


@pytest.mark.parametrize("count", [-1, COUNT_MAX + 1])
def test_a_count_out_of_range_is_refused(count: int) -> None:
    """Where a browser's numbers would not be exact any more."""
    with pytest.raises(ValueError, match="entries"):
        Draw(KEY, count)
    with pytest.raises(ValueError, match="entries"):
        derive_key(KEY, SHOW, count)


def test_the_key_is_made_of_secret_show_count_and_beacon() -> None:
    """As written in docs/DRAW.md; without a beacon nothing stands for it."""
    secret = make_secret()
    message = b"onsale-draw-1\0" + SHOW.encode() + b"\x0012\0" + b"\xaa\xbb"
    assert derive_key(secret, SHOW, 12, b"\xaa\xbb") == hmac.digest(secret, message, "sha256")
    assert derive_key(secret, SHOW, 12) == hmac.digest(secret, message[:-2], "sha256")


def test_a_change_of_anything_makes_another_key() -> None:
    """Nor can one be passed off as another by moving what parts them."""
    keys = {
        derive_key(KEY, SHOW, 12, b"x"),
        derive_key(KEY, SHOW, 13, b"x"),
        derive_key(KEY, SHOW, 12, b"y"),
        derive_key(KEY, SHOW, 12),
        derive_key(KEY, SHOW + "0", 12, b"x"),
        derive_key(KEY[::-1], SHOW, 12, b"x"),
        derive_key(KEY, SHOW, 1, b"2\0x"),
    }
    assert len(keys) == 7
    with pytest.raises(ValueError, match="zero byte"):
        derive_key(KEY, SHOW + "\x001", 2)


def test_a_secret_is_committed_to_by_its_hash() -> None:
    """32 random bytes, never the same."""
    secret = make_secret()
    assert len(secret) == 32
    assert secret != make_secret()
    assert commitment(secret) == hashlib.sha256(secret).digest()
