"""What a rehearsal is made of: the sale as its reseller means it, and in compressed time."""

import math
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from loadtests.rehearsal.people import ACTIVE_MIN, Curve, Habits

PASS_TTL_S_MIN: Final = 60.0
HOLD_TTL_S_MIN: Final = 30.0
"""The shortest that the API allows: compressed time stops here."""
RATE_MAX: Final = 2000.0
CHECKOUT_MAX: Final = 100_000

_BEFORE_MIN: Final = 60.0
PASS_TTL_MIN: Final = 12.0
HOLD_TTL_MIN: Final = 10.0
_LAPSING: Final = 1 / 3
_DRAW_GAP_S: Final = 4.0
_SPREAD: Final = 3.0
_JOINS_A_MINUTE: Final = 60.0
JOIN_BURST: Final = 20


class Plan(Struct, frozen=True, kw_only=True):
    """An on-sale. Times that end in `_min` are the sale's; in `_s`, seconds on the clock."""

    people: int
    seats: int
    clients: int
    bots: int
    """Addresses of bots, and as many identities of others."""
    habits: Habits
    speed: float
    sell_out_min: float
    """Within how long after its beginning the sale should be over."""
    asked_rate: float | None = None
    """Passes a minute of the sale; None: as many as follow from the wish."""
    asked_checkout_max: int | None = None
    seed: int = 1

    @property
    def curve(self) -> Curve:
        """When people come."""
        return Curve(_BEFORE_MIN, _BEFORE_MIN + self.sell_out_min)

    def seconds(self, minutes: float) -> float:
        """Return minutes of the sale in seconds on the clock."""
        return minutes * 60 / self.speed

    def minutes(self, seconds: float) -> float:
        """Return seconds on the clock in minutes of the sale."""
        return seconds * self.speed / 60

    @property
    def draw_gap_s(self) -> float:
        """How long before the sale the places are drawn."""
        return _DRAW_GAP_S

    @property
    def pass_ttl_s(self) -> int:
        """How long a pass lasts."""
        return math.ceil(max(PASS_TTL_S_MIN, self.seconds(PASS_TTL_MIN)))

    @property
    def hold_ttl_s(self) -> int:
        """How long a hold lasts."""
        return math.ceil(max(HOLD_TTL_S_MIN, self.seconds(HOLD_TTL_MIN)))

    @property
    def lapses_until_min(self) -> float:
        """Until when those who walk away leave it to the API's deadlines to notice.

        Compressed time can't make these as short as they are in the sale. So whoever walks away
        later gives back what they have when it would have run out in the sale.
        """
        length_min = self.sell_out_min * (_LAPSING if self.speed > 1 else 1000)
        return self.curve.before_min + length_min

    @property
    def checkout_s(self) -> float:
        """How long a pass is expected to live, on average."""
        active = self.seconds(ACTIVE_MIN)
        lapsed = _LAPSING * self.pass_ttl_s + (1 - _LAPSING) * self.seconds(PASS_TTL_MIN)
        return active + self.habits.lapsing * (lapsed - active)

    @property
    def rate(self) -> float:
        """Passes a second on the clock."""
        if self.asked_rate is not None:
            wanted = self.asked_rate * self.speed / 60
        else:
            passes = passes_needed(self.seats, self.habits.tickets, self.habits.buying)
            # The last who are let in need their time too.
            left_min = max(self.sell_out_min - ACTIVE_MIN, self.sell_out_min / 2)
            wanted = passes / self.seconds(left_min)
        return round(min(max(wanted, 0.5), RATE_MAX), 3)

    @property
    def burst(self) -> float:
        """Passes at once: those of two seconds."""
        return max(2.0, 2 * self.rate)

    @property
    def checkout_max(self) -> int:
        """Passes that live at a time: Little's law, and room for chance."""
        if self.asked_checkout_max is not None:
            return self.asked_checkout_max
        return min(room_for(self.rate * self.checkout_s), CHECKOUT_MAX)

    @property
    def joins_a_minute(self) -> float:
        """What an address is allowed: the usual limit, in compressed time."""
        return _JOINS_A_MINUTE * self.speed

    def settings(self) -> dict[str, str]:
        """Return the platform's settings: each person comes from an address of their own."""
        return {
            "trusted_proxies": "1",
            "join_rate_max": f"{self.joins_a_minute:g}",
            "join_burst": str(JOIN_BURST),
        }

    def rules(self, opens_s: float, sale_s: float) -> dict[str, Any]:
        """Return the waiting room's rules, for doors and sale at these moments."""
        return {
            "opens_at": moment(opens_s),
            "draws_at": moment(sale_s - self.draw_gap_s),
            "rate": self.rate,
            "burst": self.burst,
            "checkout_max": self.checkout_max,
            "pass_ttl_s": self.pass_ttl_s,
        }


def passes_needed(seats: int, tickets: float, buying: float) -> float:
    """Return how many passes sell so many seats."""
    return seats / (tickets * buying)


def room_for(occupancy: float) -> int:
    """Return a cap that chance rarely reaches: three deviations of a Poisson number above it."""
    return max(1, math.ceil(occupancy + _SPREAD * math.sqrt(occupancy)))


def moment(seconds: float) -> str:
    """Return seconds since 1970 as the API takes them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()
