"""Webhooks at the receiver's end: is this one Onsale's, and what does it tell?

The signature is `v1` of the Standard Webhooks specification (standardwebhooks.com): HMAC-SHA256
over id, timestamp and body. Their own package verifies it as well.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from onsale_client.errors import OnsaleError
from onsale_client.models import Fact

TOLERANCE_S: Final = 300
"""How old, or how far ahead, a timestamp may be: an older one may be a replay."""

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with
_VERSION: Final = "v1"


class SignatureError(OnsaleError):
    """The webhook is not signed with this secret, or too old: answer 400, and act on nothing."""


def read_webhook(
    secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float | None = None
) -> Fact:
    """Return the fact that a webhook tells, once its signature is verified.

    Take the body's bytes as they came. What is told may come more than once: its `id` tells.

    Raises:
        SignatureError: it is not signed with this secret, or its time is over five minutes off.
        ValueError: the secret is none.
        msgspec.DecodeError: it is signed, and no fact.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message, sent_at = given["webhook-id"], int(given["webhook-timestamp"])
        signatures = given["webhook-signature"].split()
    except (KeyError, ValueError):
        msg = "a header is missing or malformed"
        raise SignatureError(msg) from None
    if abs((time.time() if now_s is None else now_s) - sent_at) > TOLERANCE_S:
        msg = "its timestamp is more than five minutes off"
        raise SignatureError(msg)
    signed = f"{message}.{sent_at}.".encode() + body
    expected = base64.b64encode(hmac.digest(_key(secret), signed, "sha256"))
    versions = (one.partition(",") for one in signatures)
    if not any(
        version == _VERSION and hmac.compare_digest(told.encode(), expected)
        for version, _, told in versions
    ):
        msg = "no signature of it fits the secret"
        raise SignatureError(msg)
    return msgspec.json.decode(body, type=Fact)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:  # with an empty one anybody can sign
        msg = "a secret is `whsec_` and base64"
        raise ValueError(msg)
    return key
