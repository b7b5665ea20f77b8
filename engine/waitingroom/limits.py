"""How often one address, or one identity, may join: token buckets in a table of fixed size.

A bucket is a slot of an array, found by a keyed hash, so a flood from however many addresses takes
no memory beyond the table's. Who collides shares a bucket: with 65 536 slots and 10 000 addresses
that join at a time, one in seven shares with another. The key is the process' own, so that nobody
can aim at somebody's slot.

A slot holds one number, the moment at which its bucket is full again: the generic cell rate
algorithm (ITU-T I.371, annex A), which is a token bucket without a count. Every process has a table
of its own: behind N API processes an address gets up to N times as much.
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

IDENTITY_JOINS_PER_MINUTE: Final = 10
IDENTITY_BURST: Final = 10
"""One person with a few devices, who reloads; they have one number however often they join."""

_KEY_BYTES: Final = 16
_SLOT_BYTES: Final = 8
_ADDRESSES_REMEMBERED: Final = 4096
_V6_PREFIX_BYTES: Final = 8
_SECONDS_A_MINUTE: Final = 60


class JoinLimits:
    """What one process allows each address and each identity."""

    def __init__(self, joins_per_minute: float, burst: int) -> None:
        """Take what an address is allowed a minute, 0 for any number, and how many at once.

        Many people share an address behind a carrier's NAT, so it should be generous.

        Raises:
            ValueError: a rate below 0, or a burst of less than 1.
        """
        self._addresses = Buckets(joins_per_minute, burst)
        self._identities = Buckets(IDENTITY_JOINS_PER_MINUTE, IDENTITY_BURST)

    def take(self, address: str, now_s: float) -> float | None:
        """Count a join from an address; return None, or after how many seconds to repeat it.

        `now_s` is of a clock that never goes back. What is refused is not counted.
        """
        return self._addresses.take(source_of(address), now_s)

    def take_identity(self, identity: bytes, now_s: float) -> float | None:
        """Count a join by an identity that was found true, as `take` does one from an address."""
        return self._identities.take(identity, now_s)


class Buckets:
    """Token buckets of one rate and size, in a table whose slots strangers may share."""

    def __init__(self, per_minute: float, burst: int, *, slots: int = SLOTS) -> None:
        """Take the rate, 0 for no limit, how many may come at once, and the table's size.

        Raises:
            ValueError: a rate below 0, or a burst or table of less than 1.
        """
        if not 0 <= per_minute < inf or burst < 1 or slots < 1:
            msg = "a limit needs a rate of 0 or more, and a burst and a table of 1 or more"
            raise ValueError(msg)
        self._interval_s = _SECONDS_A_MINUTE / per_minute if per_minute else 0.0
        self._tolerance_s = self._interval_s * (burst - 1)
        self._full_at_s = array("d", bytes(8 * slots))
        self._hash = blake2b(key=secrets.token_bytes(_KEY_BYTES), digest_size=_SLOT_BYTES)

    def take(self, source: bytes, now_s: float) -> float | None:
        """Take a token of a source; return None, or after how many seconds there is one."""
        if not self._interval_s:
            return None
        slot = self._slot(source)
        full_at_s = max(self._full_at_s[slot], now_s)
        wait_s = full_at_s - self._tolerance_s - now_s
        if wait_s > 0:
            return wait_s
        self._full_at_s[slot] = full_at_s + self._interval_s
        return None

    def _slot(self, source: bytes) -> int:
        hashed = self._hash.copy()
        hashed.update(source)
        return int.from_bytes(hashed.digest(), "big") % len(self._full_at_s)


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
