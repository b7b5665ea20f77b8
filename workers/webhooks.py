"""Tells resellers' endpoints of facts. Any number of workers may: each endpoint has one of them."""

from typing import Any

import structlog

from engine.notify.courier import Tools, system_clock
from engine.notify.dispatch import Dispatcher
from engine.notify.pruning import prune_deliveries
from engine.notify.schedule import Dice
from engine.notify.sending import Sender
from engine.notify.slots import Bounds, Slots
from engine.platform.ids import Ids
from engine.runtime import Working

_log = structlog.stdlib.get_logger(__name__)


async def run_webhooks(working: Working) -> None:
    """Tell until cancelled. A store that fails ends it; whoever started it starts it again."""
    settings = working.settings
    sender = Sender(private=settings.webhook_private == "on")
    tools = Tools(
        engine=working.webhook_engine,
        ids=Ids(settings.region, settings.secret.encode()),
        sealer=working.sealer,
        sender=sender,
        slots=Slots(Bounds()),
        clock=system_clock,
        dice=Dice(),
    )
    try:
        await Dispatcher(tools).run()
    finally:
        await sender.close()


async def forget_old_deliveries(ctx: dict[str, Any]) -> int:
    """Forget deliveries and attempts of a month ago; return how many. A job of ARQ's."""
    working: Working = ctx["working"]
    forgotten = await prune_deliveries(working.webhook_engine, system_clock())
    _log.info("deliveries forgotten", count=forgotten)
    return forgotten
