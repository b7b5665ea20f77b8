"""How facts are told: one by one as in a webhook's body, and as a page of the log."""

from msgspec import Struct

from engine.facts.answers import FactAnswer, tell_fact
from engine.facts.log import Page
from engine.platform.ids import EntityId, Ids


class FactPage(Struct, frozen=True):
    """Facts in the order in which they are told.

    Go on with `next_cursor`: at once while there `has_more`, else later. It is given also when
    there are none.
    """

    facts: list[FactAnswer]
    next_cursor: str
    has_more: bool


def tell_page(page: Page, reseller: EntityId, ids: Ids) -> FactPage:
    """Return a page of a reseller's log."""
    return FactPage(
        [tell_fact(fact, ids) for fact in page.facts],
        ids.cursor(reseller, page.cursor.xid, page.cursor.id),
        page.has_more,
    )
