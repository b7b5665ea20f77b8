"""Signatures of webhooks, verified by others' code."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from engine.notify.signing import (
    SigningSecret,
    in_force,
    read_secrets,
    rotate,
    sign_headers,
    write_secrets,
)

BODY = '{"ä":1}'.encode()


def now() -> datetime:
    """Return the time: the package compares it."""
    return datetime.now(UTC)


def test_the_official_package_verifies_v1() -> None:
    """And refuses another body, id, time or secret."""
    secret = SigningSecret.make()
    headers = sign_headers([secret], "fct_dev_1", now(), BODY)
    assert Webhook(secret.shared).verify(BODY, headers) == {"ä": 1}
    for altered in (
        {**headers, "webhook-id": "fct_dev_2"},
        {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) - 1)},
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret.shared).verify(BODY, altered)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.shared).verify(BODY + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SigningSecret.make().shared).verify(BODY, headers)


def test_the_specifications_own_example_is_reproduced() -> None:
    """Of v1: secret, id, time and signature are the specification's."""
    secret = SigningSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SigningSecret.make().private)
    moment = datetime.fromtimestamp(1_614_265_330, UTC)
    headers = sign_headers(
        [secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", moment, b'{"test": 2432232314}'
    )
    signature = headers["webhook-signature"].split(" ")[0]
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_ed25519_verifies_v1a() -> None:
    """With the public key that the receiver is told."""
    secret = SigningSecret.make()
    headers = sign_headers([secret], "fct_dev_1", now(), BODY)
    shared, private = headers["webhook-signature"].split(" ")
    assert shared.startswith("v1,")
    assert private.startswith("v1a,")
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(secret.public.removeprefix("whpk_")))
    content = f"fct_dev_1.{headers['webhook-timestamp']}.".encode() + BODY
    key.verify(base64.b64decode(private.removeprefix("v1a,")), content)


def test_both_secrets_sign_during_a_rotation() -> None:
    """Until the overlap is over; a third one is never kept."""
    old = SigningSecret.make()
    begun = now()
    rotated = rotate([old], begun, timedelta(hours=1))
    headers = sign_headers(rotated, "fct_dev_1", now(), BODY)
    assert len(headers["webhook-signature"].split(" ")) == 4
    for secret in rotated:
        Webhook(secret.shared).verify(BODY, headers)
    assert in_force(rotated, begun + timedelta(hours=1)) == rotated[:1]
    again = rotate(rotated, begun, timedelta(hours=1))
    assert len(again) == 2
    assert old.shared not in {secret.shared for secret in again}
    assert len(rotate([old], begun, timedelta())) == 1


def test_secrets_are_read_as_they_were_written() -> None:
    """With their moments."""
    secrets = rotate([SigningSecret.make()], now(), timedelta(days=1))
    assert list(read_secrets(write_secrets(secrets))) == list(secrets)


def test_a_secret_has_the_specifications_form() -> None:
    """24 to 64 random bytes in base64, and a prefix."""
    secret = SigningSecret.make()
    for text, prefix in ((secret.shared, "whsec_"), (secret.private, "whsk_")):
        assert text.startswith(prefix)
        assert len(base64.b64decode(text.removeprefix(prefix))) == 32
    assert secret.public.startswith("whpk_")
    assert SigningSecret.make() != secret
