"""The box office: what the API asks of the engine, in the API's words.

It turns labels and slugs into positions and indexes, submits commands to the show's lane, asks
the ledger where Redis does not know, and tells outcomes with labels and prices.
"""

from collections.abc import Iterable

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.shows import LIMIT_MAX
from engine.inventory import commands
from engine.inventory.availability import InventoryState, read_inventory
from engine.inventory.commands import (
    AlreadyPurchased,
    Areas,
    Done,
    Ended,
    Held,
    KeyReused,
    Malformed,
    Outcome,
    OverHoldLimit,
    Purchased,
    Recovering,
    Refusal,
    Unavailable,
)
from engine.inventory.lanes import Lanes
from engine.inventory.shows import Show, ShowBook
from engine.platform.database import tenant_transaction
from engine.platform.errors import StoreUnavailableError, store_failures
from engine.platform.ids import EntityId, HoldId, Ids
from engine.platform.redis import Store
from engine.sales.confirmations import Confirmations, Word
from engine.sales.orders import OrderState, RecordedOrder, find_order, is_stranded
from engine.sales.pricing import FeeSchedule, Quote, Tariff, quote
from engine.sales.tickets import Ticket, order_tickets
from engine.sales.wanted import UnknownPlaces, Wanted, resolve


class HoldView(Struct, frozen=True):
    """A hold that stands, or that has become an order."""

    hold: HoldId
    show: Show
    purchased: bool
    buyer: str
    expires_at_ms: int | None
    """None once it is purchased."""
    seats: tuple[str, ...]
    areas: tuple[tuple[str, int], ...]
    quote: Quote


class OrderView(Struct, frozen=True):
    """An order, or a sale on its way to be one: `status` is confirmed, recording, failed, ..."""

    order: HoldId
    show: Show
    status: OrderState
    buyer: str
    sold_at_ms: int
    payment_reference: str | None
    """None while only Redis knows of it."""
    quote: Quote
    tickets: tuple[Ticket, ...]


class OrderUnknown(Struct, frozen=True):
    """Neither the ledger nor Redis knows such an order."""


