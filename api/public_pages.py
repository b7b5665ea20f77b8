"""The public pages of events, performers and venues: told alike to all, by ETag, for a while."""

from typing import Final, TypeVar, cast

import msgspec
from litestar import Response

from api.context import ApiRequest, runtime_of
from api.kept_answers import ForAll, answer_for_all
from engine.catalog.finding import public_page
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId

FRESH_S: Final = 10
STALE_S: Final = 60
"""Whoever keeps a page shows one that was hidden, archived or changed for so long at the most."""

T = TypeVar("T")


async def tell_public_page(
    request: ApiRequest, kind: str, entity: EntityId, _: type[T]
) -> Response[T] | None:
    """Answer with the page of an `event`, a `performer` or a `venue`; None: there is none.

    The type says what is answered, for the OpenAPI document only.

    Raises:
        StoreUnavailableError: PostgreSQL can't be asked.
    """
    with store_failures():
        page = await public_page(runtime_of(request).app_engine, kind, entity)
    return None if page is None else cast("Response[T]", tell_to_all(request, page))


def tell_to_all(request: ApiRequest, told: object) -> Response[object]:
    """Answer with what is public, where whoever shows a credential is told something else."""
    answer = ForAll(
        content=msgspec.json.encode(told),
        media_type="application/json",
        fresh_s=FRESH_S,
        stale_s=STALE_S,
        headers=(("Vary", "Accept-Encoding, Authorization"),),
    )
    return answer_for_all(request, answer)
