"""`./onsale contract`: write the API's document, and say how it differs from what was released."""

import json
import sys
from typing import Any

import click

from ops.contract.comparing import Difference, Weight, compare, is_breaking, major_of
from ops.contract.files import DOCUMENT, RELEASED, made, read, write


@click.group(name="contract")
def command() -> None:
    r"""Write and compare the API's OpenAPI document.

    \b
    Examples:
      ./onsale contract write    write docs/openapi.json
      ./onsale contract check    say how it differs from the code, and from the last release
      ./onsale contract release  what is there now is what clients are promised
    """


@command.command(name="write")
def write_command() -> None:
    """Write docs/openapi.json."""
    write(DOCUMENT, made())
    click.echo(f"{DOCUMENT.name} is written.")


@command.command(name="check")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check_command(*, as_json: bool) -> None:
    """Say how the checked-in document differs from the code, and that from what was released.

    Exits with 1 if docs/openapi.json is not what the code says, or if something breaks clients that
    the major version does not tell of.
    """
    document = made()
    drifted = read(DOCUMENT) != document
    differences = compare(read(RELEASED), document)
    breaks = _breaks(document, differences)
    if as_json:
        told = [{"where": d.where, "what": d.what, "weight": d.weight} for d in differences]
        click.echo(json.dumps({"differs": drifted, "breaks": breaks, "differences": told}))
    else:
        _print(differences, drifted=drifted, breaks=breaks)
    sys.exit(1 if drifted or breaks else 0)


@command.command(name="release")
@click.option("--breaking", is_flag=True, help="Also if it breaks clients of the last release.")
def release_command(*, breaking: bool) -> None:
    """Promise clients what the code says now: write docs/openapi.released.json too."""
    document = made()
    if RELEASED.exists() and _breaks(document, compare(read(RELEASED), document)) and not breaking:
        msg = "it breaks clients of the last release; `./onsale contract check` says where"
        raise click.ClickException(msg)
    for path in (DOCUMENT, RELEASED):
        write(path, document)
    click.echo(f"Version {document['info']['version']} is released.")


def _breaks(document: dict[str, Any], differences: list[Difference]) -> bool:
    return is_breaking(differences) and major_of(document) <= major_of(read(RELEASED))


def _print(differences: list[Difference], *, drifted: bool, breaks: bool) -> None:
    for difference in differences:
        is_bad = difference.weight is Weight.BREAKING
        mark = click.style("BREAKS", fg="red") if is_bad else click.style("adds  ", fg="green")
        click.echo(f"  {mark}  {difference.where}: {difference.what}")
    if drifted:
        click.echo("docs/openapi.json is not what the code says: ./onsale contract write")
    if breaks:
        click.echo("This breaks clients of the last release, and the major version is the same.")
    if not drifted and not breaks:
        click.echo("The document is what the code says, and breaks nobody.")
