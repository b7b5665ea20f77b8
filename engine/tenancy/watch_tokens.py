"""Watch tokens: what a browser watches one show with, where a reseller's key must not be.

A token reads `{payload}.{signature}` in base64url. The payload is big-endian: until when it is
good (4 bytes, s since 1970), and whose show it is (8). Kind, region and show are in the key's
derivation, as they are for queue tokens: docs/decisions/0033-live-seats.md.
"""

import re
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from itsdangerous.encoding import base64_decode, base64_encode
from itsdangerous.signer import Signer
from msgspec import Struct

from engine.platform.ids import EntityId
from engine.platform.signatures import SIGNATURE, derive_signers, find_key

MAX_AGE_S: Final = 24 * 3600
_UNTIL_BYTES: Final = 4
_RESELLER_BYTES: Final = 8
_SHOWS_REMEMBERED: Final = 1024
_TOKEN: Final = re.compile(r"([A-Za-z0-9_-]{16})" + SIGNATURE)


class WatchToken(Struct, frozen=True):
    """What a token says."""

    reseller: EntityId
    until_s: int


class WatchTokenError(ValueError):
    """The text is no token of this show, or it has run out; the message is fit for a client."""


class WatchTokens:
    """Signs and reads the watch tokens of one region."""

    def __init__(
        self, secrets: Sequence[bytes], *, region: str, clock: Callable[[], float] = time.time
    ) -> None:
        """Take the secrets, of which the first signs and all are accepted."""
        self._secrets = tuple(secrets)
        self._region = region.encode()
        self._clock = clock
        self._signers = lru_cache(_SHOWS_REMEMBERED)(self._derive)

    def sign(self, reseller: EntityId, show: int, age_s: int) -> tuple[str, int]:
        """Return a token that is good for so long, and until when that is, in s since 1970."""
        until_s = int(self._clock()) + min(age_s, MAX_AGE_S)
        payload = until_s.to_bytes(_UNTIL_BYTES, "big") + reseller.to_bytes(
            _RESELLER_BYTES, "big", signed=True
        )
        return self._signers(show)[0].sign(base64_encode(payload)).decode(), until_s

    def read(self, show: int, text: str) -> WatchToken:
        """Return what a token of this show says.

        Raises:
            WatchTokenError: forged, altered, another show's or region's, or too old.
        """
        match = _TOKEN.fullmatch(text)
        if match is None or find_key(self._signers(show), *match.groups()) is None:
            msg = "This is no watch token of this show."
            raise WatchTokenError(msg)
        payload = base64_decode(match[1])
        until_s = int.from_bytes(payload[:_UNTIL_BYTES], "big")
        if self._clock() >= until_s:
            msg = "This watch token has run out; ask for another."
            raise WatchTokenError(msg)
        reseller = int.from_bytes(payload[_UNTIL_BYTES:], "big", signed=True)
        return WatchToken(EntityId(reseller), until_s)

    def _derive(self, show: int) -> tuple[Signer, ...]:
        scope = (b"onsale watch token 1", self._region, show.to_bytes(8, "big"))
        return derive_signers(self._secrets, *scope)
