"""How often one address, or one identity, may join: token buckets in tables of fixed size."""

from typing import Final

from engine.platform.rate_limits import Buckets, source_of

IDENTITY_JOINS_PER_MINUTE: Final = 10
IDENTITY_BURST: Final = 10
"""One person with a few devices, who reloads; they have one number however often they join."""

_SECONDS_A_MINUTE: Final = 60


class JoinLimits:
    """What one process allows each address and each identity."""

    def __init__(self, joins_per_minute: float, burst: int) -> None:
        """Take what an address is allowed a minute, 0 for any number, and how many at once.

        Many people share an address behind a carrier's NAT, so it should be generous.

        Raises:
            ValueError: a rate below 0, or a burst of less than 1.
        """
        self._addresses = Buckets(joins_per_minute / _SECONDS_A_MINUTE, burst)
        identity_per_s = IDENTITY_JOINS_PER_MINUTE / _SECONDS_A_MINUTE
        self._identities = Buckets(identity_per_s, IDENTITY_BURST)

    def take(self, address: str, now_s: float) -> float | None:
        """Count a join from an address; return None, or after how many seconds to repeat it.

        `now_s` is of a clock that never goes back. What is refused is not counted.
        """
        return self._addresses.take(source_of(address), now_s)

    def take_identity(self, identity: bytes, now_s: float) -> float | None:
        """Count a join by an identity that was found true, as `take` does one from an address."""
        return self._identities.take(identity, now_s)
