"""One call: what the client sent, read in one pass and no further than its route needs."""

from typing import Final, TypeVar
from urllib.parse import parse_qsl

from litestar.types import HTTPScope, Receive
from msgspec import Struct

from api.context import hold_of, parse_show, show_of
from api.fastlane.bodies import BodyReader, body_too_large
from api.inputs import Body
from api.outcomes import show_not_found
from api.problems import ProblemError, ProblemKind
from api.reading import (
    BODY_BYTES_MAX,
    UNREADABLE,
    check_accept,
    check_content_type,
    check_key,
    check_parameters,
    decode_body,
    explained,
    repeated_header,
)
from engine.inventory.shows import Show
from engine.platform.ids import EntityId, HoldId, IdError
from engine.runtime import Serving

_ONCE: Final = frozenset(
    {b"authorization", b"idempotency-key", b"content-type", b"content-length", b"transfer-encoding"}
)
"""Where one reader would take the first and another the last."""

_READ: Final = _ONCE | {b"accept", b"accept-encoding", b"if-none-match", b"x-request-id"}

B = TypeVar("B", bound=Body)


class Call(Struct, frozen=True):
    """A request on its way through the fast lane."""

    runtime: Serving
    bodies: BodyReader
    reseller: EntityId
    receive: Receive
    headers: dict[bytes, bytes]
    show_text: str
    tail: str
    """What the path names beyond the show and the noun: a hold's id, or nothing."""

    def header(self, name: bytes) -> str | None:
        """Return a header's text."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    def key(self) -> str:
        """Return the Idempotency-Key.

        Raises:
            ProblemError: it is missing or does not fit.
        """
        return check_key(self.header(b"idempotency-key"))

    def known_show(self) -> Show | None:
        """Return the asking reseller's show if it is in memory; None: ask for it with `show`.

        Raises:
            ProblemError: `show-not-found`: it is no show's id.
        """
        try:
            show = parse_show(self.runtime.ids, self.show_text)
        except IdError:
            raise show_not_found() from None
        return self.runtime.box_office.known_show(self.reseller, show)

    async def show(self) -> Show:
        """Return the asking reseller's show.

        Raises:
            ProblemError: `show-not-found`, also for other people's shows.
        """
        return await show_of(self.runtime, self.reseller, self.show_text)

    def hold(self, show: Show, text: str) -> HoldId:
        """Read a hold's id.

        Raises:
            ProblemError: `hold-not-found`, for whatever was never handed out.
        """
        return hold_of(self.runtime, show, text)

    async def body(self, kind: type[B], bytes_max: int = BODY_BYTES_MAX) -> B:
        """Return the body, decoded and checked.

        Raises:
            ProblemError: it is none, too large, too slow, or does not fit.
        """
        if self.headers.get(b"content-type") != b"application/json":
            check_content_type(self.header(b"content-type"))
        given = self.headers.get(b"content-length")
        length = int(given) if given is not None and given.isdigit() else None
        if length is not None and length > bytes_max:
            raise body_too_large(bytes_max)
        content = await self.bodies.read(self.receive, length, bytes_max)
        try:
            return decode_body(content, kind)
        except UNREADABLE as error:
            raise await explained(content, kind, error) from error


def gather_headers(scope: HTTPScope) -> dict[bytes, bytes]:
    """Return the headers that this application reads; lists that came in parts are joined.

    Raises:
        ProblemError: `malformed-request`: one came twice that may come once.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _READ:
            if name not in found:
                found[name] = value
            elif name in _ONCE:
                raise repeated_header(name.decode("latin-1"))
            else:
                found[name] += b", " + value
    if b"transfer-encoding" in found and b"content-length" in found:
        raise ProblemError(
            ProblemKind.MALFORMED_REQUEST,
            "Content-Length and Transfer-Encoding contradict each other: send one of them.",
        )
    return found


def check_call(scope: HTTPScope, headers: dict[bytes, bytes]) -> None:
    """Refuse what no call of the fast lane takes.

    Raises:
        ProblemError: `not-acceptable` or `invalid-request`.
    """
    accept = headers.get(b"accept")
    if accept is not None and accept != b"*/*":
        check_accept(accept.decode("latin-1"))
    query = scope["query_string"]
    if query:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        check_parameters([name for name, _ in pairs])
