"""Signatures by the Standard Webhooks specification, both forms.

`v1` is HMAC-SHA256 under a shared secret, `v1a` is Ed25519, over `id.timestamp.body`:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"

_SHARED_PREFIX: Final = "whsec_"
_PRIVATE_PREFIX: Final = "whsk_"
_PUBLIC_PREFIX: Final = "whpk_"
_KEY_BYTES: Final = 32


class SigningSecret(Struct, frozen=True):
    """A pair of secrets: `whsec_`, which the receiver has too, and `whsk_`, which nobody else has.

    `until` is None of the one that is in force, else when it signs no more.
    """

    shared: str
    private: str
    until: datetime | None = None

    @classmethod
    def make(cls) -> Self:
        """Return a fresh one."""
        return cls(_told(_SHARED_PREFIX, _random()), _told(_PRIVATE_PREFIX, _random()))

    @property
    def public(self) -> str:
        """What the receiver verifies `v1a` with: `whpk_`."""
        key = self._private_key().public_key().public_bytes_raw()
        return _told(_PUBLIC_PREFIX, key)

    def sign(self, content: bytes) -> list[str]:
        """Return both signatures of a content."""
        shared = base64.b64decode(self.shared.removeprefix(_SHARED_PREFIX))
        return [
            _told("v1,", hmac.digest(shared, content, "sha256")),
            _told("v1a,", self._private_key().sign(content)),
        ]

    def _private_key(self) -> Ed25519PrivateKey:
        seed = base64.b64decode(self.private.removeprefix(_PRIVATE_PREFIX))
        return Ed25519PrivateKey.from_private_bytes(seed)


Secrets = Sequence[SigningSecret]
"""Of one endpoint, the newest first."""

_decode: Final = msgspec.json.Decoder(list[SigningSecret]).decode


def write_secrets(secrets: Secrets) -> str:
    """Return secrets as they are sealed."""
    return msgspec.json.encode(secrets).decode()


def read_secrets(text: str) -> Secrets:
    """Return the secrets that `write_secrets` was given."""
    return _decode(text)


def rotate(secrets: Secrets, now: datetime, overlap: timedelta) -> Secrets:
    """Return secrets with a fresh one in front; the one before signs too for an overlap.

    Those before that one end at once: two are all that a receiver has to look at.
    """
    previous = [] if not overlap else [msgspec.structs.replace(secrets[0], until=now + overlap)]
    return [SigningSecret.make(), *previous]


def in_force(secrets: Secrets, now: datetime) -> Secrets:
    """Return those that sign at a moment."""
    return [secret for secret in secrets if secret.until is None or now < secret.until]


def sign_headers(secrets: Secrets, message: str, now: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of a message: its id stays the same over all attempts."""
    timestamp = str(int(now.timestamp()))
    content = b".".join((message.encode(), timestamp.encode(), body))
    signatures = [signed for secret in in_force(secrets, now) for signed in secret.sign(content)]
    return {
        ID_HEADER: message,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: " ".join(signatures),
    }


def _random() -> bytes:
    return os.urandom(_KEY_BYTES)


def _told(prefix: str, content: bytes) -> str:
    return prefix + base64.b64encode(content).decode()
