"""Exports price lists as a sheet that can be imported again: prices, ticket types, and steps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.price_rules import NewPrices
from engine.catalog.price_steps import PriceStep
from engine.catalog.sheets.amounts import write_amount, write_share
from engine.catalog.sheets.exporting import SheetPart, in_parts, write_moment
from engine.catalog.sheets.known_shows import (
    KnownShow,
    Offer,
    known_show,
    read_offers,
    select_known,
)
from engine.catalog.sheets.price_import import SHOWS_MAX
from engine.catalog.sheets.price_lines import PRICE_COLUMNS
from engine.catalog.sheets.table import LINES_MAX
from engine.catalog.transitions import Action, ShowState, allowed_in
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Ids, Prefix
from engine.platform.tables import shows

_LEFT_OUT_MAX: Final = 20
_CHANGEABLE: Final = [state for state in ShowState if Action.CHANGE in allowed_in(state)]

_Cells = dict[str, str]


async def export_prices(
    app: AsyncEngine,
    ids: Ids,
    reseller: EntityId,
    *,
    only: EntityId | None = None,
    after: EntityId | None = None,
) -> SheetPart:
    """Return the price lists of a reseller's shows whose prices may change, or of one show.

    They come in parts, each with whole lists. A list that is longer than a sheet is left out.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed.
    """
    wanted = shows.c.state.in_(_CHANGEABLE) if only is None else shows.c.id == only
    query = in_parts(select_known().where(wanted), after, SHOWS_MAX)
    async with tenant_transaction(app, reseller) as connection:
        found = [known_show(row) for row in (await connection.execute(query)).all()]
        offers = await read_offers(connection, [show.id for show in found]) if found else {}
    return lay_out(found, offers, ids)


def lay_out(found: Sequence[KnownShow], offers: Mapping[EntityId, Offer], ids: Ids) -> SheetPart:
    """Return the lists of as many shows as a sheet holds whole; one show more ends it."""
    rows: list[tuple[str, ...]] = []
    left_out: list[EntityId] = []
    last: EntityId | None = None
    for n, show in enumerate(found):
        lines = list(_lines(show, offers[show.id], ids))
        is_long = len(lines) > LINES_MAX
        is_full = len(left_out) == _LEFT_OUT_MAX if is_long else len(rows) + len(lines) > LINES_MAX
        if n == SHOWS_MAX or is_full:
            break
        last = show.id
        if is_long:
            left_out.append(show.id)
        else:
            rows += [tuple(line.get(column, "") for column in PRICE_COLUMNS) for line in lines]
    else:
        last = None
    return SheetPart(columns=PRICE_COLUMNS, rows=rows, next_after=last, left_out=tuple(left_out))


def _lines(show: KnownShow, offer: Offer, ids: Ids) -> Iterator[_Cells]:
    of_show = {
        "show": ids.entity(Prefix.SHOW, show.id),
        "name": show.name,
        "starts_at": write_moment(show.starts_at, show.zone),
        "currency": show.currency,
        "price_version": str(offer.prices.version),
    }
    now = NewPrices(offer.prices.face_values, offer.prices.types)
    for line in _prices(now, show, offer):
        yield of_show | line
    for step in offer.steps:
        due = _due(step, show)
        for line in _prices(step.prices, show, offer):
            yield of_show | due | line


def _due(step: PriceStep, show: KnownShow) -> _Cells:
    return {
        "from": write_moment(step.at, show.zone),
        "after_sold": "" if step.after_sold is None else str(step.after_sold),
        "after_sold_level": step.price_level or "",
    }


def _prices(prices: NewPrices, show: KnownShow, offer: Offer) -> Iterator[_Cells]:
    for level, minor in prices.face_values.items():
        yield {"price_level": level, "price": write_amount(minor, show.currency)}
    for slug, price in prices.types.items():
        if slug not in offer.types:
            continue  # it is not offered any more
        named = {"ticket_type": slug}
        if price.share_bps is not None:
            yield named | {"share": write_share(price.share_bps)}
        for level, minor in price.prices.items():
            yield named | {"price_level": level, "price": write_amount(minor, show.currency)}
