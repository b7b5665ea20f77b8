"""Where a request comes from, as throttles count it."""

from typing import Any

from litestar.connection import ASGIConnection

from api.acting import address_of
from engine.waitingroom.limits import source_of


def source_of_request(connection: ASGIConnection[Any, Any, Any, Any]) -> bytes:
    """Return what a request's address is counted by, as far as trusted proxies tell it."""
    return source_of(address_of(connection))
