"""The box office: what the API asks of the engine, in the API's words.

It turns labels and slugs into positions and indexes, submits commands to the show's lane, asks
the ledger where Redis does not know, and tells outcomes with labels and prices.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct, structs
from sqlalchemy.ext.asyncio import AsyncEngine

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
from engine.inventory.commands import (
    AlreadyPurchased,
    Areas,
    AreaShort,
    Committing,
    Done,
    Ended,
    Held,
    InDoubt,
    KeyReused,
    Malformed,
    NoneTogether,
    NotOnSale,
    OfBundle,
    Outcome,
    OverHoldLimit,
    Purchased,
    Recovering,
    Refusal,
    SeatsTaken,
    Selection,
    Unavailable,
    Unknown,
)
from engine.inventory.lanes import Lane, Lanes
from engine.inventory.manifest import Manifest
from engine.inventory.shows import Show, ShowBook
from engine.inventory.sold_watch import SoldWatch
from engine.inventory.ticket_types import sorted_types
from engine.platform.database import tenant_transaction
from engine.platform.errors import StoreUnavailableError, store_failures
from engine.platform.ids import EntityId, HoldId, Ids, Prefix
from engine.platform.redis import Store
from engine.platform.sharing import SharedReads
from engine.sales.chosen_types import TypesRefused, choose_types
from engine.sales.confirmations import Confirmations, Word
from engine.sales.orders import (
    Failure,
    OrderState,
    RecordedOrder,
    find_order,
    is_stranded,
    read_epoch,
)
from engine.sales.pricing import FeeSchedule, Quote, Tariff
from engine.sales.quotes import Quotes
from engine.sales.rights import (
    NOTHING_SHOWN,
    Judged,
    Shown,
    as_asked,
    judge,
    pass_short,
    rights_of,
    with_foreign,
)
from engine.sales.tickets import order_tickets
from engine.sales.views import FailedOrder, HoldOfBundle, HoldView, OrderUndecided, OrderView
from engine.sales.wanted import UnknownPlaces, Wanted, resolve

# Tuples, since a union is made anew, and slowly, wherever it is written in a call.
_STANDING = (Held, Purchased)
_TAKEN = (SeatsTaken, AreaShort, NoneTogether)

Decided = HoldView | UnknownPlaces | Refusal | AlreadyPurchased | HoldOfBundle | Ended | Unavailable


class Asked(Struct, frozen=True):
    """A command in its lane, and what will have become of it."""

    command: commands.Command
    outcome: asyncio.Future[Outcome]
    foreign: tuple[int, ...] = ()
    """Seats that it was to have and that are others': the command is one that is refused."""
    again: "Callable[[AreaShort], Asked | None] | None" = None
    """Asks for the places that were short elsewhere, where a right gives another way."""


