"""What must hold in every rehearsal, judged from the answers and from looks into the stores."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

from loadtests.auditor import AuditResult
from loadtests.buyers import Verdict
from loadtests.rehearsal.looks import Look
from loadtests.rehearsal.plan import JOIN_BURST, Plan
from loadtests.rehearsal.record import WAITED, Record, Turn

ROUNDING_S: Final = 0.001
"""The store's clock is told in ms."""

PASSED_OVER_MAX: Final = 5
"""How often a higher place may get its pass between two claims of a lower one that has to wait.

A pass is kept for everybody who waits with a lower place, but where checkout has less room than a
moment ago it is taken back before they ask again, a second later.
"""

PASSED_OVER_SHARE_MAX: Final = 0.05
"""Of all claims that had to wait again, those before which a higher place got its pass.

Without any order nearly all would be.
"""
_FEW: Final = 3

STALL_S_MAX: Final = 6.0
"""How long no pass may be issued while people wait and there is room."""

UNSOLD_MAX: Final = 0.005
"""Of the seats, those that may still go from hand to hand when the time is over.

Whoever is let in for the last ones may walk away as well, and each time it takes minutes to notice.
"""

_RUNNING: Final = "running"
_EXAMPLES: Final = 3


class Invariant(Struct, frozen=True):
    """One of them: whether it held, and what was seen."""

    name: str
    holds: bool
    says: str


class Sampled(Struct, frozen=True):
    """A look, and how many people waited by then who mean to claim."""

    look: Look
    in_line: int


class Seen(Struct, frozen=True, kw_only=True):
    """All that a rehearsal left behind."""

    plan: Plan
    record: Record
    samples: Sequence[Sampled]
    verdict: Verdict
    audit: AuditResult
    digest_is_right: bool
    """Whether the places that were recomputed have the published digest."""
    all_served: bool
    """Whether everybody who wanted to came to the end of their way."""


def judge(seen: Seen) -> list[Invariant]:
    """Judge all of them, in a fixed order."""
    return [
        _numbers(seen.record),
        _limits(seen.plan, seen.record),
        _draw(seen),
        _rate(seen.plan, seen.record),
        _occupancy(seen),
        _order(seen.record),
        _stall(seen),
        _accounted(seen),
        _gate(seen.record),
        _outcome(seen),
        _answers(seen.record),
        _audit(seen),
    ]


def _numbers(record: Record) -> Invariant:
    says = f"{record.joined:,} numbers, {len(record.twice)} given twice"
    return Invariant("numbers are unique", not record.twice, says)


def _limits(plan: Plan, record: Record) -> Invariant:
    rate = plan.joins_a_minute / 60
    over = [
        f"{address} got {len(given) - 1}"
        for address, given in record.by_address.items()
        if given and len(given) - 1 > JOIN_BURST + rate * (given[-1] - given[0])
    ]
    over += [f"{who} got {len(got)}" for who, got in record.by_identity.items() if len(got) > 1]
    numbers = sum(max(0, len(given) - 1) for given in record.by_address.values())
    says = (
        f"{len(record.by_address)} addresses got {numbers:,} numbers, {len(record.by_identity)} "
        f"identities {sum(map(len, record.by_identity.values()))}; {record.bots_refused:,} of "
        f"{record.bots_asked:,} joins refused"
    )
    return _found("limits of joining hold", over, says)


def _draw(seen: Seen) -> Invariant:
    record = seen.record
    says = f"{record.places_compared:,} positions compared with the recomputed draw"
    if not seen.digest_is_right:
        return Invariant("places are as drawn", holds=False, says="the digest is another")
    return _found("places are as drawn", record.places_wrong, says)


def _rate(plan: Plan, record: Record) -> Invariant:
    issued = sorted(turn.issued_s for turn in record.passes)
    most = most_over(issued, plan.rate)
    says = f"at most {most:,.1f} passes beyond {plan.rate:g} a second, of {plan.burst:g} allowed"
    # Each of the two moments of a window is rounded.
    tolerance = 2 * ROUNDING_S * plan.rate
    return Invariant("the rate is never exceeded", most <= plan.burst + tolerance, says)


def most_over(moments_s: Iterable[float], rate: float) -> float:
    """Return by how many the events of any window exceed what the rate gives in its length."""
    level = most = 0.0
    before_s: float | None = None
    for moment_s in moments_s:
        if before_s is not None:
            level = max(0.0, level - rate * (moment_s - before_s))
        level += 1
        most = max(most, level)
        before_s = moment_s
    return most


