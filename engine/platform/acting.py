"""Who acts, and from where: what the audit trail says of each change.

Noted once, where a request, a command or a worker begins; each transaction tells PostgreSQL.
"""

import getpass
from contextvars import ContextVar
from enum import StrEnum
from typing import Final

from msgspec import Struct

ACTOR_SETTING: Final = "onsale.actor"
"""The session variable that triggers take a trail entry's actor from."""

ADDRESS_SETTING: Final = "onsale.address"
"""The session variable that triggers take a trail entry's address from."""

_ADDRESS_CHARACTERS_MAX: Final = 64


class ActorKind(StrEnum):
    """What sort of actor somebody is."""

    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a system's access token, not one
    USER = "user"
    VISITOR = "visitor"
    """Who calls a public route."""
    SELLER = "seller"
    """Another reseller: who acts there, and from where, is its own."""
    COMMAND = "command"
    WORKER = "worker"
    UNKNOWN = "unknown"
    """Nobody said who: a mistake of ours."""


class Actor(Struct, frozen=True):
    """Who acts. `name` is an id in its outside form, or who runs a command."""

    kind: ActorKind
    name: str = ""
    address: str = ""
    """Where a request came from; empty for commands and workers."""

    def __str__(self) -> str:
        """Return what the trail keeps: `user:usr_eu_0123456789abcdef`."""
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)

    def settings(self) -> dict[str, str]:
        """Return what a transaction tells PostgreSQL."""
        return {ACTOR_SETTING: str(self), ADDRESS_SETTING: self.address[:_ADDRESS_CHARACTERS_MAX]}


UNKNOWN: Final = Actor(ActorKind.UNKNOWN)

ACTING: Final[ContextVar[Actor]] = ContextVar("acting", default=UNKNOWN)


def act_as_command() -> None:
    """Note that the operator's log-in of this machine acts, by the command line."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user id that has no name
        name = ""
    ACTING.set(Actor(ActorKind.COMMAND, name))


def act_as_worker() -> None:
    """Note that a worker acts."""
    ACTING.set(Actor(ActorKind.WORKER))
