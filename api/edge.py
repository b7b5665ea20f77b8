"""The layer around Litestar: what holds for every request that the fast lane passes on.

Request ids, security headers, HEAD as GET without its body, gzip, bounds on the address and on
how slowly a body may come, and the last net below all errors.
"""

import asyncio
import re
import secrets
from http import HTTPStatus
from typing import Final

import structlog
from litestar.types import (
    ASGIApp,
    HTTPReceiveMessage,
    HTTPResponseStartEvent,
    HTTPScope,
    Message,
    Receive,
    Scope,
    Send,
    WebSocketReceiveMessage,
)

from api.compressing import BYTES_MIN, accepts_gzip, gzipped
from api.documents import deprecation_of
from api.problems import MEDIA_TYPE, ProblemError, ProblemKind
from api.versions import CURRENT, HEADER, is_dated

ADDRESS_BYTES_MAX: Final = 8192
CHUNK_TIMEOUT_S: Final = 20
BODY_TIMEOUT_S: Final = 30
BODY_BYTES_A_SECOND_MIN: Final = 1024 * 1024
"""A whole body has 30 s, and a second more for each MiB of it that has come."""
REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_IN_THREAD_BYTES_MIN: Final = 256 * 1024
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
NO_STORE: Final = (b"cache-control", b"no-store")

_log = structlog.stdlib.get_logger(__name__)


class Edge:
    """Wraps the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        chunk_timeout_s: float = CHUNK_TIMEOUT_S,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        """Take the application, and how long a body and its next part may be on their way."""
        self._app = app
        self._chunk_timeout_s = chunk_timeout_s
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = (_given(scope, b"x-request-id") or b"").decode("latin-1")
        if not REQUEST_ID.fullmatch(request_id):
            request_id = secrets.token_hex(8)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer = _Answer(scope, send, request_id.encode())
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        try:
            check_address(len(scope["raw_path"]) + len(scope["query_string"]))
            _check_length(scope)
            _check_host(scope)
            soon = _impatient(receive, self._chunk_timeout_s, self._body_timeout_s)
            await self._app(scope, soon, answer.send)
        except ProblemError as problem:
            await answer.fail(problem)
        except Exception:
            _log.exception("request failed", method=scope["method"])
            if answer.started:
                raise
            await answer.fail(ProblemError(ProblemKind.INTERNAL_ERROR, "It was logged here."))


class _Answer:
    """One answer on its way out."""

    def __init__(self, scope: Scope, send: Send, request_id: bytes) -> None:
        self.started = False
        self._send = send
        self._request_id = request_id
        self._scope = scope
        self._is_head = scope.get("method") == "HEAD"
        self._gzip = accepts_gzip((_given(scope, b"accept-encoding") or b"").decode("latin-1"))
        self._start: HTTPResponseStartEvent | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            # Kept back until the body is there, which decides about its headers.
            self._start = message
        elif message["type"] == "http.response.body":
            body, more = message["body"], message.get("more_body", False)
            if self._start is not None:
                start, self._start = self._start, None
                body = await self._finish_headers(start, body, whole=not more)
                self.started = True
                await self._send(start)
            message["body"] = b"" if self._is_head else body
            await self._send(message)
        else:
            await self._send(message)

    async def fail(self, problem: ProblemError) -> None:
        body = problem.body()
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem.headers}
        await self.send(
            {
                "type": "http.response.start",
                "status": problem.kind.status,
                "headers": [
                    (name.lower().encode(), value.encode()) for name, value in headers.items()
                ],
            }
        )
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _finish_headers(
        self, start: HTTPResponseStartEvent, body: bytes, *, whole: bool
    ) -> bytes:
        headers = dict(start["headers"])
        # The one header that may come more than once.
        cookies = [pair for pair in start["headers"] if pair[0] == b"set-cookie"]
        headers.pop(b"set-cookie", None)
        compressible = b"json" in headers.get(b"content-type", b"")
        if compressible and b"content-encoding" not in headers and len(body) >= BYTES_MIN and whole:
            if self._gzip:
                if len(body) < _IN_THREAD_BYTES_MIN:
                    body = gzipped(body)
                else:
                    body = await asyncio.to_thread(gzipped, body)
                headers[b"content-encoding"] = b"gzip"
                headers[b"content-length"] = str(len(body)).encode()
            headers.setdefault(b"vary", b"Accept-Encoding")
        if start["status"] in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            headers.pop(b"content-type", None)
            headers.pop(b"content-length", None)
        # A page has a policy of its own, and of two policies browsers take both.
        for name, value in (NO_STORE, *SECURITY_HEADERS):
            headers.setdefault(name, value)
        headers[b"x-request-id"] = self._request_id
        headers.update(_notes(self._scope))
        start["headers"] = [*headers.items(), *cookies]
        return body


def _notes(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Return the headers that say of which version an answer is, and that its call is to go."""
    told: list[tuple[bytes, bytes]] = []
    if is_dated(scope.get("path", "")):
        told.append((HEADER.encode(), CURRENT.encode()))
    # Where Litestar notes which route it found.
    deprecation = deprecation_of(scope.get("route_handler"))
    if deprecation is not None:
        told += [(name.encode(), value.encode()) for name, value in deprecation.headers()]
    return told


def _impatient(receive: Receive, chunk_timeout_s: float, body_timeout_s: float) -> Receive:
    """Bound the wait for each part of a body, and for the whole by what has come of it."""
    began = asyncio.get_running_loop().time()
    received = 0

    async def receive_soon() -> HTTPReceiveMessage | WebSocketReceiveMessage:
        nonlocal received
        ends = began + body_timeout_s + received / BODY_BYTES_A_SECOND_MIN
        left = ends - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(chunk_timeout_s, left)):
                message = await receive()
        except TimeoutError:
            raise ProblemError(
                ProblemKind.REQUEST_TIMEOUT, "The body did not come, or came too slowly."
            ) from None
        if message["type"] == "http.request":
            received += len(message["body"])
        if message["type"] == "http.disconnect":
            raise ProblemError(ProblemKind.MALFORMED_REQUEST, "The body ended too early.")
        return message

    return receive_soon


def check_address(size: int) -> None:
    """Refuse an address of so many bytes if that is too much.

    Raises:
        ProblemError: `url-too-long`.
    """
    if size > ADDRESS_BYTES_MAX:
        raise ProblemError(
            ProblemKind.URL_TOO_LONG, f"An address has at most {ADDRESS_BYTES_MAX} bytes here."
        )


def _check_length(scope: HTTPScope) -> None:
    """Refuse two lengths: whoever stands in front may have gone by the other one."""
    if _given(scope, b"content-length") and _given(scope, b"transfer-encoding"):
        raise ProblemError(
            ProblemKind.MALFORMED_REQUEST,
            "Content-Length and Transfer-Encoding contradict each other: send one of them.",
        )


def _check_host(scope: HTTPScope) -> None:
    """Refuse two hosts (RFC 9112, 3.2): whoever stands in front may have gone by the other one."""
    if sum(name == b"host" for name, _ in scope["headers"]) > 1:
        raise ProblemError(ProblemKind.MALFORMED_REQUEST, "The header host came more than once.")


def _given(scope: Scope, name: bytes) -> bytes | None:
    return next((value for header, value in scope["headers"] if header == name), None)
