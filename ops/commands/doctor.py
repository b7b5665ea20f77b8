"""`./onsale doctor`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ops.doctor import Finding, State, examine
from ops.places import HOME
from ops.region_option import region_option
from ops.running import find_folder

_STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=HOME,
    show_default=".onsale",
    help="The data directory of the stack.",
)
@region_option
def command(*, as_json: bool, data: Path, region: str | None) -> None:
    r"""Say what is wrong with this set-up, and how to mend it.

    Looks at the servers that ONSALE_REDIS_URL and ONSALE_DATABASE_URL name, else at the stack that
    `./onsale up` runs. The exit code is 1 if something must be mended.

    \b
    Examples:
      ./onsale doctor
      ./onsale doctor --json
    """
    data = data.absolute()
    findings = list(examine({} if region else os.environ, find_folder(region, data) or data))
    failed = any(finding.state is State.FAIL for finding in findings)
    if as_json:
        document = {"ok": not failed, "findings": findings}
        click.echo(msgspec.json.encode(document).decode())
    else:
        Console().print(_table(findings))
    sys.exit(1 if failed else 0)


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "what", "seen", "what to do"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        table.add_row(
            Text(finding.state, style=_STYLES[finding.state]),
            Text(finding.subject),
            Text(finding.seen),
            Text(finding.remedy),
        )
    return table
