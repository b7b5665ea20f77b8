"""What the ledger says of orders, in the box office's words."""

from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.commands import Recovering
from engine.inventory.shows import Show, ShowBook
from engine.platform.database import tenant_transaction
from engine.platform.errors import store_failures
from engine.platform.ids import HoldId
from engine.sales.orders import (
    Failure,
    OrderState,
    RecordedOrder,
    find_order,
    is_stranded,
    read_epoch,
)
from engine.sales.quotes import Quotes
from engine.sales.sellers import told_name
from engine.sales.tickets import order_tickets
from engine.sales.views import FailedOrder, HoldView, OrderView


class RecordedOrders:
    """The orders of all resellers, as the ledger has them.

    Every method may raise `StoreUnavailableError`, when the ledger can't be asked.
    """

    def __init__(self, book: ShowBook, app: AsyncEngine, quotes: Quotes) -> None:
        """Take what the box office has."""
        self._book = book
        self._app = app
        self._quotes = quotes

    async def find(self, show: Show, order: HoldId) -> RecordedOrder | None:
        """Return an order as the ledger has it; None if it is not recorded."""
        with store_failures():
            async with tenant_transaction(self._app, show.reseller) as connection:
                return await find_order(connection, show.id, order)

    async def tell(self, show: Show, order: HoldId) -> OrderView | None:
        """Tell an order as it is recorded; None if it is not."""
        found = await self.find(show, order)
        return None if found is None else await self.view(show, order, found)

    async def view(self, show: Show, order: HoldId, found: RecordedOrder) -> OrderView:
        """Tell an order that was found."""
        manifest = await self._quotes.places(show, found.price_version)
        return OrderView(
            order=order,
            show=show.with_places(manifest),
            status=found.state,
            buyer=told_name(found.buyer),
            sold_by=found.sold_by,
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

    async def tell_hold(self, show: Show, hold: HoldId) -> HoldView | None:
        """Tell a purchased hold by its order, if the ledger has one that stands."""
        with store_failures():
            current = await self._book.get(self._app, show.reseller, show.id)
        found = None if current.is_stored else await self.find(show, hold)
        if found is None or found.state is not OrderState.CONFIRMED:
            return None
        manifest = await self._quotes.places(show, found.price_version)
        show = show.with_places(manifest)
        labels, _ = manifest.labels_and_levels(found.seats)
        areas = {manifest.areas[area].slug: count for area, count in found.areas}
        return HoldView(
            hold, show, told_name(found.buyer), None, labels, areas, found.quote, found.types
        )

    async def foresee(self, show: Show, order: HoldId) -> OrderState:
        """Tell whether a sale that has no row will still get one."""
        with store_failures():
            async with tenant_transaction(self._app, show.reseller) as connection:
                stranded = await is_stranded(connection, show.id, order)
        return OrderState.FAILED if stranded else OrderState.RECORDING

    async def tell_failed(self, show: Show, order: HoldId) -> FailedOrder | Recovering:
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
