"""Where `./onsale spike` plays: at a platform of its own, or a deployment that runs already."""

import asyncio
import os
from typing import Final

import click
from msgspec import Struct, convert, to_builtins

from engine.platform.settings import Settings, load_settings, variable
from loadtests.buyers.queue_setup import open_queue, read_queue
from loadtests.buyers.show_setup import put_on_sale
from loadtests.spike.processes import share_out
from loadtests.spike.queue_watch import QueueRules
from loadtests.spike.venue import Venue
from ops.resellers import make_reseller
from ops.running import list_running
from ops.stack import Stack

NOT_AUDITED: Final = (
    "the stores behind --host can't be audited from here: set ONSALE_REDIS_URL, "
    "ONSALE_DATABASE_URL and ONSALE_SECRET to theirs, or say --no-audit"
)
_VISITORS_A_PASS: Final = 10
_CHECKOUT_S: Final = 3
_PASS_TTL_S: Final = 60
# All visitors come from this machine's one address.
JOIN_LIMITS: Final = {variable("join_rate_max"): "60000", variable("join_burst"): "20000"} | {
    variable("address_rate_max"): "1000000"
}
_COMMAND: Final = "command"


class Elsewhere(Struct, frozen=True):
    """A deployment that runs already."""

    base_url: str
    api_key: str
    show: str
    settings: Settings | None


def rules_for(users: int) -> QueueRules:
    """Return rules by which visitors wait a while, and fill the checkout sooner or later."""
    rate = max(1.0, users / _VISITORS_A_PASS)
    return QueueRules(rate, 2 * rate, max(2, int(_CHECKOUT_S * rate)))


async def open_show(stack: Stack, plan: bytes, queue: QueueRules | None) -> Venue:
    """Put a show on sale on a platform of our own, behind a waiting room if it has rules."""
    issued = await make_reseller(stack.settings, "Spike tickets")
    show = await put_on_sale(stack.base_url, issued.text, plan)
    if queue is not None:
        rules = to_builtins(queue) | {"pass_ttl_s": _PASS_TTL_S}
        await open_queue(stack.base_url, issued.text, show, rules)
    return Venue(
        queue=queue,
        base_url=stack.base_url,
        api_key=issued.text,
        show=show,
        parts=lambda: _processes(stack),
    )


def _processes(stack: Stack) -> dict[str, list[int]]:
    """Return the platform's processes by part, and ours: the generator's, and this command's."""
    roots = {child.name: child.pid for child in stack.children}
    parts = share_out(roots | {_COMMAND: os.getpid()})
    command, *generator = parts.pop(_COMMAND)
    return parts | {"generator": generator, _COMMAND: [command]}


def visit(elsewhere: Elsewhere, *, queued: bool) -> Venue:
    """Return the deployment as a venue, with the waiting room that its show has, if one is wanted.

    Raises:
        RefusedShowError: it has none.
        aiohttp.ClientError: the API can't be reached.
    """
    queue: QueueRules | None = None
    if queued:
        told = asyncio.run(read_queue(elsewhere.base_url, elsewhere.api_key, elsewhere.show))
        queue = convert(told, QueueRules)
    return Venue(
        queue=queue,
        base_url=elsewhere.base_url,
        api_key=elsewhere.api_key,
        show=elsewhere.show,
        parts=dict,
    )


def find_elsewhere(host: str, api_key: str | None, show: str | None, *, audited: bool) -> Elsewhere:
    """Return the deployment that `--host` and its fellows name.

    Raises:
        click.UsageError: the key or the show is missing, or its stores can't be found.
    """
    if not api_key or not show:
        msg = "--host needs --api-key and --show"
        raise click.UsageError(msg)
    base_url = host.rstrip("/")
    return Elsewhere(base_url, api_key, show, _settings_of(base_url) if audited else None)


def _settings_of(base_url: str) -> Settings:
    """Return the settings of the deployment at this address: the environment's, or our `up`'s."""
    if os.environ.get(variable("redis_url")) and os.environ.get(variable("database_url")):
        return load_settings(os.environ)
    running = next((one for one in list_running().values() if one.base_url == base_url), None)
    if running is None:
        raise click.UsageError(NOT_AUDITED)
    return load_settings(running.environment)
