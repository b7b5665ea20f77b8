"""`./onsale import`."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import click
import msgspec
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError

from engine.catalog.sheets.importing import Imported, SheetKind, import_sheet
from engine.catalog.sheets.price_import import PriceImport
from engine.catalog.sheets.show_import import ShowImport
from engine.platform.ids import EntityId, IdError, Ids, Prefix
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
      ./onsale import prices docs/samples/prices.csv --reseller rsl_dev_0123456789abcdef
    """


def _options(run: Callable[..., None]) -> Callable[..., None]:
    """Take what every import takes."""
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        region_option,
        click.option("--dry-run", is_flag=True, help="Write nothing, say what is wrong."),
        click.option("--reseller", required=True, help="Whose it is."),
        click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path)),
    ):
        run = decorate(run)
    return run


class _Asked(Struct, frozen=True, kw_only=True):
    """What was asked for, whatever the sheet is of."""

    file: Path
    reseller: str
    region: str | None
    dry_run: bool
    as_json: bool


class _OfShow(Protocol):
    """What was done by a line, or by some of one show."""

    @property
    def line(self) -> int:
        """Return which, or the first."""
        ...

    @property
    def show(self) -> EntityId:
        """Return which show."""
        ...


@command.command(name="shows")
@_options
def import_shows(**asked: Any) -> None:  # noqa: ANN401 - click's
    """Make a show of every line of FILE (CSV, or XLSX by its name).

    Exits with 1 if anything is wrong; then nothing is made.
    """
    _run(ShowImport, _Asked(**asked), "shows made")


@command.command(name="prices")
@_options
def import_prices(**asked: Any) -> None:  # noqa: ANN401 - click's
    """Change the prices of shows by FILE (CSV, or XLSX by its name), and their price steps.

    Exits with 1 if anything is wrong; then nothing is changed.
    """
    _run(PriceImport, _Asked(**asked), "shows changed")


def _run(kind: Callable[..., SheetKind[Any, _OfShow]], asked: _Asked, done: str) -> None:
    settings = find_settings(region=asked.region)
    ids = Ids(settings.region, settings.secret.encode())
    try:
        number = ids.parse_entity(Prefix.RESELLER, asked.reseller)
    except IdError as error:
        raise click.BadParameter(str(error), param_hint="--reseller") from error

    async def run() -> Imported[_OfShow]:
        async with open_serving(settings) as serving:
            content = await asyncio.to_thread(asked.file.read_bytes)
            is_xlsx = asked.file.suffix.lower() == _XLSX
            importing = kind(
                app=serving.app_engine,
                redis=serving.redis,
                ids=serving.ids,
                reseller=number,
                dry_run=asked.dry_run,
            )
            return await import_sheet(importing, content, is_xlsx=is_xlsx)

    try:
        imported = asyncio.run(run())
    except _FAILURES as error:
        msg = f"PostgreSQL can't be asked ({type(error).__name__}); `./onsale doctor` says more"
        raise click.ClickException(msg) from error
    shows = [(one.line, ids.entity(Prefix.SHOW, one.show)) for one in imported.done]
    if asked.as_json:
        told = {"dry_run": asked.dry_run, "lines": imported.lines, "problems": imported.problems}
        click.echo(msgspec.json.encode(told | {"shows": shows}))
    else:
        _tell(imported, shows, done)
    if imported.problems:
        sys.exit(1)


def _tell(imported: Imported[_OfShow], shows: list[tuple[int, str]], done: str) -> None:
    for problem in imported.problems:
        where = f"line {problem.line}" + (f", {problem.column}" if problem.column else "")
        click.echo(f"{where}: {problem.reason}")
    if imported.more_problems:
        click.echo(f"and {imported.more_problems} more")
    for line, show in shows:
        click.echo(f"line {line}: {show}")
    what = "nothing was imported" if imported.problems else f"{len(shows)} {done}"
    click.echo(f"{imported.lines} lines, {what}", err=True)
