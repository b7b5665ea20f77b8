"""`./onsale audit`: does what Redis sells agree with what PostgreSQL has recorded?"""

import asyncio
import re
import sys

import click
import msgspec
from redis.exceptions import RedisError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.settings import Settings, SettingsError
from loadtests.auditor import AuditResult, UnknownShowError, audit
from loadtests.auditor.report import audit_as_json, open_console, print_audit
from ops.running import NotRunningError, find_settings

_SHOW = re.compile(r"(?:shw_[a-z0-9]+_)?([0-9a-f]{16})")


@click.command(name="audit")
@click.option("--show", "show_id", help="Audit this show only: its id, as the API writes it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def command(show_id: str | None, *, as_json: bool) -> None:
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
        settings = find_settings()
    except (NotRunningError, SettingsError) as error:
        raise click.ClickException(str(error)) from error
    result = _run(settings, _parse(show_id))
    console = open_console(stderr=as_json)
    print_audit(result, settings.region, console)
    if as_json:
        click.echo(msgspec.json.encode(audit_as_json(result, settings.region)))
    if not result.is_clean:
        sys.exit(1)


def _parse(show_id: str | None) -> int | None:
    if show_id is None:
        return None
    match = _SHOW.fullmatch(show_id)
    if match is None:
        msg = f"{show_id!r} is not a show's id, such as shw_dev_0123456789abcdef"
        raise click.BadParameter(msg, param_hint="--show")
    return int(match[1], 16)


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
