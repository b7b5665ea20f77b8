"""The draw, `onsale-draw-1`: a keyed permutation that gives every entry its place, on demand.

A generalised Feistel network on `[0, a * b)`, walked in cycles until it is back below the count:
John Black and Phillip Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002, methods 2 and
3. docs/DRAW.md has it in words, docs/decisions/0026-draw.md the reasons.

How many rounds: the paper's proof has three, for few looks at a large domain, and NIST SP 800-38G
has ten in FF1, for at least a million values. A draw may have six entries, and all its places are
looked at. There the exact distribution over all orders can be computed: after ten rounds one order
of six entries is 1.65 times as likely as it should be. After 36 no order of two to eight entries is
off by 0.2 %.

The width is even since a network of odd width and height makes even permutations only, whatever
its rounds: nine entries would have half of all orders, and some of eight were 8 times as likely as
others.
"""

import hashlib
import hmac
import math
import secrets
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

ALGORITHM: Final = "onsale-draw-1"
ROUNDS: Final = 36
COUNT_MAX: Final = 2**48
"""Below it all that a browser computes stays exact: its numbers have 53 bits."""

_SECRET_BYTES: Final = 32
_COUNT_OF_SHORT_PLACES: Final = 2**32
_CHUNK: Final = 4096


def make_secret() -> bytes:
    """Return what a draw's key will be made of: 32 random bytes, published after the draw."""
    return secrets.token_bytes(_SECRET_BYTES)


def commitment(secret: bytes) -> bytes:
    """Return the SHA-256 of a secret, published before the first entry."""
    return hashlib.sha256(secret).digest()


def derive_key(secret: bytes, show_text: str, count: int, beacon_value: bytes = b"") -> bytes:
    """Return a draw's key of 32 bytes.

    It mixes in how many entries there were at the close, and the beacon's value (nothing without
    one), so that nobody knows it before, not even who has the secret.

    Raises:
        ValueError: the count is out of range, or the show's id has a zero byte in it.
    """
    _check_count(count)
    if "\0" in show_text:
        msg = "a show's id has no zero byte"
        raise ValueError(msg)
    message = b"\0".join(
        (ALGORITHM.encode(), show_text.encode(), str(count).encode(), beacon_value)
    )
    return hmac.digest(secret, message, "sha256")


class Draw:
    """The places of the entries 0 to count - 1: one computed from the other, none of them stored.

    A place costs 36 HMACs, and none after `prepare()`: the rounds' values depend on one half of a
    number only, so there are few of them (36 000 for a million entries).
    """

    def __init__(self, key: bytes, count: int) -> None:
        """Take the draw's key, and how many entries there were at the close.

        Raises:
            ValueError: the count is out of range.
        """
        _check_count(count)
        self.count: Final = count
        self._width, self._height = _shape(count)
        self._values: list[list[int]] | None = None
        # HMAC by its definition (RFC 2104), begun once: thrice as fast as hmac.digest.
        padded = _pad(key)
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def prepare(self) -> list[list[int]]:
        """Compute all values of all rounds once, and keep and return them by round and half.

        These are 36 * sqrt(count) hashes and integers.
        """
        if self._values is None:
            self._values = [
                [self._hash(number, half) for half in range(self._halves(number))]
                for number in range(ROUNDS)
            ]
        return self._values

    def place(self, entry: int) -> int:
        """Return where an entry stands in line.

        Raises:
            IndexError: no entry has this number.
        """
        self._check_index(entry)
        return self._walk(self._encrypt(entry))

    def entry(self, place: int) -> int:
        """Return whose place this is.

        Raises:
            IndexError: no entry has this place.
        """
        self._check_index(place)
        point = self._decrypt(place)
        while point >= self.count:
            point = self._decrypt(point)
        return point

    def places(self, start: int = 0, stop: int | None = None) -> Iterator[int]:
        """Return the places of the entries from start to before stop (all), in their order.

        Raises:
            IndexError: there are not as many entries.
        """
        stop = self.count if stop is None else stop
        if not 0 <= start <= stop <= self.count:
            msg = f"no entries {start} to {stop} among {self.count}"
            raise IndexError(msg)
        return chain.from_iterable(
            self._places_of(range(first, min(stop, first + _CHUNK)))
            for first in range(start, stop, _CHUNK)
        )

    def digest(self) -> bytes:
        """Return the SHA-256 of all places, each in 4 bytes, big-endian (8 above 2**32 entries)."""
        return digest_places(self.places(), self.count)

    def _places_of(self, entries: range) -> list[int]:
        """Return the places of a chunk: round by round, which is faster than entry by entry."""
        width, height = self._width, self._height
        lefts = [entry % width for entry in entries]
        rights = [entry // width for entry in entries]
        values = iter(self.prepare())
        for of_right, of_left in zip(values, values, strict=True):
            lefts = [
                (left + of_right[right]) % width for left, right in zip(lefts, rights, strict=True)
            ]
            rights = [
                (right + of_left[left]) % height for left, right in zip(lefts, rights, strict=True)
            ]
        return [
            point if (point := left + width * right) < self.count else self._walk(point)
            for left, right in zip(lefts, rights, strict=True)
        ]

    def _walk(self, point: int) -> int:
        while point >= self.count:
            point = self._encrypt(point)
        return point

    def _encrypt(self, point: int) -> int:
        left, right = point % self._width, point // self._width
        for number in range(0, ROUNDS, 2):
            left = (left + self._value(number, right)) % self._width
            right = (right + self._value(number + 1, left)) % self._height
        return left + self._width * right

    def _decrypt(self, point: int) -> int:
        left, right = point % self._width, point // self._width
        for number in range(ROUNDS - 2, -1, -2):
            right = (right - self._value(number + 1, left)) % self._height
            left = (left - self._value(number, right)) % self._width
        return left + self._width * right

    def _value(self, number: int, half: int) -> int:
        if self._values is not None:
            return self._values[number][half]
        return self._hash(number, half)

    def _hash(self, number: int, half: int) -> int:
        """Return a round's value; of 256 bits a remainder favours nobody by more than 2**-200."""
        message = number.to_bytes(1, "big") + half.to_bytes(8, "big")
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return int.from_bytes(outer.digest(), "big") % (self._height if number % 2 else self._width)

    def _halves(self, number: int) -> int:
        """Return how many values the other half, which a round depends on, can have."""
        return self._width if number % 2 else self._height

    def _check_index(self, index: int) -> None:
        if not 0 <= index < self.count:
            msg = f"{index} is not among {self.count} entries"
            raise IndexError(msg)


def digest_places(places: Iterable[int], count: int) -> bytes:
    """Return the digest of places, given in the order of their entries."""
    size = 4 if count <= _COUNT_OF_SHORT_PLACES else 8
    digest = hashlib.sha256()
    for place in places:
        digest.update(place.to_bytes(size, "big"))
    return digest.digest()


def _shape(count: int) -> tuple[int, int]:
    """Return the width, the least even number whose square has room, and the height it needs."""
    width = math.isqrt(max(0, count - 1)) + 1
    width += width % 2
    return width, max(1, -(-count // width))


def _pad(key: bytes) -> bytes:
    """Return a key as HMAC mixes it in: of one block of the hash."""
    block = hashlib.sha256().block_size
    return (hashlib.sha256(key).digest() if len(key) > block else key).ljust(block, b"\0")


def _check_count(count: int) -> None:
    if not 0 <= count <= COUNT_MAX:
        msg = f"a draw has 0 to 2**48 entries, not {count}"
        raise ValueError(msg)
