"""The waiting room in the fast lane; what each call does is documented in `api.queues`.

Who waits has no API key: these calls know people by their queue tokens.
"""

from typing import Final

import msgspec
from msgspec import UNSET

from api.context import parse_show
from api.fastlane.call import Visit
from api.fastlane.queue_document import SHARED, write_serving
from api.fastlane.replies import Reply
from api.outcomes import problem_of_store
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.queue_answers import tell_draw, tell_joined, tell_pass, tell_position
from api.queue_gates import pass_gates, proof_spent
from api.queue_inputs import ClaimBody, JoinBody
from api.queue_outcomes import no_queue, problem_of_queue, queue_closed
from engine.inventory.commands import Overloaded, Recovering
from engine.platform.ids import EntityId, IdError
from engine.waitingroom.commands import Issued, Left, NoPass, Over, Spent
from engine.waitingroom.queues import NoQueueError, Queue
from engine.waitingroom.room import NumberGiven, PassIssued
from engine.waitingroom.standing import Standing
from engine.waitingroom.states import JOINING
from engine.waitingroom.tokens import QueueToken, TokenError

_LEFT: Final = Reply(204)
_encode: Final = msgspec.json.Encoder().encode


async def join_queue(visit: Visit) -> Reply:
    """Give a number."""
    queue, standing = await find_queue(visit)
    room = visit.runtime.waiting_room
    body = await visit.optional_body(JoinBody)
    if standing.state not in JOINING:
        raise queue_closed(room.position(queue, standing, 0))
    passed = await pass_gates(visit, queue, body)
    given = await room.join(queue, identity=passed.identity, proof=passed.proof)
    if isinstance(given, Spent):
        raise await proof_spent(visit, queue)
    if not isinstance(given, NumberGiven):
        position = room.position(queue, standing, 0)
        raise problem_of_queue(given, visit.show_text, position)
    position = room.position(queue, standing, given.number)
    answer = tell_joined(given, position, visit.show_text)
    return Reply(201 if given.is_new else 200, _encode(answer))


async def show_serving(visit: Visit) -> Reply:
    """Tell how the line stands: the same bytes for everybody."""
    written = write_serving(*await find_queue(visit))
    return written.kept.unchanged() if written.kept.is_had_by(visit) else written.reply


async def show_position(visit: Visit) -> Reply:
    """Tell where a number stands."""
    queue, standing = await find_queue(visit)
    room = visit.runtime.waiting_room
    token = queue_token(visit, queue, visit.headers.get("queue-token"))
    position = room.position(queue, standing, token.number)
    standing_pass: Issued | Over | NoPass = NoPass()
    if position.is_admitted:
        looked = await room.look(queue, token.number)
        if not isinstance(looked, Issued | Over | NoPass):
            raise problem_of_store(looked)
        standing_pass = looked
    return Reply(200, _encode(tell_position(position, standing_pass)))


async def claim_pass(visit: Visit) -> Reply:
    """Exchange an admitted number for its pass."""
    queue, standing = await find_queue(visit)
    room = visit.runtime.waiting_room
    token = queue_token(visit, queue, visit.headers.get("queue-token"))
    body = await visit.optional_body(ClaimBody)
    buyer = token.buyer if body.buyer is UNSET else body.buyer
    if buyer is None:
        raise invalid(Fault("is required where the token names none", pointer="/buyer"))
    claimed = await room.claim(queue, token, buyer)
    if not isinstance(claimed, PassIssued):
        position = room.position(queue, standing, token.number)
        raise problem_of_queue(claimed, visit.show_text, position)
    return Reply(200, _encode(tell_pass(claimed, visit.show_text)))


async def leave_queue(visit: Visit) -> Reply:
    """Give a number and its pass up."""
    queue, _ = await find_queue(visit)
    token = queue_token(visit, queue, visit.headers.get("queue-token"))
    left = await visit.runtime.waiting_room.leave(queue, token.number)
    if not isinstance(left, Left):
        raise problem_of_store(left)
    return _LEFT


async def show_draw(visit: Visit) -> Reply:
    """Tell the commitment, and after the draw what it was to."""
    try:
        queue = await visit.runtime.waiting_room.draw_of(show_id(visit))
    except NoQueueError:
        raise no_queue() from None
    if isinstance(queue, Overloaded):
        raise problem_of_store(queue)
    headers = (("cache-control", SHARED),)
    return Reply(200, _encode(tell_draw(queue)), headers, may_be_stored=True)


async def find_queue(visit: Visit) -> tuple[Queue, Standing]:
    """Return the queue that the path names, and how it stands.

    Raises:
        ProblemError: `no-queue`, `show-recovering` or `overloaded`.
    """
    room, show = visit.runtime.waiting_room, show_id(visit)
    try:
        found = room.known(show) or await room.look_in(show)
    except NoQueueError:
        raise no_queue() from None
    if isinstance(found, Recovering | Overloaded):
        raise problem_of_store(found)
    return found


def show_id(visit: Visit) -> EntityId:
    """Return the show that the path names.

    Raises:
        ProblemError: `no-queue`: it is no show's id.
    """
    try:
        return parse_show(visit.runtime.ids, visit.show_text)
    except IdError:
        raise no_queue() from None


def queue_token(visit: Visit, queue: Queue, text: str | None) -> QueueToken:
    """Read a queue token.

    Raises:
        ProblemError: `queue-token-invalid`.
    """
    if text is None:
        raise ProblemError(
            ProblemKind.QUEUE_TOKEN_INVALID, "Send the token that joining gave, as `Queue-Token`."
        )
    try:
        return visit.runtime.waiting_room.read_token(queue, text)
    except TokenError as error:
        raise ProblemError(ProblemKind.QUEUE_TOKEN_INVALID, str(error)) from None
