"""What the waiting room's page needs of the engine, in the engine's own words."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class State(StrEnum):
    """What a queue is doing."""

    OFF = "off"
    """It has not opened yet."""
    PRE_QUEUE = "pre-queue"
    DRAWN = "drawn"
    RUNNING = "running"
    PAUSED = "paused"
    PASSTHROUGH = "passthrough"
    SOLD_OUT = "sold-out"
    CLOSED = "closed"


class PassState(StrEnum):
    """What became of a number's pass."""

    NONE = "none"
    LIVE = "live"
    ENDED = "ended"


class Queue(Struct, frozen=True, kw_only=True):
    """A show's queue, as everybody sees it."""

    show: str
    name: str
    venue: str
    starts_at: datetime
    opens_at: datetime
    """When people may join."""
    sale_opens_at: datetime
    draws_at: datetime | None
    state: State
    serving: int
    next: int
    drawn: bool
    has_draw: bool
    """Whether there is, or was, a draw to verify."""
    return_addresses: tuple[str, ...]
    """The origins that people may be sent on to."""


class Wait(Struct, frozen=True):
    """A range of seconds: never a single promise. Without an end while the line stands still."""

    low_s: int
    high_s: int | None


class Standing(Struct, frozen=True, kw_only=True):
    """Where somebody stands. `place` and `ahead` are None while the draw is still to come."""

    number: int
    place: int | None
    ahead: int | None
    admitted: bool
    wait: Wait | None
    poll_after_s: float
    passed: PassState
    named: bool
    """Whether the reseller signed for who it is: then there is no other place to be had."""


class CameFrom(Struct, frozen=True):
    """Who asks, on the network: the other end of the connection, and what proxies say of theirs."""

    address: str
    forwarded: str


class Joined(Struct, frozen=True):
    """A number was given; the token says which."""

    token: str


class ProofRequired(Struct, frozen=True):
    """Joining costs a proof of work: a nonce that makes so many bits of a digest zero."""

    challenge: str
    bits: int


class OtherCheck(Struct, frozen=True):
    """Joining takes a check that this page does not have: a deployment's own gate asks for it."""


class IdentityRefused(Struct, frozen=True):
    """The identity is not one that the reseller signed for this show, or it has run out."""


class TooManyJoins(Struct, frozen=True):
    """Too many came from one address at once."""

    retry_after_s: int


class QueueShut(Struct, frozen=True):
    """Nobody can join any more."""


class Pass(Struct, frozen=True, kw_only=True):
    """The right to hold and buy until its deadline."""

    text: str
    buyer: str
    expires_at: datetime


class NotYourTurn(Struct, frozen=True):
    """The place is not admitted yet, or passes are given out as fast as they may be."""

    retry_after_s: int


class PassEnded(Struct, frozen=True):
    """It was used, given up, or has run out."""


class TokenRefused(Struct, frozen=True):
    """The token is not one of this queue."""


JoinOutcome = Joined | ProofRequired | OtherCheck | IdentityRefused | TooManyJoins | QueueShut
ClaimOutcome = Pass | NotYourTurn | PassEnded | TokenRefused


class Room(Protocol):
    """The waiting rooms of all shows. Every call may raise StoreUnavailableError."""

    async def queue(self, show: str) -> Queue | None:
        """Return a show's queue; None where there is no such show, or it has none."""
        ...

    async def join(
        self, show: str, came_from: CameFrom, *, identity: str | None, proof: str | None
    ) -> JoinOutcome:
        """Give somebody a number."""
        ...

    async def position(self, show: str, token: str) -> Standing | TokenRefused:
        """Tell where the token's owner stands."""
        ...

    async def claim(self, show: str, token: str) -> ClaimOutcome:
        """Give an admitted number its one pass, or the same again."""
        ...

    async def leave(self, show: str, token: str) -> None:
        """Give the number up for good; of a token that is none, nothing."""
        ...
