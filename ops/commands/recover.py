"""`./onsale recover`: bring one show back by hand."""

import asyncio

import click
import msgspec

from engine.inventory.rebuild import ContradictionError
from ops.recovering import STORE_FAILURES, BusyError, NotOnSaleError, recover_show
from ops.region_option import region_option
from ops.running import find_settings
from ops.show_ids import parse_show_id, tell_show_id


@click.command(name="recover")
@click.argument("show")
@region_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(show: str, *, region: str | None, as_json: bool) -> None:
    r"""Recover a show, whether it needs it or not.

    Workers recover a show by themselves within a second of the server's return; this is for when
    you want to be sure, or to see it happen. Buyers hear `show-recovering` for the moment that it
    takes; confirmed sales stay sold, and live holds stay held, with their deadline put off.

    \b
    Examples:
      ./onsale recover shw_dev_0123456789abcdef
      ./onsale recover 0123456789abcdef --json
    """
    settings, number = find_settings(region=region), parse_show_id(show, "SHOW")
    try:
        recovered = asyncio.run(recover_show(settings, number))
    except (NotOnSaleError, BusyError, ContradictionError) as error:
        raise click.ClickException(str(error)) from error
    except STORE_FAILURES as error:
        msg = (
            f"a store failed: {error!r}; `./onsale doctor` says more. Once it is back, workers "
            "recover the show, or call this again"
        )
        raise click.ClickException(msg) from error
    told = {"show": tell_show_id(number, settings.region)} | msgspec.structs.asdict(recovered)
    if as_json:
        click.echo(msgspec.json.encode(told))
        return
    for name, value in told.items():
        click.echo(f"{name.replace('_', ' '):14} {value}")
