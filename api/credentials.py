"""Who asks: API keys, and a short memory of them so that a spike is not one of look-ups too."""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from hashlib import blake2b
from math import inf
from typing import Any, Final, cast

import structlog
from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from msgspec import Struct

from api.acting import note_principal
from api.documents import ScopedOperation
from api.problems import ProblemError, ProblemKind
from api.reading import single_header
from engine.platform.errors import StoreUnavailableError, store_failures
from engine.platform.ids import ForeignIdError
from engine.tenancy.key_text import parse_key
from engine.tenancy.oauth_tokens import looks_like_token
from engine.tenancy.principals import Principal, Recognised, Scope

FRESH_S: Final = 30
"""A key that was revoked is refused everywhere after this long."""

TOKEN_FRESH_S: Final = 10
"""What ends access tokens is read every 20 seconds at the latest: together no more than that."""

_GRACE_S: Final = 900
_RETRY_S: Final = 2
_DIGEST_BYTES: Final = 32
_REMEMBERED_MAX: Final = 10_000
_LOOK_UPS_MAX: Final = 2
_RENEWALS_MAX: Final = 2
_WAITING_MAX: Final = 256
_KEY_CHARACTERS_MAX: Final = 128
_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)

_REALM: Final = 'Bearer realm="onsale"'
_SEND_KEY: Final = "Send an API key or an access token: `Authorization: Bearer <credential>`."
_BAD_KEY: Final = "This API key or access token is not known, or has ended."

_log = structlog.stdlib.get_logger(__name__)


def _digest(key: bytes) -> bytes:
    # The hash that ids and fingerprints have too: one less piece of code on the way of a hold.
    return blake2b(key, digest_size=_DIGEST_BYTES).digest()


class _Known(Struct):
    principal: Principal
    fresh_until: float
    usable_until: float


