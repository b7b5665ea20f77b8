"""`./onsale reseller`: a new reseller and its first API key."""

import asyncio

import click
import msgspec
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.ids import Ids, Prefix
from ops.region_option import region_option
from ops.resellers import make_reseller
from ops.running import find_settings

_NAME_MAX = 200


@click.command(name="reseller")
@click.argument("name")
@region_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(name: str, *, region: str | None, as_json: bool) -> None:
    r"""Make a reseller and print its first API key.

    The key is shown this once: only its hash is stored. Works on the stack that runs here, or on
    the servers that ONSALE_REDIS_URL and ONSALE_DATABASE_URL name.

    \b
    Examples:
      ./onsale reseller "Erfurt Tickets"
      ./onsale reseller "Erfurt Tickets" --json
    """
    name = name.strip()
    if not 1 <= len(name) <= _NAME_MAX or not name.isprintable():
        msg = f"1 to {_NAME_MAX} printable characters"
        raise click.BadParameter(msg, param_hint="NAME")
    try:
        settings = find_settings(region=region)
        issued = asyncio.run(make_reseller(settings, name))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        msg = f"PostgreSQL can't be asked ({type(error).__name__}); `./onsale doctor` says more"
        raise click.ClickException(msg) from error
    ids = Ids(settings.region, settings.secret.encode())
    reseller = ids.entity(Prefix.RESELLER, issued.reseller)
    if as_json:
        click.echo(msgspec.json.encode({"reseller": reseller, "name": name, "key": issued.text}))
    else:
        click.echo(f"reseller  {reseller}\nAPI key   {issued.text}")
