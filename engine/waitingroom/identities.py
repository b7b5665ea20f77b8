"""Who joins, by the word of their reseller: a JWT that the reseller signed for one buyer and show.

With it, one buyer has one number however often they join. The algorithm is HS256 and no other
(RFC 7519 by joserfc); the claims are `sub`, the buyer, `show`, the show's id, and `exp`.
"""

import hmac
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Final

import msgspec
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey
from joserfc.jwt import JWTClaimsRegistry
from msgspec import Struct

from engine.platform.legible import is_buyer
from engine.waitingroom.tokens import IDENTITY_BYTES

ALGORITHM: Final = "HS256"
AHEAD_MAX_S: Final = 7 * 24 * 3600
CLOCK_LEEWAY_S: Final = 60
CHARACTERS_MAX: Final = 2048

_KEYS_REMEMBERED: Final = 1024

_UNREADABLE: Final = (
    f"The identity is no JWT that this show's reseller signed by {ALGORITHM} with its identity key."
)
_CLAIMS_MISSING: Final = (
    "The identity needs the claims `sub` (the buyer), `show` (the show's id) and `exp` (a number)."
)


class IdentityError(ValueError):
    """The text is no identity for this show; the message is fit for a client."""


class Identity(Struct, frozen=True):
    """Whom a reseller vouches for."""

    subject: str
    """The buyer, by the reseller's own name."""


class _Claims(Struct):
    sub: str
    show: str
    exp: int | float


def identity_key(secret: bytes, reseller: int) -> str:
    """Return what this reseller signs identities with: 64 characters, used as they stand.

    As text, since what JWT libraries take for a secret is text, and one that had to be decoded
    first would be decoded by half of them. Derived as by RFC 5869 (HKDF, one block); it lasts as
    long as `secret`, not as long as the keys of queue tokens, since resellers keep it.
    """
    extracted = hmac.digest(b"onsale identity key 1", secret, sha256)
    return hmac.digest(extracted, reseller.to_bytes(8, "big") + b"\x01", sha256).hex()


def read_identity(key: str, show: str, text: str, now_s: float) -> Identity:
    """Return whom an identity names; `show` is the show's id as it stands outside.

    Raises:
        IdentityError: not signed by this key, for another show, run out, or not of this form.
    """
    if len(text) > CHARACTERS_MAX or not text.isascii():
        raise IdentityError(_UNREADABLE)
    claims = _read_claims(_verified(key, text), int(now_s))
    if claims.show != show:
        msg = f"The identity's claim `show` is not {show}."
        raise IdentityError(msg)
    if not claims.exp <= now_s + AHEAD_MAX_S + CLOCK_LEEWAY_S:
        msg = f"The identity's claim `exp` is more than {AHEAD_MAX_S // 86_400} days ahead."
        raise IdentityError(msg)
    if not is_buyer(claims.sub):
        msg = (
            "The identity's claim `sub` is no buyer's name: 1 to 64 characters, at most 200 bytes "
            "of UTF-8, no control characters."
        )
        raise IdentityError(msg)
    return Identity(claims.sub)


class IdentityDigests:
    """What stands for a buyer in a show's queue, in a few bytes."""

    def __init__(self, secret: bytes) -> None:
        """Take the region's secret, so that nobody can look for buyers who share a digest."""
        key = blake2b(secret, person=b"onsale identity", digest_size=32).digest()
        self._hash = blake2b(key=key, digest_size=IDENTITY_BYTES)

    def digest(self, show: int, subject: str) -> bytes:
        """Return the 8 bytes that stand for a buyer in this show's queue."""
        hashed = self._hash.copy()
        hashed.update(show.to_bytes(8, "big") + subject.encode())
        return hashed.digest()


@lru_cache(_KEYS_REMEMBERED)
def _import_key(key: str) -> OctKey:
    return OctKey.import_key(key)


def _verified(key: str, text: str) -> dict[str, object]:
    try:
        return jwt.decode(text, _import_key(key), algorithms=[ALGORITHM]).claims
    # What its header holds is decoded before it is known to be signed, and may be any JSON.
    except (JoseError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise IdentityError(_UNREADABLE) from error


def _read_claims(given: dict[str, object], now_s: int) -> _Claims:
    try:
        claims = msgspec.convert(given, _Claims)
        JWTClaimsRegistry(now=now_s, leeway=CLOCK_LEEWAY_S).validate(given)
    except msgspec.ValidationError as error:
        raise IdentityError(_CLAIMS_MISSING) from error
    except ExpiredTokenError as error:
        msg = "The identity has run out; ask the seller for a new one."
        raise IdentityError(msg) from error
    except JoseError as error:
        msg = f"The identity is refused: {error.description}."
        raise IdentityError(msg) from error
    return claims
