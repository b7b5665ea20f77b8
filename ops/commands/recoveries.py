"""`./onsale recoveries`: what was recovered, when, why, and how long it took."""

import asyncio
from typing import Any

import click
import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.inventory.recovery_log import RecoveryRow
from ops.recovering import STORE_FAILURES, read_recoveries
from ops.region_option import region_option
from ops.running import find_settings
from ops.show_ids import parse_show_id, tell_show_id

_WIDTH_OF_FILES = 160


@click.command(name="recoveries")
@click.option("--show", "show_id", help="Of this show only: its id, as the API writes it.")
@click.option(
    "--last", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many."
)
@region_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(show_id: str | None, last: int, *, region: str | None, as_json: bool) -> None:
    r"""List the last recoveries, the newest first.

    A show that is opened for the first time is one, too: it has nothing to drain and nothing sold.

    \b
    Examples:
      ./onsale recoveries
      ./onsale recoveries --show shw_dev_0123456789abcdef --last 5
      ./onsale recoveries --json
    """
    settings = find_settings(region=region)
    show = None if show_id is None else parse_show_id(show_id, "--show")
    try:
        rows = asyncio.run(read_recoveries(settings, show=show, rows_max=last))
    except STORE_FAILURES as error:
        msg = f"PostgreSQL can't be asked ({error!r}); `./onsale doctor` says more"
        raise click.ClickException(msg) from error
    if as_json:
        click.echo(
            msgspec.json.encode({"recoveries": [_tell(row, settings.region) for row in rows]})
        )
    elif not rows:
        click.echo("no recoveries")
    else:
        _print(rows, settings.region)


def _tell(row: RecoveryRow, region: str) -> dict[str, Any]:
    return msgspec.structs.asdict(row) | {"show": tell_show_id(row.show, region)}


def _print(rows: list[RecoveryRow], region: str) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_FILES)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("at", "show", "name", "why"):
        table.add_column(column, no_wrap=column == "show", overflow="fold")
    for column in ("epoch", "drained", "kept", "voided", "ms"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        counts = (row.epoch, row.facts_drained, row.holds_kept, row.holds_voided, row.took_ms)
        table.add_row(
            f"{row.at:%Y-%m-%d %H:%M:%S}",
            tell_show_id(row.show, region),
            escape(row.show_name),
            escape(row.reason),
            *map(str, counts),
        )
    console.print(table)
