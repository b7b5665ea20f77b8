"""Lists come in pages by cursor: what their routes take, and how they tell that there is more."""

import re
from typing import Annotated, Final

from litestar.params import QueryParameter

from api.context import is_order_of
from api.problems import Fault, ProblemError, invalid
from engine.inventory.shows import Show
from engine.platform.ids import EntityId, HoldId, IdError, Ids, Prefix
from engine.runtime import Serving

PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50

Cursor = Annotated[str | None, QueryParameter(max_length=64, description="A page's `next_cursor`.")]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)]
Archived = Annotated[
    bool, QueryParameter(description="true: those that are archived, instead of the others.")
]


def read_limit(told: str | None) -> int:
    """Return how many a page may have; raises ProblemError `invalid-request`."""
    if told is None:
        return PAGE_DEFAULT
    if re.fullmatch(r"[0-9]{1,3}", told) is None or not 1 <= int(told) <= PAGE_MAX:
        raise invalid(Fault(f"1 to {PAGE_MAX}", parameter="limit"))
    return int(told)


def read_cursor(ids: Ids, prefix: Prefix, cursor: str | None) -> EntityId | None:
    """Return the entity after which a page begins; None: it is the first page.

    Raises:
        ProblemError: `invalid-request`: the text is no page's cursor.
        ForeignIdError: it is one of another cell's.
    """
    if cursor is None:
        return None
    try:
        return ids.parse_entity(prefix, cursor)
    except IdError:
        raise no_cursor() from None


async def read_order_cursor(runtime: Serving, show: Show, cursor: str | None) -> HoldId | None:
    """Return the order of a show after which a page begins; None: it is the first page.

    Raises:
        ProblemError: `invalid-request`: the text is no page's cursor.
    """
    if cursor is None:
        return None
    try:
        of_show, order = runtime.ids.read_order(cursor)
    except IdError:
        raise no_cursor() from None
    if of_show != show.id or not await is_order_of(runtime, show, order):
        raise no_cursor()
    return order


def no_cursor(*, parameter: str = "cursor") -> ProblemError:
    """Return the problem of a cursor that no page has given."""
    return invalid(Fault("is no page's next_cursor", parameter=parameter))
