"""Queue tokens and passes: what a person in line holds, verified without a store.

Both read `{payload}.{signature}` in base64url, the signature HMAC-SHA256 by itsdangerous. The kind,
the region and the show are in the key's derivation, so they need not be in the text, and one kind's
or show's text is none of another's. A buyer is in a pass' signature only.

What a token's payload has, big-endian: issued at (4 bytes, s since 1970), number (5), and for
somebody who is known 8 bytes of identity and the buyer's name. A pass' has the number.

A pass is signed by the key that signed the token it was exchanged for: repeating the exchange after
keys were rotated gives the same pass, and no key is needed for longer than tokens under it live
(docs/decisions/0028-queue-tokens.md).
"""

import re
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Final

from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.signer import Signer
from msgspec import Struct

from engine.platform.legible import BUYER_BYTES_MAX
from engine.platform.signatures import SIGNATURE, derive_signers, find_key

MAX_AGE_S: Final = 7 * 24 * 3600
OPENS_BEFORE_MAX: Final = timedelta(seconds=MAX_AGE_S) - timedelta(days=1)
"""How long before the sale a queue opens at the most.

Tokens of the first who join must last until they have had their turn.
"""
IDENTITY_BYTES: Final = 8
NUMBERS_MAX: Final = 2**40
_SECRET_BYTES_MIN: Final = 32
_HEAD_BYTES: Final = 9
_NUMBER_BYTES: Final = 5
_ISSUED_BYTES: Final = 4
_SHOWS_REMEMBERED: Final = 1024

_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]{12,290})" + SIGNATURE)
_PASS: Final = re.compile(r"([A-Za-z0-9_-]{7})" + SIGNATURE)

_FOREIGN: Final = "This is no queue token of this show."
_RUN_OUT: Final = "This queue token has run out; join again."
_NOT_THEIRS: Final = "This is no pass of this show for this buyer."


class TokenError(ValueError):
    """The text is not what was asked for, or has run out; the message is fit for a client."""


class QueueToken(Struct, frozen=True):
    """What a queue token says."""

    number: int
    identity: bytes | None
    """8 bytes that stand for who joined; None: nobody told."""
    buyer: str | None
    """The buyer whom the reseller's signature named; there if `identity` is."""
    issued_s: int
    key: int
    """Which of this process' keys signed it, by `QueueTokens`' own count; of no use elsewhere."""


class QueueTokens:
    """Signs and reads the queue tokens and passes of one region."""

    def __init__(
        self,
        secrets: Sequence[bytes],
        *,
        region: str,
        max_age_s: float = MAX_AGE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the secrets, of which the first signs and all are accepted, and how old is too old.

        Raises:
            ValueError: no secret, or one of less than 32 bytes.
        """
        if not secrets or any(len(secret) < _SECRET_BYTES_MIN for secret in secrets):
            msg = f"queue tokens need a secret of at least {_SECRET_BYTES_MIN} bytes"
            raise ValueError(msg)
        self._secrets = tuple(secrets)
        self._region = region.encode()
        self._max_age_s = max_age_s
        self._clock = clock
        # Deriving a key costs as much as signing with it.
        self._token_signers = lru_cache(_SHOWS_REMEMBERED)(self._derive_token_signers)
        self._pass_signers = lru_cache(_SHOWS_REMEMBERED)(self._derive_pass_signers)

    def sign_token(
        self, show: int, number: int, identity: bytes | None = None, buyer: str | None = None
    ) -> str:
        """Return the token of a number that was just handed out.

        Raises:
            ValueError: the number is out of range, one of identity and buyer comes without the
                other, or one of them does not have its size.
        """
        payload = _pack_token(int(self._clock()), number, identity, buyer)
        return self._token_signers(show)[0].sign(base64_encode(payload)).decode()

    def read_token(self, show: int, text: str) -> QueueToken:
        """Return what a token of this show says.

        Raises:
            TokenError: forged, altered, another show's, kind's or region's, or too old.
        """
        match = _TOKEN.fullmatch(text)
        key = find_key(self._token_signers(show), *match.groups()) if match else None
        if match is None or key is None:
            raise TokenError(_FOREIGN)
        token = _unpack_token(base64_decode(match[1]), key)
        if self._clock() - token.issued_s > self._max_age_s:
            raise TokenError(_RUN_OUT)
        return token

    def sign_pass(self, show: int, token: QueueToken, buyer: str) -> str:
        """Return the one pass that a token of this show is exchanged for by this buyer."""
        number = base64_encode(token.number.to_bytes(_NUMBER_BYTES, "big"))
        signature = self._pass_signers(show)[token.key].get_signature(_bound(number, buyer))
        return f"{number.decode()}.{signature.decode()}"

    def read_pass(self, show: int, text: str, buyer: str) -> int:
        """Return the number that this buyer's pass of this show stands for.

        Raises:
            TokenError: forged, altered, or another show's, kind's, region's or buyer's.
        """
        match = _PASS.fullmatch(text)
        if match is None:
            raise TokenError(_NOT_THEIRS)
        number = match[1].encode()
        if find_key(self._pass_signers(show), _bound(number, buyer), match[2]) is None:
            raise TokenError(_NOT_THEIRS)
        return int.from_bytes(base64_decode(number), "big")

    def _derive_token_signers(self, show: int) -> tuple[Signer, ...]:
        return self._derive_signers(b"onsale queue token 1", show)

    def _derive_pass_signers(self, show: int) -> tuple[Signer, ...]:
        return self._derive_signers(b"onsale queue pass 1", show)

    def _derive_signers(self, kind: bytes, show: int) -> tuple[Signer, ...]:
        return derive_signers(self._secrets, kind, self._region, show.to_bytes(8, "big"))


def _bound(number: bytes, buyer: str) -> bytes:
    # A number has always 7 characters, so nothing else reads like it. A buyer that isn't text by
    # UTF-8's rules is refused like any other that the pass is not for.
    return number + buyer.encode(errors="surrogatepass")


def _pack_token(issued_s: int, number: int, identity: bytes | None, buyer: str | None) -> bytes:
    if not 0 <= number < NUMBERS_MAX:
        msg = f"number {number} is out of range"
        raise ValueError(msg)
    head = issued_s.to_bytes(_ISSUED_BYTES, "big") + number.to_bytes(_NUMBER_BYTES, "big")
    if identity is None and buyer is None:
        return head
    name = (buyer or "").encode()
    if identity is None or len(identity) != IDENTITY_BYTES or not 0 < len(name) <= BUYER_BYTES_MAX:
        msg = (
            f"an identity of {IDENTITY_BYTES} bytes and a buyer of 1 to {BUYER_BYTES_MAX} bytes "
            "come together"
        )
        raise ValueError(msg)
    return head + identity + name


def _unpack_token(payload: bytes, key: int) -> QueueToken:
    known = payload[_HEAD_BYTES:]
    return QueueToken(
        number=int.from_bytes(payload[_ISSUED_BYTES:_HEAD_BYTES], "big"),
        identity=known[:IDENTITY_BYTES] or None,
        buyer=known[IDENTITY_BYTES:].decode() or None,
        issued_s=int.from_bytes(payload[:_ISSUED_BYTES], "big"),
        key=key,
    )
