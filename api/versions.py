"""Dated versions of the API: a client pins one by a header, and gets answers of that day's shape.

As Stripe does it: what a client can't be given unasked (docs/API.md says what that is) gets a date
and a `Change` that makes today's shape of yesterday's request, and yesterday's of today's answer.
The routes know today's only; changes are applied around them, one by one, in the order of dates.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from api.problems import Fault, ProblemError, ProblemKind

HEADER: Final = "onsale-version"
CURRENT: Final = "2026-11-22"

_DATED: Final = re.compile(r"/+v1(?:/|$)")

Translate = Callable[[Any], Any]
"""Takes and returns a JSON value."""

_CHOKED: Final = (
    *(msgspec.MsgspecError, RecursionError),
    *(ValueError, LookupError, TypeError, AttributeError),
)
_ASKED_CHARACTERS_MAX: Final = 40


def is_dated(path: str) -> bool:
    """Tell whether an address is one of those that have versions."""
    return _DATED.match(path) is not None


class Change(Struct, frozen=True, kw_only=True):
    """What one call was like before a date."""

    before: str
    """The version that made the change."""
    method: str
    path: re.Pattern[str]
    """The addresses that it is about, whole."""
    request: Translate | None = None
    """From the older body to the newer."""
    response: Translate | None = None
    """From the newer answer, of a call that went well, to the older."""


class Translation(Struct, frozen=True):
    """What a call of an older version passes through, the oldest change first."""

    changes: tuple[Change, ...]

    @property
    def is_of_requests(self) -> bool:
        """Whether there is anything to change in what is asked."""
        return any(change.request is not None for change in self.changes)

    @property
    def is_of_responses(self) -> bool:
        """Whether there is anything to change in what is answered."""
        return any(change.response is not None for change in self.changes)

    def newer(self, body: bytes) -> bytes:
        """Return today's shape of a request's body; what is no JSON stays for the route to refuse.

        A translation may take its value apart as it likes: what it chokes on is passed on too.
        """
        return _translated(body, [change.request for change in self.changes])

    def older(self, body: bytes) -> bytes:
        """Return the older shape of an answer's body.

        Raises:
            Exception: a translation does not know today's shape, which is a fault of this program.
        """
        value = msgspec.json.decode(body)
        for change in reversed(self.changes):
            if change.response is not None:
                value = change.response(value)
        return msgspec.json.encode(value)


class Versions(Struct, frozen=True):
    """The versions that are answered, and what lies between them."""

    current: str = CURRENT
    changes: tuple[Change, ...] = ()
    """In the order of their dates. None yet: this is the first version."""
    first: str = CURRENT

    @property
    def known(self) -> tuple[str, ...]:
        """The versions, the oldest first."""
        return tuple(
            dict.fromkeys((self.first, *(change.before for change in self.changes), self.current))
        )

    def translation(self, asked: str, method: str, path: str) -> Translation:
        """Return what a call passes through.

        Raises:
            ProblemError: `unknown-version`.
        """
        if asked not in self.known:
            raise self._unknown(asked)
        return Translation(
            tuple(
                change
                for change in self.changes
                if asked < change.before and change.method == method and change.path.fullmatch(path)
            )
        )

    def _unknown(self, asked: str) -> ProblemError:
        listed = ", ".join(self.known)
        return ProblemError(
            ProblemKind.UNKNOWN_VERSION,
            f"There is no version {asked[:_ASKED_CHARACTERS_MAX]!r}; known: {listed}.",
            errors=[Fault(f"is none of: {listed}", header="Onsale-Version")],
            members={"versions": self.known},
        )


def _translated(body: bytes, translations: Sequence[Translate | None]) -> bytes:
    try:
        value = msgspec.json.decode(body)
        for translate in translations:
            if translate is not None:
                value = translate(value)
        return msgspec.json.encode(value)
    except (
        msgspec.MsgspecError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ):
        return body
