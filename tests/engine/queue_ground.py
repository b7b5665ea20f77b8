"""Waiting rooms on the real stores: shows, their rules, people in line, and controllers."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from engine.catalog.shows import NewShow, create_show
from engine.inventory.commands import Overloaded, Recovering
from engine.inventory.keys import QueueKeys, queue_keys
from engine.inventory.seating_plan import read_plan
from engine.inventory.shows import Show
from engine.platform.database import create_engine
from engine.platform.ids import EntityId, Ids, Prefix, new_entity_id
from engine.platform.settings import OWNER_ROLE, Settings
from engine.runtime import Serving, Working, open_serving, open_working
from engine.tenancy.resellers import create_reseller
from engine.waitingroom.commands import Full
from engine.waitingroom.queues import Queue, TendedQueue, tended_queues
from engine.waitingroom.room import NumberGiven, PassIssued, WaitingRoom
from engine.waitingroom.rules import Mode, QueueRules
from engine.waitingroom.standing import Standing
from engine.waitingroom.states import QueueState
from engine.waitingroom.steering import Steering
from engine.waitingroom.tokens import QueueToken
from loadtests.generated_plans import arena_plan
from workers.admission import run_admission

WITHIN_S: Final = 8.0
_POLL_S: Final = 0.05
_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


class Person(Struct, frozen=True):
    """Somebody in line."""

    number: int
    token: QueueToken


class QueueGround(Struct, frozen=True):
    """Both stores, one API process' parts and one worker's."""

    settings: Settings
    serving: Serving
    working: Working
    raw: Any
    reseller: EntityId

    @property
    def room(self) -> WaitingRoom:
        """The process' waiting rooms."""
        return self.serving.waiting_room

    async def new_show(self, *, seats: int = 200, opens_in_s: float = -3600) -> Show:
        """Put a hall on sale, or soon."""
        now = datetime.now(UTC)
        new = NewShow(
            id=new_entity_id(),
            name="An evening",
            venue="A hall",
            starts_at=now + timedelta(days=9),
            opens_at=now + timedelta(seconds=opens_in_s),
            closes_at=None,
            currency="EUR",
            tax_bps=1900,
            prices={"vip": 9_900, "standing": 2_501},
            max_per_hold=6,
            max_per_buyer=6,
            plan=read_plan(arena_plan(seats, floor_areas=1, floor_capacity=20)),
        )
        show = await create_show(self.serving.app_engine, self.serving.redis, self.reseller, new)
        await self.working.recoverer.recover(show, "new")
        return await self.serving.book.get(self.serving.app_engine, self.reseller, show)

    async def put(self, show: Show, *, beacon_value: bytes | None = None, **rules: Any) -> Queue:  # noqa: ANN401 - of `QueueRules`
        """Write rules: all that is not named lets people pass at once."""
        queue = await self.room.put(show, rules_of(**rules), beacon_value)
        assert isinstance(queue, Queue), queue
        return queue

    async def look_in(self, show: Show) -> tuple[Queue, Standing]:
        """Return a queue and how it stands; it must be there."""
        found = await self.room.look_in(show.id)
        assert not isinstance(found, Recovering | Overloaded), found
        return found

    async def until(
        self, show: Show, holds: Callable[[Queue, Standing], bool], within_s: float = WITHIN_S
    ) -> tuple[Queue, Standing]:
        """Wait until a queue stands so, as this process sees it."""
        async with asyncio.timeout(within_s):
            while True:
                found = await self.room.look_in(show.id)
                if not isinstance(found, Recovering | Overloaded) and holds(*found):
                    return found
                await asyncio.sleep(_POLL_S)

    async def state(self, show: Show, state: QueueState) -> tuple[Queue, Standing]:
        """Wait for a state under the rules as they are now."""
        version = (await self._queue(show)).version
        return await self.until(show, lambda _, now: now.state is state and now.version >= version)

    async def join(self, show: Show, buyer: str | None = None) -> Person:
        """Join the line, without an identity or as this buyer."""
        queue, _ = await self.look_in(show)
        identity = None
        if buyer is not None:
            identity = self.serving.gates.digests.digest(show.id, buyer), buyer
        given = await self.room.join(queue, identity=identity)
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while isinstance(given, Full) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_POLL_S)  # opened anew, and the next numbers are being committed
            given = await self.room.join(queue, identity=identity)
        assert isinstance(given, NumberGiven), given
        return Person(given.number, self.room.read_token(queue, given.token))

    async def join_many(self, show: Show, count: int) -> list[Person]:
        """Let so many join at once."""
        return await asyncio.gather(*(self.join(show) for _ in range(count)))

    async def ask_for_pass(self, show: Show, person: Person, buyer: str = "ann") -> object:
        """Claim once."""
        queue, _ = await self.look_in(show)
        return await self.room.claim(queue, person.token, buyer)

    async def claim(
        self, show: Show, person: Person, buyer: str = "ann", within_s: float = WITHIN_S
    ) -> PassIssued:
        """Claim until the pass is issued."""
        async with asyncio.timeout(within_s):
            while True:
                found = await self.room.look_in(show.id)
                if not isinstance(found, Recovering | Overloaded):
                    claimed = await self.room.claim(found[0], person.token, buyer)
                    if isinstance(claimed, PassIssued):
                        return claimed
                await asyncio.sleep(_POLL_S)

    async def meta(self, show: Show) -> dict[str, str]:
        """Read the queue as the store has it."""
        found = await self.raw.hgetall(self.keys(show).queue)
        return {name.decode(): value.decode() for name, value in found.items()}

    def keys(self, show: Show) -> QueueKeys:
        """Return the names of the queue's keys."""
        return queue_keys(show.id)

    async def tended(self, show: Show) -> TendedQueue:
        """Read a queue as a controller does."""
        settings = self.settings
        show_text = partial(Ids(settings.region, settings.secret.encode()).entity, Prefix.SHOW)
        every = await tended_queues(self.working.recorder_engine, show_text)
        return next(one for one in every if one.queue.show == show.id)

    def steering(self, name: str) -> Steering:
        """Return a controller that steps when it is told to."""
        return Steering(
            self.working.redis, self.working.recorder_engine, name, find_beacon=_no_beacon
        )

    async def step(self, steering: Steering, show: Show, times: int = 1) -> None:
        """Make a controller's next steps."""
        for _ in range(times):
            tended = await self.tended(show)
            await steering.steer(tended.queue, tended.show_opens_at)

    async def _queue(self, show: Show) -> Queue:
        queue = await self.room.queue(show.id)
        assert isinstance(queue, Queue)
        return queue


