"""What one sees of a run: a live view on a terminal, a line now and then elsewhere."""

import time
from collections import deque
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from loadtests.buyers.storefront import Storefront
from loadtests.buyers.tally import Tally, percentile
from loadtests.hall_picture import COLOURS, HallPicture, Point

_FRAME_S: Final = 0.2
_LINE_S: Final = 2.0
_RATE_OVER_S: Final = 2.0
_LATENCIES_SHOWN: Final = 5000
_COLUMNS_MAX: Final = 120
_LINES_BESIDE: Final = 8
_PLAIN_COLUMNS: Final = 100
_PLAIN_LINES: Final = 40


class LiveView:
    """Shows a run. A context manager; call it as the crowd's `watch`."""

    def __init__(self, console: Console, places: dict[str, Point], buyers: int) -> None:
        """Take where to show it, where seats stand, and how many buyers there are."""
        self._console = console
        self._places = places
        self._buyers = buyers
        self._picture: HallPicture | None = None
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown_at = 0.0
        self._holds: deque[tuple[float, int]] = deque()

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

    def __call__(self, front: Storefront, tally: Tally) -> None:
        """Show how things stand, if the last time is long enough ago."""
        now = time.monotonic()
        self._holds.append((now, tally.holds))
        while len(self._holds) > 2 and now - self._holds[0][0] > _RATE_OVER_S:  # noqa: PLR2004
            self._holds.popleft()
        every_s = _LINE_S if self._live is None else _FRAME_S
        if now - self._shown_at < every_s and not front.is_sold_out:
            return
        self._shown_at = now
        if self._live is None:
            self._console.print(self._line(front, tally), highlight=False, soft_wrap=True)
        else:
            self._live.update(self._frame(front, tally), refresh=True)

    def print_plain(self, front: Storefront) -> None:
        """Print the hall in letters, for where nothing was drawn."""
        if self._live is None:
            picture = HallPicture(
                front.labels, self._places, columns=_PLAIN_COLUMNS, lines=_PLAIN_LINES
            )
            self._console.print(
                picture.plain(front.states), highlight=False, markup=False, soft_wrap=True
            )

    def _line(self, front: Storefront, tally: Tally) -> str:
        total = front.total
        p50, p99 = _latencies(tally)
        return (
            f"{time.monotonic() - tally.began_at:6.1f} s  sold {total.sold:,} of "
            f"{total.capacity:,}  held {total.held:,}  open {total.open:,}  "
            f"{self._rate():,.0f} holds/s  p50 {p50:.1f} ms  p99 {p99:.1f} ms  "
            f"refused {tally.refused:,}  errors {tally.errors}"
        )

    def _frame(self, front: Storefront, tally: Tally) -> Group:
        if self._picture is None:
            size = self._console.size
            self._picture = HallPicture(
                front.labels,
                self._places,
                columns=min(size.width - 2, _COLUMNS_MAX),
                lines=max(size.height - _LINES_BESIDE, 8),
            )
        return Group(
            self._picture.draw(front.states),
            Padding(
                ProgressBar(total=front.total.capacity, completed=front.total.sold, width=60),
                (0, 0, 1, 1),
            ),
            self._numbers(front, tally),
        )

    def _numbers(self, front: Storefront, tally: Tally) -> Table:
        total = front.total
        p50, p99 = _latencies(tally)
        grid = Table.grid(padding=(0, 3))
        grid.add_row(
            _coloured(f"sold {total.sold:,}", "s"),
            _coloured(f"held {total.held:,}", "h"),
            _coloured(f"open {total.open:,}", "o"),
            Text(f"{self._buyers} buyers"),
            Text(f"{time.monotonic() - tally.began_at:.1f} s"),
        )
        grid.add_row(
            Text(f"{self._rate():,.0f} holds/s"),
            Text(f"p50 {p50:.1f} ms"),
            Text(f"p99 {p99:.1f} ms"),
            Text(f"{tally.refused:,} refused, {tally.repeats + tally.lost_answers:,} repeated"),
            Text(f"{tally.errors} errors", style="red" if tally.errors else "green"),
        )
        return grid

    def _rate(self) -> float:
        began, holds = self._holds[0]
        ended, now = self._holds[-1]
        return (now - holds) / (ended - began) if ended > began else 0.0


def _latencies(tally: Tally) -> tuple[float, float]:
    recent = tally.hold_ms[-_LATENCIES_SHOWN:]
    return percentile(recent, 0.5), percentile(recent, 0.99)


def _coloured(text: str, state: str) -> Text:
    red, green, blue = COLOURS[state]
    return Text("■ ", style=f"rgb({red},{green},{blue})").append(text, style="default")
