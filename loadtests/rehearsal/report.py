"""What a rehearsal came to: an object for programs, tables for people, and a picture."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from loadtests.buyers.tally import percentile
from loadtests.rehearsal.advice import Advice
from loadtests.rehearsal.invariants import Invariant, Sampled, Seen
from loadtests.rehearsal.live_view import passes_a_second
from loadtests.rehearsal.plan import Plan
from loadtests.spike.picture import Line, Panel, draw

_POINTS_MAX: Final = 600
_LATE_S_MAX: Final = 5.0


class Report(Struct, frozen=True, kw_only=True):
    """The JSON object of the last line."""

    good: bool
    people: int
    seats: int
    clients: int
    speed: float
    rate: float
    """Passes a second on the clock, as all that follows."""
    burst: float
    checkout_max: int
    pass_ttl_s: int
    hold_ttl_s: int
    joined: int
    fates: Mapping[str, int]
    passes: int
    sold: int
    """Tickets in the ledger."""
    bots_tickets: int
    bots_numbers: int
    bots_refused: int
    limited: int
    """Joins of people that the limit of an address put off."""
    came_too_late: int
    went_home: int
    found_nothing: int
    paid_too_late: int
    positions: int
    occupancy_max: int
    rate_used: float
    """Passes by what the rate would have allowed, while people waited and had room."""
    wait_p50_min: float
    """From the first claim to the pass, in minutes of the sale."""
    late_s_max: float
    """How much later than the curve somebody came, since this machine was busy."""
    too_busy: bool
    """Whether this machine kept people waiting so long that the advice is about it, too."""
    sale_min: float
    """From the sale's beginning to its last look, in minutes of the sale."""
    invariants: Mapping[str, bool]
    broken: Sequence[str]
    advice: Advice
    wall_s: float


def report_on(
    seen: Seen, found: Sequence[Invariant], advice: Advice, *, sale_s: float, wall_s: float
) -> Report:
    """Sum a rehearsal up."""
    plan, record = seen.plan, seen.record
    waits_s = [turn.asks[-1].answered_s - turn.asks[0].sent_s for turn in record.passes]
    last_s = seen.samples[-1].look.at_s if seen.samples else sale_s
    addresses = sum(max(0, len(given) - 1) for given in record.by_address.values())
    return Report(
        good=all(one.holds for one in found),
        people=plan.people,
        seats=plan.seats,
        clients=plan.clients,
        speed=plan.speed,
        rate=plan.rate,
        burst=plan.burst,
        checkout_max=plan.checkout_max,
        pass_ttl_s=plan.pass_ttl_s,
        hold_ttl_s=plan.hold_ttl_s,
        joined=record.joined,
        fates={fate.value: count for fate, count in sorted(record.fates.items())},
        passes=len(record.passes),
        sold=seen.verdict.sold,
        bots_tickets=sum(turn.tickets for turn in record.turns if turn.is_bot),
        bots_numbers=addresses + sum(map(len, record.by_identity.values())),
        bots_refused=record.bots_refused,
        limited=record.told_to_come_later,
        came_too_late=record.came_too_late,
        went_home=record.went_home,
        found_nothing=record.found_nothing,
        paid_too_late=record.paid_too_late,
        positions=record.positions,
        occupancy_max=max((sample.look.live for sample in seen.samples), default=0),
        rate_used=round(_rate_used(plan, seen.samples), 3),
        wait_p50_min=round(plan.minutes(percentile(waits_s, 0.5)), 2),
        late_s_max=round(record.late_s_max, 2),
        too_busy=record.late_s_max > _LATE_S_MAX or record.paid_too_late > 0,
        sale_min=round(plan.minutes(last_s - sale_s), 1),
        invariants={one.name: one.holds for one in found},
        broken=[f"{one.name}: {one.says}" for one in found if not one.holds],
        advice=advice,
        wall_s=round(wall_s, 1),
    )


def _rate_used(plan: Plan, samples: Sequence[Sampled]) -> float:
    issued = passed_s = 0.0
    for before, after in pairwise(samples):
        look = before.look
        has_room = look.live < min(plan.checkout_max, look.open)
        if look.state == "running" and before.in_line and has_room:
            issued += after.look.issued - look.issued
            passed_s += after.look.at_s - look.at_s
    return issued / (plan.rate * passed_s) if passed_s else 0.0


def print_report(report: Report, found: Sequence[Invariant], console: Console) -> None:
    """Print figures, invariants and advice."""
    figures = Table(title="the rehearsal", show_header=False)
    for name, value in msgspec.to_builtins(report).items():
        if name in {"too_busy", "invariants", "broken", "advice", "good", "fates"}:
            continue
        figures.add_row(name.replace("_", " "), _shown(value))
    for fate, count in report.fates.items():
        figures.add_row(f"  {fate}", f"{count:,}")
    console.print(figures)
    judged = Table(title="what must hold", show_header=False)
    for one in found:
        judged.add_row(
            "[green]holds[/green]" if one.holds else "[red]BROKEN[/red]",
            one.name,
            one.says.replace("[", "\\["),
        )
    console.print(judged)
    advised = Table(title="for the sale itself, in its own time", show_header=False)
    for name, value in msgspec.to_builtins(report.advice).items():
        advised.add_row(name.replace("_", " "), _shown(value))
    console.print(advised)
    if report.too_busy:
        console.print(
            "[yellow]This machine was too busy[/yellow] to let people come and pay in time: rate "
            "and cap above are about it, too. Take a lower --speed or fewer --people."
        )
    verdict = "[green]good[/green]" if report.good else "[red]NOT good[/red]"
    console.print(f"The rehearsal was {verdict}.")


def picture_of(report: Report, plan: Plan, samples: Sequence[Sampled], opens_s: float) -> str:
    """Draw the four curves over the sale's own minutes."""
    kept = samples[:: max(1, len(samples) // _POINTS_MAX)]
    rates = passes_a_second([sample.look for sample in samples])[
        :: max(1, len(samples) // _POINTS_MAX)
    ]
    at = [max(0.0, plan.minutes(sample.look.at_s - opens_s)) for sample in kept]

    def line(name: str, values: Sequence[float]) -> Line:
        return Line(name, list(zip(at, values, strict=True)))

    def limit(name: str, value: float) -> Line:
        return Line(name, [(0.0, value), (at[-1] if at else 0.0, value)])

    panels = [
        Panel(
            "people in line",
            [
                line("in line", [sample.look.next - sample.look.serving for sample in kept]),
                line("mean to buy", [sample.in_line for sample in kept]),
            ],
        ),
        Panel(
            "admissions: passes a second on the clock",
            [line("passes", rates), limit("the rate", plan.rate)],
        ),
        Panel(
            "passes that live (occupancy of checkout)",
            [line("in checkout", [s.look.live for s in kept]), limit("the cap", plan.checkout_max)],
        ),
        Panel(
            "seats",
            [
                line("sold", [sample.look.sold for sample in kept]),
                line("held", [sample.look.held for sample in kept]),
                limit("all", plan.seats),
            ],
        ),
    ]
    title = f"{plan.people:,} people, {plan.seats:,} seats"
    broken = "nothing was broken" if report.good else f"broken: {'; '.join(report.broken)[:100]}"
    note = (
        f"time compressed {plan.speed:g} times; the sale begins at minute "
        f"{plan.curve.before_min:g}; {report.sold:,} sold; {broken}"
    )
    return draw(title, note, panels, across="minutes since the doors opened")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 -- digits
    return f"{value:,}" if isinstance(value, int) else f"{value}"
