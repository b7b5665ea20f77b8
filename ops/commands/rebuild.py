"""`./onsale rebuild`: bring every show back that can't sell, as after a loss of Redis."""

import asyncio
import sys

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from ops.recovering import STORE_FAILURES, Rebuilt, rebuild_shows
from ops.region_option import region_option
from ops.running import find_settings
from ops.show_ids import tell_show_id


@click.command(name="rebuild")
@region_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def command(*, region: str | None, as_json: bool) -> None:
    r"""Recover every show that can't sell as it stands, from the ledger and what survives.

    Workers do the same by themselves; this does it at once, says how far it is, and exits with 1 if
    a show can't be brought back. It may run beside them.

    \b
    Examples:
      ./onsale rebuild
      ./onsale rebuild --json
    """
    settings = find_settings(region=region)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("recovering shows", total=None)

        def tell(done: int, of: int) -> None:
            bar.update(task, completed=done, total=of)

        try:
            rebuilt = asyncio.run(rebuild_shows(settings, tell))
        except STORE_FAILURES as error:
            msg = f"a store failed: {error!r}; `./onsale doctor` says more"
            raise click.ClickException(msg) from error
    _print(rebuilt, settings.region, as_json=as_json)
    if rebuilt.left:
        sys.exit(1)


def _print(rebuilt: Rebuilt, region: str, *, as_json: bool) -> None:
    left = {tell_show_id(show, region): reason for show, reason in rebuilt.left.items()}
    if as_json:
        click.echo(msgspec.json.encode(msgspec.structs.asdict(rebuilt) | {"left": left}))
        return
    click.echo(
        f"{rebuilt.shows} shows, of which {rebuilt.ailing} could not sell; {rebuilt.recovered} "
        f"recovered here in {rebuilt.took_s:g} s, {len(left)} left"
    )
    for show, reason in left.items():
        click.echo(f"  {show}  {reason}")
