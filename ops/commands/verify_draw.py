"""`./onsale verify-draw`: recompute a waiting room's draw from what was published of it."""

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from engine.waitingroom.draw import Draw
from ops.draw_document import (
    Check,
    DocumentError,
    Drawn,
    check_digest,
    check_origin,
    open_draw,
    plain,
    read_document,
    tell_trust,
    wrong_lines,
)

_WRONG_LINES_MAX: Final = 20


class Verdict(msgspec.Struct, frozen=True):
    """What came of it."""

    ok: bool
    show: str
    count: int
    checks: list[Check]
    places: dict[str, int]
    """Of the entries that were asked for, by their number."""
    wrong_lines: list[str]
    """Those of the places' file, up to 20."""
    trust: str


@click.command(name="verify-draw")
@click.argument("where", metavar="ADDRESS_OR_FILE")
@click.option("--entry", "entries", type=int, multiple=True, help="Tell this entry's place.")
@click.option("--all", "every", is_flag=True, help="Recompute all places (so it is by default).")
@click.option(
    "--places",
    "places_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with this file's lines `entry,place`.",
)
@click.option("--commitment", "noted", help="The commitment that you noted before the draw.")
@click.option("--beacon", "fetched", help="The beacon's value, as you fetched it yourself.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(  # noqa: PLR0913 -- one for each option
    where: str,
    entries: Sequence[int],
    places_path: Path | None,
    noted: str | None,
    fetched: str | None,
    *,
    every: bool,
    as_json: bool,
) -> None:
    r"""Recompute a waiting room's draw from what was published of it.

    Checks the commitment, how the key was derived, and the digest of all places. With --entry alone
    only those places are recomputed, unless --all is given too. Exits with 0 only if all is right.
    docs/DRAW.md says what that proves, and how to check it without this program.

    \b
    Examples:
      ./onsale verify-draw https://tickets.example/v1/shows/shw_dev_0123456789abcdef/queue/draw
      ./onsale verify-draw draw.json --entry 17 --entry 4711
      ./onsale verify-draw draw.json --places places.csv --json
      ./onsale verify-draw draw.json --commitment 9f86d0... --beacon fe290b...
    """
    try:
        drawn = open_draw(read_document(where))
    except DocumentError as error:
        raise click.ClickException(plain(str(error))) from error
    places = _places(drawn, entries)
    checks = list(check_origin(drawn, noted, fetched))
    console = Console(stderr=True)
    if every or not entries:
        checks.append(_check_digest(drawn, console))
    wrong: list[str] = []
    if places_path is not None:
        checks.append(_compare(drawn, places_path, wrong, console))
    ok = all(check.ok for check in checks)
    verdict = Verdict(
        ok, drawn.document.show, drawn.count, checks, places, wrong, tell_trust(drawn)
    )
    if as_json:
        click.echo(msgspec.json.encode(verdict))
    else:
        _print(verdict)
    sys.exit(0 if ok else 1)


def _places(drawn: Drawn, entries: Sequence[int]) -> dict[str, int]:
    draw = Draw(drawn.key, drawn.count)
    try:
        return {str(entry): draw.place(entry) for entry in entries}
    except IndexError as error:
        raise click.BadParameter(str(error), param_hint="--entry") from error


def _check_digest(drawn: Drawn, console: Console) -> Check:
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("recomputing all places", total=drawn.count)
        return check_digest(drawn, lambda done: progress.update(task, completed=done))


def _compare(drawn: Drawn, path: Path, wrong: list[str], console: Console) -> Check:
    """Compare a file's lines; those that are wrong are added to a list until it is full."""
    with (
        path.open(encoding="utf-8", errors="replace") as file,
        Progress(console=console, transient=True) as progress,
    ):
        lines = progress.track(file, total=None, description="comparing places")
        differing = wrong_lines(drawn, lines)
        wrong += [f"line {number}: {told}" for number, told in islice(differing, _WRONG_LINES_MAX)]
        many = len(wrong) + sum(1 for _ in differing)
    told = f"{many} lines of {path.name} differ" if many else f"all lines of {path.name} agree"
    return Check(name="places", ok=not many, told=told)


def _print(verdict: Verdict) -> None:
    _say(f"The draw of {verdict.show}: {verdict.count} entries")
    for check in verdict.checks:
        mark = click.style("ok   ", fg="green") if check.ok else click.style("WRONG", fg="red")
        click.echo(f"  {mark}  ", nl=False)
        _say(f"{check.name:<16}  {check.told}")
    for line in verdict.wrong_lines:
        _say(f"         {line}")
    for entry, place in verdict.places.items():
        _say(f"  entry {entry} has place {place}: {place} are before it")
    _say(verdict.trust)
    _say("All is right." if verdict.ok else "Something is WRONG: see above.")


def _say(text: str) -> None:
    """Print a line that has words of a document in it, which must not steer the terminal."""
    click.echo(plain(text))
