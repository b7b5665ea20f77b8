"""The rows that a judged batch adds to the ledger, one list a column. Pure.

What follows from an order's price alone - its amounts, lines and postings - is the same for all
orders of one quote. A batch has few quotes, so it names each once and its orders by number, and
the database multiplies them out. Every id derives from the fact.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Integer, Text

from engine.inventory.ticket_types import STANDARD
from engine.ledger.journal import EntryKind, entry_id, sale_postings
from engine.platform.tables import journal_entries, order_lines, orders, postings, tickets
from engine.platform.unnest import Columns, Unnested, columns_of, types_of
from engine.sales.judging import JudgedBatch, OrderStatus, Sale
from engine.sales.pricing import Quote
from engine.sales.sellers import seller_of
from engine.sales.telling import tell_places, tell_price
from engine.sales.tickets import area_ticket_id, seat_ticket_id

_QUOTE: Final = {"quote": Integer()}
"""A quote's number in its batch."""

SOLD: Final = Unnested(
    "sold",
    {
        "entry_id": journal_entries.c.id.type,  # NULL: a conflict, for which no money moves
        "told": Text(),  # of its places
        **_QUOTE,
        **types_of(
            orders,
            (
                *("id", "buyer", "status", "payment_reference", "purchase_key", "body_fp"),
                *("hold_fp", "price_version", "epoch", "position", "sold_at", "sold_by"),
            ),
        ),
    },
)
QUOTES: Final = Unnested(
    "quotes",
    _QUOTE
    | types_of(orders, ("currency", "face_value", "fee", "tax", "discount", "total"))
    | {"told": Text()},
)
LINES: Final = Unnested(
    "lines",
    _QUOTE
    | types_of(
        order_lines,
        (
            *("line_no", "price_level", "area_index", "quantity"),
            *("unit_face_value", "unit_fee", "unit_tax", "unit_discount", "total"),
            "ticket_type",
        ),
    ),
)
POSTED: Final = Unnested(
    "posted", _QUOTE | types_of(postings, ("posting_no", "account", "currency", "amount"))
)
PLACES: Final = Unnested(
    "places",
    types_of(
        tickets,
        ("id", "order_id", "line_no", "seat_index", "area_index", "label", "ticket_type"),
    ),
)


class Rows(Struct, frozen=True):
    """The columns of the five relations above, for one show."""

    show: int
    reseller: int
    sold: Columns
    quotes: Columns
    lines: Columns
    posted: Columns
    places: Columns

    def parameters(self) -> dict[str, Any]:
        """Return what a statement takes with the five relations, `:show` and `:reseller`."""
        return {
            "show": self.show,
            "reseller": self.reseller,
            **SOLD.parameters(self.sold),
            **QUOTES.parameters(self.quotes),
            **LINES.parameters(self.lines),
            **POSTED.parameters(self.posted),
            **PLACES.parameters(self.places),
        }


def rows_of(show: int, reseller: int, batch: JudgedBatch) -> Rows:
    """Return the rows of a batch's confirmed orders and of its conflicts."""
    lost = [conflict.sale for conflict in batch.conflicts]
    sales = (*batch.confirmed, *lost)
    quotes = {id(sale.quote): sale.quote for sale in sales}
    numbers = {identity: number for number, identity in enumerate(quotes)}
    facts = [sale.fact for sale in sales]
    sold: Columns = {
        "entry_id": [
            *(entry_id(sale.fact.hold, EntryKind.SALE) for sale in batch.confirmed),
            *(None for _ in lost),
        ],
        "told": [*map(tell_places, batch.confirmed), *(None for _ in lost)],
        "quote": [numbers[id(sale.quote)] for sale in sales],
        "id": [fact.hold.hex() for fact in facts],
        "buyer": [fact.buyer for fact in facts],
        "status": [
            *(OrderStatus.CONFIRMED for _ in batch.confirmed),
            *(OrderStatus.CONFLICT for _ in lost),
        ],
        "payment_reference": [fact.payment_reference for fact in facts],
        "purchase_key": [fact.purchase_key for fact in facts],
        "body_fp": [fact.body_fp for fact in facts],
        "hold_fp": [fact.hold_fp for fact in facts],
        "price_version": [fact.price_version for fact in facts],
        "epoch": [sale.id.epoch for sale in sales],
        "position": [sale.id.n for sale in sales],
        "sold_by": [seller_of(fact.buyer) for fact in facts],
        "sold_at": [datetime.fromtimestamp(fact.sold_at_ms / 1000, UTC) for fact in facts],
    }
    numbered = tuple(enumerate(quotes.values()))
    return Rows(
        show=show,
        reseller=reseller,
        sold=sold,
        quotes=columns_of(tuple(QUOTES.types), _quote_rows(numbered)),
        lines=columns_of(tuple(LINES.types), _line_rows(numbered)),
        posted=columns_of(tuple(POSTED.types), _posting_rows(numbered)),
        places=columns_of(tuple(PLACES.types), _ticket_rows(batch.confirmed)),
    )


def _quote_rows(quotes: Iterable[tuple[int, Quote]]) -> Iterator[Sequence[Any]]:
    for number, quote in quotes:
        charge = quote.charge
        yield (
            *(number, quote.currency, charge.face_value, charge.fee, charge.tax),
            *(charge.discount, charge.total, tell_price(quote)),
        )


def _line_rows(quotes: Iterable[tuple[int, Quote]]) -> Iterator[Sequence[Any]]:
    for number, quote in quotes:
        for line_no, line in enumerate(quote.lines):
            unit = line.unit
            yield (
                *(number, line_no, line.price_level, line.area_index, line.quantity),
                *(unit.face_value, unit.fee, unit.tax, unit.discount, line.charge.total),
                _told(line.ticket_type),
            )


def _posting_rows(quotes: Iterable[tuple[int, Quote]]) -> Iterator[Sequence[Any]]:
    for number, quote in quotes:
        for posting_no, posting in enumerate(sale_postings(quote.currency, quote.charge)):
            yield (number, posting_no, posting.account, posting.currency, posting.amount)


def _ticket_rows(sales: Iterable[Sale]) -> Iterator[Sequence[Any]]:
    for sale in sales:
        order = sale.fact.hold
        order_id = order.hex()
        types = iter(sale.types) if sale.types else repeat(STANDARD)
        line_of = {
            (line.price_level if line.area_index is None else line.area_index, line.ticket_type): n
            for n, line in enumerate(sale.quote.lines)
        }
        for (seat, place), kind in zip(sale.seats, types, strict=False):
            line_no, ticket = line_of[place.price_level, kind], seat_ticket_id(order, seat)
            yield (ticket, order_id, line_no, seat, None, place.label, _told(kind))
        for area, count, place in sale.areas:
            for nth, kind in zip(range(count), types, strict=False):
                line_no, ticket = line_of[area, kind], area_ticket_id(order, area, nth)
                yield (ticket, order_id, line_no, None, area, place.slug, _told(kind))


def _told(ticket_type: str) -> str | None:
    return None if ticket_type == STANDARD else ticket_type
