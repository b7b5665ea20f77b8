"""The public pages of events, performers and venues: told alike to all, by ETag, for a while."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

import msgspec
from litestar import Response

from api.context import ApiRequest, runtime_of
from api.kept_answers import ForAll, answer_for_all
from api.problems import ProblemError, ProblemKind
from engine.catalog.finder import PAGES, TooBusyError
from engine.catalog.finding import public_page
from engine.platform.cached_reads import Keeping
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId

FRESH_S: Final = 10
STALE_S: Final = 60
"""Whoever keeps a page shows one that was hidden, archived or changed for so long at the most."""

T = TypeVar("T")


async def tell_public_page(
    request: ApiRequest, kind: str, entity: EntityId, told: type[T]
) -> Response[T] | None:
    """Answer with the page of an `event`, a `performer` or a `venue`; None: there is none.

    The type says what is answered, for the OpenAPI document only.

    Raises:
        ProblemError, StoreUnavailableError: as `kept_for_all`.
    """
    runtime = runtime_of(request)

    async def read() -> bytes:
        page = await public_page(runtime.app_engine, kind, entity)
        return b"" if page is None else msgspec.json.encode(page)

    content = await kept_for_all(request, f"page:{kind}:{entity:016x}", PAGES, read)
    return tell_to_all(request, content, told) if content else None


async def kept_for_all(
    request: ApiRequest, key: str, keeping: Keeping, read: Callable[[], Awaitable[bytes]]
) -> bytes:
    """Return a read of what is public, made once for all who ask.

    Raises:
        ProblemError: `overloaded`: too many reads wait.
        StoreUnavailableError: PostgreSQL can't be asked.
    """
    try:
        with store_failures():
            return await runtime_of(request).finder.kept(key, keeping, read)
    except TooBusyError as error:
        raise ProblemError(
            ProblemKind.OVERLOADED,
            f"Too much is looked at at this moment: {error}. Repeat in a second.",
            headers={"Retry-After": "1"},
        ) from error


def tell_to_all(
    request: ApiRequest,
    content: bytes,
    _: type[T],
    *,
    fresh_s: int = FRESH_S,
    stale_s: int = STALE_S,
) -> Response[T]:
    """Answer with what is public, where whoever shows a credential is told something else."""
    answer = ForAll(
        content=content,
        media_type="application/json",
        fresh_s=fresh_s,
        stale_s=stale_s,
        headers=(("Vary", "Accept-Encoding, Authorization"),),
    )
    return cast("Response[T]", answer_for_all(request, answer))
