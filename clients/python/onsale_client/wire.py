"""What goes over the wire, and who carries it: the client's ends of HTTP without the HTTP."""

from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import quote, urlencode

from msgspec import Struct

API_VERSION: Final = "2026-11-22"
"""The version of the API that this client speaks."""

KEY_HEADER: Final = "Idempotency-Key"

_SAFE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})

Headers = dict[str, str]
Query = Mapping[str, str | int | None]


class Request(Struct, frozen=True):
    """A request, the same in all its repetitions."""

    method: str
    path: str
    """With its query."""
    headers: Headers = {}
    content: bytes | None = None
    is_repeatable: bool = False
    """Whether it acts once however often it is sent, though it has no key."""

    @property
    def key(self) -> str | None:
        """Its idempotency key."""
        return self.headers.get(KEY_HEADER)

    @property
    def may_repeat(self) -> bool:
        """Whether it acts once however often it is sent."""
        return self.is_repeatable or self.method in _SAFE or self.key is not None


class Response(Struct, frozen=True):
    """An answer. The headers' names are in lower case."""

    status: int
    headers: Headers
    body: bytes
    took_s: float = 0.0
    """From the sending of the request that it answers, without what was tried before."""


class TransportError(Exception):
    """No answer came: the connection broke, could not be made, or the time was up."""


class AsyncTransport(Protocol):
    """Carries requests."""

    async def send(self, request: Request, /) -> Response:
        """Send a request once.

        Raises:
            TransportError: no answer came.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class Transport(Protocol):
    """Carries requests, one after the other in each thread."""

    def send(self, request: Request, /) -> Response:
        """Send a request once.

        Raises:
            TransportError: no answer came.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def headers_for(credential: str | None) -> Headers:
    """Return what every request of a client carries that has this credential."""
    version = {"Onsale-Version": API_VERSION}
    return version if credential is None else {"Authorization": f"Bearer {credential}"} | version


def path_of(*parts: str, query: Query | None = None) -> str:
    """Return `/v1/...` of these parts, each quoted, and of what is given of a query."""
    path = "/v1/" + "/".join(quote(part, safe="") for part in parts)
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path
