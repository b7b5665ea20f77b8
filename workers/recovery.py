"""Recovers shows: woken when a lane meets a fence, and by a look each second.

In between only those are looked at that somebody called for, so that a call costs the same however
many shows there are.

After a restart of the server every show is fenced at once. Those that buyers ask for come first:
each batch that meets a fence calls for its show, so the busiest one's calls are the most.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import islice
from time import monotonic
from typing import Final

import structlog
from msgspec import Struct
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine.inventory.keys import WAKE_CHANNEL, Wake, read_wake
from engine.inventory.recovery import SupersededError
from engine.inventory.rounds import Round
from engine.inventory.stirring import stir
from engine.inventory.tending import Ailing, TendedShow, examine, tended_shows, unopened_shows
from engine.platform.ids import entity_hex
from engine.platform.redis import Subscription
from engine.runtime import Working

_PAUSE_S: Final = 1.0
_SECOND_LOOK_S: Final = 0.05
_AT_ONCE: Final = 8
_CALLS_MAX: Final = 100_000
_LOOKED_AT_ONCE: Final = 2000
_NOT_AGAIN_S: Final = 10.0
_PASSES_WITHIN_S: Final = 1.0
_VISIT_S: Final = 2.0
_CONTRADICTORY: Final = "a hold claims what the store does not hold"

_log = structlog.get_logger(__name__)


async def run_recovery(working: Working) -> None:
    """Recover until cancelled. A store that fails ends it; whoever started it starts it again."""
    ward = Ward(working)
    async with working.subscriber.pubsub() as pubsub:
        await pubsub.subscribe(WAKE_CHANNEL)
        async with asyncio.TaskGroup() as group:
            group.create_task(_listen(pubsub, ward))
            group.create_task(_visit(ward))


async def _listen(pubsub: Subscription, ward: "Ward") -> None:
    while True:
        message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=_PAUSE_S)
        wake = read_wake(message["data"]) if message is not None else None
        if wake is not None and wake[0] is Wake.RECOVER:
            ward.call_for(wake[1])
        elif wake is not None and wake[0] is Wake.REBUILD:
            ward.call_for(wake[1], contradicts_itself=True)


async def _visit(ward: "Ward") -> None:
    while True:
        if await ward.visit():
            await ward.rest()


class _Looked(Struct, frozen=True):
    """What one look came to."""

    tended: list[TendedShow]
    ailing: list[Ailing]
    unasked: set[int]
    """Those whose server did not answer."""


class Ward:
    """Looks at all shows, and recovers those that need it, a few at once."""

    def __init__(
        self, working: Working, *, visit_s: float = _VISIT_S, look_s: float = _PAUSE_S
    ) -> None:
        """Take what a worker works with, and two times.

        After `visit_s` a visit begins no further recovery; all shows are looked at each `look_s`.
        """
        self._look_s = look_s
        self._looks = Round(working.recorder_engine, working.stirred, "recovery")
        self._working = working
        self._visit_s = visit_s
        self._called = asyncio.Event()
        self._calls: Counter[int] = Counter()
        self._unasked: dict[int, int] = {}
        """Calls for shows whose server was away, which stand until it can be asked."""
        self._look_at_all_at = monotonic()
        self._demanded: set[int] = set()
        self._anew: set[int] = set()
        self._suspected: dict[int, tuple[str, float]] = {}
        self._impossible_until: dict[int, float] = {}
        self._demanded_until: dict[int, float] = {}

    def call_for(self, show: int, *, contradicts_itself: bool = False) -> None:
        """Note that somebody waits for a show, which may be one whose content is contradictory."""
        # Only a bound against nonsense on the channel: a visit answers all calls.
        if show in self._calls or len(self._calls) < _CALLS_MAX:
            self._calls[show] += 1
            if contradicts_itself:
                self._demanded.add(show)
        self._called.set()

    async def rest(self) -> None:
        """Wait for a call, or until it is time to look at all shows."""
        try:
            async with asyncio.timeout(max(0.0, self._look_at_all_at - monotonic())):
                await self._called.wait()
        except TimeoutError:
            pass

    async def visit(self) -> bool:
        """Look once, and recover what is found ailing, the most called for first.

        Returns whether all of it had its turn. With many a visit ends before that: the next look
        finds what has happened since, and a busy show whose attempt failed comes first again.
        """
        self._called.clear()
        now = monotonic()
        is_for_all = now >= self._look_at_all_at
        if is_for_all:
            self._call_again()
        # No more than are looked at: the others' calls stand.
        loudest = dict(self._calls.most_common(_LOOKED_AT_ONCE))
        answered = Counter(loudest)
        demanded = self._demanded & loudest.keys()
        self._demanded -= demanded
        self._impossible_until = _still_to_come(self._impossible_until, now)
        self._demanded_until = _still_to_come(self._demanded_until, now)
        looked = await (self._look_at_all(now, loudest) if is_for_all else self._look(loudest))
        ailing = {one.show.id: one.reason for one in looked.ailing}
        well = {one.id for one in looked.tended} - ailing.keys() - looked.unasked
        contradictory = demanded & well - self._demanded_until.keys()
        ailing |= dict.fromkeys(contradictory, _CONTRADICTORY)
        # A show that is fenced as well is written anew all the same.
        self._anew = demanded
        until = monotonic() + self._visit_s
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(ailing))):
                group.create_task(self._recover_all(ailing, until))
        for show in answered.keys() & ailing.keys():
            del answered[show]
        if ailing:
            self._look_at_all_at = monotonic()
        # What was called for meanwhile is still to be looked at.
        self._calls -= answered
        self._keep_unasked(loudest, looked.unasked)
        self._demanded |= demanded & (ailing.keys() | self._unasked.keys())
        again_at = monotonic() + _NOT_AGAIN_S
        self._demanded_until |= dict.fromkeys(contradictory - ailing.keys(), again_at)
        return not ailing

    def _call_again(self) -> None:
        """Let calls be heard again whose shows could not be looked at."""
        for show in list(islice(self._unasked, _LOOKED_AT_ONCE)):
            self._calls[show] += self._unasked.pop(show)

    def _keep_unasked(self, loudest: Mapping[int, int], unasked: set[int]) -> None:
        """Keep the calls of whom nobody could look at, apart: they keep no other from a look."""
        for show in loudest.keys() & unasked:
            if len(self._unasked) < _CALLS_MAX:
                self._unasked[show] = self._unasked.get(show, 0) + loudest[show]

    async def _look(self, loudest: Collection[int]) -> _Looked:
        """Look at those that are called for."""
        tended = await tended_shows(self._working.recorder_engine, loudest)
        try:
            return await self._diagnose(tended)
        except RedisError as error:
            # One server may be away that has them all: the look at all shows tells.
            _log.warning("who called can't be looked at", error=repr(error))
            return _Looked(tended, [], {show.id for show in tended})

    async def _look_at_all(self, now: float, loudest: Collection[int]) -> _Looked:
        """Look at those that are called for, too, and at all others, some at a time."""
        # Who is suspected is looked at again now, not when its turn comes.
        suspects = islice(self._suspected, _LOOKED_AT_ONCE)
        unopened = await unopened_shows(self._working.recorder_engine)
        looked = await self._diagnose(await self._looks.next([*loudest, *suspects, *unopened]))
        self._looks.note_missed(looked.unasked)
        self._look_at_all_at = now if self._looks.is_first else now + self._look_s
        return looked

    async def _recover_all(self, ailing: dict[int, str], until: float) -> None:
        """Recover one after the other while there is time; calls may come in meanwhile."""
        while ailing and monotonic() < until:
            show = max(ailing, key=self._calls.__getitem__)
            await self._recover(show, ailing.pop(show))

    async def _diagnose(self, tended: list[TendedShow]) -> _Looked:
        """Find the shows that are ailing twice, for the same reason.

        The house changes one store after the other, and a slow change is no illness: another
        version has to be seen for a second, anything else again in a moment.
        """
        first = await examine(self._working.redis, tended)
        unasked = set(first.unasked)
        before = {one.show.id: one.reason for one in first.ailing}
        again: list[Ailing] = []
        if before:
            await asyncio.sleep(_SECOND_LOOK_S)
            suspects = await tended_shows(self._working.recorder_engine, list(before))
            second = await examine(self._working.redis, suspects)
            unasked.update(second.unasked)
            again = [one for one in second.ailing if before[one.show.id] == one.reason]
        now = monotonic()
        suspected = {one.id: self._suspected.pop(one.id, ("", now)) for one in tended}
        for one in again:
            reason, since = suspected[one.show.id]
            self._suspected[one.show.id] = (one.reason, since if reason == one.reason else now)
        ailing = [
            one
            for one in again
            if one.show.id not in self._impossible_until
            and (not one.may_pass or now - self._suspected[one.show.id][1] >= _PASSES_WITHIN_S)
        ]
        return _Looked(tended, ailing, unasked)

    async def _recover(self, show: int, reason: str) -> None:
        try:
            anew = show in self._anew
            await self._working.recoverer.recover(show, reason, anew=anew)
            await stir(self._working.redis, show)
        except SupersededError as error:
            _log.info("recovery overtaken", show=entity_hex(show), by=str(error))
        except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
            # The next look, in some seconds at the latest, starts over.
            _log.warning("recovery failed", show=entity_hex(show), error=repr(error))
        except Exception:  # noqa: BLE001 - logged, and tried again in a while
            # One show that can't be recovered must not keep the others from it.
            _log.exception("recovery impossible", show=entity_hex(show))
            self._impossible_until[show] = monotonic() + _NOT_AGAIN_S


def _still_to_come(times: dict[int, float], now: float) -> dict[int, float]:
    return {show: at for show, at in times.items() if at > now}