class _Source:
    """A show as one reseller's requests see it, for a lane."""

    def __init__(self, book: ShowBook, app: AsyncEngine, show: Show) -> None:
        self._book = book
        self._app = app
        self._reseller = show.reseller
        self._show = show.id

    async def current(self) -> Show:
        with store_failures():
            return await self._book.get(self._app, self._reseller, self._show)

    async def reload(self) -> Show:
        with store_failures():
            return await self._book.reload(self._app, self._reseller, self._show)


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
        self._lanes = lanes
        self._confirmations = confirmations
        self._confirm_timeout_ms = confirm_timeout_ms
        self._sold = sold
        self._quotes = Quotes()
        self._ledgered = LedgeredStates()
        self._readings: SharedReads[int, InventoryState | Recovering] = SharedReads()

    async def show(self, reseller: EntityId, show: EntityId) -> Show:
        """Return a reseller's show.

        Raises:
            UnknownShowError: the reseller has no such show.
        """
        with store_failures():
            return await self._book.get(self._app, reseller, show)

    def known_show(self, reseller: EntityId, show: EntityId) -> Show | None:
        """Return a reseller's show if it is in memory; None: ask for it with `show`."""
        return self._book.known(reseller, show)

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
            return await self._book.reload(self._app, show.reseller, show.id)

    def is_full(self, show: Show) -> bool:
        """Whether the show takes no command just now: every one would be `Overloaded`."""
        lane = self._lanes.known(show.id)
        return lane is not None and lane.is_full

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
        digest = self._ids.derive_digest(show.reseller, show.id, key)
        # Somebody with a right may have it elsewhere than all others.
        known = None if rights else self._sold.refuse(show, digest, selection)
        if known is not None:
            return with_foreign(known, judged.foreign)
        hold = self._ids.complete_hold(show.reseller, show.id, digest)
        command = commands.Hold(hold, buyer, ttl_ms, fingerprint(), judged.selection, bundle)
        return self._ask_judged(show, command, selection, judged, typed=bool(wanted.types))

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
        return self._ask_judged(show, command, selection, judged, typed=bool(wanted.types))

    def ask(self, show: Show, command: commands.Command) -> asyncio.Future[Outcome]:
        """Ask for something that no single request asks for; what comes of it is told as it is."""
        return self._ask(show, command).outcome

    def ask_look(self, show: Show, hold: HoldId) -> Asked:
        """Ask how a hold stands."""
        return self._ask(show, commands.Look(hold))

    def ask_release(self, show: Show, hold: HoldId) -> Asked:
        """Ask to give a hold's seats back; also when it has ended or never was."""
        return self._ask(show, commands.Release(hold))

    async def ask_purchase(
        self, show: Show, hold: HoldId, key: str, fingerprint: int, payment_reference: str
    ) -> Asked:
        """Ask to turn a hold into an order. What comes of it is told by `tell_purchase`."""
        await self._confirmations.listen_to(show.id)
        return self._ask(show, commands.Purchase(hold, key, fingerprint, payment_reference))

    async def tell(self, show: Show, asked: Asked) -> Decided | Done:
        """Wait for what became of a command and tell it; a release is `Done`, all else is not."""
        outcome = await asked.outcome
        while asked.again is not None and isinstance(outcome, AreaShort):
            elsewhere = asked.again(outcome)
            if elsewhere is None:
                break
            asked = elsewhere
            outcome = await asked.outcome
        if not isinstance(outcome, _STANDING):
            return await self._tell_refused(show, asked, outcome)
        if isinstance(outcome, Purchased) and not outcome.durable:
            found = await self._find(show, asked.command.hold)
            if found is None:
                return InDoubt()
        version, areas = outcome.price_version, outcome.areas
        manifest = show.manifest
        if not show.knows_places_of(version):
            manifest = await self._places(show, version)
            show = structs.replace(show, manifest=manifest)
        labels, levels = manifest.labels_and_levels(sorted(outcome.seats))
        types = sorted_types(outcome.types, outcome.seats, areas) if outcome.types else ()
        quote = self._quotes.known(show, version, levels, areas, types)
        if quote is None:
            quote = await self._quote(show, manifest, version, levels, areas, types)
        return HoldView(
            asked.command.hold,
            show,
            outcome.buyer,
            outcome.deadline_ms if isinstance(outcome, Held) else None,
            labels,
            {manifest.areas[area].slug: count for area, count in sorted(areas)} if areas else {},
            quote,
            types,
        )

    async def tell_purchase(
        self, show: Show, asked: Asked
    ) -> (
        OrderView
        | KeyReused
        | AlreadyPurchased
        | HoldOfBundle
        | NotOnSale
        | Ended
        | Malformed
        | Unavailable
    ):
        """Wait for what became of a purchase: confirmed once its row is committed."""
        command = asked.command
        assert isinstance(command, commands.Purchase)  # noqa: S101 - as `ask_purchase` made it
        outcome = await asked.outcome
        if isinstance(outcome, Purchased):
            return await self._confirm(show, command.hold, outcome, command.payment_reference)
        if isinstance(outcome, Ended):
            # Redis may have lost what the ledger has.
            return await self._recorded_purchase(show, command) or outcome
        if isinstance(outcome, OfBundle):
            return self._of_bundle(outcome)
        assert isinstance(  # noqa: S101 - batch.lua answers a purchase with nothing else
            outcome, KeyReused | AlreadyPurchased | NotOnSale | Malformed | Unavailable
        )
        return outcome

    async def order(
        self, show: Show, order: HoldId
    ) -> OrderView | FailedOrder | OrderUndecided | Unavailable:
        """Tell an order: from the ledger, or until it is there from Redis; else it has failed."""
        recorded = await self._recorded(show, order)
        if recorded is not None:
            return recorded
        outcome = await self.ask_look(show, order).outcome
        if isinstance(outcome, Unavailable):
            return outcome
        # It may have been recorded since the ledger was asked.
        recorded = await self._recorded(show, order)
        return recorded or await self._unrecorded_order(show, order, outcome)

    async def _unrecorded_order(
        self, show: Show, order: HoldId, outcome: Outcome
    ) -> OrderView | FailedOrder | OrderUndecided | Unavailable:
        """Tell an order that the ledger does not have, by how its hold stands in the store."""
        if isinstance(outcome, Held):
            return OrderUndecided()
        if not isinstance(outcome, Purchased):
            return await self._failed(show, order)
        state = await self._unrecorded(show, order)
        if state is OrderState.RECORDING and not outcome.durable:
            return InDoubt()
        return await self._view_sale(show, order, outcome, state, None)

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
        return as_told(found) if isinstance(found, InventoryState) else found

    async def _read(self, show: Show) -> InventoryState | Recovering:
        found = await read_inventory(self._redis, self._source(show))
        if not isinstance(found, NotStored):
            return found
        async with tenant_transaction(self._app, show.reseller) as connection:
            current = await self._book.read(connection, show.id)
            return await self._ledgered.read(connection, current)

    async def prices(self, show: Show, version: int) -> Tariff:
        """Return what tickets cost at a price version."""
        with store_failures():
            known = self._book.known_prices(show.id, version)
            if known is None:
                async with tenant_transaction(self._app, show.reseller) as connection:
                    known = await self._book.prices(connection, show.id, version)
        return Tariff(
            currency=show.currency,
            prices=known.face_values,
            types=known.types,
            fees=FeeSchedule(fee_bps=show.fee_bps, fee_fixed=show.fee_fixed),
            tax_bps=show.tax_bps,
        )

    # ---------------------------------------------------------------------------------------------

    def _of_bundle(self, outcome: OfBundle) -> HoldOfBundle:
        return HoldOfBundle(self._ids.entity(Prefix.BUNDLE, int(outcome.bundle, 16)))

    def _source(self, show: Show) -> _Source:
        return _Source(self._book, self._app, show)

    def _ask(self, show: Show, command: commands.Command) -> Asked:
        outcome = self._lane(show).submit(command, knows_of_queue=show.has_queue)
        return Asked(command, outcome)

    def _ask_judged(
        self,
        show: Show,
        command: commands.Hold | commands.Replace,
        selection: Selection,
        judged: Judged,
        *,
        typed: bool,
    ) -> Asked:
        outcome = self._lane(show).submit(
            command,
            knows_of_queue=show.has_queue,
            types=show.ticket_types if typed else None,
            allotments=show.allotments,
            rights=judged.rights,
        )
        if not judged.rights or not selection.areas:
            return Asked(command, outcome, judged.foreign)

        def again(short: AreaShort) -> Asked | None:
            passed = pass_short(show, judged, short)
            if passed is None:
                return None
            other = judge(show, selection, judged.rights, passed)
            elsewhere = structs.replace(command, selection=other.selection)
            return self._ask_judged(show, elsewhere, selection, other, typed=typed)

        return Asked(command, outcome, judged.foreign, again)

    def _lane(self, show: Show) -> Lane:
        lane = self._lanes.known(show.id)
        return self._lanes.make(show.id, self._source(show)) if lane is None else lane

    async def _places(self, show: Show, price_version: int) -> Manifest:
        """Return what places were sold by at a price version, before or after an edit of them."""
        with store_failures():
            return await self._book.places_at(self._app, show, price_version)

    async def _tell_refused(self, show: Show, asked: Asked, outcome: Outcome) -> Decided | Done:
        """Tell why a command changed nothing, or that a hold is no more."""
        if isinstance(outcome, _TAKEN):
            self._sold.follow(show)
            return as_asked(show, outcome, asked.foreign)
        if isinstance(outcome, Unknown) and isinstance(asked.command, commands.Look):
            # A show that was archived: its orders are in the ledger alone.
            return await self._recorded_hold(show, asked.command.hold) or outcome
        if isinstance(outcome, Malformed):
            return await self._taken_out(show, asked.command) or outcome
        if isinstance(outcome, OfBundle):
            return self._of_bundle(outcome)
        assert not isinstance(outcome, (*_STANDING, Committing))  # noqa: S101 - only a commit is
        return outcome

    async def _taken_out(self, show: Show, command: commands.Command) -> UnknownPlaces | None:
        """Tell which of the seats a command names were taken out since the show was read."""
        if not isinstance(command, commands.Hold | commands.Replace):
            return None
        with store_failures():
            now = (await self._book.get(self._app, show.reseller, show.id)).manifest
        gone = [seat for seat in command.selection.seats if not now.is_seat(seat)]
        labels, _ = show.manifest.labels_and_levels(gone)
        return UnknownPlaces(seats=tuple(labels)) if gone else None

    async def _quote(  # noqa: PLR0913, PLR0917 - what a price follows from
        self,
        show: Show,
        manifest: Manifest,
        version: int,
        levels: Sequence[int],
        areas: Areas,
        types: tuple[str, ...],
    ) -> Quote:
        known = self._quotes.known(show, version, levels, areas, types)
        if known is None:
            tariff = await self.prices(show, version)
            known = self._quotes.make(show, manifest, version, levels, areas, types, tariff)
        return known

    async def _confirm(
        self, show: Show, hold: HoldId, sale: Purchased, payment_reference: str
    ) -> OrderView | InDoubt:
        if sale.returned:
            recorded = await self._recorded(show, hold)
            if recorded is not None:
                return recorded
        word = await self._confirmations.wait(
            show.id, sale.position, hold, self._confirm_timeout_ms
        )
        if word is Word.CONFIRMED:
            return await self._view_sale(show, hold, sale, OrderState.CONFIRMED, payment_reference)
        if word is Word.BEHIND and sale.durable:
            # Not asked of the ledger, which has enough to do when its recorder is behind.
            return await self._view_sale(show, hold, sale, OrderState.RECORDING, payment_reference)
        try:
            recorded = await self._recorded(show, hold)
            state = await self._unrecorded(show, hold) if recorded is None else recorded.status
        except StoreUnavailableError:
            recorded, state = None, OrderState.RECORDING
        if recorded is None and state is OrderState.RECORDING and not sale.durable:
            return InDoubt()
        # If it has no row yet: it is decided and its fact is durable, so it will be recorded.
        return recorded or await self._view_sale(show, hold, sale, state, payment_reference)

    async def _view_sale(
        self,
        show: Show,
        hold: HoldId,
        sale: Purchased,
        status: OrderState,
        payment_reference: str | None,
    ) -> OrderView:
        manifest = await self._places(show, sale.price_version)
        show = structs.replace(show, manifest=manifest)
        _, levels = manifest.labels_and_levels(sorted(sale.seats))
        types = sorted_types(sale.types, sale.seats, sale.areas)
        return OrderView(
            order=hold,
            show=show,
            status=status,
            buyer=sale.buyer,
            sold_at_ms=sale.sold_at_ms,
            payment_reference=payment_reference,
            quote=await self._quote(show, manifest, sale.price_version, levels, sale.areas, types),
            tickets=(
                order_tickets(hold, manifest, sale.seats, sale.areas, types)
                if status is OrderState.CONFIRMED
                else ()
            ),
            failure=Failure.STRANDED if status is OrderState.FAILED else None,
        )

    async def _recorded_hold(self, show: Show, hold: HoldId) -> HoldView | None:
        """Tell a purchased hold by its order, if the ledger has one that stands."""
        current = await self.show(show.reseller, show.id)
        found = None if current.is_stored else await self._find(show, hold)
        if found is None or found.state is not OrderState.CONFIRMED:
            return None
        manifest = await self._places(show, found.price_version)
        show = structs.replace(show, manifest=manifest)
        labels, _ = manifest.labels_and_levels(found.seats)
        areas = {manifest.areas[area].slug: count for area, count in found.areas}
        return HoldView(hold, show, found.buyer, None, labels, areas, found.quote, found.types)

    async def _recorded(self, show: Show, order: HoldId) -> OrderView | None:
        found = await self._find(show, order)
        return None if found is None else await self._view_recorded(show, order, found)

    async def _recorded_purchase(
        self, show: Show, command: commands.Purchase
    ) -> OrderView | KeyReused | AlreadyPurchased | None:
        """Answer a purchase of a hold that Redis does not have, if the ledger has its order."""
        found = await self._find(show, command.hold)
        if found is None:
            return None
        if found.purchase_key != command.key:
            return AlreadyPurchased()
        if found.body_fp != command.fingerprint:
            return KeyReused()
        return await self._view_recorded(show, command.hold, found)

    async def _unrecorded(self, show: Show, order: HoldId) -> OrderState:
        """Tell whether a sale that has no row will still get one."""
        with store_failures():
            async with tenant_transaction(self._app, show.reseller) as connection:
                stranded = await is_stranded(connection, show.id, order)
        return OrderState.FAILED if stranded else OrderState.RECORDING

    async def _failed(self, show: Show, order: HoldId) -> FailedOrder | Recovering:
        """Tell that an order has failed which neither the ledger nor the open store knows.

        The store has each sale of its epoch, and was opened after all that survived of earlier ones
        had been recorded. It is the store that sells as long as the ledger is in the epoch that
        this process has asked it under: an older one is refused by it, but not by a server that
        was given up and does not know that yet.
        """
        with store_failures():
            async with tenant_transaction(self._app, show.reseller) as connection:
                stranded = await is_stranded(connection, show.id, order)
                epoch = await read_epoch(connection, show.id)
            if stranded:
                return FailedOrder(order, show, Failure.STRANDED)
            if epoch == show.epoch:
                return FailedOrder(order, show, Failure.LOST)
            await self._book.reload(self._app, show.reseller, show.id)
        return Recovering()

    async def _find(self, show: Show, order: HoldId) -> RecordedOrder | None:
        with store_failures():
            async with tenant_transaction(self._app, show.reseller) as connection:
                return await find_order(connection, show.id, order)

    async def _view_recorded(self, show: Show, order: HoldId, found: RecordedOrder) -> OrderView:
        manifest = await self._places(show, found.price_version)
        return OrderView(
            order=order,
            show=structs.replace(show, manifest=manifest),
            status=found.state,
            buyer=found.buyer,
            sold_at_ms=found.sold_at_ms,
            payment_reference=found.payment_reference,
            quote=found.quote,
            tickets=(
                order_tickets(order, manifest, found.seats, found.areas, found.types)
                if found.state is OrderState.CONFIRMED
                else ()
            ),
            failure=Failure.CONFLICT if found.state is OrderState.FAILED else None,
        )
