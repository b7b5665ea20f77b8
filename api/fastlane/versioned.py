"""Calls of an older version: the same routes, with translations before and behind them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from api.fastlane.bodies import BodyReader
from api.fastlane.replies import Reply, reply_problem, write_reply
from api.problems import ProblemError
from api.reading import SHOW_BODY_BYTES_MAX, repeated_header
from api.server import Exchange, Headers, RequestHeaders, RequestScope, Stream, read_headers
from api.versions import HEADER, Translation, Versions

_WELL: Final = range(200, 300)
_JSON: Final = ("content-type", "application/json")
_OF_LENGTH: Final = frozenset({"content-length", "transfer-encoding"})

Serve = Callable[[RequestScope, Exchange], Awaitable[None]]
Fail = Callable[[Exception, RequestScope], Reply]


def asked_version(given: RequestHeaders) -> str | None:
    """Return the version that a request asks for; None: it names none.

    Raises:
        ProblemError: `malformed-request`: it names two.
    """
    asked = [value for name, value in read_headers(given) if name == HEADER]
    if len(asked) > 1:
        raise repeated_header(HEADER)
    return asked[0] if asked else None


class OlderVersions:
    """Serves calls that name another version than the current one."""

    def __init__(self, versions: Versions, bodies: BodyReader, serve: Serve, fail: Fail) -> None:
        """Take the versions there are, and what reads bodies, serves calls and tells errors."""
        self._fail = fail
        self._versions = versions
        self._bodies = bodies
        self._serve = serve

    async def serve(
        self, asked: str, scope: RequestScope, exchange: Exchange, request_id: str
    ) -> None:
        """Serve one call as of a version, or say that there is none such."""
        try:
            translation = self._versions.translation(asked, scope.method, scope.path)
            headers = [(n, v) for n, v in read_headers(scope.headers) if n != HEADER]
            body = None
            if translation.is_of_requests:
                body = translation.newer(await self._read(scope, exchange, headers))
                headers = [(n, v) for n, v in headers if n not in _OF_LENGTH]
                headers.append(("content-length", str(len(body))))
        except Exception as error:  # noqa: BLE001 - the last net, and told
            _tell(self._fail(error, scope), exchange, request_id)
            return
        if translation.is_of_responses:
            # What is to be translated must come as it is written.
            headers = [(n, v) for n, v in headers if n not in {"accept-encoding", "if-none-match"}]
        await self._serve(
            OlderScope(scope, headers), _OlderExchange(exchange, asked, translation, body)
        )

    async def _read(self, scope: RequestScope, exchange: Exchange, headers: Headers) -> bytes:
        given = dict(headers).get("content-length", "")
        length = int(given) if given.isdigit() else None
        if length is not None and length > SHOW_BODY_BYTES_MAX:
            length = None  # then no more than allowed is read of it
        return await self._bodies.read(scope, exchange, length, SHOW_BODY_BYTES_MAX)


def _tell(reply: Reply, exchange: Exchange, request_id: str) -> None:
    headers, body = write_reply(reply, request_id, None)
    exchange.response_bytes(reply.status, headers, body)


def reply_to_two_versions(problem: ProblemError, exchange: Exchange, request_id: str) -> None:
    """Tell a request that names two versions."""
    _tell(reply_problem(problem), exchange, request_id)


class _Headers:
    """Headers that were changed, as the server would give them."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    def __len__(self) -> int:
        return len({name for name, _ in self._headers})

    def __contains__(self, name: str) -> bool:
        return any(name == given for given, _ in self._headers)

    def keys(self) -> list[str]:
        return [name for name, _ in self._headers]

    def get(self, name: str) -> str | None:
        return next((value for given, value in self._headers if given == name), None)

    def items(self) -> Headers:
        return list(self._headers)


class OlderScope:
    """A request's scope with other headers."""

    def __init__(self, scope: RequestScope, headers: Headers) -> None:
        """Take the request's own scope, and what its headers are instead."""
        self.http_version = scope.http_version
        self.server = scope.server
        self.client = scope.client
        self.scheme = scope.scheme
        self.method = scope.method
        self.path = scope.path
        self.query_string = scope.query_string
        self.authority = scope.authority
        self.headers: RequestHeaders = _Headers(headers)


class _OlderExchange:
    """An exchange whose request was translated, and whose answer will be."""

    def __init__(
        self, exchange: Exchange, version: str, translation: Translation, body: bytes | None
    ) -> None:
        self._exchange = exchange
        self._version = version
        self._translation = translation
        self._body = body

    async def __call__(self) -> bytes:
        return await self._exchange() if self._body is None else self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._body is None:
            async for part in self._exchange:
                yield part
        else:
            yield self._body
            yield b""

    def client_disconnect(self) -> Awaitable[None]:
        return self._exchange.client_disconnect()

    def response_stream(self, status: int, headers: Headers) -> Stream:
        return self._exchange.response_stream(status, self._dated(headers))

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        if self._translation.is_of_responses and status in _WELL and _JSON in headers and body:
            body = self._translation.older(body)
            headers = [(n, v) for n, v in headers if n not in {"content-length", "etag"}]
            headers.append(("content-length", str(len(body))))
        self._exchange.response_bytes(status, self._dated(headers), body)

    def _dated(self, headers: Headers) -> Headers:
        return [(n, v) for n, v in headers if n != HEADER] + [(HEADER, self._version)]