def rules_of(**changes: Any) -> QueueRules:  # noqa: ANN401 - of `QueueRules`
    """Return rules that let people pass at once, but for these."""
    rules = QueueRules(
        mode=Mode.ON,
        is_paused=False,
        opens_at=_LONG_AGO,
        draws_at=None,
        rate=500.0,
        burst=1000.0,
        checkout_max=1000,
        pass_ttl_s=600,
        safety_net=None,
        proof_bits=0,
        return_addresses=(),
        beacon=None,
    )
    return msgspec.structs.replace(rules, **changes)


def from_now(seconds: float) -> datetime:
    """Return a moment."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def _no_beacon(_: Queue) -> None:
    return None


@asynccontextmanager
async def steered_by(working: Working) -> AsyncGenerator[asyncio.Task[None]]:
    """Run a worker's controller until the end of the block, unless it is cancelled before."""
    task = asyncio.create_task(run_admission(working))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def open_queue_ground(settings: Settings) -> AsyncGenerator[QueueGround]:
    """Open one process of each kind, and make a reseller."""
    owner = create_engine(settings, OWNER_ROLE)
    try:
        reseller = (await create_reseller(owner, settings.region, "queues' tests")).reseller
    finally:
        await owner.dispose()
    async with AsyncExitStack() as stack:
        serving = await stack.enter_async_context(open_serving(settings))
        working = await stack.enter_async_context(open_working(settings))
        raw = Redis.from_url(settings.redis_url)
        stack.push_async_callback(raw.aclose)
        yield QueueGround(settings, serving, working, raw, reseller)
