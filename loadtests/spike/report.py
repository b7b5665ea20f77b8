"""What a run came to: an object for programs, a table for people, a picture of every second."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from statistics import mean, median
from typing import Any, Final, TypeVar, cast

import msgspec
from msgspec import Struct, structs
from rich.console import Console
from rich.table import Table

from loadtests.auditor import AuditResult
from loadtests.bench.machine import Machine
from loadtests.spike.picture import Line, Panel, draw
from loadtests.spike.playing import Play, Played
from loadtests.spike.queue_watch import (
    Look,
    QueueRules,
    most_at_once,
    over_cap,
    rate_bound_violations,
)
from loadtests.spike.rush import Rush, Rushed
from loadtests.spike.seconds import Counted, Moment
from loadtests.spike.watching import Sample, Watch

PICTURE: Final = "picture.svg"
RESULT: Final = "result.json"

_POINTS_MAX: Final = 600
_CLEAN: Final = "clean"
_NOT_RUN: Final = "not run"
_REFUSED: Final = ("409", "410")
_ORDERED: Final = ("201", "202")

_Seen = TypeVar("_Seen")


class Took(Struct, frozen=True):
    """How long one kind of request took."""

    p50_ms: float
    p99_ms: float


class RushReport(Struct, frozen=True, kw_only=True):
    """A number of requests sent as fast as they go: the JSON object of the last line."""

    requests: int
    answered: int
    errors: int
    """Connections that failed, and answers that may not be."""
    overloaded: int
    sold: int
    """Tickets in the ledger."""
    double_sold: int
    audit: str
    wall_s: float
    """From the first request to the last answer."""
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    peak_mib: dict[str, float]
    """The proportional set size of each part's processes together, at its largest."""
    told_sold: int
    """Tickets that the buyers were told they had."""
    lost: int
    """Orders that a buyer was told of and that the ledger does not have as told."""
    holds_won: int
    holds_refused: int
    purchases: int
    releases: int
    took: dict[str, Took]
    corrected_p99_ms: float | None
    """As wrk corrects it for requests that waited to be sent; nothing from the Python generator."""
    lag_max: int | None
    """The most sales that the recorder was behind by in any look, one a second."""
    drained_s: float
    """Until nothing was on its way to the ledger any more, after the last answer."""
    answers: dict[str, dict[str, int]]
    connection_errors: dict[str, int]
    seats: int
    connections: int
    workers: int
    generator: str
    generator_cpu_s: float
    machine: Machine
    report: str

    @property
    def is_good(self) -> bool:
        """Whether all was answered, nothing else happened, and the audit is clean."""
        return (
            self.answered == self.requests
            and self.errors == self.double_sold == self.lost == 0
            and self.audit == _CLEAN
        )


class PlayReport(Struct, frozen=True, kw_only=True):
    """A scenario that was played: the JSON object of the last line."""

    scenario: str
    requests: int
    failures: int
    told_to_wait: int
    """Answers 503 that said when to come again."""
    commands: int
    """That came in batches."""
    audit: str
    wall_s: float
    rate: float
    p50_ms: float
    p99_ms: float
    peak_mib: dict[str, float]
    took: dict[str, Took]
    lag_max: int | None
    answers: dict[str, dict[str, int]]
    command_answers: dict[str, dict[str, int]]
    users: int
    machine: Machine
    report: str

    @property
    def is_good(self) -> bool:
        """Whether something was asked, nothing failed, and an audit, if there was one, is clean."""
        return self.requests > 0 == self.failures and self.audit in {_CLEAN, _NOT_RUN}


class QueuedReport(PlayReport, frozen=True, kw_only=True):
    """A scenario that was played through a waiting room. All but its rules: None without looks."""

    checkout_max: int
    queue_rate: float
    """Passes a second."""
    queue_burst: float
    occupancy_max: int | None
    """The most passes that lived in any look at the store."""
    occupancy_over_cap: int | None
    """Looks in which more than `checkout_max` lived."""
    passes: int | None
    """That were issued."""
    rate_bound_violations: int | None
    """Looks that end a window with more passes than `queue_rate` times it plus `queue_burst`."""
    queue_looks: int

    @property
    def is_good(self) -> bool:
        """Whether the play is good, passes were issued, and none too many in any look."""
        if self.queue_looks == 0:
            return super().is_good and self.audit == _NOT_RUN
        return super().is_good and (
            self.occupancy_over_cap == self.rate_bound_violations == 0 < (self.passes or 0)
        )


