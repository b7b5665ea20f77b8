"""What people in a waiting room ask for, and what may come of it, as `serve_queue.lua` tells it."""

from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from engine.inventory.commands import InDoubt, Overloaded, Recovering
from engine.inventory.keys import QueueKeys

_JOIN, _CLAIM, _LEAVE, _LOOK, _CHECK = range(1, 6)
_HALF: Final = 4


class Join(Struct, frozen=True):
    """Ask for a number: for an identity (8 bytes), with a proof (window, bit), or both."""

    identity: bytes | None = None
    proof: tuple[int, int] | None = None


class Claim(Struct, frozen=True):
    """Ask for an admitted number's pass, for a buyer (their digest)."""

    number: int
    place: int
    buyer: str


class Leave(Struct, frozen=True):
    """Give a number up for good, and its pass."""

    number: int


class Look(Struct, frozen=True):
    """Ask how a number's pass stands."""

    number: int


class Check(Struct, frozen=True):
    """Ask whether a number's pass lives, and is this buyer's."""

    number: int
    buyer: str


Command = Join | Claim | Leave | Look | Check


class Joined(Struct, frozen=True, tag="joined"):
    """The number is new, and nobody else's."""

    number: int


class Known(Struct, frozen=True, tag="known"):
    """The identity has joined before."""

    number: int


class Shut(Struct, frozen=True, tag="shut"):
    """Nobody joins just now."""


class Spent(Struct, frozen=True, tag="spent"):
    """The proof was used before, or looks like one that was."""


class Full(Struct, frozen=True, tag="full"):
    """No number may be given until more are committed, which takes a moment."""


class Issued(Struct, frozen=True, tag="issued"):
    """The number's pass lives until its deadline (ms)."""

    deadline_ms: int
    left_ms: int


class Over(Struct, frozen=True, tag="over"):
    """The number had its pass, or left; or it is another buyer's."""


class NotYet(Struct, frozen=True, tag="not-yet"):
    """The number is not admitted, or nobody is at present."""


class Waits(Struct, frozen=True, tag="wait"):
    """The number is admitted; this many who wait for a pass come before it."""

    before: int


class NoPass(Struct, frozen=True, tag="none"):
    """The number never had a pass."""


class Left(Struct, frozen=True, tag="left"):
    """The number is given up."""


Answer = Joined | Known | Shut | Spent | Full | Issued | Over | NotYet | Waits | NoPass | Left
Unavailable = Recovering | InDoubt | Overloaded
Outcome = Answer | Unavailable

_FIELDS: Final = {
    str(kind.__struct_config__.tag): kind.__struct_fields__ for kind in get_args(Answer)
}


class KeyNumbers:
    """Numbers the keys that a batch names beyond those that it always has."""

    def __init__(self, names: QueueKeys, first: int) -> None:
        """Take the queue's key names, and the number of the first further key."""
        self._names = names
        self._first = first
        self._numbers: dict[str, int] = {}

    def of_identity(self, digest: bytes) -> int:
        """Return the number of the hash that keeps an identity."""
        return self._number(self._names.identities(digest))

    def of_proof(self, window: int) -> int:
        """Return the number of the bits of a window's proofs."""
        return self._number(self._names.spent(window))

    def all(self) -> tuple[str, ...]:
        """Return the further keys in their order."""
        return tuple(self._numbers)

    def _number(self, name: str) -> int:
        return self._numbers.setdefault(name, self._first + len(self._numbers))


def pack(command: Command, key_number: KeyNumbers) -> list[Any]:
    """Return a command as the script reads it; `key_number` says where a key of it is passed."""
    match command:
        case Join():
            identity = command.identity or bytes(2 * _HALF)
            halves = (int.from_bytes(identity[n : n + _HALF], "big") for n in (0, _HALF))
            window, bit = command.proof or (0, 0)
            return [
                _JOIN,
                *halves,
                key_number.of_identity(command.identity) if command.identity else 0,
                bit,
                key_number.of_proof(window) if command.proof else 0,
            ]
        case Claim():
            return [_CLAIM, command.number, command.place, command.buyer]
        case Leave():
            return [_LEAVE, command.number]
        case Look():
            return [_LOOK, command.number]
        case Check():
            return [_CHECK, command.number, command.buyer]


def read_answer(answer: list[Any]) -> Answer:
    """Read one answer of the script.

    Raises:
        KeyError, ValueError, msgspec.ValidationError: it is none.
    """
    word, *values = answer
    return msgspec.convert({"type": word, **dict(zip(_FIELDS[word], values, strict=True))}, Answer)