Decided = HoldView | UnknownPlaces | Refusal | AlreadyPurchased | Ended | Unavailable


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

    async def show(self, reseller: EntityId, show: EntityId) -> Show:
        """Return a reseller's show.

        Raises:
            UnknownShowError: the reseller has no such show.
        """
        with store_failures():
            return await self._book.get(self._app, reseller, show)

    async def hold(  # noqa: PLR0913 - a request's parts
        self, show: Show, key: str, *, buyer: str, ttl_ms: int, wanted: Wanted, fingerprint: int
    ) -> Decided:
        """Hold a selection for a buyer; the same key gets the same hold."""
        selection = resolve(show, wanted)
        if isinstance(selection, UnknownPlaces):
            return selection
        if selection.tickets > LIMIT_MAX:
            # No show allows it: refused before it costs the store any time.
            return OverHoldLimit(show.max_per_hold)
        hold = self._ids.derive_hold(show.reseller, show.id, key)
        command = commands.Hold(hold, buyer, ttl_ms, fingerprint, selection)
        return await self._tell(show, hold, await self._submit(show, command))

    async def replace(self, show: Show, hold: HoldId, wanted: Wanted, fingerprint: int) -> Decided:
        """Put another selection in the place of a hold's, or leave it as it is."""
        selection = resolve(show, wanted)
        if isinstance(selection, UnknownPlaces):
            return selection
        if selection.tickets > LIMIT_MAX:
            return OverHoldLimit(show.max_per_hold)
        command = commands.Replace(hold, fingerprint, selection)
        return await self._tell(show, hold, await self._submit(show, command))

    async def look(self, show: Show, hold: HoldId) -> HoldView | Ended | Unavailable:
        """Tell how a hold stands."""
        told = await self._tell(show, hold, await self._submit(show, commands.Look(hold)))
        assert isinstance(told, HoldView | Ended | Unavailable)  # noqa: S101 - nothing else is
        return told

    async def release(self, show: Show, hold: HoldId) -> Done | AlreadyPurchased | Unavailable:
        """Give a hold's seats back; also when it has ended or never was."""
        outcome = await self._submit(show, commands.Release(hold))
        assert isinstance(outcome, Done | AlreadyPurchased | Unavailable)  # noqa: S101
        return outcome

    async def purchase(
        self, show: Show, hold: HoldId, key: str, fingerprint: int, payment_reference: str
    ) -> OrderView | KeyReused | AlreadyPurchased | Ended | Malformed | Unavailable:
        """Turn a hold into an order: confirmed once its row is committed."""
        await self._confirmations.listen_to(show.id)
        outcome = await self._submit(
            show, commands.Purchase(hold, key, fingerprint, payment_reference)
        )
        if isinstance(outcome, Purchased):
            return await self._confirm(show, hold, outcome, payment_reference)
        if isinstance(outcome, Ended):
            # Redis may have lost what the ledger has.
            return await self._recorded_purchase(show, hold, key, fingerprint) or outcome
        assert isinstance(  # noqa: S101 - batch.lua answers a purchase with nothing else
            outcome, KeyReused | AlreadyPurchased | Malformed | Unavailable
        )
        return outcome

    async def order(self, show: Show, order: HoldId) -> OrderView | OrderUnknown | Unavailable:
        """Tell an order: from the ledger, or until it is there from Redis."""
        recorded = await self._recorded(show, order)
        if recorded is not None:
            return recorded
        outcome = await self._submit(show, commands.Look(order))
        if isinstance(outcome, Unavailable):
            return outcome
        if isinstance(outcome, Purchased):
            # It may have been recorded since the ledger was asked.
            return await self._recorded(show, order) or await self._view_sale(
                show, order, outcome, await self._unrecorded(show, order), None
            )
        return OrderUnknown()

    async def availability(self, show: Show) -> InventoryState | Recovering:
        """Return the seat map and the counts."""
        with store_failures():
            return await read_inventory(self._redis, self._source(show))

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
            fees=FeeSchedule(fee_bps=show.fee_bps, fee_fixed=show.fee_fixed),
            tax_bps=show.tax_bps,
        )

    # ---------------------------------------------------------------------------------------------

    def _source(self, show: Show) -> _Source:
        return _Source(self._book, self._app, show)

    async def _submit(self, show: Show, command: commands.Command) -> Outcome:
        with store_failures():
            return await self._lanes.lane(show.id, self._source(show)).submit(command)

    async def _tell(self, show: Show, hold: HoldId, outcome: Outcome) -> Decided:
        if isinstance(outcome, Held | Purchased):
            sold = isinstance(outcome, Purchased)
            return HoldView(
                hold=hold,
                show=show,
                purchased=sold,
                buyer=outcome.buyer,
                expires_at_ms=None if sold else outcome.deadline_ms,
                seats=_labels(show, outcome.seats),
                areas=_slugs(show, outcome.areas),
                quote=await self._quote(show, outcome),
            )
        assert not isinstance(outcome, Done)  # noqa: S101 - only a release is answered so
        return outcome

    async def _quote(self, show: Show, held: Held | Purchased) -> Quote:
        return price_places(
            show, await self.prices(show, held.price_version), held.seats, held.areas
        )

    async def _confirm(
        self, show: Show, hold: HoldId, sale: Purchased, payment_reference: str
    ) -> OrderView:
        word = await self._confirmations.wait(
            show.id, sale.position, hold, self._confirm_timeout_ms
        )
        if word is Word.CONFIRMED:
            return await self._view_sale(show, hold, sale, OrderState.CONFIRMED, payment_reference)
        try:
            recorded = await self._recorded(show, hold)
            state = await self._unrecorded(show, hold) if recorded is None else recorded.status
        except StoreUnavailableError:
            # The sale is decided and its fact is durable: it will be recorded.
            recorded, state = None, OrderState.RECORDING
        return recorded or await self._view_sale(show, hold, sale, state, payment_reference)

    async def _view_sale(
        self,
        show: Show,
        hold: HoldId,
        sale: Purchased,
        status: OrderState,
        payment_reference: str | None,
    ) -> OrderView:
        return OrderView(
            order=hold,
            show=show,
            status=status,
            buyer=sale.buyer,
            sold_at_ms=sale.sold_at_ms,
            payment_reference=payment_reference,
            quote=await self._quote(show, sale),
            tickets=(
                order_tickets(hold, show.manifest, sale.seats, sale.areas)
                if status is OrderState.CONFIRMED
                else ()
            ),
        )

    async def _recorded(self, show: Show, order: HoldId) -> OrderView | None:
        found = await self._find(show, order)
        return None if found is None else await self._view_recorded(show, order, found)

    async def _recorded_purchase(
        self, show: Show, hold: HoldId, key: str, fingerprint: int
    ) -> OrderView | KeyReused | AlreadyPurchased | None:
        """Answer a purchase of a hold that Redis does not have, if the ledger has its order."""
        found = await self._find(show, hold)
        if found is None:
            return None
        if found.purchase_key != key:
            return AlreadyPurchased()
        if found.body_fp != fingerprint:
            return KeyReused()
        return await self._view_recorded(show, hold, found)

    async def _unrecorded(self, show: Show, order: HoldId) -> OrderState:
        """Tell whether a sale that has no row will still get one."""
        with store_failures():
            async with tenant_transaction(self._app, show.reseller) as connection:
                stranded = await is_stranded(connection, show.id, order)
        return OrderState.FAILED if stranded else OrderState.RECORDING

    async def _find(self, show: Show, order: HoldId) -> RecordedOrder | None:
        with store_failures():
            async with tenant_transaction(self._app, show.reseller) as connection:
                return await find_order(connection, show.id, order)

    async def _view_recorded(self, show: Show, order: HoldId, found: RecordedOrder) -> OrderView:
        return OrderView(
            order=order,
            show=show,
            status=found.state,
            buyer=found.buyer,
            sold_at_ms=found.sold_at_ms,
            payment_reference=found.payment_reference,
            quote=found.quote,
            tickets=order_tickets(order, show.manifest, found.seats, found.areas),
        )


def price_places(show: Show, tariff: Tariff, seats: Iterable[int], areas: Areas) -> Quote:
    """Return what seats and places of a show cost, itemised, in the order of their positions."""
    manifest = show.manifest
    return quote(
        tariff,
        (manifest.levels[manifest.level_of(seat)].slug for seat in sorted(seats)),
        ((area, manifest.areas[area].price_level, count) for area, count in sorted(areas)),
    )


def _labels(show: Show, seats: Iterable[int]) -> tuple[str, ...]:
    return tuple(show.manifest.label_of(seat) for seat in sorted(seats))


def _slugs(show: Show, areas: Areas) -> tuple[tuple[str, int], ...]:
    return tuple((show.manifest.areas[area].slug, count) for area, count in sorted(areas))
