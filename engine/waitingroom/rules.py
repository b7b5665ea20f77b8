"""What a reseller decides about a show's waiting room."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from engine.waitingroom.beacon import address_of, published_at, round_at

RATE_MAX: Final = 2000.0
"""Passes a second."""
CHECKOUT_MAX: Final = 100_000
PASS_TTL_S_MIN: Final = 60
PASS_TTL_S_MAX: Final = 3600
PROOF_BITS_MAX: Final = 24
RETURN_ADDRESSES_MAX: Final = 20


class Mode(StrEnum):
    """Whether there is a waiting room."""

    ON = "on"
    DRAIN = "drain"
    """Nobody joins any more; who is in line is served to its end."""
    CLOSED = "closed"
    """Nobody joins, and no pass is issued; those that were issued count."""
    OFF = "off"
    """There is none: holds need no pass."""


class Beacon(Struct, frozen=True):
    """A public value that is named in advance and known only after the entries are closed."""

    name: str
    round: int | None = None
    url: str | None = None


DRAND: Final = "drand"
"""The name of a beacon that is fetched; of any other its reseller tells the value."""

_AFTER_THE_CLOSE: Final = timedelta(seconds=30)
"""How long entries may take to be closed before the beacon is known."""

_UNKNOWN_FOR: Final = timedelta(seconds=10)


def name_drand(draws_at: datetime, given: int | None) -> Beacon:
    """Return the round of drand that a draw mixes in: the first one some time after its close.

    Raises:
        ValueError: the round that was given is known too early.
    """
    first = round_at(draws_at + _AFTER_THE_CLOSE)
    if given is not None and given < first:
        msg = f"is known too early: the first round that will do is {first}"
        raise ValueError(msg)
    number = first if given is None else given
    return Beacon(DRAND, number, address_of(number))


def beacon_at_close(named: Beacon, closed_at: datetime) -> Beacon:
    """Return what a draw waits for whose entries were closed then: what was named beforehand.

    But for a round of drand that may be known by now since they were closed late: then it is the
    first one half a minute from now, which nobody knows.
    """
    if named.name != DRAND or named.round is None:
        return named
    if published_at(named.round) >= closed_at + _UNKNOWN_FOR:
        return named
    return name_drand(closed_at, None)


class QueueRules(Struct, frozen=True, kw_only=True):
    """How a show's waiting room works."""

    mode: Mode
    is_paused: bool
    opens_at: datetime
    draws_at: datetime | None
    rate: float
    """Passes a second."""
    burst: float
    checkout_max: int
    """Passes that live at a time."""
    pass_ttl_s: int
    safety_net: float | None
    """Joins a second up to which nobody waits; None: people wait in any case."""
    proof_bits: int
    return_addresses: tuple[str, ...]
    beacon: Beacon | None
