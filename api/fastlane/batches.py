"""Many commands in one request; documented with its route in `api.batches`."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, Final

from api.batches import BatchBody, HoldCommand, PurchaseCommand, ReleaseCommand
from api.credentials import check_scope
from api.fastlane.admission import admitted_ttls_ms
from api.fastlane.call import Call
from api.fastlane.failures import reply_failure
from api.fastlane.holds import ask_hold, tell_new_hold, tell_release
from api.fastlane.purchases import ask_purchase, tell_purchase
from api.fastlane.replies import Reply
from engine.inventory.shows import Show
from engine.sales.asking import Asked
from engine.tenancy.principals import Scope

BATCH_BYTES_MAX: Final = 512 * 1024

_Telling = Coroutine[Any, Any, Reply] | asyncio.Task[Reply]


async def run_batch(call: Call) -> Reply:
    """Carry out each command as if it had come alone, in their order."""
    show = await call.show()
    body = await call.body(BatchBody, BATCH_BYTES_MAX, show=show)
    if any(isinstance(one, PurchaseCommand) for one in body.commands):
        check_scope(call.principal, Scope.ORDERS_WRITE)
    show = call.known_show() or await call.show()  # it may have got a waiting room meanwhile
    holds = [one for one in body.commands if isinstance(one, HoldCommand)]
    typed = next((one for one in holds if one.ticket_types), None)
    if typed is not None:
        show = await call.runtime.box_office.newest_for(show, typed.wanted())
    ttls: Iterator[int | Exception] = (one.ttl_ms(show.hold_ttl_s) for one in holds)
    if show.has_queue:
        ttls = iter(await admitted_ttls_ms(call.runtime, show, call.show_text, holds))
    # All are in the lane before the first is waited for.
    begun = [
        _begin_hold(call, show, command, next(ttls))
        if isinstance(command, HoldCommand)
        else await _begin(call, show, command)
        for command in body.commands
    ]
    replies = [one if isinstance(one, Reply) else await _tell(call, show, one) for one in begun]
    # As a `BatchAnswer`; the bodies are written already.
    answers = [b'{"status":%d,"body":%b}' % (one.status, one.body or b"null") for one in replies]
    return Reply(200, b'{"answers":[%b]}' % b",".join(answers))


async def _tell(call: Call, show: Show, begun: Asked | _Telling) -> Reply:
    """Wait for one command; whatever fails it leaves the others their answers."""
    try:
        if isinstance(begun, Asked):
            return tell_new_hold(call, show, await call.runtime.box_office.tell(show, begun))
        return await begun
    except Exception as error:  # noqa: BLE001 - told
        return _tell_failure(call, error)


def _begin_hold(
    call: Call, show: Show, command: HoldCommand, ttl_ms: int | Exception
) -> Asked | Reply:
    if isinstance(ttl_ms, Exception):
        return _tell_failure(call, ttl_ms)
    try:
        return ask_hold(call, show, command.key, command, ttl_ms)
    except Exception as error:  # noqa: BLE001 - told
        return _tell_failure(call, error)


async def _begin(
    call: Call, show: Show, command: PurchaseCommand | ReleaseCommand
) -> Reply | _Telling:
    """Put a command that is no hold into the show's lane; return what tells of it."""
    try:
        if isinstance(command, PurchaseCommand):
            asked = await ask_purchase(call, show, command.key, command)
            # A task, since purchases wait for the ledger at the same time, not in turns.
            return asyncio.create_task(tell_purchase(call, show, asked, command))
        hold = call.hold(show, command.hold)
        return tell_release(call, show, call.runtime.box_office.ask_release(show, hold))
    except Exception as error:  # noqa: BLE001 - told
        return _tell_failure(call, error)


def _tell_failure(call: Call, error: Exception) -> Reply:
    return reply_failure(error, call.scope, call.runtime)
