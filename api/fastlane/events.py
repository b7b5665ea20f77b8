"""The public's searches in the fast lane; the call is documented with its route in `api.search`.

Who shows a credential finds what is theirs, and is served by that route.
"""

from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from api.compressing import BYTES_MIN, gzipped
from api.fastlane.call import Visit
from api.fastlane.kept import Kept, takes_gzip
from api.fastlane.replies import Reply
from api.problems import ProblemError, ProblemKind
from api.reading import check_parameters
from api.search_answers import SearchTeller
from api.search_inputs import PARAMETERS, SearchQuery
from engine.catalog.finder import Asked, TooBusyError
from engine.platform.errors import store_failures
from engine.platform.ids import Ids

VARY: Final = "Accept-Encoding, Authorization"
_POLICY: Final = "public, max-age=0, stale-while-revalidate=1"


async def find_events(visit: Visit) -> Reply:
    """Tell what is public, of everybody."""
    runtime = visit.runtime
    asked = _read(visit.scope.query_string, runtime.ids)
    with busy_failures(), store_failures():
        page = await runtime.finder.public(asked, teller_of(runtime.ids))
    kept = Kept(page.etag, _POLICY)
    headers = [("etag", page.etag), ("cache-control", _POLICY), ("vary", VARY)]
    if kept.is_had_by(visit):
        return Reply(304, b"", headers, may_be_stored=True)
    body = page.body
    if len(body) >= BYTES_MIN and takes_gzip(visit):
        body = page.compressed = page.compressed or gzipped(body)
        headers.append(("content-encoding", "gzip"))
    return Reply(200, body, headers, may_be_stored=True, is_encoded=True)


@contextmanager
def busy_failures() -> Generator[None]:
    """Turn away who searches while too many do.

    Raises:
        ProblemError: `overloaded`.
    """
    try:
        yield
    except TooBusyError as error:
        raise ProblemError(
            ProblemKind.OVERLOADED,
            f"Too much is searched for at this moment: {error}. Repeat in a second.",
            headers={"Retry-After": "1"},
        ) from error


@lru_cache(maxsize=4)
def teller_of(ids: Ids) -> SearchTeller:
    """Return who tells results with these ids."""
    return SearchTeller(ids)


@lru_cache(maxsize=4096)
def _read(query: str, ids: Ids) -> Asked:
    """Read a query string: many ask for the same.

    Raises:
        ProblemError: `invalid-request`, with all that is wrong.
        ForeignIdError: an id is another cell's.
    """
    given = parse_qsl(query, keep_blank_values=True)
    check_parameters([name for name, _ in given], *PARAMETERS)
    return SearchQuery(dict(given), ids).read()
