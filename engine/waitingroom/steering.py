"""Steers queues: what one controller does with one queue, several times a second.

It asks PostgreSQL before it goes beyond what is committed, tells the store what `admission`
decides, and opens the queue anew where the store is another than before. Any number of controllers
may be at it: the script lets the holder of the lease fill the stock, and nobody else.
"""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.allotments import read_apart
from engine.inventory.keys import show_keys
from engine.inventory.scripts import load_script
from engine.platform.ids import entity_hex
from engine.platform.redis import Store
from engine.waitingroom.admission import Controller, Observation, Rules, Step
from engine.waitingroom.beside import Beside
from engine.waitingroom.credit import BURST_MIN
from engine.waitingroom.drawing import draw_places, is_draw_due
from engine.waitingroom.queues import Queue, raise_ceilings
from engine.waitingroom.reopening import reopen_queue
from engine.waitingroom.rules import Mode
from engine.waitingroom.states import JOINING, QueueState

PAUSE_S: Final = 0.2
"""Between two steps of who holds a queue."""

IDLE_PAUSE_S: Final = 1.0
"""Between two looks at a queue that another holds, or that is not open yet."""

NUMBERS_AHEAD: Final = 50_000
"""Numbers that may be given before the controller is back; a fail-over skips at most as many."""

LEASE_S: Final = 2.0
"""A controller that made no step for so long is replaced."""

CLAIM_KEPT_MS: Final = 5000
"""A claimant who was told to wait, and does not come back for so long, waits no more."""

_SERVING_AHEAD_STEPS: Final = 10
_SERVING_AHEAD_MIN: Final = 20
_COUNT_PLACES_S: Final = 1.0
_SEEK_S_MAX: Final = 60.0
_SEEK_PART: Final = 8

_log = structlog.get_logger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class _Seen(Struct, frozen=True):
    """What the script told of the queue, in its order."""

    now_ms: int
    next: int
    ceiling: int
    serving: int
    stock: str
    issued: int
    live: int
    waiting: int
    claims: int
    lag: int
    count: int


