"""What an audit finds, and which of it counts."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

ON_THE_WAY: Final = "sale-not-recorded-yet"
"""A sale that the recorder has not come to: a finding only if it stays so."""


RETURN_ON_THE_WAY: Final = "return-not-applied-yet"
"""A return that the store has not heard of: a finding only if it stays so."""

PATIENT: Final = frozenset({ON_THE_WAY, RETURN_ON_THE_WAY})
"""What may take its time, up to the grace."""


class Finding(Struct, frozen=True):
    """One thing that is wrong with a show.

    `check` names the rule, `subject` the row, and `says` is a sentence with what was found. Two
    findings of one show, check and subject are the same one, read at two moments.
    """

    show: int
    check: str
    subject: str
    says: str

    @property
    def identity(self) -> tuple[int, str, str]:
        """Return what makes it the same finding when read again."""
        return self.show, self.check, self.subject


class Findings:
    """Collects the findings of one show."""

    def __init__(self, show: int) -> None:
        """Take the show that they will be about."""
        self._show = show
        self.found: list[Finding] = []

    def add(self, check: str, subject: str, says: str) -> None:
        """Note one."""
        self.found.append(Finding(self._show, check, subject, says))


def persisting(before: Iterable[Finding], now: Iterable[Finding]) -> list[Finding]:
    """Return those of now that were there before: the others came from a moving system."""
    seen = {finding.identity for finding in before}
    return [finding for finding in now if finding.identity in seen]
