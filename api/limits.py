"""How much one may ask for: at a rate, and of a process that is short of time.

Who has a credential that this process remembers is counted by it, everybody else by address, before
anything is looked up or any body read. The fields that tell of it are those of
draft-ietf-httpapi-ratelimit-headers-10. Why: decision 32.
"""

import time
from collections.abc import Callable
from math import ceil
from typing import Final, NoReturn

from api.problems import ProblemError, ProblemKind
from api.shares import Share, Shares
from engine.platform.rate_limits import Buckets, OwnBuckets, source_of
from engine.tenancy.principals import Principal

LIMITS: Final = "limits"
"""Where the application keeps them."""

Told = tuple[tuple[str, str], ...]
"""Headers, names in small letters."""

_NOTHING: Final[Told] = ()
_WINDOW_S: Final = 1
"""A bucket is full again after it, and has as many tokens as come in it."""
_TOLD_MAX: Final = 1024


class Limits:
    """What one process allows."""

    def __init__(
        self,
        per_key_s: int,
        per_address_s: int,
        *,
        shares: Shares | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the requests a second by one credential and from one address; 0: any number."""
        self.shares = Shares() if shares is None else shares
        self._clock = clock
        self._per_key_s = per_key_s
        self._per_address_s = per_address_s
        self._keys = OwnBuckets(per_key_s, max(1, per_key_s * _WINDOW_S))
        self._addresses = Buckets(per_address_s, max(1, per_address_s * _WINDOW_S))
        self._key_policy = _policy("key", per_key_s)
        self._key_told: dict[int, Told] = {}
        self._address_policy = _policy("address", per_address_s)

    def count_credential(self, principal: Principal) -> Told:
        """Count a request of who is known; return what the answer tells of it.

        Raises:
            ProblemError: `rate-limited`.
        """
        per_s = self._per_key_s
        if not per_s:
            return _NOTHING
        wait_s = self._keys.draw(principal.credential, self._clock())
        if wait_s > 0:
            raise _rate_limited(self._key_policy, "key", "this credential", wait_s)
        left = int(-wait_s * per_s)
        # Writing it takes longer than all else here, and it is nearly always one of a few.
        return self._key_told.get(left) or self._tell_left(left)

    def count_address(self, address: str) -> Told:
        """Count a request of who is not known; return what the answer tells of it.

        Raises:
            ProblemError: `rate-limited`.
        """
        per_s = self._per_address_s
        if not per_s:
            return _NOTHING
        wait_s = self._addresses.draw(source_of(address), self._clock())
        if wait_s > 0:
            raise _rate_limited(self._address_policy, "address", "this address", wait_s)
        told = f'"address";r={int(-wait_s * per_s)};t={_WINDOW_S}'
        return self._address_policy, ("ratelimit", told)

    def _tell_left(self, left: int) -> Told:
        if len(self._key_told) >= _TOLD_MAX:
            self._key_told.clear()
        told = (self._key_policy, ("ratelimit", f'"key";r={left};t={_WINDOW_S}'))
        self._key_told[left] = told
        return told

    async def begin(self, principal: Principal) -> Share:
        """Count a request of a reseller as under way; lessen `under_way` when it is over.

        Raises:
            ProblemError: `overloaded`: the process is short of time, and their share of it is
                taken. It comes at a pace, so that a flood is not one of refusals.
        """
        share = self.shares.begin(principal.reseller)
        if share.under_way > self.shares.each:
            await self.refuse(share)
        return share

    async def refuse(self, share: Share) -> NoReturn:
        """Refuse a request that was counted and is one too many. Raises as `begin`."""
        share.under_way -= 1
        await self.shares.pace()
        raise ProblemError(
            ProblemKind.OVERLOADED,
            "Nothing was done: too much is under way, and you have more than your share of it; "
            "repeat with the same key.",
        )


def _policy(name: str, per_s: int) -> tuple[str, str]:
    return "ratelimit-policy", f'"{name}";q={per_s * _WINDOW_S};w={_WINDOW_S}'


def _rate_limited(policy: tuple[str, str], name: str, whose: str, wait_s: float) -> ProblemError:
    wait = str(max(1, ceil(wait_s)))
    return ProblemError(
        ProblemKind.RATE_LIMITED,
        f"Nothing was done: too many requests by {whose}; repeat after {wait} s.",
        headers={
            "Retry-After": wait,
            "RateLimit-Policy": policy[1],
            "RateLimit": f'"{name}";r=0;t={wait}',
        },
    )
