"""Works on bundles: holds everywhere, buys everywhere or nowhere, finishes what others left.

Every step is idempotent and every answer of a show is final or asked for again, so any number of
processes may work on one bundle at once, and be killed at any moment: the bundle's row says what is
to be done, and a worker takes it from whoever is silent for the length of a lease.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Final
from uuid import UUID

import structlog
from msgspec import Struct
from redis.exceptions import RedisError
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import UUID as UUID_TYPE
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.commands import (
    AlreadyPurchased,
    Commit,
    Committing,
    Done,
    InDoubt,
    KeyReused,
    LedgerBehind,
    Outcome,
    Overloaded,
    Purchase,
    Purchased,
    Recovering,
    Refusal,
    Release,
    Unavailable,
)
from engine.inventory.returning import deliver_returns
from engine.inventory.shows import Show
from engine.platform.database import tenant_transaction
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, HoldId, Ids, entity_hex
from engine.platform.redis import Store
from engine.platform.retrying import Backoff
from engine.platform.tables import orders, stranded_facts
from engine.sales.asking import Asked
from engine.sales.box_office import BoxOffice
from engine.sales.bundles import (
    Bundle,
    BundledShow,
    BundleState,
    Reason,
    add_bundle,
    find_bundle,
    keep_lease,
    move,
    note_refusals,
)
from engine.sales.chosen_types import TypesRefused
from engine.sales.hold_answers import Decided
from engine.sales.judging import OrderStatus
from engine.sales.returns import take_back
from engine.sales.rights import NOTHING_SHOWN, Shown
from engine.sales.views import HoldView
from engine.sales.wanted import UnknownPlaces, Wanted

_AGAIN: Final = Backoff(first_s=0.02, most_s=0.5)
_HOLDING_TRIES_MAX: Final = 5
_LEASE_KEPT_EVERY_S: Final = 1.0
_UNDECIDED: Final = (Recovering, InDoubt, Overloaded, LedgerBehind)
_BOUGHT: Final = frozenset({OrderStatus.CONFIRMED, OrderStatus.RETURNED, OrderStatus.REFUNDED})
_GIVEN_BACK: Final = frozenset({BundleState.RELEASING, BundleState.RELEASED})
_STRANDED: Final = "stranded"

_ORDERS: Final = select(orders.c.id, orders.c.status).where(
    orders.c.id == bindparam("holds", type_=ARRAY(UUID_TYPE)).any_()
)
_STRANDED_HOLDS: Final = select(stranded_facts.c.hold_id).where(
    stranded_facts.c.hold_id == bindparam("holds", type_=ARRAY(UUID_TYPE)).any_()
)

_log = structlog.stdlib.get_logger(__name__)

Asking = Callable[[Show], Asked | UnknownPlaces | TypesRefused | Refusal]


class Wish(Struct, frozen=True):
    """What a bundle is to hold in one show."""

    show: Show
    buyer: str
    ttl_ms: int
    wanted: Wanted
    fingerprint: Callable[[], int]
    shown: Shown = NOTHING_SHOWN


Refused = Decided | TypesRefused


class BundleRefused(Struct, frozen=True):
    """Nothing is held: what those shows said that did not go along."""

    bundle: Bundle
    refusals: tuple[tuple[Show, Refused], ...]


class Bundling:
    """Works on bundles, for one process.

    Every method may raise `StoreUnavailableError`, when a store that it needs can't be asked: then
    a worker finishes what was begun.
    """

    def __init__(self, redis: Store, engine: AsyncEngine, box_office: BoxOffice, ids: Ids) -> None:
        """Take what the composition root has opened."""
        self._redis = redis
        self._engine = engine
        self._box_office = box_office
        self._ids = ids

    async def find(self, reseller: EntityId, bundle: int) -> Bundle | None:
        """Return a reseller's bundle."""
        with store_failures():
            async with self._open(reseller) as connection:
                return await find_bundle(connection, bundle)

    # ------------------------------------------------------------ holding

    async def hold(
        self, reseller: EntityId, key: str, body_fp: int, wishes: Sequence[Wish]
    ) -> Bundle | BundleRefused | KeyReused | Unavailable:
        """Hold in every show, or in none; the same key makes the same bundle."""
        bundle_id = self._ids.derive_bundle(reseller, key)
        name = _name(bundle_id)
        held = [
            (wish.show.id, self._ids.derive_hold(reseller, wish.show.id, name)) for wish in wishes
        ]
        with store_failures():
            async with self._open(reseller) as connection:
                await add_bundle(
                    connection,
                    bundle=bundle_id,
                    reseller=reseller,
                    body_fp=body_fp,
                    currency=wishes[0].show.currency,
                    shows=held,
                )
                bundle = await find_bundle(connection, bundle_id)
        assert bundle is not None  # noqa: S101 - it was added, or there before
        if bundle.body_fp != body_fp:
            return KeyReused()
        if bundle.state is not BundleState.HOLDING:
            return bundle
        outcomes = await asyncio.gather(*(self._hold_one(bundle, name, one) for one in wishes))
        return await self._held(bundle, wishes, outcomes)

    async def _hold_one(self, bundle: Bundle, name: str, wish: Wish) -> Refused | Done:
        show = wish.show
        outcome: Refused | Done = InDoubt()
        for attempt in range(_HOLDING_TRIES_MAX):
            if attempt:
                await asyncio.sleep(_AGAIN.pause_s(attempt))
            if wish.wanted.types:
                show = await self._box_office.newest_for(show, wish.wanted)
            asked = self._box_office.ask_hold(
                show,
                name,
                buyer=wish.buyer,
                ttl_ms=wish.ttl_ms,
                wanted=wish.wanted,
                fingerprint=wish.fingerprint,
                shown=wish.shown,
                bundle=entity_hex(bundle.id),
            )
            outcome = (
                await self._box_office.tell(show, asked) if isinstance(asked, Asked) else asked
            )
            if not isinstance(outcome, _UNDECIDED):
                break
        return outcome

    async def _held(
        self, bundle: Bundle, wishes: Sequence[Wish], outcomes: Sequence[Refused | Done]
    ) -> Bundle | BundleRefused | Unavailable:
        views = [one for one in outcomes if isinstance(one, HoldView)]
        ends = [one.expires_at_ms for one in views if one.expires_at_ms is not None]
        if len(ends) == len(wishes):
            first = datetime.fromtimestamp(min(ends) / 1000, UTC)
            await self._move(bundle, BundleState.HELD, expires_at=first)
            return await self._again(bundle)
        refused = {
            number: one
            for number, one in enumerate(outcomes, start=1)
            if not isinstance(
                one, HoldView | Done | Recovering | InDoubt | Overloaded | LedgerBehind
            )
        }
        if not refused:
            # Left as it is: who repeats it holds on, else a worker releases what was got.
            return next((one for one in outcomes if isinstance(one, _UNDECIDED)), InDoubt())
        words = {number: _word(one) for number, one in refused.items()}
        await self._move(bundle, BundleState.RELEASING, refused=words, reason=Reason.REFUSED)
        ended = await self.finish(bundle.reseller, bundle.id, within_s=1.0)
        if ended is not None and ended.state not in _GIVEN_BACK:
            return ended  # the same request had got it all elsewhere
        told = tuple((wishes[number - 1].show, one) for number, one in sorted(refused.items()))
        return BundleRefused(ended or bundle, told)

    # ------------------------------------------------------------ what requests bring about

    async def begin_purchase(
        self, bundle: Bundle, key_hash: bytes, fingerprint: int, payment_reference: str
    ) -> Bundle:
        """Write down that a bundle is to be bought, if it is held; return how it stands then."""
        await self._move(
            bundle,
            BundleState.COMMITTING,
            purchase_key_hash=key_hash,
            purchase_fp=fingerprint,
            payment_reference=payment_reference,
        )
        return await self._again(bundle)

    async def begin_release(self, bundle: Bundle) -> Bundle:
        """Write down that a held bundle is given back; return how it stands then."""
        await self._move(bundle, BundleState.RELEASING, reason=Reason.CANCELLED)
        return await self._again(bundle)

    # ------------------------------------------------------------ finishing

    async def finish(self, reseller: EntityId, bundle_id: int, *, within_s: float) -> Bundle | None:
        """Go on with a bundle until nothing is to be done, or for so long; return how it stands.

        None: there is no such bundle of this reseller's.
        """
        until = time.monotonic() + within_s
        kept = time.monotonic()
        failures = 0
        while True:
            bundle = await self.find(reseller, bundle_id)
            if bundle is None or bundle.has_ended or bundle.state is BundleState.HELD:
                return bundle
            if await self._step(bundle):
                failures = 0
                continue
            if time.monotonic() >= until:
                return await self.find(reseller, bundle_id)
            failures += 1
            await asyncio.sleep(_AGAIN.pause_s(failures))
            if time.monotonic() - kept >= _LEASE_KEPT_EVERY_S:
                kept = time.monotonic()
                with store_failures():
                    async with self._open(reseller) as connection:
                        await keep_lease(connection, bundle_id)

    async def take_up(
        self, reseller: EntityId, bundle_id: int, *, within_s: float
    ) -> Bundle | None:
        """Finish a bundle whose coordinator is silent: one that is still held has expired."""
        bundle = await self.find(reseller, bundle_id)
        if bundle is not None and bundle.state is BundleState.HELD:
            await self._move(bundle, BundleState.RELEASING, reason=Reason.EXPIRED)
        return await self.finish(reseller, bundle_id, within_s=within_s)

    async def _step(self, bundle: Bundle) -> bool:
        """Do what is next; False if a show or a store has to be asked again."""
        match bundle.state:
            case BundleState.HOLDING:
                return await self._move(bundle, BundleState.RELEASING, reason=Reason.ABANDONED)
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
            if not isinstance(one, (Committing, *_UNDECIDED))
        }
        if refused:
            words = {number: _word(one) for number, one in refused.items()}
            return await self._move(
                bundle, BundleState.RELEASING, refused=words, reason=Reason.REFUSED
            )
        is_ready = all(isinstance(one, Committing) for one in outcomes.values())
        if is_ready and await self._move(bundle, BundleState.PURCHASING):
            return True
        again = await self._again(bundle)
        if again.state is not BundleState.COMMITTING:
            return True
        if not again.is_decidable:
            return await self._move(again, BundleState.RELEASING, reason=Reason.TOO_LATE)
        return False

    async def _purchase(self, bundle: Bundle) -> bool:
        recorded = await self._recorded(bundle, bundle.shows)
        missing = [one for one in bundle.shows if one.hold not in recorded]
        outcomes = await self._ask_all(bundle, partial(_purchase_of, bundle), missing)
        gone = [
            one
            for one in missing
            if not isinstance(outcomes[one.show_no], (Purchased, AlreadyPurchased, *_UNDECIDED))
        ]
        # Asked once more: what is not in the store may have got into the ledger meanwhile.
        recorded |= await self._recorded(bundle, gone)
        words = {
            one.show_no: _word(outcomes[one.show_no]) for one in gone if one.hold not in recorded
        }
        words |= {
            one.show_no: recorded[one.hold]
            for one in bundle.shows
            if recorded.get(one.hold, OrderStatus.CONFIRMED) not in _BOUGHT
        }
        if words:
            _log.error("a bundle lost a hold after it was decided", bundle=entity_hex(bundle.id))
            return await self._move(
                bundle, BundleState.FAILING, refused=words, reason=Reason.REFUSED
            )
        if len(recorded) == len(bundle.shows):
            return await self._move(bundle, BundleState.PURCHASED)
        return False

    async def _undo(self, bundle: Bundle) -> bool:
        outcomes = await self._ask_all(bundle, lambda one: Release(one.hold, entity_hex(bundle.id)))
        done = [not isinstance(one, _UNDECIDED) for one in outcomes.values()]
        bought = [
            one
            for one in bundle.shows
            if bundle.state is BundleState.FAILING
            or isinstance(outcomes[one.show_no], AlreadyPurchased)
        ]
        recorded = await self._recorded(bundle, bought)
        for one in bought:
            status = recorded.get(one.hold)
            if status == OrderStatus.CONFIRMED:
                await self._give_back(bundle, one)
            elif status is None and isinstance(outcomes[one.show_no], AlreadyPurchased):
                done.append(False)  # on its way to the ledger
        if not all(done):
            return False
        is_failing = bundle.state is BundleState.FAILING
        return await self._move(bundle, BundleState.FAILED if is_failing else BundleState.RELEASED)

    async def _give_back(self, bundle: Bundle, one: BundledShow) -> None:
        open_ledger = partial(self._open, bundle.reseller)
        with store_failures():
            async with open_ledger() as connection:
                await take_back(connection, self._ids, one.show, one.hold)
        try:
            await deliver_returns(open_ledger, self._redis, one.show)
        except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
            # A worker compares both stores' numbers each second.
            _log.warning("taken back in the ledger only, for now", reason=repr(error))

    # ------------------------------------------------------------ asking

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

    async def _recorded(self, bundle: Bundle, shows: Sequence[BundledShow]) -> dict[HoldId, str]:
        """Return how the orders stand that the ledger has, or `stranded`, by hold."""
        if not shows:
            return {}
        holds = {"holds": [UUID(bytes=one.hold) for one in shows]}
        with store_failures():
            async with self._open(bundle.reseller) as connection:
                found = {
                    HoldId(row.id.bytes): str(row.status)
                    for row in await connection.execute(_ORDERS, holds)
                }
                for row in await connection.execute(_STRANDED_HOLDS, holds):
                    found.setdefault(HoldId(row.hold_id.bytes), _STRANDED)
        return found

    async def _move(
        self,
        bundle: Bundle,
        to: BundleState,
        *,
        refused: Mapping[int, str] | None = None,
        **values: object,
    ) -> bool:
        with store_failures():
            async with self._open(bundle.reseller) as connection:
                moved = await move(connection, bundle, to, **values)
                if moved and refused:
                    await note_refusals(connection, bundle.id, refused)
        if moved:
            _log.info("bundle moved", bundle=entity_hex(bundle.id), was=bundle.state, now=to)
        return moved

    async def _again(self, bundle: Bundle) -> Bundle:
        found = await self.find(bundle.reseller, bundle.id)
        assert found is not None  # noqa: S101 - none is ever deleted
        return found

    def _open(self, reseller: EntityId) -> AbstractAsyncContextManager[AsyncConnection]:
        return tenant_transaction(self._engine, reseller)


def _purchase_of(bundle: Bundle, one: BundledShow) -> Purchase:
    return Purchase(
        one.hold,
        _name(bundle.id),
        bundle.body_fp,
        bundle.payment_reference or "",
        entity_hex(bundle.id),
    )


def _name(bundle: int) -> str:
    """Return the key of its holds and purchases: no client can send one, which has a space."""
    return f"bundle {entity_hex(bundle)}"


def _word(outcome: object) -> str:
    """Return what is noted of a refusal: the status word that the store has for it."""
    kind = type(outcome)
    tag = getattr(getattr(kind, "__struct_config__", None), "tag", None)
    return tag if isinstance(tag, str) else kind.__name__
