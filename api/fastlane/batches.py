"""Many commands in one request; documented with its route in `api.batches`."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from api.batches import BatchBody, HoldCommand, PurchaseCommand, ReleaseCommand
from api.fastlane.call import Call
from api.fastlane.holds import CREATED, ask_hold, tell, tell_release
from api.fastlane.purchases import ask_purchase, tell_purchase
from api.fastlane.replies import Reply, reply_problem
from api.outcomes import unavailable
from api.problems import ProblemError
from engine.inventory.shows import Show
from engine.platform.errors import StoreUnavailableError

BATCH_BYTES_MAX: Final = 512 * 1024

_Telling = Coroutine[Any, Any, Reply] | asyncio.Task[Reply]


async def run_batch(call: Call) -> Reply:
    """Carry out each command as if it had come alone, in their order."""
    show = await call.show()
    body = await call.body(BatchBody, BATCH_BYTES_MAX)
    # All are in the lane before the first is waited for.
    tellings = [
        _begin_hold(call, show, command)
        if isinstance(command, HoldCommand)
        else await _begin(call, show, command)
        for command in body.commands
    ]
    answers = [
        _write_answer(told if isinstance(told, Reply) else await _told(told)) for told in tellings
    ]
    return Reply(200, b'{"answers":[%b]}' % b",".join(answers))


def _write_answer(reply: Reply) -> bytes:
    """Return a `CommandAnswer`, whose body is written already."""
    return b'{"status":%d,"body":%b}' % (reply.status, reply.body or b"null")


async def _told(telling: _Telling) -> Reply:
    """Wait for one command; a store that fails it leaves the others their answers."""
    try:
        return await telling
    except StoreUnavailableError as error:
        return reply_problem(unavailable(error))


def _begin_hold(call: Call, show: Show, command: HoldCommand) -> Reply | _Telling:
    """Put a hold into the show's lane; return what tells of it."""
    asked = ask_hold(call, show, command.key, command)
    return asked if isinstance(asked, Reply) else tell(call, show, asked, CREATED)


async def _begin(
    call: Call, show: Show, command: PurchaseCommand | ReleaseCommand
) -> Reply | _Telling:
    """Put any other command into the show's lane; return what tells of it."""
    try:
        if isinstance(command, PurchaseCommand):
            asked = await ask_purchase(call, show, command.key, command.alone())
            # A task, since purchases wait for the ledger at the same time, not in turns.
            return asyncio.create_task(tell_purchase(call, show, asked))
        hold = call.hold(show, command.hold)
        return tell_release(call, show, call.runtime.box_office.ask_release(show, hold))
    except ProblemError as problem:
        return reply_problem(problem)
