"""The waiting room: join, wait, claim a pass; and for its reseller, the rules.

Who waits needs no API key. All but the rules is served by the fast lane.
"""

from datetime import UTC, datetime
from typing import Final

from litestar import Response, Router, delete, get, post, put
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from api.context import ApiRequest, find_show, runtime_of, served_in_front
from api.credentials import require_scope
from api.documents import describe
from api.outcomes import problem_of_store
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.queue_answers import (
    DrawAnswer,
    JoinAnswer,
    PassAnswer,
    PositionAnswer,
    QueueAnswer,
    ServingAnswer,
    tell_queue,
)
from api.queue_inputs import ClaimBody, JoinBody, QueueBody
from api.queue_outcomes import no_queue
from api.reading import check_query, read_body, require_json_accepted
from engine.inventory.commands import Overloaded, Recovering
from engine.inventory.shows import Show
from engine.tenancy.principals import Scope
from engine.waitingroom.identities import identity_key
from engine.waitingroom.queues import NoQueueError, Queue
from engine.waitingroom.room import DrawFixed
from engine.waitingroom.rules import QueueRules
from engine.waitingroom.tokens import OPENS_BEFORE_MAX

_OF_RESELLER: Final = [require_scope, require_json_accepted]
_DRAW_FIXED: Final = (
    "People may join, or the entries are closed: opens_at, beacon and whether there is a draw stay "
    "as they are, and draws_at can only be put off, before it has come."
)
_WITH_TOKEN: Final = (ProblemKind.NO_QUEUE, ProblemKind.QUEUE_TOKEN_INVALID)


@post(
    "/{show:str}/queue",
    summary="Join the line",
    operation_class=describe(
        scope=None,
        body=JoinBody,
        body_required=False,
        problems=(
            ProblemKind.NO_QUEUE,
            ProblemKind.QUEUE_CLOSED,
            ProblemKind.IDENTITY_INVALID,
            ProblemKind.PROOF_REQUIRED,
            ProblemKind.TOO_MANY_JOINS,
        ),
    ),
)
async def join_queue(show: FromPath[str]) -> Response[JoinAnswer]:
    """Get a number, and the token that proves it: keep the token, nothing else knows you.

    The body may be left out. With an `identity` that the reseller signed, one person has one number
    however often they join (`200` when they had joined before).
    """
    raise served_in_front(show)


@get(
    "/{show:str}/queue/serving",
    summary="How the line stands",
    operation_class=describe(scope=None, problems=(ProblemKind.NO_QUEUE,)),
)
async def show_serving(show: FromPath[str]) -> ServingAnswer:
    """Tell how far the line is served: the same bytes for everybody, to be asked for each second.

    Whoever has a place below `serving` is admitted.
    """
    raise served_in_front(show)


@get(
    "/{show:str}/queue/position",
    summary="Where a number stands",
    operation_class=describe(scope=None, queued="required", problems=_WITH_TOKEN),
)
async def show_position(show: FromPath[str]) -> PositionAnswer:
    """Tell a number's place, how many are ahead, and a range for the wait."""
    raise served_in_front(show)


@post(
    "/{show:str}/queue/pass",
    summary="Claim the pass",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=None,
        body=ClaimBody,
        body_required=False,
        queued="required",
        problems=(*_WITH_TOKEN, ProblemKind.NOT_YOUR_TURN, ProblemKind.PASS_ENDED),
    ),
)
async def claim_pass(show: FromPath[str]) -> PassAnswer:
    """Exchange an admitted number for its one pass: for one buyer, with a deadline.

    Repeating it gives the same pass. While more are admitted than passes may be issued, the lower
    place comes first: ask again each second.
    """
    raise served_in_front(show)


@delete(
    "/{show:str}/queue/pass",
    summary="Leave",
    status_code=HTTP_204_NO_CONTENT,
    operation_class=describe(scope=None, queued="required", problems=_WITH_TOKEN),
)
async def leave_queue(show: FromPath[str]) -> None:
    """Give up a number and its pass for good: its place in checkout is free at once."""
    raise served_in_front(show)


