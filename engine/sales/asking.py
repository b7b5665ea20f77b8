"""Puts the commands of requests into their shows' lanes."""

import asyncio
from collections.abc import Callable

from msgspec import Struct, structs
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory import commands
from engine.inventory.commands import AreaShort, Outcome, Selection
from engine.inventory.lanes import Lane, Lanes, ShowSource
from engine.inventory.shows import Show, ShowBook
from engine.platform.errors import store_failures
from engine.platform.ids import HoldId
from engine.sales.rights import Judged, judge, pass_short


class Asked(Struct, frozen=True):
    """A command in its lane, and what will have become of it."""

    command: commands.Command
    outcome: asyncio.Future[Outcome]
    foreign: tuple[int, ...] = ()
    """Seats that it was to have and that are others': the command is one that is refused."""
    foreign_areas: tuple[int, ...] = ()
    """Areas that have nothing for who asks: just so."""
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


class Asking:
    """The lanes of all shows, for what one process is asked."""

    def __init__(self, lanes: Lanes, book: ShowBook, app: AsyncEngine) -> None:
        """Take the lanes, and where they get their shows from."""
        self._lanes = lanes
        self._book = book
        self._app = app

    def source(self, show: Show) -> ShowSource:
        """Return where a lane gets this show from."""
        return _Source(self._book, self._app, show)

    def is_full(self, show: Show) -> bool:
        """Whether the show takes no command just now: every one would be `Overloaded`."""
        lane = self._lanes.known(show.id)
        return lane is not None and lane.is_full

    def ask(self, show: Show, command: commands.Command) -> Asked:
        """Put a command that selects nothing into the show's lane."""
        outcome = self._lane(show).submit(command, knows_of_queue=show.has_queue)
        return Asked(command, outcome)

    def ask_look(self, show: Show, hold: HoldId) -> Asked:
        """Ask how a hold stands."""
        return self.ask(show, commands.Look(hold))

    def ask_judged(
        self,
        show: Show,
        command: commands.Hold | commands.Replace,
        selection: Selection,
        judged: Judged,
        *,
        typed: bool,
    ) -> Asked:
        """Put a selection that was judged into the show's lane."""
        outcome = self._lane(show).submit(
            command,
            knows_of_queue=show.has_queue,
            types=show.ticket_types if typed else None,
            allotments=show.allotments,
            rights=judged.rights,
        )
        if not judged.rights or not selection.areas:
            return Asked(command, outcome, judged.foreign, judged.foreign_areas)

        def again(short: AreaShort) -> Asked | None:
            passed = pass_short(show, judged, short)
            if passed is None:
                return None
            other = judge(show, selection, judged.rights, passed)
            elsewhere = structs.replace(command, selection=other.selection)
            return self.ask_judged(show, elsewhere, selection, other, typed=typed)

        return Asked(command, outcome, judged.foreign, judged.foreign_areas, again)

    def _lane(self, show: Show) -> Lane:
        lane = self._lanes.known(show.id)
        return self._lanes.make(show.id, self.source(show)) if lane is None else lane