def report_rush(  # noqa: PLR0913 -- by name, what the run itself does not know
    rush: Rush, rushed: Rushed, *, seats: int, workers: int, machine: Machine, folder: Path
) -> RushReport:
    """Put a rush's result together."""
    counted, sent = rushed.counted, rushed.sent
    whole = counted.all_took
    return RushReport(
        requests=rush.requests,
        answered=sent.answered,
        errors=rushed.errors,
        overloaded=rushed.overloaded,
        sold=rushed.verdict.sold,
        double_sold=rushed.verdict.double_sold,
        audit=_audited(rushed.audit),
        wall_s=round(sent.wall_s, 2),
        rate=round(sent.answered / sent.wall_s, 1) if sent.wall_s else 0.0,
        p50_ms=whole.percentile_ms(0.5),
        p99_ms=whole.percentile_ms(0.99),
        max_ms=round(sent.max_ms, 1),
        peak_mib=rushed.watch.peak_mib,
        told_sold=rushed.told_sold,
        lost=rushed.verdict.lost,
        holds_won=_sum(counted.answers, "hold", _ORDERED),
        holds_refused=_sum(counted.answers, "hold", _REFUSED),
        purchases=_sum(counted.answers, "purchase", _ORDERED),
        releases=_sum(counted.answers, "release", ("204",)),
        took=_took(counted),
        corrected_p99_ms=sent.corrected_p99_ms,
        lag_max=rushed.watch.lag_max,
        drained_s=round(rushed.drained_s, 2),
        answers=counted.answers,
        connection_errors=sent.errors,
        seats=seats,
        connections=rush.connections,
        workers=workers,
        generator=sent.generator,
        generator_cpu_s=round(sent.cpu_s, 2),
        machine=machine,
        report=str(folder),
    )


def report_play(play: Play, played: Played, machine: Machine) -> PlayReport:
    """Put a scenario's result together."""
    requests = played.requests
    whole = requests.all_took
    wall_s = len(requests.moments)
    return PlayReport(
        scenario=play.scenario.value,
        requests=requests.answered,
        failures=played.failures,
        told_to_wait=played.told_to_wait,
        commands=played.commands.answered,
        audit=_audited(played.audit),
        wall_s=float(wall_s),
        rate=round(requests.answered / wall_s, 1) if wall_s else 0.0,
        p50_ms=whole.percentile_ms(0.5),
        p99_ms=whole.percentile_ms(0.99),
        peak_mib=played.watch.peak_mib,
        took=_took(requests),
        lag_max=played.watch.lag_max,
        answers=requests.answers,
        command_answers=played.commands.answers,
        users=play.users,
        machine=machine,
        report=str(play.report),
    )


def report_queued(play: Play, played: Played, machine: Machine, rules: QueueRules) -> QueuedReport:
    """Put the result of a scenario with a waiting room together."""
    looks = played.queue.looks if played.queue else []
    return QueuedReport(
        **structs.asdict(report_play(play, played, machine)),
        checkout_max=rules.checkout_max,
        queue_rate=rules.rate,
        queue_burst=rules.burst,
        occupancy_max=most_at_once(looks) if looks else None,
        occupancy_over_cap=over_cap(looks, rules) if looks else None,
        passes=looks[-1].issued - looks[0].issued if looks else None,
        rate_bound_violations=rate_bound_violations(looks, rules) if looks else None,
        queue_looks=len(looks),
    )


