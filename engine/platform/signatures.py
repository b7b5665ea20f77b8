"""Signatures of short-lived texts: HMAC-SHA256 by itsdangerous, with a key for each purpose."""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from itsdangerous.signer import Signer

SIGNATURE: Final = r"\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])"
"""A pattern: of the last of 43 characters two bits mean nothing and must be zero, else four texts,
of which one was handed out, would be the same signature."""


def derive_signers(secrets: Sequence[bytes], *purpose: bytes) -> tuple[Signer, ...]:
    """Return what signs for a purpose, and for nothing else, by each secret."""
    scope = b"\0".join(purpose)
    return tuple(
        Signer(hmac.digest(secret, scope, sha256), key_derivation="none", digest_method=sha256)
        for secret in secrets
    )


def find_key(signers: Sequence[Signer], signed: str | bytes, signature: str) -> int | None:
    """Return which key signed it. The comparison takes as long for any signature."""
    for key, signer in enumerate(signers):
        if signer.verify_signature(signed, signature):
            return key
    return None
