"""`./onsale serve`: the API alone, on servers of one's own."""

import os

import click

from engine.platform.settings import load_settings
from ops.serving import serve_command


@click.command(name="serve")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="API processes, one for each core. Left out: ONSALE_API_WORKERS, or 1.",
)
@click.option("--host", help="The address to listen on. Left out: ONSALE_HOST, or 127.0.0.1.")
def command(host: str | None, workers: int | None) -> None:
    r"""Serve the API on the servers that the ONSALE_* variables name, and nothing else.

    `up` is the command for a machine of one's own; this one is for containers and process managers.

    \b
    Examples:
      ONSALE_REDIS_URL=... ONSALE_DATABASE_URL=... ONSALE_SECRET=... ./onsale serve
      ./onsale serve --host 0.0.0.0 --workers 4
    """
    settings = load_settings(os.environ)
    words = serve_command(host or settings.host, settings.port, workers or settings.api_workers)
    os.execv(words[0], words)  # noqa: S606 - the server takes our place
