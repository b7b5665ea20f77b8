"""Tells purchases and orders: from the store while they are recorded, from the ledger after."""

from engine.inventory import commands
from engine.inventory.commands import (
    AlreadyPurchased,
    Ended,
    Held,
    InDoubt,
    KeyReused,
    Malformed,
    NotOnSale,
    OfBundle,
    Outcome,
    Purchased,
    Unavailable,
)
from engine.inventory.shows import Show
from engine.inventory.ticket_types import sorted_types
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import HoldId, Ids
from engine.sales.asking import Asked, Asking
from engine.sales.confirmations import Confirmations, Word
from engine.sales.orders import Failure, OrderState
from engine.sales.quotes import Quotes
from engine.sales.recorded_orders import RecordedOrders
from engine.sales.sellers import seller_of, told_name
from engine.sales.tickets import order_tickets
from engine.sales.views import FailedOrder, HoldOfBundle, OrderUndecided, OrderView, bundle_of

PurchaseTold = (
    OrderView
    | KeyReused
    | AlreadyPurchased
    | HoldOfBundle
    | NotOnSale
    | Ended
    | Malformed
    | Unavailable
)
OrderTold = OrderView | FailedOrder | OrderUndecided | Unavailable


class OrderAnswers:
    """Tells what becomes of sales.

    Every method may raise `StoreUnavailableError`, when a store it needs can't be asked.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the box office's parts
        self,
        ids: Ids,
        asking: Asking,
        quotes: Quotes,
        recorded: RecordedOrders,
        confirmations: Confirmations,
        confirm_timeout_ms: int,
    ) -> None:
        """Take the parts of the box office, and how long a purchase waits for its row."""
        self._ids = ids
        self._asking = asking
        self._quotes = quotes
        self._recorded = recorded
        self._confirmations = confirmations
        self._confirm_timeout_ms = confirm_timeout_ms

    async def tell_purchase(self, show: Show, asked: Asked) -> PurchaseTold:
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
            return bundle_of(self._ids, outcome)
        assert isinstance(  # noqa: S101 - batch.lua answers a purchase with nothing else
            outcome, KeyReused | AlreadyPurchased | NotOnSale | Malformed | Unavailable
        )
        return outcome

    async def tell(self, show: Show, order: HoldId) -> OrderTold:
        """Tell an order: from the ledger, or until it is there from Redis; else it has failed."""
        recorded = await self._recorded.tell(show, order)
        if recorded is not None:
            return recorded
        outcome = await self._asking.ask_look(show, order).outcome
        if isinstance(outcome, Unavailable):
            return outcome
        # It may have been recorded since the ledger was asked.
        recorded = await self._recorded.tell(show, order)
        return recorded or await self._unrecorded_order(show, order, outcome)

    async def _unrecorded_order(self, show: Show, order: HoldId, outcome: Outcome) -> OrderTold:
        """Tell an order that the ledger does not have, by how its hold stands in the store."""
        if isinstance(outcome, Held):
            return OrderUndecided()
        if not isinstance(outcome, Purchased):
            return await self._recorded.tell_failed(show, order)
        state = await self._recorded.foresee(show, order)
        if state is OrderState.RECORDING and not outcome.durable:
            return InDoubt()
        return await self._view_sale(show, order, outcome, state, None)

    async def _confirm(
        self, show: Show, hold: HoldId, sale: Purchased, payment_reference: str
    ) -> OrderView | InDoubt:
        if sale.returned:
            recorded = await self._recorded.tell(show, hold)
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
            recorded = await self._recorded.tell(show, hold)
            if recorded is not None:
                return recorded
            state = await self._recorded.foresee(show, hold)
        except StoreUnavailableError:
            state = OrderState.RECORDING
        if state is OrderState.RECORDING and not sale.durable:
            return InDoubt()
        # If it has no row yet: it is decided and its fact is durable, so it will be recorded.
        return await self._view_sale(show, hold, sale, state, payment_reference)

    async def _view_sale(
        self,
        show: Show,
        hold: HoldId,
        sale: Purchased,
        status: OrderState,
        payment_reference: str | None,
    ) -> OrderView:
        manifest = await self._quotes.places(show, sale.price_version)
        show = show.with_places(manifest)
        _, levels = manifest.labels_and_levels(sorted(sale.seats))
        types = sorted_types(sale.types, sale.seats, sale.areas)
        return OrderView(
            order=hold,
            show=show,
            status=status,
            buyer=told_name(sale.buyer),
            sold_by=seller_of(sale.buyer),
            sold_at_ms=sale.sold_at_ms,
            payment_reference=payment_reference,
            quote=await self._quotes.read(
                show, manifest, sale.price_version, levels, sale.areas, types
            ),
            tickets=(
                order_tickets(hold, manifest, sale.seats, sale.areas, types)
                if status is OrderState.CONFIRMED
                else ()
            ),
            failure=Failure.STRANDED if status is OrderState.FAILED else None,
        )

    async def _recorded_purchase(
        self, show: Show, command: commands.Purchase
    ) -> OrderView | KeyReused | AlreadyPurchased | None:
        """Answer a purchase of a hold that Redis does not have, if the ledger has its order."""
        found = await self._recorded.find(show, command.hold)
        if found is None:
            return None
        if found.purchase_key != command.key:
            return AlreadyPurchased()
        if found.body_fp != command.fingerprint:
            return KeyReused()
        return await self._recorded.view(show, command.hold, found)
