"""A proof of work before a number is given: it costs a person a moment, and a flood its machines.

As in hashcash (Back, 2002), with a challenge by the server: 30 bytes in base64url, a version,
issued at (4 bytes, s since 1970), 8 at random, the bits that are asked for, and a MAC in whose
scope the show is. A proof is `{challenge}.{nonce}` whose SHA-256 begins with so many zero bits.
Nothing is kept of a challenge until it is solved.

A solved one is spent once: it has a bit in a bitmap of the five minutes in which it was issued,
which the script that gives the number sets. Two challenges may share a bit: a good proof is refused
for one that was spent before it with a probability of spent / 2**23, which is 1.2 % after 100 000
joins by proof within five minutes, and 11 % after a million. Who is refused so solves another.
"""

import hmac
import re
import secrets
import struct
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b, sha256
from itertools import count
from typing import Final, NamedTuple

ALGORITHM: Final = "sha256"
BITS_MAX: Final = 24
LIFETIME_S: Final = 300
WINDOW_S: Final = 300
SPENT_BITS: Final = 2**23

_VERSION: Final = 1
_HEAD: Final = struct.Struct(">BI8sB")
_MAC_BYTES: Final = 16
_SALT_BYTES: Final = 8
_DIGEST_BITS: Final = 256
_PROOF: Final = re.compile(r"([A-Za-z0-9_-]{40})\.[A-Za-z0-9_-]{1,40}")


class ProofError(ValueError):
    """The text is no proof for this show, or one that came too late."""


class SpentSlot(NamedTuple):
    """The bit that says whether a challenge was spent."""

    window: int
    """Which bitmap: five minutes, counted since 1970."""
    bit: int
    """Which of its `SPENT_BITS`."""


class ProofOfWork:
    """Makes the challenges of one region, and checks what solves them."""

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        """Take the region's secret, and a clock that its processes share."""
        key = blake2b(secret, person=b"onsale proof", digest_size=32).digest()
        self._hash = blake2b(key=key, digest_size=_MAC_BYTES)
        self._clock = clock

    def make_challenge(self, show: int, bits: int) -> str:
        """Return a challenge for somebody who wants to join a show.

        Raises:
            ValueError: more bits than a browser can find in a minute or so.
        """
        if not 0 <= bits <= BITS_MAX:
            msg = f"a proof has 0 to {BITS_MAX} bits"
            raise ValueError(msg)
        salt = secrets.token_bytes(_SALT_BYTES)
        head = _HEAD.pack(_VERSION, int(self._clock()), salt, bits)
        return urlsafe_b64encode(head + self._mac(show, head)).decode()

    def check(self, show: int, proof: str) -> SpentSlot:
        """Return what is to be marked as spent, if it isn't yet, for the proof to count.

        Raises:
            ProofError: its challenge was not made for this show, or too long ago, or is not solved.
        """
        match = _PROOF.fullmatch(proof)
        if match is None:
            msg = "A proof reads <challenge>.<nonce>."
            raise ProofError(msg)
        issued_s, bits, mac = self._read(show, match[1])
        if self._clock() - issued_s > LIFETIME_S:
            msg = "This challenge has run out."
            raise ProofError(msg)
        if zero_bits(proof) < bits:
            msg = f"The proof's SHA-256 does not begin with {bits} zero bits."
            raise ProofError(msg)
        return SpentSlot(issued_s // WINDOW_S, int.from_bytes(mac, "big") % SPENT_BITS)

    def _read(self, show: int, challenge: str) -> tuple[int, int, bytes]:
        # 40 characters are 30 bytes to the bit: no two texts read the same.
        packed = urlsafe_b64decode(challenge)
        head, mac = packed[:-_MAC_BYTES], packed[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(show, head)):
            msg = "This challenge was not made for this show."
            raise ProofError(msg)
        _, issued_s, _, bits = _HEAD.unpack(head)
        return issued_s, bits, mac

    def _mac(self, show: int, head: bytes) -> bytes:
        hashed = self._hash.copy()
        hashed.update(show.to_bytes(8, "big") + head)
        return hashed.digest()


def zero_bits(proof: str) -> int:
    """Return how many zero bits a proof's digest begins with."""
    return _DIGEST_BITS - int.from_bytes(sha256(proof.encode()).digest(), "big").bit_length()


def solve(challenge: str, bits: int) -> str:
    """Return the proof that solves a challenge, as a browser would: 2**bits tries on average."""
    begun = sha256(f"{challenge}.".encode())
    bound = 1 << _DIGEST_BITS - bits
    for nonce in count():
        hashed = begun.copy()
        hashed.update(b"%d" % nonce)
        if int.from_bytes(hashed.digest(), "big") < bound:
            return f"{challenge}.{nonce}"
    raise AssertionError  # the count has no end
