"""Where a search reads: narrow rows as long as they say what is asked for, else whole listings.

A row of `listing_counts` has what most filters and orders are about and fits into a tenth of a
listing. Words and who performs stand in `listings` alone.
"""

from typing import Final

from msgspec import Struct

from engine.catalog.search_terms import Wanted, is_by_words

LISTED: Final = "public_listings"
"""Whole listings of what is public, with their counts: whatever state they are in."""


class Source(Struct, frozen=True):
    """What conditions and orders are about, and from which rows of the same shows is told."""

    rows: str
    told: str
    is_found_only: bool = False
    """No row is one of a draft, or of what is cancelled or over."""
    places: str | None = None
    """Where the halls of these shows are."""


FOUND: Final = "public_found"
"""What is found in public, in narrow rows."""
_PLACES: Final = "public_places"
_OWN_COUNTS: Final = "listing_counts"
OWN_LISTED: Final = (
    "(SELECT listings.*, capacity, available, price_min, price_max, is_sold_out, popularity"
    " FROM listings JOIN listing_counts USING (show_id))"
)
"""As `LISTED`: of the reseller whose transaction it is, public or not."""


def source_of(wanted: Wanted, *, is_own: bool) -> Source:
    """Return where to search for this: among the public's shows, or a reseller's own."""
    if is_own:
        return Source(OWN_LISTED if is_by_words(wanted) else _OWN_COUNTS, _OWN_COUNTS)
    if is_by_words(wanted):
        return Source(LISTED, FOUND)
    return Source(FOUND, FOUND, is_found_only=True, places=_PLACES)