def write_report(  # noqa: PLR0913 -- all that is drawn and written
    report: RushReport | PlayReport,
    title: str,
    moments: list[Moment],
    watch: Watch,
    folder: Path,
    *,
    looks: Sequence[Look] = (),
) -> None:
    """Write the picture, and the result with every second of it and every look at the queue."""
    note = (
        f"{report.rate:,.0f} a second on average, p50 {report.p50_ms:,.1f} ms, "
        f"p99 {report.p99_ms:,.1f} ms; audit: {report.audit}"
    )
    picture = draw(title, note, [*_panels(moments, watch.samples), *_queue_panels(moments, looks)])
    (folder / PICTURE).write_text(picture, encoding="utf-8")
    document = msgspec.to_builtins(report) | {
        "seconds": msgspec.to_builtins(moments),
        "samples": msgspec.to_builtins(watch.samples),
    }
    if looks:
        document["queue"] = msgspec.to_builtins(looks)
    (folder / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")


def print_report(report: RushReport | PlayReport, title: str, console: Console) -> None:
    """Print the result as a table, and the verdict."""
    table = Table(title=title, show_header=False)
    for name, value in msgspec.to_builtins(report).items():
        for row, shown in _rows(name.replace("_", " "), value):
            table.add_row(row, shown)
    console.print(table)
    verdict = "[green]good[/green]" if report.is_good else "[red]NOT good[/red]"
    console.print(f"The run was {verdict}. Its picture: ", end="")
    console.print(f"{report.report}/{PICTURE}", highlight=False, markup=False, soft_wrap=True)


def _rows(name: str, value: Any) -> Iterable[tuple[str, str]]:  # noqa: ANN401 -- what JSON has
    if isinstance(value, dict):
        for part, inner in cast("dict[str, Any]", value).items():
            yield from _rows(f"{name}: {part}".replace("_", " "), inner)
    elif isinstance(value, float):
        yield name, f"{value:,.1f}"
    elif isinstance(value, int):
        yield name, f"{value:,}"
    else:
        yield name, "unknown" if value is None else str(value)


def _audited(result: AuditResult | None) -> str:
    if result is None:
        return _NOT_RUN
    return _CLEAN if result.is_clean else "findings"


def _sum(answers: Mapping[str, Mapping[str, int]], kind: str, which: Iterable[str]) -> int:
    return sum(answers.get(kind, {}).get(answer, 0) for answer in which)


def _took(counted: Counted) -> dict[str, Took]:
    return {
        kind: Took(of.percentile_ms(0.5), of.percentile_ms(0.99))
        for kind, of in counted.took.items()
    }


def _panels(moments: list[Moment], samples: list[Sample]) -> Iterable[Panel]:
    """Yield what is drawn; of a long run each point tells of some seconds together."""
    began = moments[0].at if moments else 0
    during = [sample for sample in samples if sample.at >= began]
    step = ceil(max(len(moments), len(during)) / _POINTS_MAX) or 1
    note = f", a point for {step} s" if step > 1 else ""
    windows = [(window[0].at - began, window) for window in _windows(moments, step)]
    yield Panel(
        f"requests answered a second{note}",
        [Line("rate", [(x, mean(m.answered for m in window)) for x, window in windows])],
    )
    yield Panel(
        "latency in ms" + (", the worst p99 in it" if note else ""),
        [
            Line("p50", [(x, median(m.p50_ms for m in window)) for x, window in windows]),
            Line("p99", [(x, max(m.p99_ms for m in window)) for x, window in windows]),
        ],
    )
    looks = [(window[0].at - began, window) for window in _windows(during, step)]
    lags = [(x, [s.lag for s in window if s.lag is not None]) for x, window in looks]
    yield Panel(
        "sales decided and not recorded", [Line("lag", [(x, max(lag)) for x, lag in lags if lag])]
    )
    parts = dict.fromkeys(part for sample in during for part in sample.mib)
    yield Panel(
        "memory in MiB (PSS)",
        [
            Line(part, [(x, max(s.mib.get(part, 0.0) for s in window)) for x, window in looks])
            for part in parts
        ],
    )


def _queue_panels(moments: list[Moment], looks: Sequence[Look]) -> Iterable[Panel]:
    began = moments[0].at if moments else 0
    step = ceil(len(looks) / _POINTS_MAX) or 1
    windows = [(window[0].at - began, window) for window in _windows(looks, step)]
    live = [(x, max(look.occupancy for look in window)) for x, window in windows if x >= 0]
    issued = [(x, window[-1].issued) for x, window in windows if x >= 0]
    yield Panel("in checkout: passes that live", [Line("live", live)])
    yield Panel("passes issued so far", [Line("issued", issued)])


def _windows(row: Sequence[_Seen], step: int) -> Iterable[Sequence[_Seen]]:
    return (row[n : n + step] for n in range(0, len(row), step))
