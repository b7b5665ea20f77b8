"""`./onsale reseller`: who sells on this cell: make, list, approve, suspend, and their mails."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import click
import msgspec
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.ids import EntityId, IdError, Ids, Prefix
from engine.platform.settings import Settings
from engine.tenancy.accounts import Status
from ops.resellers import change_status, list_mails, list_resellers, make_reseller
from ops.running import find_settings

_NAME_MAX: Final = 200
_HELP: Final = ("-h", "--help")

T = TypeVar("T")


class CreatesByName(click.Group):
    """Takes a name where a command could stand: `./onsale reseller NAME` creates one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `create` in front of what is no command."""
        if args and args[0] not in self.commands and args[0] not in _HELP:
            args = ["create", *args]
        return super().parse_args(ctx, args)


@click.group(name="reseller", cls=CreatesByName)
def command() -> None:
    r"""Make, list, approve and suspend resellers, and read the mails to their people.

    Works on the stack that runs here, or on the servers that ONSALE_REDIS_URL and
    ONSALE_DATABASE_URL name.

    \b
    Examples:
      ./onsale reseller "Erfurt Tickets"         the same as `create "Erfurt Tickets"`
      ./onsale reseller list --status pending    who waits for approval
      ./onsale reseller approve rsl_eu_0123456789abcdef
      ./onsale reseller mails                    links that would be mailed
    """


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create(name: str, *, as_json: bool) -> None:
    """Make an approved reseller and print its first API key.

    The key is shown this once: only its hash is stored.
    """
    name = name.strip()
    if not 1 <= len(name) <= _NAME_MAX or not name.isprintable():
        msg = f"1 to {_NAME_MAX} printable characters"
        raise click.BadParameter(msg, param_hint="NAME")
    settings = find_settings()
    issued = _run(make_reseller(settings, name))
    reseller = _ids(settings).entity(Prefix.RESELLER, issued.reseller)
    if as_json:
        click.echo(msgspec.json.encode({"reseller": reseller, "name": name, "key": issued.text}))
    else:
        click.echo(f"reseller  {reseller}\nAPI key   {issued.text}")


@command.command(name="list")
@click.option("--status", type=click.Choice([one.value for one in Status]), help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def list_all(status: str | None, *, as_json: bool) -> None:
    """List live resellers, the newest first."""
    settings = find_settings()
    ids = _ids(settings)
    for one in _run(list_resellers(settings, None if status is None else Status(status))):
        reseller = ids.entity(Prefix.RESELLER, one.reseller)
        if as_json:
            told = {**msgspec.structs.asdict(one), "reseller": reseller}
            click.echo(msgspec.json.encode(told))
        else:
            owner = "" if one.country is None or one.has_owner else "  (owner not confirmed)"
            click.echo(
                f"{reseller}  {one.status:9}  {one.created_at:%Y-%m-%d}  {one.country or '--'}  "
                f"{one.name}{owner}"
            )


@command.command()
@click.argument("reseller")
def approve(reseller: str) -> None:
    """Let a reseller have live keys; a suspended one and its sandbox work again."""
    _set(reseller, Status.APPROVED)


@command.command()
@click.argument("reseller")
def suspend(reseller: str) -> None:
    """Stop a reseller and its sandbox: no key, token or session of theirs works after 30 s."""
    _set(reseller, Status.SUSPENDED)


@command.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def mails(limit: int, *, as_json: bool) -> None:
    """Print the newest mails that are still to be sent: nothing sends them yet."""
    settings = find_settings()
    ids = _ids(settings)
    for mail in _run(list_mails(settings, limit)):
        reseller = ids.entity(Prefix.RESELLER, mail.reseller)
        if as_json:
            told = {**msgspec.structs.asdict(mail), "reseller": reseller, "id": f"{mail.id:016x}"}
            click.echo(msgspec.json.encode(told))
        else:
            click.echo(
                f"-- {mail.created_at:%Y-%m-%d %H:%M:%S} {mail.kind} of {reseller}\n"
                f"To: {mail.address}\n\n{mail.text}"
            )


def _set(text: str, status: Status) -> None:
    settings = find_settings()
    try:
        reseller: EntityId = _ids(settings).parse_entity(Prefix.RESELLER, text)
    except IdError as error:
        raise click.BadParameter(str(error), param_hint="RESELLER") from error
    if not _run(change_status(settings, reseller, status)):
        msg = f"there is no live reseller {text}"
        raise click.ClickException(msg)
    click.echo(f"{text} is {status.value}; every process knows it within 30 s")


def _ids(settings: Settings) -> Ids:
    return Ids(settings.region, settings.secret.encode())


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        msg = f"PostgreSQL can't be asked ({type(error).__name__}); `./onsale doctor` says more"
        raise click.ClickException(msg) from error
