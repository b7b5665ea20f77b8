"""The client's reading of webhooks, signed by the specification's own package."""

import base64
import secrets
import time
from datetime import UTC, datetime

import pytest
from onsale_client import SignatureError, read_webhook
from standardwebhooks.webhooks import Webhook

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
BODY = (
    b'{"id":"fct_dev_0000000000000001","type":"order.confirmed","sequence":1,"show":null,'
    b'"occurred_at":"2026-11-22T10:00:00Z","object":"ord_dev_1","data":{"quantity":2}}'
)


def _headers(secret: str = SECRET, *, at_s: float | None = None) -> dict[str, str]:
    sent = datetime.fromtimestamp(int(at_s or time.time()), UTC)
    return {
        "Webhook-Id": "fct_dev_0000000000000001",
        "Webhook-Timestamp": str(int(sent.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("fct_dev_0000000000000001", sent, BODY.decode()),
    }


def test_what_is_signed_is_read() -> None:
    """Among several signatures, as while a secret is rotated."""
    fact = read_webhook(SECRET, _headers(), BODY)
    assert (fact.type, fact.object, fact.data) == ("order.confirmed", "ord_dev_1", {"quantity": 2})
    other = "whsec_" + base64.b64encode(b"o" * 24).decode()
    both = _headers()
    both["Webhook-Signature"] = f"v1a,AAAA {_headers(other)['Webhook-Signature']} " + both.pop(
        "Webhook-Signature"
    )
    assert read_webhook(SECRET, both, BODY) == fact


@pytest.mark.parametrize(
    "change",
    [
        {"Webhook-Id": "fct_dev_0000000000000002"},
        {"Webhook-Timestamp": "0"},
        {"Webhook-Timestamp": "soon"},
        {"Webhook-Signature": ""},
        {"Webhook-Signature": "v1,"},
        {"Webhook-Signature": "v1,\u00e9"},
        {"Webhook-Signature": "v1a," + "A" * 43 + "="},
        {"Webhook-Signature": "v2" + _headers()["Webhook-Signature"][2:]},
    ],
)
def test_what_is_not_signed_is_refused(change: dict[str, str]) -> None:
    """Another id, time, version, or no signature at all."""
    with pytest.raises(SignatureError):
        read_webhook(SECRET, _headers() | change, BODY)


def test_another_body_another_secret_and_an_old_one_are_refused() -> None:
    """Of the body, a byte is enough; of the age, five minutes."""
    with pytest.raises(SignatureError):
        read_webhook(SECRET, _headers(), BODY + b" ")
    with pytest.raises(SignatureError):
        read_webhook("whsec_" + base64.b64encode(b"x" * 24).decode(), _headers(), BODY)
    for off_s in (-301, 301):
        with pytest.raises(SignatureError):
            read_webhook(SECRET, _headers(at_s=time.time() + off_s), BODY)
    with pytest.raises(SignatureError):
        read_webhook(SECRET, {}, BODY)
    for none in ("whsec_!", "whsec_", ""):
        with pytest.raises(ValueError, match="whsec_"):
            read_webhook(none, _headers(), BODY)
