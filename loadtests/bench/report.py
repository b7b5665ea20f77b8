"""Figures as a table for people and as one JSON object for programs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadtests.bench.machine import Machine
from loadtests.bench.measurement import Figure

_WHOLE_FROM: Final = 100
_RAISED: Final = ("p99_ms",)
"""Details that stand beside the value, too."""


def figures_as_json(
    figures: Sequence[Figure],
    machine: Machine,
    *,
    asked_for_one: bool,
    failed: Mapping[str, str],
) -> dict[str, Any]:
    """Return one figure's fields beside the machine, or several as `figures`."""
    if asked_for_one and figures:
        raised = {name: figures[0].details[name] for name in _RAISED if name in figures[0].details}
        return msgspec.to_builtins(figures[0]) | raised | {"machine": msgspec.to_builtins(machine)}
    return {
        "figures": msgspec.to_builtins(figures),
        "failed": dict(failed),
        "machine": msgspec.to_builtins(machine),
    }


def print_figures(figures: Sequence[Figure], machine: Machine, console: Console) -> None:
    """Print the table, then for each figure what stands behind it, then the machine."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("value", "control", "ratio"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("target")
    table.add_column("met", no_wrap=True)
    for figure in figures:
        table.add_row(
            figure.name,
            f"{_number(figure.value)} {figure.unit}",
            "" if figure.control is None else f"{_number(figure.control)} {figure.control_unit}",
            "" if figure.ratio is None else f"{figure.ratio:.3g}",
            figure.target,
            "[green]yes[/green]" if figure.met else "[red]no[/red]",
        )
    console.print(table)
    for figure in figures:
        console.print(f"[bold]{figure.name}[/bold]")
        rounds = "  ".join(_pair(value, control) for value, control in figure.rounds)
        _print_line(console, "rounds", rounds)
        for name, value in {**figure.details, "settings": figure.settings}.items():
            _print_line(console, name, ", ".join(_flat(msgspec.to_builtins(value))))
    _print_line(console, "machine", ", ".join(_flat(msgspec.to_builtins(machine))))


def _print_line(console: Console, name: str, text: str) -> None:
    console.print(Text.assemble((f"  {name}: ", "dim"), text), soft_wrap=True)


def _pair(value: float, control: float | None) -> str:
    return _number(value) if control is None else f"{_number(value)}/{_number(control)}"


def _flat(value: object, path: str = "") -> Iterator[str]:
    """Yield the leaves of nested objects, each with the way to it."""
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, Any]", value).items():
            yield from _flat(inner, f"{path} {name}".strip())
    else:
        shown = _number(value) if isinstance(value, float) else str(value)
        yield f"{path} {shown}".strip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.4g}"
