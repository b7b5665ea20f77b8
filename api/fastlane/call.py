"""One call: what the client sent, read in one pass and no further than its route needs."""

from typing import Final, TypeVar
from urllib.parse import parse_qsl

from msgspec import Struct

from api.context import hold_of, parse_show, show_to_sell
from api.fastlane.bodies import BodyReader, body_too_large
from api.fastlane.live_streams import Live
from api.fastlane.streams import Streams
from api.inputs import Body
from api.outcomes import problem_of, show_not_found
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
from api.rights import read_shown
from api.server import Exchange, RequestHeaders, RequestScope, read_headers
from api.versions import HEADER as VERSION_HEADER
from engine.inventory.commands import Overloaded
from engine.inventory.shows import Show
from engine.platform.ids import EntityId, HoldId, IdError
from engine.runtime import Serving
from engine.sales.rights import NOTHING_SHOWN, Shown
from engine.tenancy.principals import Principal

_ONCE: Final = frozenset(
    {
        *("authorization", "idempotency-key", "queue-token"),
        *("content-type", "content-length", "transfer-encoding"),
        *(VERSION_HEADER, "host"),
    }
)
"""Where one reader would take the first and another the last."""

_READ: Final = _ONCE | {
    *("accept", "accept-encoding", "if-none-match", "x-request-id", "x-forwarded-for"),
    "last-event-id",
}

_TAKEN: Final = frozenset({"*/*", "application/json"})

B = TypeVar("B", bound=Body)


class Visit(Struct, frozen=True):
    """A request on its way through the fast lane."""

    runtime: Serving
    bodies: BodyReader
    streams: Streams
    live: Live
    scope: RequestScope
    exchange: Exchange
    headers: dict[str, str]
    show_text: str
    tail: str
    """What the path names beyond the show and the noun: a hold's id, or nothing."""

    def address(self) -> str:
        """Return the address that this comes from, as far as trusted proxies tell."""
        return address_of(self.scope, self.headers, self.runtime.settings.trusted_proxies)

    async def body(
        self, kind: type[B], bytes_max: int = BODY_BYTES_MAX, *, show: Show | None = None
    ) -> B:
        """Return the body, decoded and checked, unless it is for a show that takes no command now.

        That is told before the body is looked at: under a spike the refusals would otherwise take
        the time in which the show could decide.

        Raises:
            ProblemError: `overloaded`; or it is none, too large, too slow, or does not fit.
        """
        check_content_type(self.headers.get("content-type"))
        given = self.headers.get("content-length")
        length = int(given) if given is not None and given.isdigit() else None
        if length is not None and length > bytes_max:
            raise body_too_large(bytes_max)
        content = await self.bodies.read(self.scope, self.exchange, length, bytes_max)
        if show is not None and self.runtime.box_office.is_full(show):
            raise problem_of(Overloaded(), show)
        try:
            return decode_body(content, kind)
        except UNREADABLE as error:
            raise await explained(content, kind, error) from error

    async def optional_body(self, kind: type[B]) -> B:
        """Return the body; if there is none, one with nothing in it. Raises as `body`."""
        length = self.headers.get("content-length", "0")
        if length == "0" and "transfer-encoding" not in self.headers:
            return kind()
        return await self.body(kind)


class Call(Visit, frozen=True):
    """A request of a reseller."""

    principal: Principal

    @property
    def reseller(self) -> EntityId:
        """Whose request it is."""
        return self.principal.reseller

    def key(self) -> str:
        """Return the Idempotency-Key.

        Raises:
            ProblemError: it is missing or does not fit.
        """
        return check_key(self.headers.get("idempotency-key"))

    def shown(self) -> Shown:
        """Return what its query shows of who asks, for places that are not for everybody.

        Raises:
            ProblemError: `invalid-request`: it does not fit.
        """
        if not self.scope.query_string:
            return NOTHING_SHOWN
        return read_shown(dict(parse_qsl(self.scope.query_string, keep_blank_values=True)))

    def known_show(self) -> Show | None:
        """Return the show that is named if it is in memory; None: ask for it with `show`.

        Raises:
            ProblemError: `show-not-found`: it is no show's id.
        """
        try:
            show = parse_show(self.runtime.ids, self.show_text)
        except IdError:
            raise show_not_found() from None
        return self.runtime.box_office.known_show(self.reseller, show)

    async def show(self) -> Show:
        """Return the asking reseller's show, or one of which places were released to them.

        Raises:
            ProblemError: `show-not-found`, also for other people's shows.
        """
        return await show_to_sell(self.runtime, self.reseller, self.show_text)

    def hold(self, show: Show, text: str) -> HoldId:
        """Read a hold's id.

        Raises:
            ProblemError: `hold-not-found`, for whatever was never handed out.
        """
        return hold_of(self.runtime, show, text)


def address_of(scope: RequestScope, headers: dict[str, str], proxies: int) -> str:
    """Return the address that a request comes from, as far as so many trusted proxies tell."""
    own = scope.client.rpartition(":")[0].strip("[]")
    return address_behind(proxies, headers.get("x-forwarded-for", ""), own)


def address_behind(proxies: int, forwarded: str, own: str) -> str:
    """Return what the outermost of so many trusted proxies said of who came, else `own`."""
    told = forwarded.split(",")
    return told[-proxies].strip() if 0 < proxies <= len(told) else own


def gather_headers(given: RequestHeaders) -> dict[str, str]:
    """Return the headers that this application reads; lists that came in parts are joined.

    Raises:
        ProblemError: `malformed-request`: one came twice that may come once.
    """
    found: dict[str, str] = {}
    for name, value in read_headers(given):
        if name in _READ:
            if name not in found:
                found[name] = value
            elif name in _ONCE:
                raise repeated_header(name)
            else:
                found[name] += ", " + value
    if "transfer-encoding" in found and "content-length" in found:
        raise ProblemError(
            ProblemKind.MALFORMED_REQUEST,
            "Content-Length and Transfer-Encoding contradict each other: send one of them.",
        )
    return found


def check_call(
    scope: RequestScope, headers: dict[str, str], parameters: tuple[str, ...] = ()
) -> None:
    """Refuse what no call of the fast lane takes that answers JSON, but these query parameters.

    Raises:
        ProblemError: `not-acceptable` or `invalid-request`.
    """
    check_accepted(headers)
    query = scope.query_string
    if query:
        named = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
        check_parameters(named, *parameters)


def check_accepted(headers: dict[str, str]) -> None:
    """Refuse who takes no JSON.

    Raises:
        ProblemError: `not-acceptable`.
    """
    accept = headers.get("accept")
    if accept is not None and accept not in _TAKEN:
        check_accept(accept)
