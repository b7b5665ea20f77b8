"""The application in front: it serves what is asked for most, and passes the rest on."""

import asyncio
import itertools
import secrets
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog
from litestar.datastructures import State
from msgspec import Struct

from api.context import RUNTIME
from api.credentials import CREDENTIALS, Credentials, check_scope
from api.deprecation import Notices, notice_of
from api.edge import REQUEST_ID, check_address
from api.fastlane import (
    availability,
    batches,
    events,
    holds,
    live,
    purchases,
    queue,
    queue_document,
    queue_events,
    seating_plan,
    shows,
)
from api.fastlane.bodies import BodyReader
from api.fastlane.call import (
    Call,
    Visit,
    address_of,
    check_accepted,
    check_call,
    gather_headers,
)
from api.fastlane.failures import reply_failure
from api.fastlane.live_streams import Live
from api.fastlane.replies import Reply, write_reply
from api.fastlane.streams import STREAMS_MAX, Streams
from api.fastlane.versioned import OlderVersions, asked_version, reply_to_two_versions
from api.limits import LIMITS, Limits
from api.problems import ProblemError, ProblemKind
from api.process import settle_process
from api.rights import SHOWN
from api.server import Behind, Exchange, RequestScope
from api.versions import HEADER, Versions, is_dated
from engine.platform.logs import configure_logs
from engine.runtime import Serving
from engine.tenancy.principals import Principal, Scope

REQUESTS_MAX: Final = 16_384
"""Calls that one process works on at a time; beyond it: `overloaded`, before anything is read.

Those without a key have a part as large as `_OPEN_PART` says beside it: whoever lets many of them
wait for their bodies shuts nobody out who has a key. Streams are counted by themselves.
"""

_OPEN_PART: Final = 4


class _Guarded(Struct, frozen=True):
    """A route for who has a credential with a scope."""

    scope: Scope
    serve: Callable[[Call], Awaitable[Reply]]
    parameters: tuple[str, ...] = ()
    """Those that its query may have."""


class _Open(Struct, frozen=True):
    """A route that needs no API key."""

    serve: Callable[[Visit], Awaitable[Reply | None]]
    """Returns None if it has answered by itself."""
    is_stream: bool = False


class _Public(Struct, frozen=True):
    """A route for who shows no credential, and reads its query: others are served by Litestar."""

    serve: Callable[[Visit], Awaitable[Reply]]


class _Watched(Struct, frozen=True):
    """A route that answers by itself, in a stream, who has a credential or a token of its own."""

    serve: Callable[[Visit, Credentials], Awaitable[None]]


class _UnderWay(Struct):
    """The calls of one kind that this process works on."""

    count_max: int
    count: int = 0


_Route = _Guarded | _Open | _Public | _Watched
_Found = tuple[_Route, str, str]

_AVAILABILITY: Final = _Guarded(Scope.SHOWS_READ, availability.show_availability, SHOWN)
_SEATING_PLAN: Final = _Guarded(Scope.SHOWS_READ, seating_plan.export_plan)
_LOOK: Final = _Guarded(Scope.HOLDS_WRITE, holds.look_at_hold)

_OF_SHOW: Final[dict[str, dict[str, _Route]]] = {
    "holds": {"POST": _Guarded(Scope.HOLDS_WRITE, holds.hold_places)},
    "purchases": {"POST": _Guarded(Scope.ORDERS_WRITE, purchases.purchase_hold)},
    "batch": {"POST": _Guarded(Scope.HOLDS_WRITE, batches.run_batch)},
    "availability": {"GET": _AVAILABILITY, "HEAD": _AVAILABILITY},
    "seating-plan": {"GET": _SEATING_PLAN, "HEAD": _SEATING_PLAN},
    "queue": {"POST": _Open(queue.join_queue)},
    "live": {"GET": _Watched(live.watch_show)},
}
_OF_HOLD: Final[dict[str, _Guarded]] = {
    "GET": _LOOK,
    "HEAD": _LOOK,
    "PUT": _Guarded(Scope.HOLDS_WRITE, holds.replace_selection),
    "DELETE": _Guarded(Scope.HOLDS_WRITE, holds.release_hold),
}
_OF_QUEUE: Final[dict[str, dict[str, _Open]]] = {
    "serving": {"GET": _Open(queue.show_serving), "HEAD": _Open(queue.show_serving)},
    "position": {"GET": _Open(queue.show_position), "HEAD": _Open(queue.show_position)},
    "pass": {"POST": _Open(queue.claim_pass), "DELETE": _Open(queue.leave_queue)},
    "events": {"GET": _Open(queue_events.tell_events, is_stream=True)},
    "draw": {"GET": _Open(queue.show_draw), "HEAD": _Open(queue.show_draw)},
}
_FIND: Final = _Public(events.find_events)
_LIST: Final = _Guarded(Scope.SHOWS_READ, shows.list_own, ("cursor", "limit"))
_LISTS: Final[dict[str, dict[str, _Route]]] = {
    "/v1/events": {"GET": _FIND, "HEAD": _FIND},
    "/v1/shows": {"GET": _LIST, "HEAD": _LIST},
}
_LOOK_AT_SHOW: Final = _Guarded(Scope.SHOWS_READ, shows.look)
_SHOW_ITSELF: Final = {"GET": _LOOK_AT_SHOW, "HEAD": _LOOK_AT_SHOW}
_PATH_TO_SHOW: Final = 4
_PATH_OF_SHOW: Final = 5
_PATH_OF_HOLD: Final = 6
_ADDRESS_CHARACTERS_MAX: Final = 512

