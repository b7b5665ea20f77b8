"""Access tokens: JWTs as RFC 9068 has them, made here and verified without asking anybody.

What ends a token before its ten minutes are over, every process reads from one small table.
"""

import asyncio
import json
import re
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any, Final, cast

import msgspec
import structlog
from joserfc import jws, jwt
from joserfc.errors import JoseError
from msgspec import UNSET, Struct, UnsetType
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.database import local_transaction
from engine.platform.errors import StoreUnavailableError, store_failures
from engine.platform.ids import EntityId, IdError, Ids, Prefix
from engine.platform.sealing import Sealer
from engine.platform.tables import ended_tokens
from engine.tenancy.keys import known_scopes
from engine.tenancy.principals import Principal, PrincipalKind, Recognised, Scope
from engine.tenancy.signing import ALGORITHM, TOKEN_LASTS_S, SigningKeys, load_keys

TYPE: Final = "at+jwt"
TOKEN_CHARACTERS_MAX: Final = 2048

_FORM: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}", re.ASCII)
_HEADER: Final = frozenset({"alg", "typ", "kid"})
_LEEWAY_S: Final = 60
_RENEWED_AFTER_S: Final = 10
_STALE_AFTER_S: Final = 20
_USABLE_S: Final = 900
_NOBODY: Final = "0"

_log = structlog.stdlib.get_logger(__name__)
_end = ended_tokens.c


