"""`./onsale import`."""

import asyncio
import sys
from pathlib import Path
from typing import Final

import click
import msgspec
from sqlalchemy.exc import SQLAlchemyError

from engine.catalog.sheets.show_import import ShowImport, ShowsImported
from engine.platform.ids import EntityId, IdError, Ids, Prefix
from engine.platform.settings import Settings
from engine.runtime import open_serving
from ops.region_option import region_option
from ops.running import find_settings

_XLSX: Final = ".xlsx"
_FAILURES: Final = (SQLAlchemyError, OSError, TimeoutError)


@click.group(name="import")
def command() -> None:
    r"""Import spreadsheets, all of one or nothing: docs/SPREADSHEETS.md.

    \b
    Examples:
      ./onsale import shows docs/samples/shows.csv --reseller rsl_dev_0123456789abcdef --dry-run
    """


@command.command(name="shows")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reseller", required=True, help="Whose shows they become.")
@click.option("--dry-run", is_flag=True, help="Make nothing, say what is wrong.")
@region_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_shows(
    file: Path, reseller: str, *, dry_run: bool, region: str | None, as_json: bool
) -> None:
    """Make a show of every line of FILE (CSV, or XLSX by its name).

    Exits with 1 if anything is wrong; then nothing is made.
    """
    settings = find_settings(region=region)
    ids = Ids(settings.region, settings.secret.encode())
    try:
        number = ids.parse_entity(Prefix.RESELLER, reseller)
    except IdError as error:
        raise click.BadParameter(str(error), param_hint="--reseller") from error
    try:
        imported = asyncio.run(_import(settings, number, file, dry_run=dry_run))
    except _FAILURES as error:
        msg = f"PostgreSQL can't be asked ({type(error).__name__}); `./onsale doctor` says more"
        raise click.ClickException(msg) from error
    shows = [(one.line, ids.entity(Prefix.SHOW, one.show)) for one in imported.made]
    if as_json:
        told = {"dry_run": dry_run, "lines": imported.lines, "problems": imported.problems}
        click.echo(msgspec.json.encode(told | {"shows": shows}))
    else:
        _tell(imported, shows)
    if imported.problems:
        sys.exit(1)


async def _import(
    settings: Settings, reseller: EntityId, file: Path, *, dry_run: bool
) -> ShowsImported:
    async with open_serving(settings) as serving:
        importing = ShowImport(
            app=serving.app_engine,
            redis=serving.redis,
            ids=serving.ids,
            reseller=reseller,
            dry_run=dry_run,
        )
        content = await asyncio.to_thread(file.read_bytes)
        return await importing.run(content, is_xlsx=file.suffix.lower() == _XLSX)


def _tell(imported: ShowsImported, shows: list[tuple[int, str]]) -> None:
    for problem in imported.problems:
        where = f"line {problem.line}" + (f", {problem.column}" if problem.column else "")
        click.echo(f"{where}: {problem.reason}")
    if imported.more_problems:
        click.echo(f"and {imported.more_problems} more")
    for line, show in shows:
        click.echo(f"line {line}: {show}")
    what = "nothing was imported" if imported.problems else f"{len(shows)} shows made"
    click.echo(f"{imported.lines} lines, {what}", err=True)
