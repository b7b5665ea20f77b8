"""An audit's result as a table for people and as one JSON object for programs."""

from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from loadtests.auditor.audit import AuditResult, ShowRow

ROWS_SHOWN: Final = 40
FINDINGS_SHOWN: Final = 100
FINDINGS_TOLD: Final = 1000

_WIDTH_OF_FILES: Final = 160
_ROOMY: Final = 140
_COUNTS: Final = ("capacity", "open", "held", "sold", "blocked", "tickets")


def open_console(*, stderr: bool) -> Console:
    """Return a console that is wide enough for the table where no terminal says how wide it is."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_WIDTH_OF_FILES)


def print_audit(result: AuditResult, region: str, console: Console) -> None:
    """Print a line per show, the offending rows, and the verdict."""
    guilty = {finding.show for finding in result.findings}
    # Those with findings first; of the clean ones as many as fit.
    rows = sorted(result.rows, key=lambda row: row.show not in guilty)
    table = Table(
        title="capacity = open + held + sold + blocked, sold = tickets",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("show", no_wrap=True)
    roomy = console.width >= _ROOMY
    if roomy:
        table.add_column("name", overflow="ellipsis")
    table.add_column("state", no_wrap=True)
    for column in (*_COUNTS, "on its way"):
        table.add_column(column, justify="right", no_wrap=True)
    if roomy:
        table.add_column("orders", justify="right", no_wrap=True)
        table.add_column("epoch", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in rows[:ROWS_SHOWN]:
        _add(table, row, region, clean=row.show not in guilty, roomy=roomy)
    console.print(table)
    if len(rows) > ROWS_SHOWN:
        console.print(f"... and {len(rows) - ROWS_SHOWN} more shows", highlight=False)
    for finding in result.findings[:FINDINGS_SHOWN]:
        console.print(
            f"[red]{finding.check}[/red] shw_{region}_{finding.show:016x} "
            f"[bold]{_plain(finding.subject)}[/bold]: {_plain(finding.says)}",
            highlight=False,
            soft_wrap=True,
        )
    if len(result.findings) > FINDINGS_SHOWN:
        console.print(f"... and {len(result.findings) - FINDINGS_SHOWN} more findings")
    if result.is_clean:
        console.print(f"[green]clean[/green]: {result.shows} shows", highlight=False)
    else:
        console.print(
            f"[red]{len(result.findings)} findings[/red] in {len(guilty)} of {result.shows} shows",
            highlight=False,
        )


def audit_as_json(result: AuditResult, region: str) -> dict[str, Any]:
    """Return the result as a JSON object; of very many findings the first thousand."""
    return {
        "audit": "clean" if result.is_clean else "findings",
        "shows": result.shows,
        "findings_count": len(result.findings),
        "findings": [
            {
                "show": f"shw_{region}_{finding.show:016x}",
                "check": finding.check,
                "subject": finding.subject,
                "says": finding.says,
            }
            for finding in result.findings[:FINDINGS_TOLD]
        ],
    }


def _add(table: Table, row: ShowRow, region: str, *, clean: bool, roomy: bool) -> None:
    verdict = "[green]clean[/green]" if clean else "[red]findings[/red]"
    table.add_row(
        f"shw_{region}_{row.show:016x}",
        *((_plain(row.name),) if roomy else ()),
        row.condition,
        *(f"{getattr(row, count):,}" for count in _COUNTS),
        str(row.on_the_way),
        *((f"{row.orders:,}", str(row.epoch)) if roomy else ()),
        verdict,
    )
    for index, area in enumerate(row.areas):
        counts = (f"{getattr(area, count):,}" for count in _COUNTS)
        table.add_row(f"  area {index}", *(("",) if roomy else ()), "", *counts)


def _plain(text: str) -> str:
    """Keep rich from reading brackets in data as markup."""
    return text.replace("[", "\\[")
