"""What is measured of the people in a line: how many of the admitted claim, and how late.

People who were admitted and will claim, but have not yet, are on the way, like goods that were
ordered and not yet delivered. Whoever counts them does not admit too many, however late they claim.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from math import inf
from typing import Final

Range = tuple[int, int]
"""Numbers that nobody has: from the first one up to, but without, the second."""

_TRACE_S: Final = 240.0
_GRAIN_S: Final = 0.1
_DELAY_FIRST_S: Final = 8.0
_DELAY_FIRST_WEIGHT: Final = 5.0
_DELAY_MAX_S: Final = 60.0
_SHARE_MIN: Final = 0.001
_SHARE_WEIGHT: Final = 4.0
_USUAL_CLAIMS: Final = 20.0
_CLAIMS_WANTED: Final = 150.0
_RIPE_DELAYS: Final = 1.2
_RIPE_DELAYS_FIRST: Final = 2.0
_SILENT_CLAIMS: Final = 12.0
_SILENT_DELAYS: Final = 1.5
_SILENT_S: Final = 1.0


class Trace:
    """A total over time, for the last minutes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._times: list[float] = []
        self._totals: list[float] = []

    def add(self, now_s: float, total: float) -> None:
        """Note the total of now; what is too soon after the last one replaces it."""
        if len(self._times) > 1 and now_s - self._times[-2] < _GRAIN_S:
            self._times[-1], self._totals[-1] = now_s, total
            return
        self._times.append(now_s)
        self._totals.append(total)
        old = bisect_left(self._times, now_s - 2 * _TRACE_S)
        if old:  # dropped in one go of half the list, not one by one
            keep = bisect_left(self._times, now_s - _TRACE_S)
            del self._times[:keep], self._totals[:keep]

    def at(self, moment_s: float) -> float:
        """Return the total of a moment, from its neighbours; before the first one, the first."""
        right = bisect_right(self._times, moment_s)
        if right == 0:
            return self._totals[0]
        if right == len(self._times):
            return self._totals[-1]
        left_s, right_s = self._times[right - 1], self._times[right]
        left, after = self._totals[right - 1], self._totals[right]
        return left + (after - left) * (moment_s - left_s) / (right_s - left_s)

    def reached(self, total: float) -> float | None:
        """Return when the total was reached, or None if that was before what is remembered."""
        right = bisect_left(self._totals, total)
        if right in {0, len(self._totals)}:
            return None
        return self._times[right]


