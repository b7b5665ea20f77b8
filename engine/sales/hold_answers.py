"""Tells what became of commands on holds, with labels and prices."""

from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory import commands
from engine.inventory.commands import (
    AlreadyPurchased,
    AreaShort,
    Committing,
    Done,
    Ended,
    Held,
    InDoubt,
    Malformed,
    NoneTogether,
    OfBundle,
    Outcome,
    Purchased,
    Refusal,
    SeatsTaken,
    Unavailable,
    Unknown,
)
from engine.inventory.shows import Show, ShowBook
from engine.inventory.sold_watch import SoldWatch
from engine.inventory.ticket_types import sorted_types
from engine.platform.errors import store_failures
from engine.platform.ids import Ids
from engine.sales.asking import Asked
from engine.sales.quotes import Quotes
from engine.sales.recorded_orders import RecordedOrders
from engine.sales.rights import as_asked
from engine.sales.sellers import told_name
from engine.sales.views import HoldOfBundle, HoldView, bundle_of
from engine.sales.wanted import UnknownPlaces

# Tuples, since a union is made anew, and slowly, wherever it is written in a call.
_STANDING = (Held, Purchased)
_TAKEN = (SeatsTaken, AreaShort, NoneTogether)

Decided = HoldView | UnknownPlaces | Refusal | AlreadyPurchased | HoldOfBundle | Ended | Unavailable


class HoldAnswers:
    """Tells how holds stand.

    Every method may raise `StoreUnavailableError`, when a store it needs can't be asked.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - the box office's parts
        self,
        ids: Ids,
        book: ShowBook,
        app: AsyncEngine,
        sold: SoldWatch,
        quotes: Quotes,
        recorded: RecordedOrders,
    ) -> None:
        """Take the parts of the box office."""
        self._ids = ids
        self._book = book
        self._app = app
        self._sold = sold
        self._quotes = quotes
        self._recorded = recorded

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
            found = await self._recorded.find(show, asked.command.hold)
            if found is None:
                return InDoubt()
        version, areas = outcome.price_version, outcome.areas
        manifest = show.manifest
        if not show.knows_places_of(version):
            manifest = await self._quotes.places(show, version)
            show = show.with_places(manifest)
        labels, levels = manifest.labels_and_levels(sorted(outcome.seats))
        types = sorted_types(outcome.types, outcome.seats, areas) if outcome.types else ()
        quote = self._quotes.known(show, version, levels, areas, types)
        if quote is None:
            quote = await self._quotes.read(show, manifest, version, levels, areas, types)
        return HoldView(
            asked.command.hold,
            show,
            told_name(outcome.buyer),
            outcome.deadline_ms if isinstance(outcome, Held) else None,
            labels,
            {manifest.areas[area].slug: count for area, count in sorted(areas)} if areas else {},
            quote,
            types,
        )

    async def _tell_refused(self, show: Show, asked: Asked, outcome: Outcome) -> Decided | Done:
        """Tell why a command changed nothing, or that a hold is no more."""
        if isinstance(outcome, _TAKEN):
            self._sold.follow(show)
            return as_asked(show, outcome, asked.foreign, asked.foreign_areas)
        if isinstance(outcome, Unknown) and isinstance(asked.command, commands.Look):
            # A show that was archived: its orders are in the ledger alone.
            return await self._recorded.tell_hold(show, asked.command.hold) or outcome
        if isinstance(outcome, Malformed):
            return await self._taken_out(show, asked.command) or outcome
        if isinstance(outcome, OfBundle):
            return bundle_of(self._ids, outcome)
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
