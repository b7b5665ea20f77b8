"""Many commands in one request; documented with its route in `api.batches`."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from api.batches import BatchBody, Command, HoldCommand, PurchaseCommand
from api.fastlane.call import Call
from api.fastlane.holds import ask_hold, tell_new_hold, tell_release
from api.fastlane.purchases import ask_purchase, tell_purchase
from api.fastlane.replies import Reply, reply_problem
from api.outcomes import unavailable
from api.problems import ProblemError
from engine.inventory.shows import Show
from engine.platform.errors import StoreUnavailableError

BATCH_BYTES_MAX: Final = 512 * 1024

_Telling = Coroutine[Any, Any, Reply] | asyncio.Task[Reply]

_encode: Final = msgspec.json.Encoder().encode


class _Answer(Struct, frozen=True):
    """A `CommandAnswer` whose body is written already."""

    status: int
    body: Raw | None


async def run_batch(call: Call) -> Reply:
    """Carry out each command as if it had come alone, in their order."""
    show = await call.show()
    body = await call.body(BatchBody, BATCH_BYTES_MAX)
    # All are in the lane before the first is waited for.
    tellings = [await _begin(call, show, command) for command in body.commands]
    replies = [await _told(telling) for telling in tellings]
    answers = [_Answer(reply.status, Raw(reply.body) if reply.body else None) for reply in replies]
    return Reply(200, _encode({"answers": answers}))


async def _told(telling: Reply | _Telling) -> Reply:
    """Wait for one command; a store that fails it leaves the others their answers."""
    if isinstance(telling, Reply):
        return telling
    try:
        return await telling
    except StoreUnavailableError as error:
        return reply_problem(unavailable(error))


async def _begin(call: Call, show: Show, command: Command) -> Reply | _Telling:
    """Put a command into the show's lane; return what tells of it."""
    try:
        if isinstance(command, HoldCommand):
            begun = ask_hold(call, show, command.key, command.alone())
            return tell_new_hold(call, show, begun)
        if isinstance(command, PurchaseCommand):
            asked = await ask_purchase(call, show, command.key, command.alone())
            # A task, since purchases wait for the ledger at the same time, not in turns.
            return asyncio.create_task(tell_purchase(call, show, asked))
        hold = call.hold(show, command.hold)
        return tell_release(call, show, call.runtime.box_office.ask_release(show, hold))
    except ProblemError as problem:
        return reply_problem(problem)
