"""The application in front: it serves what is asked for most, and passes the rest on."""

import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from litestar import Litestar
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from api.context import RUNTIME
from api.credentials import CREDENTIALS, Credentials
from api.edge import REQUEST_ID
from api.fastlane import availability, batches, holds, purchases
from api.fastlane.bodies import BodyReader
from api.fastlane.call import Call, check_call, gather_headers
from api.fastlane.replies import Reply, reply_problem, send_reply
from api.outcomes import unavailable
from api.problems import ProblemError, ProblemKind
from engine.platform.errors import StoreUnavailableError
from engine.runtime import Serving

REQUESTS_MAX: Final = 16_384
"""Calls that one process works on at a time; beyond it: `overloaded`, before anything is read."""

_Route = Callable[[Call], Awaitable[Reply]]

_OF_SHOW: Final[dict[str, dict[str, _Route]]] = {
    "holds": {"POST": holds.hold_places},
    "purchases": {"POST": purchases.purchase_hold},
    "batch": {"POST": batches.run_batch},
    "availability": {
        "GET": availability.show_availability,
        "HEAD": availability.show_availability,
    },
}
_OF_HOLD: Final[dict[str, _Route]] = {
    "GET": holds.look_at_hold,
    "HEAD": holds.look_at_hold,
    "PUT": holds.replace_selection,
    "DELETE": holds.release_hold,
}
_NO_ROUTE: Final[dict[str, _Route]] = {}
_PATH_OF_SHOW: Final = 5
_PATH_OF_HOLD: Final = 6
_ADDRESS_CHARACTERS_MAX: Final = 512

_log = structlog.stdlib.get_logger(__name__)


class FastLane:
    """Wraps the application. It needs what Litestar's lifespan has opened."""

    def __init__(
        self,
        litestar: Litestar,
        rest: ASGIApp,
        *,
        bodies: BodyReader | None = None,
        requests_max: int = REQUESTS_MAX,
    ) -> None:
        """Take the application whose state is shared, and what serves the rest."""
        self._state = litestar.state
        self._rest = rest
        self._bodies = bodies or BodyReader()
        self._requests_max = requests_max
        self._under_way = 0
        # Unique without asking the system for random bytes each time.
        self._request_ids = map(
            (secrets.token_hex(4).encode() + b"%08x").__mod__, itertools.count()
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            path = scope["path"]
            if path.startswith("/v1/shows/") and len(path) <= _ADDRESS_CHARACTERS_MAX:
                parts = path.split("/")
                if len(parts) == _PATH_OF_SHOW:
                    route = _OF_SHOW.get(parts[4], _NO_ROUTE).get(scope["method"])
                    if route is not None:
                        await self._serve(route, scope, receive, send, parts[3], "")
                        return
                elif len(parts) == _PATH_OF_HOLD and parts[4] == "holds":
                    route = _OF_HOLD.get(scope["method"])
                    if route is not None:
                        await self._serve(route, scope, receive, send, parts[3], parts[5])
                        return
        await self._rest(scope, receive, send)

    async def _serve(  # noqa: PLR0913, PLR0917 - ASGI's three, and the path's parts
        self, route: _Route, scope: HTTPScope, receive: Receive, send: Send, show: str, tail: str
    ) -> None:
        headers: dict[bytes, bytes] = {}
        self._under_way += 1
        try:
            headers = gather_headers(scope)
            if self._under_way > self._requests_max:
                raise _overloaded()  # noqa: TRY301 - told like every other problem
            credentials: Credentials = self._state[CREDENTIALS]
            authorization = headers.get(b"authorization")
            reseller = credentials.recall(authorization)
            if reseller is None:
                reseller = await credentials.identify(authorization)
            check_call(scope, headers)
            runtime: Serving = self._state[RUNTIME]
            reply = await route(
                Call(runtime, self._bodies, reseller, scope, receive, headers, show, tail)
            )
        except ProblemError as problem:
            reply = reply_problem(problem)
        except StoreUnavailableError as error:
            reply = reply_problem(unavailable(error))
        except Exception:  # noqa: BLE001 - the last net: it is logged, and told without details
            _log.exception("request failed", method=scope["method"])
            problem = ProblemError(ProblemKind.INTERNAL_ERROR, "It was logged here.")
            reply = reply_problem(problem)
        finally:
            self._under_way -= 1
        request_id = headers.get(b"x-request-id")
        if request_id is None or not REQUEST_ID.fullmatch(request_id):
            request_id = next(self._request_ids)
        await send_reply(
            send,
            reply,
            request_id,
            headers.get(b"accept-encoding"),
            is_head=scope["method"] == "HEAD",
        )


def _overloaded() -> ProblemError:
    return ProblemError(
        ProblemKind.OVERLOADED,
        "Nothing was done, because too much is under way; repeat with the same key.",
    )
