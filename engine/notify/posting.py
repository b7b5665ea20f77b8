"""Posts messages over HTTP, to checked addresses only."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Final

import aiohttp

from engine.notify.addresses import AddressRefusedError
from engine.notify.resolving import CheckedResolver, open_checked_socket
from engine.notify.sending import Sent

_RESPONSE_BYTES_MAX: Final = 1024
_CONNECT_TIMEOUT_S: Final = 5.0
_TOTAL_TIMEOUT_S: Final = 15.0
_BODY_TIMEOUT_S: Final = 1.0
# Below the 5 s after which the quickest of servers close: who sends just then is not answered.
_KEEP_ALIVE_S: Final = 4.0
_HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": "Onsale-Webhooks/1",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
}


class HttpWire:
    """Connections to receivers, kept open for a while."""

    def __init__(self, *, private: bool, resolver: CheckedResolver | None = None) -> None:
        """Take whether loopback may be told too. To be made inside a running event loop."""
        # Doubtful ones have threads for names of their own: theirs may all hang.
        self._resolvers = [resolver or CheckedResolver(private=private) for _ in range(2)]
        self._sessions = [_session(one, private=private) for one in self._resolvers]

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions:
            await session.close()
        for resolver in self._resolvers:
            await resolver.close()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, doubtful: bool
    ) -> Sent:
        """Send a message. Raises nothing of the other side's."""
        began = monotonic()
        try:
            async with asyncio.timeout(_TOTAL_TIMEOUT_S):
                return await _post(self._sessions[doubtful], url, headers, body, began)
        except TimeoutError:
            error = "no answer in time"
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as failed:
            error = _told(failed)
        return Sent(None, _ms_since(began), error)


def _session(resolver: CheckedResolver, *, private: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0,
        resolver=resolver,
        use_dns_cache=False,
        keepalive_timeout=_KEEP_ALIVE_S,
        socket_factory=partial(open_checked_socket, private=private),
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=_TOTAL_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
        headers=_HEADERS,
        # What unpacks to more than it weighs stays packed.
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


async def _post(
    session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes, began: float
) -> Sent:
    response = await session.post(url, data=body, headers=headers, allow_redirects=False)
    try:
        duration_ms = _ms_since(began)
        beginning = await _read_beginning(response)
    finally:
        # Sent back for the next message only if all of the answer was read.
        response.close() if not response.content.at_eof() else response.release()
    return Sent(
        status=response.status,
        duration_ms=duration_ms,
        response=beginning,
        retry_after=response.headers.get("Retry-After"),
    )


async def _read_beginning(response: aiohttp.ClientResponse) -> str:
    """Return the beginning of a body, as far as it is there soon; its end is nobody's concern."""
    found = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            while len(found) < _RESPONSE_BYTES_MAX:
                part = await response.content.read(_RESPONSE_BYTES_MAX - len(found))
                if not part:
                    break
                found += part
    # PostgreSQL's texts hold no NUL.
    return bytes(found).decode("utf-8", "replace").replace("\0", "\ufffd")


_ERRORS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (aiohttp.ClientConnectorDNSError, "its name does not resolve"),
    (aiohttp.ClientConnectorCertificateError, "its certificate is not valid"),
    (aiohttp.ClientSSLError, "TLS failed"),
    (ssl.SSLError, "TLS failed"),
    (aiohttp.ClientConnectorError, "no connection to be had"),
    (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
    (ConnectionError, "it closed the connection without an answer"),
)


def _told(failed: BaseException) -> str:
    """Return an error in a few words, without what is private of this side."""
    causes = [failed, getattr(failed, "os_error", None), failed.__cause__, failed.__context__]
    if any(isinstance(cause, AddressRefusedError) for cause in causes):
        return f"not sent: {AddressRefusedError()}"
    words = (words for kind, words in _ERRORS if isinstance(failed, kind))
    return next(words, "its answer is not HTTP")


def _ms_since(began: float) -> int:
    return round((monotonic() - began) * 1000)
