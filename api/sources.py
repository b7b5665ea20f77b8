"""Where a request comes from, as throttles count it."""

from typing import Any

from litestar.connection import ASGIConnection

from api.context import runtime_of
from api.fastlane.call import address_behind
from engine.waitingroom.limits import source_of


def source_of_request(connection: ASGIConnection[Any, Any, Any, Any]) -> bytes:
    """Return what a request's address is counted by, as far as trusted proxies tell it."""
    client = connection.client
    lines = connection.headers.getall("x-forwarded-for", [])
    proxies = runtime_of(connection).settings.trusted_proxies
    return source_of(address_behind(proxies, ", ".join(lines), client.host if client else ""))
