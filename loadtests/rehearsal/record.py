"""What happened in a rehearsal, by the answers of the API and by nothing else."""

from collections import Counter
from typing import Final, NamedTuple

from msgspec import Struct

from loadtests.buyers.tally import Tally
from loadtests.rehearsal.people import Fate

WAITED: Final = "waited"
ISSUED: Final = "issued"


class Ask(NamedTuple):
    """One claim: when it was sent and answered (seconds since 1970), and what it was told."""

    sent_s: float
    answered_s: float
    outcome: str


class Turn(Struct):
    """One person's way from being admitted to the end."""

    number: int
    place: int
    fate: Fate
    is_bot: bool = False
    asks: list[Ask] = []
    issued_s: float = 0.0
    """When the store issued the pass, by its own clock; 0.0: it did not."""
    deadline_s: float = 0.0
    ended_s: float = 0.0
    """When the pass may have ended at the earliest; 0.0: by its deadline."""
    held_after_s: float = 0.0
    paid_after_s: float = 0.0
    """Seconds from the pass to its purchase; 0.0: there was none."""
    tickets: int = 0


class Record:
    """All of it. Only the main thread writes."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.tally = Tally()
        self.numbers: set[int] = set()
        self.twice: list[int] = []
        """Numbers that were given to two people."""
        self.joined = 0
        """People who have a number; bots without identity each count as one a number."""
        self.bots_asked = 0
        self.bots_refused = 0
        self.by_address: dict[str, list[float]] = {}
        """When each bot's address got numbers."""
        self.by_identity: dict[str, set[int]] = {}
        self.told_to_come_later = 0
        """People, not bots, who met the limit of an address they share."""
        self.late_s_max = 0.0
        """How much later than the curve wanted somebody came."""
        self.turns: list[Turn] = []
        self.fates: Counter[Fate] = Counter()
        self.in_line = 0
        """Who waits and has not walked away, as far as is known."""
        self.found_nothing = 0
        self.came_too_late = 0
        """Who found the line closed, since the show was sold out."""
        self.paid_too_late = 0
        """Whose hold had ended, which happens where this machine is too busy to be on time."""
        self.went_home = 0
        """Who were still waiting when the show was sold out."""
        self.held_without_pass = 0
        self.refused_without_pass = 0
        self.places_compared = 0
        self.places_wrong: list[str] = []
        self.lost = 0
        """Requests without an answer."""
        self.positions = 0
        """Looks at their position that the clients took."""

    def number(self, number: int) -> None:
        """Note a number that somebody got."""
        if number in self.numbers:
            self.twice.append(number)
        self.numbers.add(number)
        self.joined += 1

    @property
    def passes(self) -> list[Turn]:
        """Those who got a pass."""
        return [turn for turn in self.turns if turn.issued_s]
