"""`./onsale lock`."""

import os
import subprocess
import sys

import click

from ops.places import ROOT

_COMPILE = (
    *("pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-emit-index-url"),
    *("--no-header", "--python-version", "3.11", "pyproject.toml"),
)
_DEV = ("--group", "dev", "--group", "loadtests", "-c", "requirements/runtime.txt")
_TIMEOUT_S = 600


@click.command()
@click.option("--upgrade", is_flag=True, help="Take the newest versions that fit.")
def command(*, upgrade: bool) -> None:
    r"""Pin what pyproject.toml asks for, with hashes, into requirements/.

    \b
    Examples:
      ./onsale lock            after a change of pyproject.toml
      ./onsale lock --upgrade  to bring all packages up to date
    """
    uv = os.environ.get("ONSALE_UV") or "uv"
    newest = ("--upgrade",) if upgrade else ()
    for name, options in (("runtime", ()), ("dev", _DEV)):
        target = f"requirements/{name}.txt"
        click.echo(f"pinning {target}", err=True)
        words = [uv, *_COMPILE, *options, *newest, "-o", target]
        done = subprocess.run(words, cwd=ROOT, check=False, timeout=_TIMEOUT_S)  # noqa: S603 -- uv
        if done.returncode != 0:
            sys.exit(done.returncode)