class Credentials:
    """Knows resellers by their keys. Remembers digests only, and only of keys that are good."""

    def __init__(
        self,
        authenticate: Callable[[str], Awaitable[Recognised | None]],
        clock: Callable[[], float] = time.monotonic,
        *,
        region: str,
        recognise: Callable[[str], Awaitable[Recognised | None]] | None = None,
        other_regions: Collection[str] = (),
    ) -> None:
        """Take what tells whose key a text is, a clock in seconds, and the cells' regions.

        `recognise` tells whom an access token stands for; without it there are none.
        """
        self._other_regions = frozenset(other_regions)
        self._recognise = recognise
        self._tokens: OrderedDict[bytes, _Known] = OrderedDict()
        self._authenticate = authenticate
        self._region = region
        self._clock = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._looking_up: dict[bytes, asyncio.Task[Recognised | None]] = {}
        self._look_ups = asyncio.Semaphore(_LOOK_UPS_MAX)
        self._renewals = asyncio.Semaphore(_RENEWALS_MAX)

    def recall(self, authorization: str | None) -> Principal | None:
        """Return whose key an Authorization header has, if that was asked lately; None: ask."""
        if authorization is None or authorization[:7] != "Bearer ":
            return None
        digest = _digest(authorization[7:].encode())
        known = self._known.get(digest) or self._tokens.get(digest)
        return known.principal if known is not None and self._clock() < known.fresh_until else None

    def remembered(self, authorization: str | None) -> Principal | None:
        """Return whose key an Authorization header had when it was asked about, however long ago.

        It says who is counted as asking, and lets nobody in.
        """
        match = _BEARER.fullmatch(authorization or "")
        if match is None:
            return None
        digest = _digest(match[1].encode())
        known = self._known.get(digest) or self._tokens.get(digest)
        return known.principal if known is not None else None

    async def identify(self, authorization: str | None) -> Principal:
        """Return whose key an Authorization header has.

        Raises:
            ProblemError: `unauthorized`, and as `principal`.
            ForeignIdError: it is a key of another cell.
            StoreUnavailableError: as `principal`.
        """
        match = _BEARER.fullmatch(authorization or "")
        if match is None:
            raise _unauthorized(_SEND_KEY)
        text = match[1]
        self._check_region(text)
        is_token = looks_like_token(text)
        principal = await (self.bearer(text) if is_token else self.principal(text))
        if principal is None:
            raise _unauthorized(_BAD_KEY, error="invalid_token")
        return principal

    def _check_region(self, key: str) -> None:
        parsed = parse_key(key)
        if parsed is not None and parsed.region in self._other_regions:
            raise ForeignIdError(parsed.region)

    async def principal(self, key: str) -> Principal | None:
        """Return whose key this is, None if it is nobody's.

        While PostgreSQL can't be asked, keys that were good within the last minutes stay so: it
        could not have been told of their end either.

        Raises:
            StoreUnavailableError: PostgreSQL can't be asked, and the key is not remembered.
            ProblemError: `overloaded`: too many keys are being looked up.
        """
        if len(key) > _KEY_CHARACTERS_MAX or not key.isascii():
            return None
        digest = _digest(key.encode())
        known = self._known.get(digest)
        now = self._clock()
        if known is not None and now < known.fresh_until:
            return known.principal
        parsed = parse_key(key)
        if parsed is None or parsed.region != self._region:
            return None
        try:
            found = await self._look_up(digest, key, is_known=known is not None)
        except StoreUnavailableError:
            if known is None or now >= known.usable_until:
                raise
            known.fresh_until = min(self._clock() + _RETRY_S, known.usable_until)
            return known.principal
        self._remember(digest, found)
        return found and found.principal

    async def bearer(self, token: str) -> Principal | None:
        """Return whom an access token stands for, None if it is not good.

        Raises:
            StoreUnavailableError: PostgreSQL can't be asked, and was not lately.
        """
        found = None if self._recognise is None else await self._recognise(token)
        if found is None or found.ends_in_s is None:
            # Who has one that is over is counted as a stranger: not at its client's cost.
            self._tokens.pop(_digest(token.encode()), None)
            return None
        now = self._clock()
        until = now + min(found.ends_in_s, TOKEN_FRESH_S)
        self._tokens[_digest(token.encode())] = _Known(found.principal, until, until)
        while len(self._tokens) > _REMEMBERED_MAX:
            self._tokens.popitem(last=False)
        return found.principal

    async def _look_up(self, digest: bytes, key: str, *, is_known: bool) -> Recognised | None:
        """Ask PostgreSQL, once for all who ask about the same key at the same time.

        Keys that were good before have a way of their own, which a flood of invented ones
        does not fill.
        """
        task = self._looking_up.get(digest)
        if task is None:
            if not is_known and len(self._looking_up) >= _WAITING_MAX:
                raise ProblemError(
                    ProblemKind.OVERLOADED, "Too many keys are being looked up; repeat in a second."
                )
            way = self._renewals if is_known else self._look_ups
            task = asyncio.create_task(self._ask(key, way))
            self._looking_up[digest] = task
            task.add_done_callback(lambda _: self._looking_up.pop(digest, None))
        return await asyncio.shield(task)

    async def _ask(self, key: str, way: asyncio.Semaphore) -> Recognised | None:
        async with way:
            with store_failures():
                return await self._authenticate(key)

    def _remember(self, digest: bytes, found: Recognised | None) -> None:
        if found is None:
            self._known.pop(digest, None)
            return
        now = self._clock()
        ends = inf if found.ends_in_s is None else now + found.ends_in_s
        self._known[digest] = _Known(
            found.principal, min(now + FRESH_S, ends), min(now + _GRACE_S, ends)
        )
        self._known.move_to_end(digest)
        while len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)


CREDENTIALS: Final = "credentials"


async def require_scope(
    connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
) -> None:
    """Let in who has a credential with the route's scope.

    Notes whose it is as the request's `user`, and the principal as its `auth`; both are None for
    who shows none, where a route is open to anybody.

    Raises:
        ProblemError: `unauthorized`, `insufficient-scope`.
    """
    if connection.scope.get("method") == HttpMethod.OPTIONS:
        # Litestar's own answer to it: which methods an address takes is no secret.
        connection.scope["user"] = connection.scope["auth"] = None
        return
    credentials: Credentials = connection.app.state[CREDENTIALS]
    authorization = single_header(connection, "authorization")
    operation = cast("HTTPRouteHandler", handler).operation_class
    if not issubclass(operation, ScopedOperation) or operation.scope is None:
        msg = f"{handler} is guarded, and names no scope"
        raise RuntimeError(msg)
    if operation.anybody and authorization is None:
        connection.scope["user"] = connection.scope["auth"] = None
        return
    principal = await credentials.identify(authorization)
    scope = operation.scope
    check_scope(principal, scope)
    note_principal(connection, principal)
    connection.scope["user"] = principal.reseller
    connection.scope["auth"] = principal


def check_scope(principal: Principal, scope: Scope) -> None:
    """Refuse who may not do this.

    Raises:
        ProblemError: `insufficient-scope`.
    """
    if scope not in principal.scopes:
        raise ProblemError(
            ProblemKind.INSUFFICIENT_SCOPE,
            f"This needs a credential with the scope {scope}.",
            members={"scope": scope},
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
        )


def _unauthorized(detail: str, *, error: str = "") -> ProblemError:
    challenge = _REALM + (f', error="{error}"' if error else "")
    return ProblemError(ProblemKind.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})
