"""The waiting room of each show, as the API asks about it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import blake2b
from typing import Any, Final

import structlog
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory import house
from engine.inventory.commands import Overloaded, Recovering
from engine.inventory.shows import Show
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import EntityId, Ids, Prefix
from engine.platform.redis import Store
from engine.platform.sharing import SharedReads
from engine.platform.turns import Turns
from engine.waitingroom.commands import (
    Check,
    Claim,
    Command,
    Issued,
    Join,
    Joined,
    Known,
    Leave,
    Left,
    Look,
    NoPass,
    NotYet,
    Outcome,
    Over,
    Unavailable,
)
from engine.waitingroom.lane import QueueLanes
from engine.waitingroom.line import people_between
from engine.waitingroom.queues import (
    DrawSetError,
    NoQueueError,
    Queue,
    give_beacon_value,
    put_queue,
    visit_queue,
)
from engine.waitingroom.rules import QueueRules
from engine.waitingroom.standing import Standing, Standings
from engine.waitingroom.tokens import QueueToken, QueueTokens, TokenError

_QUEUES_REMEMBERED: Final = 4096
_LOOK_UPS: Final = 2
_LOOK_UPS_WAITING: Final = 256
_CHANGES: Final = 2
_CHANGES_WAITING: Final = 16

_log = structlog.get_logger(__name__)


class NumberGiven(Struct, frozen=True):
    """A number, and the token that proves it."""

    number: int
    token: str
    is_new: bool


class Position(Struct, frozen=True):
    """Where a number stands."""

    number: int
    place: int | None
    """None while it is not drawn."""
    ahead: int | None
    """Places before it that are not admitted either; None as `place`."""
    is_admitted: bool
    standing: Standing


class PassIssued(Struct, frozen=True):
    """The pass of a number."""

    text: str
    number: int
    buyer: str
    deadline_ms: int


class AnotherBuyer(Struct, frozen=True):
    """The token names its buyer, and this is not they."""

    buyer: str


class NotAdmitted(Struct, frozen=True):
    """A hold without a pass that lives: why."""

    reason: str


class NoRoom(Struct, frozen=True):
    """The waiting room was switched off since the show was read: nobody needs a pass."""


class DrawFixed(Struct, frozen=True):
    """The rules would have changed what people joined for: nothing was changed."""


class _LookUps:
    """Reads of queues: one at a time for each of them, few at once, however many ask."""

    def __init__(self, read: Callable[[EntityId], Coroutine[Any, Any, Queue]]) -> None:
        self._read = read
        self._shared: SharedReads[EntityId, Queue | Overloaded] = SharedReads()
        self._turns = Turns(_LOOK_UPS, waiting_max=_LOOK_UPS_WAITING)

    async def get(self, show: EntityId) -> Queue | Overloaded:
        return await self._shared.get(show, partial(self._in_turn, show))

    async def _in_turn(self, show: EntityId) -> Queue | Overloaded:
        async with self._turns.take() as mine:
            return await self._read(show) if mine else Overloaded()


class WaitingRoom:
    """The waiting rooms of all shows, for one process.

    Every method may raise `StoreUnavailableError`, when a store it needs can't be asked.
    """

    def __init__(
        self,
        *,
        ids: Ids,
        redis: Store,
        app: AsyncEngine,
        tokens: QueueTokens,
        lanes: QueueLanes,
    ) -> None:
        """Take what the composition root has opened."""
        self._ids = ids
        self._redis = redis
        self._app = app
        self._tokens = tokens
        self._lanes = lanes
        self._standings = Standings(redis)
        self._queues: OrderedDict[int, Queue] = OrderedDict()
        self._of_visitors = _LookUps(self._visit)
        # So that nobody without a key can keep a reseller from their rules.
        self._of_resellers = _LookUps(self._visit)
        self._changes = Turns(_CHANGES, waiting_max=_CHANGES_WAITING)

    async def stop(self) -> None:
        """Watch no queue any more."""
        await self._standings.stop()

    # What is known -------------------------------------------------------------------------------

    def known(self, show: EntityId) -> tuple[Queue, Standing] | None:
        """Return a queue and how it stands if both are in memory; None: ask with `look_in`."""
        queue = self._queues.get(show)
        standing = self._standings.known(show)
        if queue is None or standing is None or standing.version != queue.version:
            return None
        if not queue.is_active:
            return None
        return queue, standing

    async def look_in(self, show: EntityId) -> tuple[Queue, Standing] | Recovering | Overloaded:
        """Return a queue and how it stands.

        Raises:
            NoQueueError: the show has none, or there is no such show.
        """
        known = self.known(show)
        if known is not None:
            return known
        queue = self._queues.get(show) or await self._of_visitors.get(show)
        if isinstance(queue, Overloaded):
            return queue
        standing = await self._standings.get(show, queue.keys)
        if standing is not None and standing.version > queue.version:
            queue = await self._of_visitors.get(show)
            if isinstance(queue, Overloaded):
                return queue
        if not queue.is_active:
            raise NoQueueError(show)
        return Recovering() if standing is None else (queue, standing)

    async def _look_anew(
        self, show: EntityId
    ) -> tuple[Queue, Standing] | NoRoom | Recovering | Overloaded:
        """Return the same by what PostgreSQL has now: nobody needs a pass only if it says so."""
        try:
            queue = await self._of_resellers.get(show)
        except NoQueueError:
            return NoRoom()
        if isinstance(queue, Overloaded):
            return queue
        if not queue.is_active:
            return NoRoom()
        standing = await self._standings.get(show, queue.keys)
        return Recovering() if standing is None else (queue, standing)

    async def draw_of(self, show: EntityId) -> Queue | Overloaded:
        """Return a queue for who asks about its draw; read now if it is off, or not to be known.

        Raises:
            NoQueueError: the show never had one.
        """
        try:
            found = self.known(show) or await self.look_in(show)
        except NoQueueError:
            if show not in self._queues:
                raise
        except StoreUnavailableError as error:
            _log.warning("draw read from the ledger", error=repr(error))
        else:
            if isinstance(found, Overloaded):
                return found
            if not isinstance(found, Recovering):
                return found[0]
        return await self._of_visitors.get(show)

    async def queue(self, show: EntityId) -> Queue | Overloaded:
        """Return a queue for its reseller, as PostgreSQL has it now; also one that is off.

        Raises:
            NoQueueError: the show never had one.
        """
        return await self._of_resellers.get(show)

    async def _visit(self, show: EntityId) -> Queue:
        queue = await visit_queue(self._app, show, self._ids.entity(Prefix.SHOW, show))
        before = self._queues.get(show)
        if before is None or before.version <= queue.version:  # of two reads the later one counts
            self._queues[show] = queue
            self._queues.move_to_end(show)
        if len(self._queues) > _QUEUES_REMEMBERED:
            self._queues.popitem(last=False)
        return queue

    def listen(self, show: EntityId) -> asyncio.Event:
        """Return an event that is set whenever the queue stands otherwise; `forget` it again."""
        return self._standings.listen(show)

    def forget(self, show: EntityId, event: asyncio.Event) -> None:
        """Set an event no more."""
        self._standings.forget(show, event)

    def read_token(self, queue: Queue, text: str) -> QueueToken:
        """Return what a token says.

        Raises:
            TokenError: it is none of this show's.
        """
        return self._tokens.read_token(queue.show, text)

    def position(self, queue: Queue, standing: Standing, number: int) -> Position:
        """Return where a number stands."""
        place = queue.place(number)
        if place is None:
            return Position(number, None, None, is_admitted=False, standing=standing)
        return Position(
            number,
            place,
            max(0, people_between(standing.serving, place, queue.vacant)),
            is_admitted=place < standing.serving,
            standing=standing,
        )

    # What people ask for -------------------------------------------------------------------------

    async def join(
        self,
        queue: Queue,
        *,
        identity: tuple[bytes, str] | None = None,
        proof: tuple[int, int] | None = None,
    ) -> NumberGiven | Outcome:
        """Give the next number, or the one that an identity (digest and buyer) has already."""
        digest, buyer = identity or (None, None)
        outcome = await self._ask(queue, Join(digest, proof))
        if isinstance(outcome, Joined | Known):
            number = outcome.number
            token = self._tokens.sign_token(queue.show, number, digest, buyer)
            return NumberGiven(number, token, isinstance(outcome, Joined))
        return outcome

    async def claim(
        self, queue: Queue, token: QueueToken, buyer: str
    ) -> PassIssued | AnotherBuyer | Outcome:
        """Exchange an admitted number for its pass; repeated, for the same one."""
        if token.buyer is not None and token.buyer != buyer:
            return AnotherBuyer(token.buyer)
        place = queue.place(token.number)
        if place is None:
            return NotYet()
        outcome = await self._ask(queue, Claim(token.number, place, _digest(buyer)))
        if isinstance(outcome, Issued):
            text = self._tokens.sign_pass(queue.show, token, buyer)
            return PassIssued(text, token.number, buyer, outcome.deadline_ms)
        return outcome

    async def leave(self, queue: Queue, number: int) -> Left | Unavailable:
        """Give a number and its pass up for good."""
        outcome = await self._ask(queue, Leave(number))
        assert isinstance(outcome, Left | Unavailable)  # noqa: S101 - the script answers so
        return outcome

    async def look(self, queue: Queue, number: int) -> Issued | Over | NoPass | Unavailable:
        """Tell how a number's pass stands."""
        outcome = await self._ask(queue, Look(number))
        assert isinstance(  # noqa: S101 - the script answers so
            outcome, Issued | Over | NoPass | Unavailable
        )
        return outcome

    async def check_pass(
        self, show: Show, text: str, buyer: str
    ) -> Issued | NotAdmitted | NoRoom | Unavailable:
        """Tell whether a pass lets this buyer hold places of this show now."""
        try:
            found = await self.look_in(show.id)
        except NoQueueError:
            # What this process remembers may be of before the room was switched on.
            found = await self._look_anew(show.id)
        if isinstance(found, NoRoom | Unavailable):
            return found
        if not text:
            return NotAdmitted("it came without a pass")
        try:
            number = self._tokens.read_pass(show.id, text, buyer)
        except TokenError as error:
            return NotAdmitted(str(error))
        outcome = await self._ask(found[0], Check(number, _digest(buyer)))
        if isinstance(outcome, Over):
            return NotAdmitted("its pass is over")
        assert isinstance(outcome, Issued | Unavailable)  # noqa: S101 - the script answers so
        return outcome

    def read_number(self, show: Show, text: str, buyer: str) -> int | None:
        """Return the number of a buyer's pass of a show; None if it is none."""
        try:
            return self._tokens.read_pass(show.id, text, buyer)
        except TokenError:
            return None

    async def end_pass(self, show: Show, text: str, buyer: str) -> None:
        """Free the place in checkout of a pass that was used; if this fails, its deadline does."""
        try:
            number = self._tokens.read_pass(show.id, text, buyer)
            found = await self.look_in(show.id)
            if not isinstance(found, Unavailable):
                await self._ask(found[0], Leave(number))
        except (TokenError, NoQueueError):
            return
        except StoreUnavailableError as error:
            _log.warning("pass not ended", show=f"{show.id:016x}", error=repr(error))

    async def _ask(self, queue: Queue, command: Command) -> Outcome:
        return await self._lanes.get(queue.show, queue.keys).submit(command)

    # What resellers decide -----------------------------------------------------------------------

    async def put(
        self, show: Show, rules: QueueRules, beacon_value: bytes | None
    ) -> Queue | DrawFixed | Recovering | Overloaded:
        """Write a queue's rules; making or ending a waiting room makes an inventory version too."""
        async with self._changes.take() as mine:
            if not mine:
                return Overloaded()
            try:
                await house.change_show(
                    self._app, self._redis, show, partial(put_queue, show=show, rules=rules)
                )
            except DrawSetError:
                return DrawFixed()
            queue = await self._of_resellers.get(show.id)
            if beacon_value is not None and isinstance(queue, Queue):
                await give_beacon_value(self._app, queue, beacon_value)
                queue = await self._of_resellers.get(show.id)
            return queue


def _digest(buyer: str) -> str:
    return blake2b(buyer.encode(), digest_size=8).hexdigest()