_log = structlog.stdlib.get_logger(__name__)


class FastLane:
    """The whole application, as an RSGI server calls it."""

    def __init__(  # noqa: PLR0913 - the choices of tests are by name
        self,
        state: State,
        rest: Behind,
        *,
        bodies: BodyReader | None = None,
        requests_max: int = REQUESTS_MAX,
        versions: Versions = Versions(),  # noqa: B008 - frozen
        notices: Notices = (),
    ) -> None:
        """Take what Litestar's lifespan opens things in, and what serves the rest.

        `notices` are the headers that say of calls that they are to go.
        """
        self._state = state
        self._opened: tuple[Serving, Credentials, Limits] | None = None
        self._rest = rest
        self._bodies = bodies or BodyReader()
        self._version = versions.current
        self._older = OlderVersions(versions, self._bodies, self.__rsgi__, self._fail)
        self._notices = notices
        self._streams = Streams()
        self._live = Live()
        self._of_resellers = _UnderWay(requests_max)
        self._of_visitors = _UnderWay(max(1, requests_max // _OPEN_PART))
        self._of_streams = _UnderWay(STREAMS_MAX)
        self._of_watchers = _UnderWay(sys.maxsize)  # `Live` has bounds of its own
        # Unique without asking the system for random bytes each time.
        self._request_ids = map((secrets.token_hex(4) + "%08x").__mod__, itertools.count())

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open what requests need, before the first of them."""
        configure_logs("info")  # until the settings are read, which say which level
        try:
            loop.run_until_complete(self._rest.start())
        except Exception:  # noqa: BLE001 - the process ends, and says why
            _log.exception("the API did not start")
            sys.exit(1)
        settle_process()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close it after the last."""
        loop.run_until_complete(self._rest.stop())

    async def __rsgi__(self, scope: RequestScope, exchange: Exchange) -> None:
        """Serve one request."""
        method = scope.method
        path = scope.path
        if method == "GET" and self._opened:
            room = self._opened[0].waiting_room
            if queue_document.send_written(scope, exchange, room, self._request_ids):
                return
        found = _find_route(method, path)
        if found is None or (isinstance(found[0], _Public) and "authorization" in scope.headers):
            await self._serve_rest(scope, exchange)
            return
        headers: dict[str, str] = {}
        told: list[tuple[str, str]] = []
        under_way = self._under_way(found[0])
        under_way.count += 1
        try:
            headers = gather_headers(scope.headers)
            version = headers.get(HEADER)
            if version is not None and version != self._version:
                await self._older.serve(version, scope, exchange, next(self._request_ids))
                return
            if under_way.count > under_way.count_max:
                raise _overloaded()  # noqa: TRY301 - told like every other problem
            reply = await self._serve(found, scope, exchange, headers, told)
        except Exception as error:  # noqa: BLE001 - the last net, and told
            reply = self._fail(error, scope)
        finally:
            under_way.count -= 1
        if reply is None:
            return
        request_id = headers.get("x-request-id")
        if request_id is None or not REQUEST_ID.fullmatch(request_id):
            request_id = next(self._request_ids)
        answer, body = write_reply(reply, request_id, headers.get("accept-encoding"))
        answer += told
        if self._notices:
            answer += notice_of(self._notices, method, path)
        exchange.response_bytes(reply.status, answer, b"" if method == "HEAD" else body)

    async def _serve_rest(self, scope: RequestScope, exchange: Exchange) -> None:
        """Pass a request on to Litestar, as of the version that it names."""
        if is_dated(scope.path):
            try:
                version = asked_version(scope.headers)
            except ProblemError as problem:
                reply_to_two_versions(problem, exchange, next(self._request_ids))
                return
            if version is not None and version != self._version:
                await self._older.serve(version, scope, exchange, next(self._request_ids))
                return
        await self._rest.serve(scope, exchange)

    def _under_way(self, route: _Route) -> _UnderWay:
        if isinstance(route, _Watched):
            return self._of_watchers
        if isinstance(route, _Open):
            return self._of_streams if route.is_stream else self._of_visitors
        return self._of_resellers

    async def _serve(
        self,
        found: _Found,
        scope: RequestScope,
        exchange: Exchange,
        headers: dict[str, str],
        told: list[tuple[str, str]],
    ) -> Reply | None:
        """Return what a route replies, which may have answered by itself; add limits to `told`."""
        runtime, credentials, limits = self._opened or self._find_opened()
        route, show, tail = found
        check_address(len(scope.path) + len(scope.query_string))
        parts = (runtime, self._bodies, self._streams, self._live, scope, exchange, headers)
        if isinstance(route, _Open | _Public | _Watched):
            visit = Visit(*parts, show, tail)
            told += limits.count_address(visit.address())
            if isinstance(route, _Public):
                check_accepted(headers)
                return await route.serve(visit)
            if isinstance(route, _Watched):
                return await route.serve(visit, credentials)
            if not route.is_stream:
                check_call(scope, headers)
            return await route.serve(visit)
        authorization = headers.get("authorization")
        principal = credentials.recall(authorization)
        if principal is None:
            principal = await self._identify(authorization, scope, headers, told)
        else:
            told += limits.count_credential(principal)
        if route.scope not in principal.scopes:
            check_scope(principal, route.scope)
        share = limits.shares.begin(principal.reseller)
        if share.under_way > limits.shares.each:
            await limits.refuse(share)
        try:
            check_call(scope, headers, route.parameters)
            return await route.serve(Call(*parts, show, tail, principal))
        finally:
            share.under_way -= 1

    async def _identify(
        self,
        authorization: str | None,
        scope: RequestScope,
        headers: dict[str, str],
        told: list[tuple[str, str]],
    ) -> Principal:
        """Return whose credential it is that was not asked about lately.

        Raises:
            ProblemError: `unauthorized`, or `rate-limited`.
        """
        runtime, credentials, limits = self._opened or self._find_opened()
        known = credentials.remembered(authorization)
        if known is not None:
            told += limits.count_credential(known)
        else:
            address = address_of(scope, headers, runtime.settings.trusted_proxies)
            told += limits.count_address(address)
        return await credentials.identify(authorization)

    def _fail(self, error: Exception, scope: RequestScope) -> Reply:
        """Return the reply that tells what went wrong."""
        return reply_failure(error, scope, self._find_opened()[0])

    def _find_opened(self) -> tuple[Serving, Credentials, Limits]:
        """Return what the lifespan has opened, which is before the first request."""
        self._opened = (self._state[RUNTIME], self._state[CREDENTIALS], self._state[LIMITS])
        return self._opened


def _find_route(method: str, path: str) -> _Found | None:
    """Return what serves a request, the show that its path names, and what the path ends with."""
    if path in _LISTS:
        route = _LISTS[path].get(method)
        return None if route is None else (route, "", "")
    if not path.startswith("/v1/shows/") or len(path) > _ADDRESS_CHARACTERS_MAX:
        return None
    parts = path.split("/")
    tail = ""
    routes: Mapping[str, _Route] | None = None
    if len(parts) == _PATH_TO_SHOW and parts[3]:
        routes = _SHOW_ITSELF
    elif len(parts) == _PATH_OF_SHOW:
        routes = _OF_SHOW.get(parts[4])
    elif len(parts) == _PATH_OF_HOLD and parts[4] == "holds":
        routes, tail = _OF_HOLD, parts[5]
    elif len(parts) == _PATH_OF_HOLD and parts[4] == "queue":
        routes = _OF_QUEUE.get(parts[5])
    route = routes.get(method) if routes else None
    return None if route is None else (route, parts[3], tail)


def _overloaded() -> ProblemError:
    return ProblemError(
        ProblemKind.OVERLOADED,
        "Nothing was done, because too much is under way; repeat with the same key.",
    )