@get(
    "/{show:str}/queue/events",
    summary="News of the line",
    media_type="text/event-stream",
    operation_class=describe(scope=None, queued="in_query_too", problems=_WITH_TOKEN),
)
async def tell_events(show: FromPath[str]) -> str:
    """Tell as server-sent events: `serving`, `position`, `next`, `admitted`, `paused`, `sold-out`.

    Without a token only what concerns everybody. A stream ends after some minutes: connect again.
    """
    raise served_in_front(show)


@get(
    "/{show:str}/queue/draw",
    summary="The draw",
    operation_class=describe(scope=None, problems=(ProblemKind.NO_QUEUE,)),
)
async def show_draw(show: FromPath[str]) -> DrawAnswer:
    """Tell the commitment to the draw; after it, all that is needed to recompute every place."""
    raise served_in_front(show)


@put(
    "/{show:str}/queue",
    summary="Set the waiting room's rules",
    guards=_OF_RESELLER,
    operation_class=describe(
        scope=Scope.QUEUES_MANAGE,
        body=QueueBody,
        problems=(ProblemKind.SHOW_NOT_FOUND, ProblemKind.ALREADY_DRAWN),
    ),
)
async def put_rules(request: ApiRequest, show: FromPath[str]) -> QueueAnswer:
    """Make a waiting room, change its rules, pause it, let it drain, close it or switch it off.

    It takes effect within a second. The draw's secret is made the first time. Once people may join
    `opens_at`, `beacon` and whether there is a draw stay as they are; `draws_at` can be put off.
    """
    check_query(request)
    named = await find_show(request, show)
    body = await read_body(request, QueueBody)
    room = runtime_of(request).waiting_room
    rules = body.rules()
    _check_moments(named, rules)
    value = None if body.beacon_value is None else bytes.fromhex(body.beacon_value)
    queue = await room.put(named, rules, value)
    if isinstance(queue, DrawFixed):
        raise ProblemError(ProblemKind.ALREADY_DRAWN, _DRAW_FIXED)
    if isinstance(queue, Recovering | Overloaded):
        raise problem_of_store(queue)
    return _tell(request, queue)


@get(
    "/{show:str}/queue",
    summary="The waiting room's rules",
    guards=_OF_RESELLER,
    operation_class=describe(
        scope=Scope.QUEUES_MANAGE, problems=(ProblemKind.SHOW_NOT_FOUND, ProblemKind.NO_QUEUE)
    ),
)
async def show_rules(request: ApiRequest, show: FromPath[str]) -> QueueAnswer:
    """Tell the rules, and what your systems sign identities with: keep that key secret."""
    check_query(request)
    named = await find_show(request, show)
    try:
        queue = await runtime_of(request).waiting_room.queue(named.id)
    except NoQueueError:
        raise no_queue() from None
    if isinstance(queue, Overloaded):
        raise problem_of_store(queue)
    return _tell(request, queue)


def _tell(request: ApiRequest, queue: Queue) -> QueueAnswer:
    runtime = runtime_of(request)
    known = runtime.waiting_room.known(queue.show)
    key = identity_key(runtime.gates.secret, queue.reseller)
    return tell_queue(queue, None if known is None else known[1], key)


def _check_moments(show: Show, rules: QueueRules) -> None:
    sale = datetime.fromtimestamp(show.opens_at_ms / 1000, UTC)
    now = datetime.now(UTC)
    latest = max(sale, now)
    faults = [
        Fault("must not be after the sale opens: holds need a pass by then", pointer=f"/{field}")
        for field, moment in (("opens_at", rules.opens_at), ("draws_at", rules.draws_at))
        if moment is not None and moment > latest
    ]
    if now < sale and rules.opens_at < sale - OPENS_BEFORE_MAX:
        days = OPENS_BEFORE_MAX.days
        faults.append(
            Fault(f"must be at most {days} days before the sale opens", pointer="/opens_at")
        )
    if faults:
        raise invalid(*faults)


router = Router(
    path="/v1/shows",
    tags=["waiting room"],
    route_handlers=[
        put_rules,
        show_rules,
        join_queue,
        show_serving,
        show_position,
        claim_pass,
        leave_queue,
        tell_events,
        show_draw,
    ],
)
