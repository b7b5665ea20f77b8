"""`./onsale rotate-signing-key`: another key signs OAuth access tokens."""

import asyncio

import click
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.database import create_engine
from engine.platform.sealing import Sealer
from engine.platform.settings import OWNER_ROLE, Settings
from engine.tenancy.signing import (
    PUBLISHED_BEFORE_S,
    add_signing_key,
    drop_other_keys,
    forget_old_keys,
)
from ops.running import find_settings


@click.command(name="rotate-signing-key")
@click.option(
    "--compromised",
    is_flag=True,
    help="Forget the old keys at once: every access token that there is ends within 20 seconds.",
)
def command(*, compromised: bool) -> None:
    r"""Make another key for signing OAuth access tokens.

    It is published at once and signs two minutes later; the old one stays published until the last
    token that it signed has run out. Works on the stack that runs here, or on the database that
    ONSALE_DATABASE_URL names, with its ONSALE_SECRET or ONSALE_SEALING_KEYS.

    \b
    Examples:
      ./onsale rotate-signing-key
      ./onsale rotate-signing-key --compromised
    """
    try:
        kid, dropped = asyncio.run(_rotate(find_settings(), compromised=compromised))
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        msg = f"PostgreSQL can't be asked ({type(error).__name__}); `./onsale doctor` says more"
        raise click.ClickException(msg) from error
    when = "now" if compromised else f"in {PUBLISHED_BEFORE_S} seconds"
    click.echo(f"key {kid} signs {when}; {dropped} old keys were forgotten")


async def _rotate(settings: Settings, *, compromised: bool) -> tuple[str, int]:
    sealer = Sealer(settings.list_sealing_keys(), settings.secret.encode())
    owner = create_engine(settings, OWNER_ROLE)
    try:
        async with owner.begin() as connection:
            kid = await add_signing_key(connection, sealer)
            if compromised:
                return kid, await drop_other_keys(connection, kid)
            return kid, await forget_old_keys(connection, sealer)
    finally:
        await owner.dispose()
