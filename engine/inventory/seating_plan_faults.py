"""What is wrong with a seating plan: places by JSON pointer (RFC 6901), and reasons."""

from typing import Final

from msgspec import Struct

FAULTS_LISTED_MAX: Final = 100
FAULTS_COUNTED_MAX: Final = 10_000
_QUOTED_CHARACTERS_MAX: Final = 80


class PlanFault(Struct, frozen=True):
    """One fault: a JSON pointer to its place (`""` is the whole document) and the reason."""

    pointer: str
    reason: str


class SeatingPlanError(ValueError):
    """The document is not a seating plan that can be sold from.

    `faults` are the first of them in document order, 100 at most; `more` counts the others. Past
    10 000 the search ends.
    """

    def __init__(self, faults: tuple[PlanFault, ...], more: int = 0) -> None:
        """Take at least one fault."""
        self.faults = faults
        self.more = more
        first = faults[0]
        message = f"{first.pointer or 'the plan'}: {first.reason}"
        others = len(faults) - 1 + more
        super().__init__(message + (f" (and {others} more)" if others else ""))


class Faults:
    """Collects faults: lists the first, counts the others."""

    def __init__(self) -> None:
        """Start with none."""
        self.listed: list[PlanFault] = []
        self.count = 0

    @property
    def full(self) -> bool:
        """Tell whether so much is wrong that looking further helps nobody."""
        return self.count >= FAULTS_COUNTED_MAX

    def add(self, pointer: str, reason: str) -> None:
        """Add a fault."""
        self.count += 1
        if len(self.listed) < FAULTS_LISTED_MAX:
            self.listed.append(PlanFault(pointer, reason))

    def as_error(self) -> SeatingPlanError | None:
        """Return what was collected, None if nothing was."""
        if not self.count:
            return None
        return SeatingPlanError(tuple(self.listed), self.count - len(self.listed))


def quoted(text: str) -> str:
    """Return a text from the plan as it stands in a reason: quoted, and cut if it is long."""
    return repr(_cut(text))


def below(pointer: str, key: str | int) -> str:
    """Return the pointer to a member of the value that `pointer` names."""
    return f"{pointer}/{_cut(str(key)).replace('~', '~0').replace('/', '~1')}"


def _cut(text: str) -> str:
    whole = len(text) <= _QUOTED_CHARACTERS_MAX
    return text if whole else text[: _QUOTED_CHARACTERS_MAX - 1] + "…"
