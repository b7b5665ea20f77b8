"""What an examination finds."""

from enum import StrEnum
from typing import Final, Self

import msgspec


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, but will not be pleasant, or could not be looked at."""
    FAIL = "fail"
    """It does not work, or a promise would be broken: mend it before selling."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    subject: str
    state: State
    seen: str
    remedy: str = ""
    """What to do; empty where all is well."""

    def at(self, node: str) -> Self:
        """Return it as one of this node, if it is a cluster's."""
        return msgspec.structs.replace(self, seen=f"{node}: {self.seen}") if node else self


def fine(subject: str, seen: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(subject=subject, state=State.OK, seen=seen)


def doubtful(subject: str, seen: str, remedy: str) -> Finding:
    """Return a warning."""
    return Finding(subject=subject, state=State.WARN, seen=seen, remedy=remedy)


def wrong(subject: str, seen: str, remedy: str) -> Finding:
    """Return a failure."""
    return Finding(subject=subject, state=State.FAIL, seen=seen, remedy=remedy)


Version = tuple[int, ...]

VERSIONS_MIN: Final[dict[str, Version]] = {
    "Redis": (7, 0),
    "Valkey": (7, 2),
    "PostgreSQL": (15,),
}


def judge_version(product: str, version: str) -> Finding:
    """Compare a version, such as `7.2.4` or `18.6 (Debian ...)`, with the oldest that we take."""
    subject = f"{product}'s version"
    numbers = tuple(int(part) for part in version.split(maxsplit=1)[0].split(".") if part.isdigit())
    least = VERSIONS_MIN[product]
    if numbers >= least:
        return fine(subject, version)
    oldest = ".".join(map(str, least))
    return wrong(subject, version, f"upgrade {product} to {oldest} or newer")
