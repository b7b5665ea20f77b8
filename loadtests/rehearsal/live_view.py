"""What one sees of a rehearsal: four curves on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from loadtests.rehearsal.invariants import Sampled
from loadtests.rehearsal.looks import Look
from loadtests.rehearsal.plan import Plan
from loadtests.rehearsal.sale import Sale

_FRAME_S: Final = 0.5
_LINE_S: Final = 5.0
_BARS: Final = " ▁▂▃▄▅▆▇█"
_NAME_WIDTH: Final = 40
_COLUMNS: Final = (20, 100)


class LiveView:
    """Shows a rehearsal. A context manager; call it after each look."""

    def __init__(self, console: Console, plan: Plan) -> None:
        """Take where to show it, and what was planned."""
        self._console = console
        self._plan = plan
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown_s = 0.0

    def __enter__(self) -> Self:
        """Begin to show."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last frame standing."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, sale: Sale, samples: Sequence[Sampled]) -> None:
        """Show how things stand, if the last time is long enough ago."""
        now = time.monotonic()
        if not samples or now - self._shown_s < (_LINE_S if self._live is None else _FRAME_S):
            return
        self._shown_s = now
        if self._live is None:
            line = self._line(sale, samples)
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            self._live.update(self._frame(sale, samples), refresh=True)

    def _line(self, sale: Sale, samples: Sequence[Sampled]) -> str:
        look = samples[-1].look
        return (
            f"{_clock(self._plan, sale)}  {look.state:9}  in line {look.next - look.serving:,}  "
            f"admitted to {look.serving:,}  passes {look.issued:,}  in checkout {look.live:,} of "
            f"{self._plan.checkout_max:,}  held {look.held:,}  sold {look.sold:,} of "
            f"{self._plan.seats:,}  claiming {look.claiming:,}  "
            f"errors {sale.record.tally.errors}"
        )

    def _frame(self, sale: Sale, samples: Sequence[Sampled]) -> Group:
        plan, look, record = self._plan, samples[-1].look, sale.record
        least, most = _COLUMNS
        columns = min(max(self._console.width - _NAME_WIDTH, least), most)
        rates = passes_a_second([sample.look for sample in samples])
        curves = Table.grid(padding=(0, 2))
        for name, values, top, style in (
            ("in line", [s.look.next - s.look.serving for s in samples], 0.0, "blue"),
            (f"passes a second, of {plan.rate:,.1f}", rates, plan.burst, "dark_orange"),
            (
                f"in checkout, of {plan.checkout_max:,}",
                [s.look.live for s in samples],
                0.0,
                "green",
            ),
            (f"sold, of {plan.seats:,}", [s.look.sold for s in samples], plan.seats, "magenta"),
        ):
            bars = Text(bars_of(values, columns, top), style=style)
            curves.add_row(Text(f"{values[-1]:,.0f}", justify="right"), bars, Text(name))
        numbers = Table.grid(padding=(0, 3))
        numbers.add_row(
            Text(_clock(plan, sale)),
            Text(look.state, style="bold"),
            Text(f"{record.joined:,} of {plan.people:,} joined"),
            Text(f"{record.in_line:,} mean to buy"),
            Text(f"{record.bots_refused:,} of {record.bots_asked:,} bots' joins refused"),
            Text(f"{record.tally.errors} errors", style="red" if record.tally.errors else "green"),
        )
        return Group(curves, numbers)


def passes_a_second(looks: Sequence[Look], window_s: float = 2.0) -> list[float]:
    """Return for each look how many passes a second were issued in the time before it."""
    found: list[float] = []
    begin = 0
    for look in looks:
        while look.at_s - looks[begin].at_s > window_s:
            begin += 1
        passed_s = look.at_s - looks[begin].at_s
        issued = look.issued - looks[begin].issued
        found.append(issued / passed_s if passed_s else 0.0)
    return found


def bars_of(values: Sequence[float], columns: int, top: float) -> str:
    """Draw values as a line of bars, the largest of each column, up to `top` or the largest."""
    most = max(top, *values, 1e-9)
    last = len(_BARS) - 1
    bars: list[str] = []
    for column in range(min(columns, len(values))):
        width = len(values) / min(columns, len(values))
        part = values[int(column * width) : max(int((column + 1) * width), int(column * width) + 1)]
        bars.append(_BARS[round(max(part) / most * last)])
    return "".join(bars)


def _clock(plan: Plan, sale: Sale) -> str:
    minutes = sale.minute - plan.curve.before_min
    sign = "-" if minutes < 0 else "+"
    return f"T{sign}{abs(minutes):4.1f} min"
