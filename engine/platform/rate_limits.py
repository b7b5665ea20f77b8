"""How often somebody may come: token buckets, in memory that no flood makes grow.

A bucket is one number, the moment at which it is full again: the generic cell rate algorithm
(ITU-T I.371, annex A), which is a token bucket without a count. Every process has buckets of its
own: behind N processes somebody gets up to N times as much.

`Buckets` is for strangers: a table of fixed size, found by a keyed hash, so a flood from however
many addresses takes no memory beyond the table's. Who collides shares a bucket: with 65 536 slots
and 10 000 addresses at a time, one in seven shares with another. The key is the process' own, so
that nobody can aim at somebody's slot. `OwnBuckets` is for who is known: each has their own.
"""

import secrets
from array import array
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address, ip_address
from math import inf
from typing import Final

SLOTS: Final = 65_536
"""Half a MiB a table."""

OWNERS_MAX: Final = 16_384
"""Some 2 MiB."""

_KEY_BYTES: Final = 16
_SLOT_BYTES: Final = 8
_ADDRESSES_REMEMBERED: Final = 4096
_V6_PREFIX_BYTES: Final = 8
_ROUNDING_S: Final = 1e-6
"""Sums of intervals are not exact: the last of a burst must not be refused for that."""


class Buckets:
    """Token buckets of one rate and size, in a table whose slots strangers may share."""

    def __init__(self, per_s: float, burst: int, *, slots: int = SLOTS) -> None:
        """Take the rate, 0 for no limit, how many may come at once, and the table's size.

        Raises:
            ValueError: a rate below 0, or a burst or table of less than 1.
        """
        if not 0 <= per_s < inf or burst < 1 or slots < 1:
            msg = "a limit needs a rate of 0 or more, and a burst and a table of 1 or more"
            raise ValueError(msg)
        self._interval_s = 1 / per_s if per_s else 0.0
        self._tolerance_s = self._interval_s * (burst - 1) + _ROUNDING_S
        self._full_at_s = array("d", bytes(8 * slots))
        self._hash = blake2b(key=secrets.token_bytes(_KEY_BYTES), digest_size=_SLOT_BYTES)

    def take(self, source: bytes, now_s: float) -> float | None:
        """Take a token of a source; return None, or after how many seconds there is one."""
        wait_s = self.draw(source, now_s)
        return wait_s if wait_s > 0 else None

    def draw(self, source: bytes, now_s: float) -> float:
        """Take a token of a source; return after how many seconds there is one.

        0 and less: it is taken, and tokens of so many seconds are left. `now_s` is of a clock that
        never goes back.
        """
        if not self._interval_s:
            return -inf
        slot = self._slot(source)
        full_at_s = max(self._full_at_s[slot], now_s)
        wait_s = full_at_s - self._tolerance_s - now_s
        if wait_s <= 0:
            self._full_at_s[slot] = full_at_s + self._interval_s
        return wait_s

    def _slot(self, source: bytes) -> int:
        hashed = self._hash.copy()
        hashed.update(source)
        return int.from_bytes(hashed.digest(), "big") % len(self._full_at_s)


class OwnBuckets:
    """Token buckets of one rate and size, one for each of a bounded number of owners.

    A bucket that is full is forgotten, which loses nothing; if more than there is room for are not
    full, those that came first are, and their owners have a full one.
    """

    def __init__(self, per_s: float, burst: int, *, owners_max: int = OWNERS_MAX) -> None:
        """Take the rate, 0 for no limit, how many may come at once, and how many are known.

        Raises:
            ValueError: a rate below 0, or a burst or number of less than 1.
        """
        if not 0 <= per_s < inf or burst < 1 or owners_max < 1:
            msg = "a limit needs a rate of 0 or more, and a burst and room for 1 or more"
            raise ValueError(msg)
        self._interval_s = 1 / per_s if per_s else 0.0
        self._tolerance_s = self._interval_s * (burst - 1) + _ROUNDING_S
        self._owners_max = owners_max
        self._full_at_s: dict[int, float] = {}

    def __len__(self) -> int:
        """Return how many owners are known."""
        return len(self._full_at_s)

    def draw(self, owner: int, now_s: float) -> float:
        """Take a token of an owner; return as `Buckets.draw`."""
        if not self._interval_s:
            return -inf
        full_at_s = self._full_at_s.get(owner)
        if full_at_s is None:
            self._make_room(now_s)
            full_at_s = now_s
        elif full_at_s < now_s:
            full_at_s = now_s
        wait_s = full_at_s - self._tolerance_s - now_s
        if wait_s <= 0:
            self._full_at_s[owner] = full_at_s + self._interval_s
        return wait_s

    def _make_room(self, now_s: float) -> None:
        if len(self._full_at_s) < self._owners_max:
            return
        known = [(owner, full_at) for owner, full_at in self._full_at_s.items() if full_at > now_s]
        # A half at least, so that this is not done for each who comes.
        self._full_at_s = dict(known[-(self._owners_max // 2) or len(known) :])


@lru_cache(_ADDRESSES_REMEMBERED)
def source_of(address: str) -> bytes:
    """Return what an address is counted by: all of an IPv4 one, of an IPv6 one its /64.

    A /64 is what one subscriber has at the least (RFC 6177). IPv4 written as IPv6 is IPv4. Texts
    that are no address are counted together: a proxy that tells nonsense is one source.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return b""
    if isinstance(parsed, IPv6Address):
        mapped: IPv4Address | None = parsed.ipv4_mapped
        return mapped.packed if mapped else parsed.packed[:_V6_PREFIX_BYTES]
    return parsed.packed
