"""Finishes bundles: works off what their state asks for, until nothing is left to be done.

Every step is idempotent and every answer of a show is final or asked for again, so any number of
processes may work on one bundle at once, and be killed at any moment: the bundle's row says what is
to be done, and a worker takes it from whoever is silent for the length of a lease.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from engine.inventory.commands import (
    AlreadyPurchased,
    Commit,
    Committing,
    InDoubt,
    LedgerBehind,
    Outcome,
    Overloaded,
    Purchase,
    Purchased,
    Recovering,
    Release,
)
from engine.inventory.keys import queue_keys
from engine.inventory.returning import deliver_returns
from engine.platform.errors import StoreUnavailableError, store_failures
from engine.platform.ids import EntityId, Ids, entity_hex
from engine.platform.redis import Store
from engine.platform.retrying import Backoff
from engine.sales.box_office import BoxOffice
from engine.sales.bundle_ledger import BundleLedger
from engine.sales.bundles import BOUGHT, Bundle, BundledShow, BundleState, Reason, key_of
from engine.sales.choices import overrule_choice
from engine.sales.judging import OrderStatus
from engine.sales.returns import take_back
from engine.waitingroom.commands import Leave, Left
from engine.waitingroom.lane import QueueLanes

UNDECIDED: Final = (Recovering, InDoubt, Overloaded, LedgerBehind)
"""What a show answers that is to be asked again."""

ASKED_AGAIN: Final = Backoff(first_s=0.02, most_s=0.5)
_LEASE_KEPT_EVERY_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class BundleFinishing:
    """Works on bundles that are there, for one process.

    Every method may raise `StoreUnavailableError`, when a store that it needs can't be asked: then
    a worker finishes what was begun.
    """

    def __init__(
        self,
        ledger: BundleLedger,
        redis: Store,
        box_office: BoxOffice,
        queues: QueueLanes,
        ids: Ids,
    ) -> None:
        """Take what the composition root has opened."""
        self._queues = queues
        self._ledger = ledger
        self._redis = redis
        self._box_office = box_office
        self._ids = ids

    async def finish(self, reseller: EntityId, bundle_id: int, *, within_s: float) -> Bundle | None:
        """Go on with a bundle until nothing is to be done, or for so long; return how it stands.

        None: there is no such bundle of this reseller's.
        """
        until = time.monotonic() + within_s
        kept = time.monotonic()
        failures = 0
        while True:
            bundle = await self._ledger.find(reseller, bundle_id)
            if bundle is None or bundle.has_ended or bundle.state is BundleState.HELD:
                return bundle
            if await self._step(bundle):
                failures = 0
                continue
            if time.monotonic() >= until:
                return await self._ledger.find(reseller, bundle_id)
            failures += 1
            await asyncio.sleep(ASKED_AGAIN.pause_s(failures))
            if time.monotonic() - kept >= _LEASE_KEPT_EVERY_S:
                kept = time.monotonic()
                await self._ledger.keep_lease(bundle)

    async def take_up(
        self, reseller: EntityId, bundle_id: int, *, within_s: float
    ) -> Bundle | None:
        """Finish a bundle whose coordinator is silent: one that is still held has expired."""
        bundle = await self._ledger.find(reseller, bundle_id)
        if bundle is not None and bundle.state is BundleState.HELD:
            await self._ledger.move(bundle, BundleState.RELEASING, reason=Reason.EXPIRED)
        return await self.finish(reseller, bundle_id, within_s=within_s)

    async def _step(self, bundle: Bundle) -> bool:
        """Do what is next; False if a show or a store has to be asked again."""
        match bundle.state:
            case BundleState.HOLDING:
                return await self._ledger.move(
                    bundle, BundleState.RELEASING, reason=Reason.ABANDONED
                )
            case BundleState.COMMITTING:
                return await self._commit(bundle)
            case BundleState.PURCHASING:
                return await self._purchase(bundle)
            case BundleState.RELEASING | BundleState.FAILING:
                return await self._undo(bundle)
            case _:
                return True

    async def _commit(self, bundle: Bundle) -> bool:
        outcomes = await self._ask_all(bundle, lambda one: Commit(one.hold, entity_hex(bundle.id)))
        refused = {
            number: one
            for number, one in outcomes.items()
            if not isinstance(one, (Committing, *UNDECIDED))
        }
        if refused:
            words = {number: refusal_word(one) for number, one in refused.items()}
            return await self._ledger.move(
                bundle, BundleState.RELEASING, refused=words, reason=Reason.REFUSED
            )
        is_ready = all(isinstance(one, Committing) for one in outcomes.values())
        if is_ready and await self._ledger.move(bundle, BundleState.PURCHASING):
            return True
        again = await self._ledger.again(bundle)
        if again.state is not BundleState.COMMITTING:
            return True
        if not again.is_decidable:
            return await self._ledger.move(again, BundleState.RELEASING, reason=Reason.TOO_LATE)
        return False

    async def _purchase(self, bundle: Bundle) -> bool:
        recorded = await self._ledger.recorded(bundle, bundle.shows)
        missing = [one for one in bundle.shows if one.hold not in recorded]
        outcomes = await self._ask_all(bundle, partial(_purchase_of, bundle), missing)
        gone = [
            one
            for one in missing
            if not isinstance(outcomes[one.show_no], (Purchased, AlreadyPurchased, *UNDECIDED))
        ]
        # Asked once more: what is not in the store may have got into the ledger meanwhile.
        recorded |= await self._ledger.recorded(bundle, gone)
        words = {
            one.show_no: refusal_word(outcomes[one.show_no])
            for one in gone
            if one.hold not in recorded
        }
        words |= {
            one.show_no: recorded[one.hold]
            for one in bundle.shows
            if recorded.get(one.hold, OrderStatus.CONFIRMED) not in BOUGHT
        }
        if words:
            _log.error("a bundle lost a hold after it was decided", bundle=entity_hex(bundle.id))
            return await self._ledger.move(
                bundle, BundleState.FAILING, refused=words, reason=Reason.REFUSED
            )
        if len(recorded) < len(bundle.shows):
            return False
        # Before it is told: who finds it purchased finds its places in checkout free.
        if not await self._end_passes(bundle) and await self._ledger.awaits_passes(bundle):
            return False
        return await self._ledger.move(bundle, BundleState.PURCHASED)

    async def _end_passes(self, bundle: Bundle) -> bool:
        """Free the places in checkout of the passes that were used; False: not all of them yet.

        Doing it again changes nothing, since no number gets a second pass. What can't be ended for
        some seconds ends with its deadline.
        """
        ended = await asyncio.gather(
            *(
                self._end_pass(one, one.pass_number)
                for one in bundle.shows
                if one.pass_number is not None
            )
        )
        return all(ended)

    async def _end_pass(self, one: BundledShow, number: int) -> bool:
        try:
            told = await self._queues.get(one.show, queue_keys(one.show)).submit(Leave(number))
        except StoreUnavailableError as error:
            _log.warning("pass not ended", show=entity_hex(one.show), error=repr(error))
            return False
        return isinstance(told, Left)

    async def _undo(self, bundle: Bundle) -> bool:
        outcomes = await self._ask_all(bundle, lambda one: Release(one.hold, entity_hex(bundle.id)))
        done = [not isinstance(one, UNDECIDED) for one in outcomes.values()]
        bought = [
            one
            for one in bundle.shows
            if bundle.state is BundleState.FAILING
            or isinstance(outcomes[one.show_no], AlreadyPurchased)
        ]
        recorded = await self._ledger.recorded(bundle, bought)
        for one in bought:
            status = recorded.get(one.hold)
            if status == OrderStatus.CONFIRMED:
                await self._give_back(bundle, one)
            elif status is None and isinstance(outcomes[one.show_no], AlreadyPurchased):
                done.append(False)  # on its way to the ledger
        if not all(done):
            return False
        is_failing = bundle.state is BundleState.FAILING
        return await self._ledger.move(
            bundle, BundleState.FAILED if is_failing else BundleState.RELEASED
        )

    async def _give_back(self, bundle: Bundle, one: BundledShow) -> None:
        open_ledger = partial(self._ledger.open, bundle.reseller)
        with store_failures():
            async with open_ledger() as connection:
                await take_back(connection, self._ids, one.show, one.hold)
                # Nothing was captured for the bundle: nobody has credit for a part of it.
                await overrule_choice(connection, one.hold)
        try:
            await deliver_returns(open_ledger, self._redis, one.show)
        except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
            # A worker compares both stores' numbers each second.
            _log.warning("taken back in the ledger only, for now", reason=repr(error))

    async def _ask_all(
        self,
        bundle: Bundle,
        command: Callable[[BundledShow], Commit | Purchase | Release],
        shows: Iterable[BundledShow] | None = None,
    ) -> dict[int, Outcome]:
        """Return what shows say, by their number."""
        asked = list(bundle.shows if shows is None else shows)
        outcomes = await asyncio.gather(*(self._ask(bundle, one, command(one)) for one in asked))
        return {one.show_no: outcome for one, outcome in zip(asked, outcomes, strict=True)}

    async def _ask(
        self, bundle: Bundle, one: BundledShow, command: Commit | Purchase | Release
    ) -> Outcome:
        show = await self._box_office.show(bundle.reseller, one.show)
        return await self._box_office.ask(show, command)


def _purchase_of(bundle: Bundle, one: BundledShow) -> Purchase:
    return Purchase(
        one.hold,
        key_of(bundle.id),
        bundle.body_fp,
        bundle.payment_reference or "",
        entity_hex(bundle.id),
    )


def refusal_word(outcome: object) -> str:
    """Return what is noted of a refusal: the status word that the store has for it."""
    kind = type(outcome)
    tag = getattr(getattr(kind, "__struct_config__", None), "tag", None)
    return tag if isinstance(tag, str) else kind.__name__