class Claims(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token says. Whatever else stands in one, it is none of ours."""

    iss: str
    aud: str
    sub: str
    client_id: str
    scope: str
    jti: str
    iat: int
    exp: int
    reseller: str
    region: str
    grant: str | UnsetType = UNSET
    """What a person has granted; a token without it is a system's."""


class Bearer(Struct, frozen=True, kw_only=True):
    """Whom a token is made for."""

    client: EntityId
    acts_for: EntityId
    scopes: frozenset[Scope]
    user: EntityId | None = None
    grant: EntityId | None = None


class _Known(Struct, frozen=True):
    keys: SigningKeys
    ended: dict[tuple[str, str], float]
    at_s: float


class AccessTokens:
    """Makes and verifies one cell's access tokens."""

    def __init__(
        self,
        app: AsyncEngine,
        sealer: Sealer,
        ids: Ids,
        issuer: str,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the cell's address, which its tokens are issued by and good for."""
        self.issuer = issuer
        self._app = app
        self._sealer = sealer
        self._ids = ids
        self._monotonic = monotonic
        self._known: _Known | None = None
        self._reading: asyncio.Task[_Known] | None = None

    async def make(self, bearer: Bearer, at_s: float) -> str:
        """Return a token that begins at a moment of the database's clock.

        Raises:
            StoreUnavailableError: the keys can't be read.
        """
        signer = (await self._state()).keys.signer
        ids = self._ids
        client = ids.entity(Prefix.OAUTH_CLIENT, bearer.client)
        user = None if bearer.user is None else ids.entity(Prefix.USER, bearer.user)
        claims = Claims(
            iss=self.issuer,
            aud=self.issuer,
            sub=user or client,
            client_id=client,
            scope=" ".join(sorted(bearer.scopes)),
            jti=token_urlsafe(16),
            iat=int(at_s),
            exp=int(at_s) + TOKEN_LASTS_S,
            reseller=ids.entity(Prefix.RESELLER, bearer.acts_for),
            region=ids.region,
            grant=UNSET if bearer.grant is None else ids.entity(Prefix.OAUTH_GRANT, bearer.grant),
        )
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": signer.kid}
        payload = cast("dict[str, Any]", msgspec.to_builtins(claims))
        return jwt.encode(header, payload, signer.private, algorithms=[ALGORITHM])

    async def recognise(self, text: str) -> Recognised | None:
        """Return whom a token stands for; None: it is forged, of elsewhere, or has ended.

        Raises:
            StoreUnavailableError: the keys can't be read, and were not lately.
        """
        claims = await self.read(text)
        if claims is None:
            return None
        ids = self._ids
        is_person = claims.grant is not UNSET
        principal = Principal(
            reseller=ids.parse_entity(Prefix.RESELLER, claims.reseller),
            kind=PrincipalKind.TOKEN,
            credential=ids.parse_entity(Prefix.OAUTH_CLIENT, claims.client_id),
            scopes=known_scopes(claims.scope.split()),
            user=ids.parse_entity(Prefix.USER, claims.sub) if is_person else None,
        )
        return Recognised(principal, claims.exp - time.time())

    async def read(self, text: str) -> Claims | None:
        """Return what a token says that is good. Raises as `recognise`."""
        if not looks_like_token(text) or not _has_our_header(text):
            return None
        state = await self._state()
        claims = _verified(text, state.keys)
        if claims is None or not self._fits(claims) or _has_ended(claims, state.ended):
            return None
        return claims

    async def published_keys(self) -> list[dict[str, Any]]:
        """Return the key set that others verify tokens with. Raises as `make`."""
        return (await self._state()).keys.published()

    async def stop(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def _fits(self, claims: Claims) -> bool:
        now_s = time.time()
        if claims.iss != self.issuer or claims.aud != self.issuer:
            return False
        if not now_s < claims.exp <= claims.iat + TOKEN_LASTS_S or claims.iat > now_s + _LEEWAY_S:
            return False
        try:
            self._ids.parse_entity(Prefix.RESELLER, claims.reseller)
            self._ids.parse_entity(Prefix.OAUTH_CLIENT, claims.client_id)
            if claims.grant is not UNSET:
                self._ids.parse_entity(Prefix.OAUTH_GRANT, claims.grant)
                self._ids.parse_entity(Prefix.USER, claims.sub)
        except IdError:
            return False
        return claims.region == self._ids.region

    async def _state(self) -> _Known:
        """Return what was read at most `_STALE_AFTER_S` ago, unless PostgreSQL can't be asked."""
        known = self._known
        age_s = None if known is None else self._monotonic() - known.at_s
        if known is not None and age_s is not None and age_s < _RENEWED_AFTER_S:
            return known
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_state())
            self._reading.add_done_callback(self._has_read)
        if known is not None and age_s is not None and age_s < _STALE_AFTER_S:
            return known
        try:
            return await asyncio.shield(self._reading)
        except StoreUnavailableError:
            # Nobody could have told PostgreSQL of an ending either.
            if known is None or age_s is None or age_s > _USABLE_S:
                raise
            return known

    def _has_read(self, task: "asyncio.Task[_Known]") -> None:
        self._reading = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("signing keys could not be read", error=str(error))

    async def _read_state(self) -> _Known:
        began_s = self._monotonic()
        lasting = timedelta(seconds=TOKEN_LASTS_S + _LEEWAY_S)
        query = select(
            _end.kind, _end.subject, func.extract("epoch", _end.ended_at).label("at_s")
        ).where(_end.ended_at > func.now() - lasting)
        # Neither table is any reseller's.
        with store_failures():
            async with local_transaction(self._app, "onsale.reseller_id", _NOBODY) as connection:
                keys = await load_keys(connection, self._sealer)
                rows = (await connection.execute(query)).all()
        ended = {(row.kind, row.subject): float(row.at_s) for row in rows}
        self._known = _Known(keys, ended, began_s)
        return self._known


def looks_like_token(text: str) -> bool:
    """Tell whether a text has the form of a token, whoever made it."""
    return len(text) <= TOKEN_CHARACTERS_MAX and _FORM.fullmatch(text) is not None


def told_region(text: str) -> str | None:
    """Return the region that a token claims to be of, which nobody has verified."""
    if not looks_like_token(text):
        return None
    try:
        claims = msgspec.json.decode(_decoded(text.split(".")[1]), type=dict[str, Any])
    except (ValueError, RecursionError):
        return None
    region = claims.get("region")
    return region if isinstance(region, str) else None


def _has_our_header(text: str) -> bool:
    """Look at what a token says of itself before any of it is believed.

    Only what `make` writes is taken: none of the ways to bring a key, or to name another algorithm.
    """
    try:
        header = _strict(_decoded(text.partition(".")[0]))
    except (ValueError, RecursionError):
        return False
    return (
        header.keys() == _HEADER
        and header["alg"] == ALGORITHM
        and header["typ"] == TYPE
        and isinstance(header["kid"], str)
    )


def _verified(text: str, keys: SigningKeys) -> Claims | None:
    header = _strict(_decoded(text.partition(".")[0]))
    key = keys.find(header["kid"])
    if key is None:
        return None
    try:
        signed = jws.deserialize_compact(text.encode(), key, algorithms=[ALGORITHM])
        return msgspec.convert(_strict(signed.payload), Claims)
    except (JoseError, ValueError, TypeError, RecursionError):
        return None


def _strict(content: bytes) -> dict[str, Any]:
    """Read a JSON object in which no name comes twice.

    Raises:
        ValueError: it is none.
    """
    # Decoded first: of bytes this reader would guess the encoding.
    read = json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_refuse)
    if not isinstance(read, dict):
        msg = "no object"
        raise ValueError(msg)  # noqa: TRY004 - one error for whatever does not fit
    return cast("dict[str, Any]", read)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        msg = "a name came twice"
        raise ValueError(msg)
    return read


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def _decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _has_ended(claims: Claims, ended: dict[tuple[str, str], float]) -> bool:
    if not ended:
        return False
    if ("token", claims.jti) in ended:
        return True
    about = [("client", claims.client_id), ("reseller", claims.reseller)]
    if claims.grant is not UNSET:
        if ("grant", _hex(claims.grant)) in ended:
            return True
        about.append(("user", claims.sub))
    # Whoever logs in again, or is approved again, has new ones.
    return any(claims.iat <= ended.get((kind, _hex(name)), 0) for kind, name in about)


def _hex(entity: str) -> str:
    return entity.rpartition("_")[2]
