"""`./onsale audit`: does what Redis sells agree with what PostgreSQL has recorded?"""

import asyncio
import sys

import click
import msgspec
from redis.exceptions import RedisError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.settings import Settings, SettingsError
from loadtests.auditor import AuditResult, UnknownShowError, audit
from loadtests.auditor.report import audit_as_json, open_console, print_audit
from ops.region_option import region_option
from ops.running import NotRunningError, find_settings
from ops.show_ids import parse_show_id


@click.command(name="audit")
@click.option("--show", "show_id", help="Audit this show only: its id, as the API writes it.")
@region_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def command(show_id: str | None, *, region: str | None, as_json: bool) -> None:
    r"""Compare both stores for every show, from outside the engine.

    Exits with 1 if anything is wrong and prints the offending rows; docs/AUDIT.md says what each
    check means. It only reads, and may run while tickets are being sold.

    \b
    Examples:
      ./onsale audit
      ./onsale audit --show shw_dev_0123456789abcdef
      ./onsale audit --json
    """
    try:
        settings = find_settings(region=region)
    except (NotRunningError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    result = _run(settings, None if show_id is None else parse_show_id(show_id, "--show"))
    console = open_console(stderr=as_json)
    print_audit(result, settings.region, console)
    if as_json:
        click.echo(msgspec.json.encode(audit_as_json(result, settings.region)))
    if not result.is_clean:
        sys.exit(1)


def _run(settings: Settings, show: int | None) -> AuditResult:
    console = Console(stderr=True)
    try:
        with console.status("auditing") as status:

            def tell(done: int) -> None:
                status.update(f"auditing: {done} shows read")

            return asyncio.run(audit(settings, show=show, progress=tell))
    except UnknownShowError as error:
        msg = f"no show {show:016x} in the ledger"
        raise click.ClickException(msg) from error
    except (RedisError, SQLAlchemyError, OSError) as error:
        msg = f"a store can't be read: {error}"
        raise click.ClickException(msg) from error