def _occupancy(seen: Seen) -> Invariant:
    cap = seen.plan.checkout_max
    looked = max((sample.look.live for sample in seen.samples), default=0)
    counted = most_at_once(
        (turn.issued_s, min(turn.ended_s or turn.deadline_s, turn.deadline_s))
        for turn in seen.record.passes
    )
    says = f"at most {looked:,} in a look, {counted:,} by the answers, of {cap:,} allowed"
    return Invariant("checkout is never over its cap", max(looked, counted) <= cap, says)


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """Return how many spans overlap at most; one that ends when another begins does not."""
    changes: list[tuple[float, int]] = []
    for begin, end in spans:
        if end > begin:
            changes += ((begin, 1), (end, -1))
    now = most = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def _order(record: Record) -> Invariant:
    worst = passed_over(record.turns)
    over = [
        f"place {turn.place} was passed over {times} times"
        for turn, times in worst
        if times > PASSED_OVER_MAX
    ]
    waits = sum(
        one.outcome == other.outcome == WAITED
        for turn in record.turns
        for one, other in pairwise(turn.asks)
    )
    total = sum(times for _, times in worst)
    most = max((times for _, times in worst), default=0)
    says = (
        f"{waits:,} claims had to wait again, {total:,} of them passed over; "
        f"{len(worst):,} people, {most} times at most"
    )
    if total > max(_FEW, PASSED_OVER_SHARE_MAX * waits):
        over.insert(0, f"more than {PASSED_OVER_SHARE_MAX:.0%}")
    return _found("lower places come first", over, says)


def passed_over(turns: Sequence[Turn]) -> list[tuple[Turn, int]]:
    """Return who had to wait again although a higher place got its pass since, and how often.

    Only passes that were asked for after the lower place was told to wait, and given before it
    asked again, count: of others nobody outside can tell which came first.
    """
    passes = sorted(
        (turn.asks[-1].answered_s, turn.asks[-1].sent_s, turn.place)
        for turn in turns
        if turn.issued_s
    )
    found: list[tuple[Turn, int]] = []
    for turn in turns:
        times = 0
        for one, other in pairwise(turn.asks):
            if one.outcome == other.outcome == WAITED:
                between = _between(passes, one.answered_s, other.sent_s)
                times += any(place > turn.place for place in between)
        if times:
            found.append((turn, times))
    return found


def _between(
    passes: Sequence[tuple[float, float, int]], begin_s: float, end_s: float
) -> Iterator[int]:
    for n in range(bisect_left(passes, (begin_s, 0.0, 0)), len(passes)):
        answered_s, sent_s, place = passes[n]
        if answered_s > end_s:
            return
        if sent_s >= begin_s:
            yield place


def _stall(seen: Seen) -> Invariant:
    longest = longest_stall(seen.samples, seen.plan.checkout_max)
    allowed = max(STALL_S_MAX, 5 / seen.plan.rate)
    says = (
        f"at most {longest:.1f} s without a pass while people waited and had room, of {allowed:g}"
    )
    return Invariant("the line never stalls", longest <= allowed, says)


def longest_stall(samples: Sequence[Sampled], checkout_max: int) -> float:
    """Return the longest time without a pass in which all looks saw people wait and room for them.

    Room is what nobody can doubt: fewer passes live than the cap allows and than places are open.
    """
    longest = 0.0
    begin: Look | None = None
    for sample in samples:
        look = sample.look
        has_room = look.live < min(checkout_max, look.open)
        if look.state != _RUNNING or not sample.in_line or not has_room:
            begin = None
        elif begin is None or look.issued > begin.issued:
            begin = look
        else:
            longest = max(longest, look.at_s - begin.at_s)
    return longest


def _accounted(seen: Seen) -> Invariant:
    issued = seen.samples[-1].look.issued if seen.samples else 0
    got = len(seen.record.passes)
    says = f"{issued:,} issued by the store, {got:,} received"
    return Invariant("every pass is accounted for", got == issued, says)


def _gate(record: Record) -> Invariant:
    says = (
        f"{record.refused_without_pass:,} holds without a pass refused, "
        f"{record.held_without_pass} granted"
    )
    return Invariant("no hold without a pass", not record.held_without_pass, says)


def _outcome(seen: Seen) -> Invariant:
    sold = seen.verdict.sold
    is_sold_out = seen.plan.seats - sold <= UNSOLD_MAX * seen.plan.seats
    what = "all sold" if is_sold_out else "all served" if seen.all_served else "neither"
    says = f"{what}: {sold:,} of {seen.plan.seats:,} seats, {seen.record.in_line:,} still in line"
    return Invariant("all is sold or all are served", is_sold_out or seen.all_served, says)


def _answers(record: Record) -> Invariant:
    says = f"{record.tally.errors} answers that may not be, {record.lost} requests unanswered"
    return _found("answers are as documented", record.tally.error_examples, says)


def _audit(seen: Seen) -> Invariant:
    audit, verdict = seen.audit, seen.verdict
    is_good = audit.is_clean and verdict.double_sold == verdict.lost == 0
    says = "clean" if audit.is_clean else f"{len(audit.findings)} findings"
    says += f"; {verdict.double_sold} seats sold twice, {verdict.lost} confirmed orders lost"
    return Invariant("the audit is clean", is_good, says)


def _found(name: str, faults: Sequence[str], says: str) -> Invariant:
    if faults:
        says = f"{says}; {'; '.join(faults[:_EXAMPLES])}"
    return Invariant(name, not faults, says)
