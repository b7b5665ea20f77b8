"""The box office: what the API asks of the engine, in the API's words.

It turns labels and slugs into the positions and indexes of commands (`asking` puts them into the
show's lane), and reads seat maps. Outcomes are told by `hold_answers` and `order_answers`, which
ask the ledger (`recorded_orders`) where Redis does not know.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial

from msgspec import structs
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.released import Grants
from engine.catalog.shows import LIMIT_MAX
from engine.inventory import commands
from engine.inventory.allotments import Rights
from engine.inventory.availability import (
    InventoryState,
    LedgeredStates,
    NotStored,
    as_told,
    read_inventory,
)
from engine.inventory.commands import Done, Outcome, OverHoldLimit, Recovering, Refusal
from engine.inventory.lanes import Lanes
from engine.inventory.shows import Show, ShowBook, UnknownShowError
from engine.inventory.sold_watch import SoldWatch
from engine.platform.database import tenant_transaction
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, HoldId, Ids
from engine.platform.redis import Store
from engine.platform.sharing import SharedReads
from engine.sales.asking import Asked, Asking
from engine.sales.chosen_types import TypesRefused, choose_types
from engine.sales.confirmations import Confirmations
from engine.sales.hold_answers import Decided, HoldAnswers
from engine.sales.order_answers import OrderAnswers, OrderTold, PurchaseTold
from engine.sales.pricing import Tariff
from engine.sales.quotes import Quotes
from engine.sales.recorded_orders import RecordedOrders
from engine.sales.rights import NOTHING_SHOWN, Shown, judge, rights_of, with_foreign
from engine.sales.sellers import kept_name
from engine.sales.wanted import UnknownPlaces, Wanted, resolve


class BoxOffice:
    """Sells the seats of all shows, for one process.

    Every method may raise `StoreUnavailableError`, when a store it needs can't be asked.
    """

    def __init__(  # noqa: PLR0913 - the composition root names them
        self,
        *,
        ids: Ids,
        redis: Store,
        app: AsyncEngine,
        book: ShowBook,
        lanes: Lanes,
        confirmations: Confirmations,
        sold: SoldWatch,
        confirm_timeout_ms: int,
    ) -> None:
        """Take what the composition root has opened."""
        self._ids = ids
        self._redis = redis
        self._app = app
        self._book = book
        self._confirmations = confirmations
        self._sold = sold
        self._grants = Grants(app)
        self._asking = Asking(lanes, book, app)
        self._quotes = Quotes(book, app)
        recorded = RecordedOrders(book, app, self._quotes)
        self._holds = HoldAnswers(ids, book, app, sold, self._quotes, recorded)
        self._orders = OrderAnswers(
            ids, self._asking, self._quotes, recorded, confirmations, confirm_timeout_ms
        )
        self._ledgered = LedgeredStates()
        self._readings: SharedReads[int, InventoryState | Recovering] = SharedReads()

    async def show(self, reseller: EntityId, show: EntityId) -> Show:
        """Return a reseller's show.

        Raises:
            UnknownShowError: the reseller has no such show.
        """
        with store_failures():
            return await self._book.get(self._app, reseller, show)

    async def show_to_sell(self, asker: EntityId, show: EntityId) -> Show:
        """Return a show that is the asker's, or of which something was released to them.

        Of the latter all that is told, held and bought is what was released to them.

        Raises:
            UnknownShowError: there is no such, or it is nobody's business of theirs.
        """
        with store_failures(), suppress(UnknownShowError):
            return await self._book.get(self._app, asker, show)
        reseller = await self._grants.find(asker, show)
        if reseller is None:
            raise UnknownShowError(show)
        return (await self.show(reseller, show)).for_seller(asker)

    def known_show(self, asker: EntityId, show: EntityId) -> Show | None:
        """Return such a show if it is in memory; None: ask for it with `show_to_sell`."""
        known = self._book.known(asker, show)
        if known is not None:
            return known
        reseller = self._grants.recall(asker, show)
        known = None if reseller is None else self._book.known(reseller, show)
        return None if known is None else known.for_seller(asker)

    async def newest_for(self, show: Show, wanted: Wanted) -> Show:
        """Return the show, read anew if it seems not to have the ticket types that are wanted.

        What is refused here never gets to the store, which would tell that the show has changed.
        """
        selection = resolve(show, wanted)
        if isinstance(selection, UnknownPlaces) or selection.tickets > LIMIT_MAX:
            return show
        if not isinstance(choose_types(show, wanted, selection), TypesRefused):
            return show
        return await self.reload(show)

    async def reload(self, show: Show) -> Show:
        """Return the show as the ledger has it now."""
        with store_failures():
            newest = await self._book.reload(self._app, show.reseller, show.id)
        return newest.for_seller(show.seller)

    def is_full(self, show: Show) -> bool:
        """Whether the show takes no command just now: every one would be `Overloaded`."""
        return self._asking.is_full(show)

    def ask_hold(  # noqa: PLR0913 - a request's parts
        self,
        show: Show,
        key: str,
        *,
        buyer: str,
        ttl_ms: int,
        wanted: Wanted,
        fingerprint: Callable[[], int],
        shown: Shown = NOTHING_SHOWN,
        bundle: str = "",
    ) -> Asked | UnknownPlaces | TypesRefused | Refusal:
        """Ask to hold a selection for a buyer; the same key gets the same hold.

        With the hex digits of a `bundle` the hold is a part of that.
        `fingerprint` is called for what gets to the store, which most of a sold-out show does not.

        What comes of it is told by `tell`.
        """
        selection = resolve(show, wanted)
        if isinstance(selection, UnknownPlaces):
            return selection
        if selection.tickets > LIMIT_MAX:
            # No show allows it: refused before it costs the store any time.
            return OverHoldLimit(show.max_per_hold)
        if wanted.types:
            selection = choose_types(show, wanted, selection)
            if isinstance(selection, TypesRefused):
                return selection
        rights = rights_of(self._ids, show, shown)
        judged = judge(show, selection, rights)
        digest = self._ids.derive_digest(show.asker, show.id, key)
        # Somebody with a right may have it elsewhere than all others.
        known = None if rights else self._sold.refuse(show, digest, selection)
        if known is not None:
            return with_foreign(known, judged.foreign)
        hold = self._ids.complete_hold(show.asker, show.id, digest)
        buyer = kept_name(show, buyer)
        command = commands.Hold(hold, buyer, ttl_ms, fingerprint(), judged.selection, bundle)
        return self._asking.ask_judged(show, command, selection, judged, typed=bool(wanted.types))

    def ask_replace(
        self,
        show: Show,
        hold: HoldId,
        wanted: Wanted,
        fingerprint: int,
        shown: Shown = NOTHING_SHOWN,
    ) -> Asked | UnknownPlaces | TypesRefused | OverHoldLimit:
        """Ask to put another selection in the place of a hold's, or leave it as it is."""
        selection = resolve(show, wanted)
        if isinstance(selection, UnknownPlaces):
            return selection
        if selection.tickets > LIMIT_MAX:
            return OverHoldLimit(show.max_per_hold)
        selection = choose_types(show, wanted, selection)
        if isinstance(selection, TypesRefused):
            return selection
        judged = judge(show, selection, rights_of(self._ids, show, shown))
        command = commands.Replace(hold, fingerprint, judged.selection)
        return self._asking.ask_judged(show, command, selection, judged, typed=bool(wanted.types))

    def ask(self, show: Show, command: commands.Command) -> asyncio.Future[Outcome]:
        """Ask for something that no single request asks for; what comes of it is told as it is."""
        return self._asking.ask(show, command).outcome

    def ask_look(self, show: Show, hold: HoldId) -> Asked:
        """Ask how a hold stands."""
        return self._asking.ask_look(show, hold)

    def ask_release(self, show: Show, hold: HoldId) -> Asked:
        """Ask to give a hold's seats back; also when it has ended or never was."""
        return self._asking.ask(show, commands.Release(hold))

    async def ask_purchase(
        self, show: Show, hold: HoldId, key: str, fingerprint: int, payment_reference: str
    ) -> Asked:
        """Ask to turn a hold into an order. What comes of it is told by `tell_purchase`."""
        await self._confirmations.listen_to(show.id)
        key = kept_name(show, key)
        return self._asking.ask(show, commands.Purchase(hold, key, fingerprint, payment_reference))

    def tell(self, show: Show, asked: Asked) -> Coroutine[None, None, Decided | Done]:
        """Wait for what became of a command and tell it; a release is `Done`, all else is not."""
        return self._holds.tell(show, asked)

    def tell_purchase(self, show: Show, asked: Asked) -> Coroutine[None, None, PurchaseTold]:
        """Wait for what became of a purchase: confirmed once its row is committed."""
        return self._orders.tell_purchase(show, asked)

    def order(self, show: Show, order: HoldId) -> Coroutine[None, None, OrderTold]:
        """Tell an order: from the ledger, or until it is there from Redis; else it has failed."""
        return self._orders.tell(show, order)

    def rights(self, show: Show, shown: Shown) -> Rights:
        """Return which allotments of a show somebody may hold places of, now."""
        return rights_of(self._ids, show, shown)

    def is_code(self, show: Show, shown: Shown) -> bool:
        """Tell whether an access code is one of a show's, for who shows it, now or later."""
        return bool(rights_of(self._ids, show, structs.replace(shown, channel=""), is_early=True))

    async def availability(
        self, show: Show, shown: Shown = NOTHING_SHOWN
    ) -> InventoryState | Recovering:
        """Return the seat map and the counts as somebody is told them, read after this was asked.

        Places that they have no right to are blocked to them.
        """
        state = await self.inventory(show)
        if isinstance(state, Recovering):
            return state
        return state.seen_by(self.rights(state.show, shown))

    async def inventory(self, show: Show) -> InventoryState | Recovering:
        """Return how all places stand, whoever may hold them, read after this was asked for."""
        with store_failures():
            found = await self._readings.get(show.id, partial(self._read, show))
        if not isinstance(found, InventoryState):
            return found
        told = as_told(found)
        # Whoever tells of it is to know for whom.
        return structs.replace(told, show=told.show.for_seller(show.seller))

    async def _read(self, show: Show) -> InventoryState | Recovering:
        found = await read_inventory(self._redis, self._asking.source(show))
        if not isinstance(found, NotStored):
            return found
        async with tenant_transaction(self._app, show.reseller) as connection:
            current = await self._book.read(connection, show.id)
            return await self._ledgered.read(connection, current)

    def prices(self, show: Show, version: int) -> Coroutine[None, None, Tariff]:
        """Return what tickets cost at a price version."""
        return self._quotes.prices(show, version)
