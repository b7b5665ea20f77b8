"""`./onsale trail`: is the audit trail what was written, and what does it tell?"""

import asyncio
import re
import sys
from typing import Any, Final

import click
import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.ids import EntityId
from engine.platform.settings import Settings
from engine.tenancy.trail import Anchor, Broken, Sound, TrailEntry, TrailFilter
from ops.running import find_settings
from ops.trails import read_entries, verify_trails

_FAILURES: Final = (SQLAlchemyError, OSError, TimeoutError)
_RESELLER: Final = re.compile(r"(?:rsl_[a-z0-9]+_)?([0-9a-f]{16})")
_ANCHOR: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_WIDTH_OF_FILES: Final = 200


@click.group(name="trail")
def command() -> None:
    r"""Verify and read the audit trail: every change, by whom, when, and from where.

    \b
    Examples:
      ./onsale trail verify
      ./onsale trail show rsl_dev_0123456789abcdef --last 50
    """


@command.command()
@click.argument("resellers", nargs=-1)
@click.option("--expect", help="NO:HASH of an entry as it was written down elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(resellers: tuple[str, ...], expect: str | None, *, as_json: bool) -> None:
    r"""Recompute every chain, or those of the resellers named.

    Exits with 1 if one is not what was written, and names the first entry that does not fit. That
    a whole chain was made anew shows only by --expect: keep the number and hash that this prints
    somewhere else.

    \b
    Examples:
      ./onsale trail verify
      ./onsale trail verify rsl_dev_0123456789abcdef --expect 17:9f86d081...
    """
    if expect is not None and len(resellers) != 1:
        msg = "--expect goes with one reseller"
        raise click.UsageError(msg)
    anchor = None if expect is None else _parse_anchor(expect)
    settings = find_settings()
    named = [_parse_reseller(text) for text in resellers]
    try:
        verdicts = asyncio.run(verify_trails(settings, named, anchor))
    except _FAILURES as error:
        raise _unreachable(error) from error
    if as_json:
        told = [_tell_verdict(verdict, settings) for verdict in verdicts]
        click.echo(msgspec.json.encode({"chains": told}))
    else:
        for verdict in verdicts:
            click.echo(_line(verdict, settings))
        if not verdicts:
            click.echo("no chains")
    if any(isinstance(verdict, Broken) for verdict in verdicts):
        sys.exit(1)


@command.command()
@click.argument("reseller")
@click.option(
    "--last", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many."
)
@click.option("--key", help="Of one object: its key as the trail writes it, such as 16 hex digits.")
@click.option("--actor", help="Of one actor, or of an id in it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(reseller: str, last: int, key: str | None, actor: str | None, *, as_json: bool) -> None:
    r"""List a reseller's last entries, the newest first.

    \b
    Examples:
      ./onsale trail show rsl_dev_0123456789abcdef
      ./onsale trail show 0123456789abcdef --actor command:root --json
    """
    settings = find_settings()
    wanted = TrailFilter(key=key, actor=actor)
    try:
        entries = asyncio.run(read_entries(settings, _parse_reseller(reseller), wanted, last))
    except _FAILURES as error:
        raise _unreachable(error) from error
    if as_json:
        told = [entry.content() | {"hash": entry.hash.hex()} for entry in entries]
        click.echo(msgspec.json.encode({"entries": told}))
    elif not entries:
        click.echo("no entries")
    else:
        _print(entries)


def _parse_reseller(text: str) -> EntityId:
    match = _RESELLER.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not a reseller's id, such as rsl_dev_0123456789abcdef"
        raise click.BadParameter(msg, param_hint="RESELLER")
    return EntityId(int(match[1], 16))


def _parse_anchor(text: str) -> Anchor:
    match = _ANCHOR.fullmatch(text)
    if match is None:
        msg = "a number and 64 hex digits with a colon between them"
        raise click.BadParameter(msg, param_hint="--expect")
    return Anchor(int(match[1]), bytes.fromhex(match[2]))


def _unreachable(error: BaseException) -> click.ClickException:
    return click.ClickException(
        f"PostgreSQL can't be asked ({type(error).__name__}); `./onsale doctor` says more"
    )


def _tell_verdict(verdict: Sound | Broken, settings: Settings) -> dict[str, Any]:
    told = {"reseller": _tell_reseller(verdict, settings), "no": verdict.no}
    if isinstance(verdict, Broken):
        return told | {"sound": False, "reason": verdict.reason}
    return told | {"sound": True, "hash": verdict.hash.hex()}


def _line(verdict: Sound | Broken, settings: Settings) -> str:
    reseller = _tell_reseller(verdict, settings)
    if isinstance(verdict, Broken):
        return f"{reseller}  BROKEN at entry {verdict.no}: {verdict.reason}"
    return f"{reseller}  sound  {verdict.no}:{verdict.hash.hex()}"


def _tell_reseller(verdict: Sound | Broken, settings: Settings) -> str:
    return f"rsl_{settings.region}_{verdict.reseller:016x}"


def _print(entries: list[TrailEntry]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH_OF_FILES)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("no", "at", "actor", "address", "what", "object", "before", "after"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        values = (entry.actor, entry.address, entry.action, f"{entry.table} {entry.key}")
        changed = (_brief(entry.before), _brief(entry.after))
        table.add_row(
            str(entry.no), f"{entry.at:%Y-%m-%d %H:%M:%S}", *map(escape, (*values, *changed))
        )
    console.print(table)


def _brief(columns: dict[str, Any] | None) -> str:
    return "" if columns is None else ", ".join(f"{n}={v}" for n, v in sorted(columns.items()))
