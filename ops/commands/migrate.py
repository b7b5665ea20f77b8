"""`./onsale migrate`."""

import os

import click

from engine.platform.settings import variable
from ops.migrating import migrate_database
from ops.region_option import region_option
from ops.running import find_settings


@click.command()
@region_option
def command(*, region: str | None) -> None:
    r"""Bring the database's tables up to date.

    `./onsale up` does it by itself; this is for servers of your own, before their new version.
    Needs ONSALE_DATABASE_URL of a log-in that may create roles, or a running stack.

    \b
    Examples:
      ./onsale migrate
      ONSALE_DATABASE_URL=postgresql://me@db/onsale ./onsale migrate
    """
    given = None if region else os.environ.get(variable("database_url"))
    migrate_database(given or find_settings(region=region).database_url)
    click.echo("the database's tables are up to date")