class Line:
    """The people of one line, as far as its totals tell."""

    def __init__(self) -> None:
        """Know nothing: everyone may claim, after some seconds."""
        self.share = 1.0
        """How many of the admitted claim."""
        self.delay_s = _DELAY_FIRST_S
        """How long after their admission they do, on average."""
        self.admitted = 0
        """People who were admitted since this began; numbers that nobody has don't count."""
        self.silent_s = 0.0
        """How long nobody has claimed although somebody should have; 0.0 if all is well."""
        self._usual_share = 1.0
        self._delay_weight = _DELAY_FIRST_WEIGHT
        self._serving = Trace()
        self._admissions = Trace()
        self._claims = Trace()
        self._last: tuple[int, int, int] | None = None
        self._measured_from_s = 0.0
        self._ripe_from = -inf
        self._last_claim_s = 0.0
        self._first_claim_s: float | None = None

    def observe(  # noqa: PLR0913 - the totals of one moment
        self,
        now_s: float,
        *,
        serving: int,
        claims: int,
        lag: int,
        skipped: Sequence[Range],
        rate: float,
    ) -> None:
        """Learn from the totals of a moment."""
        if self._last is None:
            self._begin(now_s, serving, claims, rate)
        else:
            served_before, claims_before, lag_before = self._last
            self.admitted += people_between(served_before, serving, skipped)
            came = max(0, claims - claims_before)
            if came:
                self._hear(now_s)
                self._measure_delay(now_s, served_before, came, (lag - lag_before) / came, rate)
        self._last = serving, claims, lag
        self._serving.add(now_s, serving)
        self._admissions.add(now_s, self.admitted)
        self._claims.add(now_s, claims)
        self._measure_share(now_s, claims, rate)

    def on_the_way(self, now_s: float) -> float:
        """Return how many of those who were admitted are expected to claim yet."""
        young = self.admitted - self._admissions.at(now_s - self.delay_s)
        return self.share * young

    def _begin(self, now_s: float, serving: int, claims: int, rate: float) -> None:
        self._measured_from_s = self._last_claim_s = now_s
        if not serving:
            return
        self.share = min(1.0, (claims + _SHARE_WEIGHT) / (serving + _SHARE_WEIGHT))
        self._usual_share = self.share
        # Somebody else steered so far: suppose that it went as it should.
        people_per_s = rate / self.share
        since_s = min(_DELAY_MAX_S, serving / people_per_s)
        self._serving.add(now_s - since_s, serving - people_per_s * since_s)
        self._admissions.add(now_s - since_s, -people_per_s * since_s)

    def _hear(self, now_s: float) -> None:
        if self.silent_s:
            # Those who were passed over say nothing of those who come now.
            self._measured_from_s = now_s
            self._ripe_from = self._admissions.at(now_s - self.delay_s / 2)
        self.silent_s = 0.0
        self._last_claim_s = now_s
        if self._first_claim_s is None:
            self._first_claim_s = now_s

    def _measure_delay(
        self, now_s: float, serving: int, came: int, lag: float, rate: float
    ) -> None:
        admitted_s = self._serving.reached(serving - lag)
        if admitted_s is None:
            return  # somebody who comes minutes late tells nothing of the others
        delay_s = min(now_s - admitted_s, _DELAY_MAX_S)
        self._delay_weight = min(self._delay_weight + came, 50 + 10 * rate)
        self.delay_s += (delay_s - self.delay_s) * min(1.0, came / self._delay_weight)

    def _doubt(self, now_s: float) -> float:
        """Return how little is known of how late people claim: from 1.0 down to 0.0."""
        known_s = 0.0 if self._first_claim_s is None else now_s - self._first_claim_s
        return max(0.0, 1.0 - known_s / (3 * self.delay_s))

    def _measure_share(self, now_s: float, claims: int, rate: float) -> None:
        window_s = 10 + 3 * self.delay_s + _CLAIMS_WANTED / rate
        since_s = max(self._measured_from_s, now_s - min(window_s, _TRACE_S / 2))
        came = claims - self._claims.at(since_s)
        # Twice the delay: while the line speeds up those who claim late are few yet, and to take
        # them for people who walked away would speed it up further.
        doubt = self._doubt(now_s)
        ripe_s = self.delay_s * (_RIPE_DELAYS + (_RIPE_DELAYS_FIRST - _RIPE_DELAYS) * doubt)
        ripe_to = self._admissions.at(now_s - ripe_s)
        ripe_from = max(self._ripe_from, self._admissions.at(since_s - ripe_s))
        ripe = max(0.0, ripe_to - ripe_from)
        usual = self._usual_share
        if self.silent_s:
            self.share = usual
        elif self._first_claim_s is not None:  # else nobody knows how late people claim
            weight = _SHARE_WEIGHT
            self.share = max(_SHARE_MIN, min(1.0, (came + weight) / (ripe + weight / usual)))
        if self._last_claim_s == now_s and came > _USUAL_CLAIMS:
            self._usual_share = self.share
        quiet_s = now_s - self._last_claim_s
        due = ripe_to - self._admissions.at(self._last_claim_s - ripe_s)
        patience_s = _SILENT_DELAYS * self.delay_s + _SILENT_S
        if due * usual > _SILENT_CLAIMS and quiet_s > patience_s:
            self.silent_s = quiet_s - patience_s


def people_between(begin: int, end: int, skipped: Sequence[Range]) -> int:
    """Return how many numbers from `begin` up to, but without, `end` somebody has."""
    nobody = sum(max(0, min(end, stop) - max(begin, start)) for start, stop in skipped)
    return max(0, end - begin - nobody)


def move_on(serving: int, people: int, end: int, skipped: Sequence[Range]) -> int:
    """Return where the line is after so many more people, at most at its end.

    Numbers that nobody has are passed at once, also those right behind the last of them.
    """
    place = serving
    for start, stop in _ahead(serving, skipped):
        if place + people < start:
            break
        people -= max(0, start - place)
        place = max(place, stop)
    return max(serving, min(place + people, end))


def _ahead(serving: int, skipped: Sequence[Range]) -> Iterator[Range]:
    return ((start, stop) for start, stop in sorted(skipped) if stop > serving)
