"""What requests bring about of bundles: holds everywhere or nowhere, purchases, releases.

What they begin and do not finish, a worker does (`engine/sales/bundle_finishing.py`).
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from engine.inventory.commands import (
    Done,
    InDoubt,
    KeyReused,
    LedgerBehind,
    Overloaded,
    Recovering,
    Unavailable,
)
from engine.inventory.shows import Show
from engine.platform.ids import EntityId, Ids, entity_hex
from engine.sales.asking import Asked
from engine.sales.box_office import BoxOffice
from engine.sales.bundle_finishing import ASKED_AGAIN, UNDECIDED, BundleFinishing, refusal_word
from engine.sales.bundle_ledger import BundleLedger
from engine.sales.bundles import Bundle, BundleState, NewPart, Reason, key_of
from engine.sales.chosen_types import TypesRefused
from engine.sales.hold_answers import Decided
from engine.sales.rights import NOTHING_SHOWN, Shown
from engine.sales.views import HoldView
from engine.sales.wanted import Wanted

_HOLDING_TRIES_MAX: Final = 5
_GIVEN_BACK: Final = frozenset({BundleState.RELEASING, BundleState.RELEASED})


class Wish(Struct, frozen=True):
    """What a bundle is to hold in one show."""

    show: Show
    buyer: str
    ttl_ms: int
    wanted: Wanted
    fingerprint: Callable[[], int]
    shown: Shown = NOTHING_SHOWN
    pass_number: int | None = None
    """Whose pass of the show's waiting room it comes by: its purchase ends it."""


Refused = Decided | TypesRefused


class BundleRefused(Struct, frozen=True):
    """Nothing is held: what those shows said that did not go along."""

    bundle: Bundle
    refusals: tuple[tuple[Show, Refused], ...]


class Bundling:
    """Makes bundles and decides on them, for one process.

    Every method may raise `StoreUnavailableError`, when a store that it needs can't be asked: then
    a worker finishes what was begun.
    """

    def __init__(
        self, ledger: BundleLedger, finishing: BundleFinishing, box_office: BoxOffice, ids: Ids
    ) -> None:
        """Take what the composition root has opened."""
        self._ledger = ledger
        self._finishing = finishing
        self._box_office = box_office
        self._ids = ids

    async def find(self, reseller: EntityId, bundle: int) -> Bundle | None:
        """Return a reseller's bundle."""
        return await self._ledger.find(reseller, bundle)

    async def finish(self, reseller: EntityId, bundle: int, *, within_s: float) -> Bundle | None:
        """Go on with a bundle, as `BundleFinishing.finish`."""
        return await self._finishing.finish(reseller, bundle, within_s=within_s)

    async def hold(
        self, reseller: EntityId, key: str, body_fp: int, wishes: Sequence[Wish]
    ) -> Bundle | BundleRefused | KeyReused | Unavailable:
        """Hold in every show, or in none; the same key makes the same bundle."""
        bundle_id = self._ids.derive_bundle(reseller, key)
        name = key_of(bundle_id)
        parts = [
            NewPart(
                wish.show.id,
                self._ids.derive_hold(reseller, wish.show.id, name),
                wish.pass_number,
            )
            for wish in wishes
        ]
        bundle = await self._ledger.add(
            bundle=bundle_id,
            reseller=reseller,
            body_fp=body_fp,
            currency=wishes[0].show.currency,
            parts=parts,
        )
        if bundle is None:
            return InDoubt()
        if bundle.body_fp != body_fp:
            return KeyReused()
        if bundle.state is not BundleState.HOLDING:
            return bundle
        outcomes = await asyncio.gather(*(self._hold_one(bundle, name, one) for one in wishes))
        return await self._held(bundle, wishes, outcomes)

    async def begin_purchase(
        self, bundle: Bundle, key_hash: bytes, fingerprint: int, payment_reference: str
    ) -> Bundle:
        """Write down that a bundle is to be bought, if it is held; return how it stands then."""
        await self._ledger.move(
            bundle,
            BundleState.COMMITTING,
            purchase_key_hash=key_hash,
            purchase_fp=fingerprint,
            payment_reference=payment_reference,
        )
        return await self._ledger.again(bundle)

    async def begin_release(self, bundle: Bundle) -> Bundle:
        """Write down that a held bundle is given back; return how it stands then."""
        await self._ledger.move(bundle, BundleState.RELEASING, reason=Reason.CANCELLED)
        return await self._ledger.again(bundle)

    async def _hold_one(self, bundle: Bundle, name: str, wish: Wish) -> Refused | Done:
        show = wish.show
        outcome: Refused | Done = InDoubt()
        for attempt in range(_HOLDING_TRIES_MAX):
            if attempt:
                await asyncio.sleep(ASKED_AGAIN.pause_s(attempt))
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
            if not isinstance(outcome, UNDECIDED):
                break
        return outcome

    async def _held(
        self, bundle: Bundle, wishes: Sequence[Wish], outcomes: Sequence[Refused | Done]
    ) -> Bundle | BundleRefused | Unavailable:
        views = [one for one in outcomes if isinstance(one, HoldView)]
        ends = [one.expires_at_ms for one in views if one.expires_at_ms is not None]
        if len(ends) == len(wishes):
            first = datetime.fromtimestamp(min(ends) / 1000, UTC)
            await self._ledger.move(bundle, BundleState.HELD, expires_at=first)
            return await self._ledger.again(bundle)
        refused = {
            number: one
            for number, one in enumerate(outcomes, start=1)
            if not isinstance(
                one, HoldView | Done | Recovering | InDoubt | Overloaded | LedgerBehind
            )
        }
        if not refused:
            # Left as it is: who repeats it holds on, else a worker releases what was got.
            return next((one for one in outcomes if isinstance(one, UNDECIDED)), InDoubt())
        words = {number: refusal_word(one) for number, one in refused.items()}
        await self._ledger.move(bundle, BundleState.RELEASING, refused=words, reason=Reason.REFUSED)
        ended = await self.finish(bundle.reseller, bundle.id, within_s=1.0)
        if ended is not None and ended.state not in _GIVEN_BACK:
            return ended  # the same request had got it all elsewhere
        told = tuple((wishes[number - 1].show, one) for number, one in sorted(refused.items()))
        return BundleRefused(ended or bundle, told)