class Steering:
    """One queue in the hands of one controller."""

    def __init__(
        self,
        redis: Store,
        engine: AsyncEngine,
        holder: str,
        *,
        find_beacon: Callable[[Queue], Awaitable[bytes | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the stores, this controller's name, and what asks for a beacon's value."""
        self._redis = redis
        self._engine = engine
        self._apart: tuple[list[Any], list[int]] = [], []
        self._holder = holder
        self._find_beacon = find_beacon
        self._clock = clock
        self._controller = Controller()
        self._seen: _Seen | None = None
        self._answered_s = 0.0
        self._latency_ms = 0.0
        self._step = 0
        self._places: tuple[int, int] | None = None
        self._counted_s = -_COUNT_PLACES_S
        self._ceilings = (0, 0)
        self._epoch = 0
        self._other: tuple[str, float] = "", 0.0
        self._raising, self._drawing = Beside("ceilings"), Beside("draw")

    async def steer(self, queue: Queue, show_opens_at: datetime | None) -> float:
        """Make one step; return after how many seconds to make the next.

        `queue` must be one that was read a moment ago. Without `show_opens_at` nobody joins: the
        show waits for another to sell out.

        Raises:
            redis.RedisError, sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: a store failed.
        """
        if queue.epoch < self._epoch:
            return PAUSE_S  # read before it was opened anew
        if queue.epoch > self._epoch:
            self._epoch = queue.epoch
            self._forget()
        self._ceilings = (
            max(self._ceilings[0], queue.numbers_ceiling),
            max(self._ceilings[1], queue.serving_ceiling),
        )
        try:
            return await self._step_on(queue, show_opens_at)
        except BaseException:
            # Nobody knows whether it was carried out.
            self._controller.forget_credit()
            raise

    async def _step_on(self, queue: Queue, show_opens_at: datetime | None) -> float:
        if queue.epoch == 0:
            await self._reopen(queue)
            return PAUSE_S
        await self._count_places(queue)
        now_s = self._clock()
        step = self._decide(queue, now_s)
        state = state_of(queue, step, self._seen, show_opens_at)
        is_admitting = state in _STEERED
        self._raise_ceilings(queue, step if is_admitting else None)
        fields: dict[str, str] = {}
        if show_opens_at is not None:
            fields["sale_opens_at"] = str(round(show_opens_at.timestamp() * 1000))
        status, *told = await self._tell(queue, step, state, fields, is_admitting=is_admitting)
        self._answered_s = self._clock()
        self._latency_ms = 1000 * (self._answered_s - now_s)
        if status == "fenced" or (status == "stale" and told[0] < self._epoch):
            # Another server, or one with an older copy than what PostgreSQL has opened since.
            _log.info("queue is not open", show=entity_hex(queue.show), status=status)
            await self._reopen(queue)
            return PAUSE_S
        if status in {"held", "stale", "late"}:
            self._forget()
            if status == "held":
                self._note_other(*told)
                return IDLE_PAUSE_S
            return PAUSE_S
        if status == "taken":
            self._forget()
        self._seen = _Seen(*told)
        self._draw(queue, self._seen.now_ms)
        if status == "taken":
            return 0.0  # what was seen is to be acted upon
        return IDLE_PAUSE_S if state in _IDLE else PAUSE_S

    async def stop(self) -> None:
        """Leave what is under way beside the steps."""
        await self._raising.stop()
        await self._drawing.stop()

    def _draw(self, queue: Queue, now_ms: int) -> None:
        if is_draw_due(queue, now_ms):
            self._drawing.begin(
                lambda: draw_places(self._redis, self._engine, queue, self._find_beacon)
            )

    def _note_other(self, held: str) -> None:
        """Note who holds the queue, by its last step: since when nothing has come of it."""
        if held != self._other[0]:
            self._other = held, self._clock()

    def _replaced(self) -> str:
        """Return the holder that has been silent for too long, as the script names it, if any."""
        held, since_s = self._other
        return held if held and self._clock() - since_s >= LEASE_S else ""

    def _forget(self) -> None:
        """Know nothing of the queue: another had it, or it is another's."""
        self._controller, self._seen = Controller(), None

    async def _reopen(self, queue: Queue) -> None:
        self._forget()
        await reopen_queue(self._redis, self._engine, queue, ahead=NUMBERS_AHEAD)

    async def _count_places(self, queue: Queue) -> None:
        if self._clock() - self._counted_s >= _COUNT_PLACES_S:
            keys = show_keys(queue.show).inventory()
            packed = _encode(await self._read_apart(queue))
            _, *counted = await load_script("count_places").call(self._redis, keys, packed)
            if counted:  # a store without the show says nothing of what is left
                opened, held, of_some = counted
                # Where nothing is for everybody, those in line come for what is for some.
                self._places = opened - of_some or opened, held
            self._counted_s = self._clock()

    async def _read_apart(self, queue: Queue) -> tuple[list[Any], list[int]]:
        """Return which places are not for everybody, as far as is known: lines go on without it."""
        try:
            async with self._engine.connect() as connection:
                self._apart = await read_apart(connection, queue.show)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            _log.debug("allotments not read", error=repr(error))
        return self._apart

    def _decide(self, queue: Queue, now_s: float) -> Step | None:
        seen, rules = self._seen, queue.rules
        if seen is None or self._places is None:
            return None
        if not max(seen.ceiling, self._ceilings[0]):
            return None  # the room is new: nobody can join before a number is committed
        opened, held = self._places
        return self._controller.tick(
            Rules(
                rate=rules.rate,
                burst=max(BURST_MIN, rules.burst),
                checkout_max=rules.checkout_max,
                paused=rules.is_paused,
                seek_s=min(_SEEK_S_MAX, rules.pass_ttl_s / _SEEK_PART),
                safety_net_joins_per_s=rules.safety_net,
            ),
            Observation(
                monotonic_s=now_s,
                answered_s=self._answered_s,
                next=seen.next,
                serving=seen.serving,
                stock=float(seen.stock),
                issued=seen.issued,
                occupancy=seen.live,
                waiting=seen.waiting,
                claims=seen.claims,
                lag=seen.lag,
                open_places=opened,
                held_places=held,
                latency_ms=self._latency_ms,
                skipped=queue.vacant,
            ),
        )

    def _raise_ceilings(self, queue: Queue, step: Step | None) -> None:
        """Have it committed how far numbers and `serving` may go, some steps before they do.

        Beside the steps: while PostgreSQL hangs, who is admitted must get their passes.
        """
        if self._seen is None:
            return
        numbers, serving = self._ceilings
        moves = 0 if step is None else max(0, step.serving - self._seen.serving)
        wanted = self._seen.serving + moves
        ahead = max(_SERVING_AHEAD_MIN, _SERVING_AHEAD_STEPS * moves)
        is_near = self._seen.next + NUMBERS_AHEAD // 2 > numbers
        if not is_near and wanted + ahead // 2 <= serving:
            return
        raised = (
            self._seen.next + NUMBERS_AHEAD if is_near else numbers,
            max(serving, wanted + ahead),
        )
        epoch = self._epoch

        async def commit() -> None:
            if await raise_ceilings(
                self._engine, queue.show, epoch, numbers=raised[0], serving=raised[1]
            ):
                self._ceilings = (
                    max(self._ceilings[0], raised[0]),
                    max(self._ceilings[1], raised[1]),
                )

        self._raising.begin(commit)

    async def _tell(
        self,
        queue: Queue,
        step: Step | None,
        state: QueueState,
        fields: dict[str, str],
        *,
        is_admitting: bool,
    ) -> list[Any]:
        numbers, serving = self._ceilings
        self._step += 1
        rules = queue.rules
        fields |= {
            "checkout_max": str(rules.checkout_max),
            "pass_ttl": str(rules.pass_ttl_s * 1000),
            "version": str(queue.version),
        }
        credit, stock_max, wanted = 0.0, 0.0, 0
        if step is not None:
            pace = step.pace
            fields |= {
                "state": state.value,
                "joins": "open" if may_join(rules.mode, state) else "shut",
                "rate": f"{step.rate if is_admitting else 0.0:.3f}",
                "slow": "" if pace is None else f"{pace.slow:.3f}",
                "fast": "" if pace is None else f"{pace.fast:.3f}",
            }
            if is_admitting:
                credit, stock_max = step.credit, step.stock_max
                wanted = min(step.serving, serving)
        header = [
            self._epoch,
            self._step,
            credit,
            stock_max,
            wanted,
            numbers,
            CLAIM_KEPT_MS,
            [part for pair in fields.items() for part in pair],
        ]
        reply = await load_script("steer_queue").call(
            self._redis, queue.keys.all(), _encode(header), self._holder, self._replaced()
        )
        return _decode(reply)


def state_of(  # noqa: PLR0911 - the states in order of precedence
    queue: Queue, step: Step | None, seen: _Seen | None, show_opens_at: datetime | None
) -> QueueState:
    """Return the state that people are told, by the store's time."""
    rules = queue.rules
    if rules.mode is Mode.OFF:
        return QueueState.OFF
    if rules.mode is Mode.CLOSED:
        return QueueState.CLOSED
    if seen is None or step is None:
        return QueueState.OFF  # nothing is known yet, and nothing is told
    if show_opens_at is None:
        return QueueState.OFF  # nobody's token can be said to last until its turn
    now = datetime.fromtimestamp(seen.now_ms / 1000, UTC)
    if now < rules.opens_at:
        return QueueState.OFF
    if rules.draws_at is not None and queue.drawn_at is None:
        return QueueState.PRE_QUEUE
    if now < show_opens_at:
        return QueueState.PRE_QUEUE if rules.draws_at is None else QueueState.DRAWN
    return QueueState(step.state.value)


def may_join(mode: Mode, state: QueueState) -> bool:
    """Tell whether numbers are given."""
    return mode is Mode.ON and state in JOINING


_STEERED: Final = frozenset(
    {QueueState.RUNNING, QueueState.PAUSED, QueueState.PASSTHROUGH, QueueState.SOLD_OUT}
)
"""States in which the sale has begun: what `admission` decides is carried out."""

_IDLE: Final = frozenset({QueueState.OFF, QueueState.CLOSED, QueueState.SOLD_OUT})
"""States in which nothing has to happen soon."""
