"""`./onsale reseal`: sensitive columns under other keys."""

import asyncio
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from engine.platform.database import create_engine
from engine.platform.resealing import (
    BusyError,
    add_data_keys,
    drop_data_keys,
    only_one,
    seal_cell_anew,
    seal_data_anew,
    wrap_anew,
)
from engine.platform.sealing import Sealer, SealError
from engine.platform.settings import OWNER_ROLE, Settings
from ops.running import find_settings

_FAILURES: Final = (SQLAlchemyError, OSError, TimeoutError)


@click.command(name="reseal")
@click.option(
    "--data", "with_data", is_flag=True, help="New data keys too: encrypt everything anew."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(*, with_data: bool, as_json: bool) -> None:
    r"""Wrap all data keys with the first of ONSALE_SEALING_KEYS.

    To rotate: put a new key behind the old one, and start all processes again; put it first, and
    start them again; run this; take the old one out. With --data every reseller gets a new data
    key, and what theirs had sealed is sealed with it. May be interrupted, run again, and run while
    everything else does.

    \b
    Examples:
      ./onsale reseal
      ./onsale reseal --data --json
    """
    settings = find_settings()
    try:
        done = asyncio.run(_reseal(settings, with_data=with_data))
    except (BusyError, SealError) as error:
        msg = f"not everything is resealed: {error}"
        raise click.ClickException(msg) from error
    except _FAILURES as error:
        msg = f"PostgreSQL can't be asked ({type(error).__name__}); `./onsale doctor` says more"
        raise click.ClickException(msg) from error
    if as_json:
        click.echo(msgspec.json.encode(done))
        return
    click.echo(f"sealing key {done['sealing_key']}: {done['data_keys_wrapped']} data keys wrapped")
    click.echo(f"{done['cell_texts']} texts of the cell sealed anew")
    if with_data:
        click.echo(
            f"{done['data_keys_added']} data keys made, {done['data_texts']} texts sealed anew, "
            f"{done['data_keys_dropped']} data keys dropped"
        )


async def _reseal(settings: Settings, *, with_data: bool) -> dict[str, Any]:
    sealer = Sealer(settings.list_sealing_keys(), settings.secret.encode())
    owner = create_engine(settings, OWNER_ROLE, connections_max=2)
    try:
        with Console(stderr=True).status("resealing") as status:

            def tell(what: str, count: int) -> None:
                status.update(f"resealing {what}: {count} done")

            async with only_one(owner):
                done: dict[str, Any] = {
                    "sealing_key": sealer.sealing_key,
                    "data_keys_wrapped": await wrap_anew(owner, sealer, tell),
                    "cell_texts": await seal_cell_anew(owner, sealer, tell),
                }
                if with_data:
                    done["data_keys_added"] = await add_data_keys(owner, sealer)
                    done["data_texts"] = await seal_data_anew(owner, sealer, tell)
                    done["data_keys_dropped"] = await drop_data_keys(owner)
        return done
    finally:
        await owner.dispose()
