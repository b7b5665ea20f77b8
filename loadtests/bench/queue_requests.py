"""What people in a waiting room send, byte for byte; none of it has an API key."""

import base64
import hmac
import time
from hashlib import sha256
from typing import Final

import msgspec

_HOST: Final = "Host: bench.invalid\r\n"
_HEADER: Final = {"alg": "HS256", "typ": "JWT"}
_VALID_S: Final = 24 * 3600


class QueueRequests:
    """Requests at one show's waiting room."""

    def __init__(self, show: str) -> None:
        """Take the show's id."""
        self._show = show
        self._path = f"/v1/shows/{show}/queue"

    def serving(self) -> bytes:
        """Ask for the shared document."""
        return f"GET {self._path}/serving HTTP/1.1\r\n{_HOST}\r\n".encode()

    def join(self, identity: str = "") -> bytes:
        """Join: without a body, unless somebody is vouched for."""
        body = msgspec.json.encode({"identity": identity}) if identity else b""
        kind = "Content-Type: application/json\r\n" if identity else ""
        head = f"POST {self._path} HTTP/1.1\r\n{_HOST}{kind}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def leave(self, token: str) -> bytes:
        """Give a number up for good."""
        head = f"DELETE {self._path}/pass HTTP/1.1\r\n{_HOST}Queue-Token: {token}\r\n\r\n"
        return head.encode()

    def identity(self, key: str, buyer: str) -> str:
        """Return what a reseller signs for a buyer: a JWT by HS256 (RFC 7519)."""
        claims = {"sub": buyer, "show": self._show, "exp": int(time.time()) + _VALID_S}
        signed = b".".join(_base64(msgspec.json.encode(part)) for part in (_HEADER, claims))
        signature = _base64(hmac.digest(key.encode(), signed, sha256))
        return b".".join((signed, signature)).decode()


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
