"""The audit trail, as its reseller reads it."""

import re
from typing import Annotated, Any, Final

from litestar import Router, get
from litestar.params import QueryParameter
from msgspec import Struct

from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.paging import no_cursor
from api.problems import Fault, ProblemError, invalid
from api.reading import check_query, read_moment
from engine.platform.errors import store_failures
from engine.platform.ids import IdError, Ids
from engine.tenancy.principals import Scope
from engine.tenancy.trail import PAGE_MAX, TrailEntry, TrailFilter, read_trail

_PAGE_DEFAULT: Final = 50
_NO: Final = re.compile(r"[1-9][0-9]{0,17}")
_OBJECT: Final = re.compile(r"[a-z]{3}_([a-z][a-z0-9]{1,7})_([0-9a-f]{16})")
_ORDER: Final = "ord_"
_OF_SHOW: Final = "shw"
_PREFIXES: Final = {
    "resellers": "rsl",
    "accounts": "rsl",
    "shows": _OF_SHOW,
    "price_steps": _OF_SHOW,
    "price_versions": _OF_SHOW,
    "ticket_types": _OF_SHOW,
    "seat_blocks": _OF_SHOW,
    "area_blocks": _OF_SHOW,
    "show_edits": _OF_SHOW,
    "allotments": "alt",
    "queues": _OF_SHOW,
    "api_keys": "key",
    "users": "usr",
    "invitations": "inv",
    "oauth_clients": "oac",
    "webhook_endpoints": "whe",
}
"""What the first part of a table's key is the id of."""


class TrailEntryAnswer(Struct, frozen=True, kw_only=True):
    """One change.

    `hash` is the SHA-256 of the other members but `object`, as canonical JSON (RFC 8785).
    """

    reseller: str
    """16 hex digits, as in the id."""
    no: int
    """Of the reseller's entries: from 1 on, without gaps."""
    at: str
    actor: str
    address: str
    """Where the request came from; empty for commands and workers."""
    action: str
    table: str
    key: str
    """The object's, within its table."""
    before: dict[str, Any] | None
    """What was changed of it, by columns; null if it was created. Sensitive values are digests."""
    after: dict[str, Any] | None
    """The same since then; null if it was removed."""
    previous: str
    """The hash of the entry before."""
    hash: str
    object: str | None
    """The id of what was changed, or of the show that it belongs to; null if it has none."""


class TrailPage(Struct, frozen=True):
    """Entries of the audit trail, the newest first. `next_cursor` is null on the last page."""

    entries: list[TrailEntryAnswer]
    next_cursor: str | None


@get(
    "/v1/trail",
    summary="Read the audit trail",
    operation_class=describe(scope=Scope.TRAIL_READ),
)
async def show_trail(  # noqa: PLR0913, PLR0917 -- each is a query parameter
    request: ApiRequest,
    object_id: Annotated[
        str | None,
        QueryParameter(
            name="object",
            max_length=80,
            description="The id of what was changed; of a show: its blocks and its queue too.",
        ),
    ] = None,
    actor: Annotated[
        str | None,
        QueryParameter(
            max_length=200, description="As entries name it, or the id in it: a user's, a key's."
        ),
    ] = None,
    since: Annotated[
        str | None,
        QueryParameter(name="from", description="Not before this moment.", format="date-time"),
    ] = None,
    until: Annotated[
        str | None,
        QueryParameter(name="to", description="Before this moment.", format="date-time"),
    ] = None,
    cursor: Annotated[
        str | None, QueryParameter(max_length=18, description="A page's `next_cursor`.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = _PAGE_DEFAULT,
) -> TrailPage:
    """List who changed what of yours, when, from where, and what it was before, the newest first.

    Entries are never changed or removed, and each holds the hash of the one before: whoever keeps
    a number and its hash can tell later that nothing up to there was altered (docs/TRAIL.md).
    """
    check_query(request, "object", "actor", "from", "to", "cursor", "limit")
    runtime = runtime_of(request)
    wanted = TrailFilter(
        before_no=_read_cursor(cursor),
        key=None if object_id is None else _read_object(request, object_id),
        actor=_check_text(actor),
        since=read_moment("from", since),
        until=read_moment("to", until),
    )
    # One more than asked for tells whether there is a next page.
    with store_failures():
        found = await read_trail(runtime.app_engine, request.user, wanted, limit + 1)
    page = [_tell(entry, runtime.ids) for entry in found[:limit]]
    return TrailPage(page, str(page[-1].no) if len(found) > limit else None)


def _read_cursor(cursor: str | None) -> int | None:
    if cursor is not None and not _NO.fullmatch(cursor):
        raise no_cursor()
    return None if cursor is None else int(cursor)


def _read_object(request: ApiRequest, text: str) -> str:
    """Return the key that an id has in the trail."""
    ids = runtime_of(request).ids
    if text.startswith(_ORDER):
        try:
            show, hold = ids.read_order(text)
        except IdError:
            raise _no_object() from None
        return f"{show:016x}/{_as_uuid(hold.hex())}"
    match = _OBJECT.fullmatch(text)
    if match is None or match[1] != ids.region:
        raise _no_object()
    return match[2]


def _no_object() -> ProblemError:
    return invalid(Fault("is no id of this region", parameter="object"))


def _check_text(actor: str | None) -> str | None:
    if actor is not None and not actor.isprintable():
        raise invalid(Fault("has characters that no actor has", parameter="actor"))
    return actor


def _as_uuid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _tell(entry: TrailEntry, ids: Ids) -> TrailEntryAnswer:
    return TrailEntryAnswer(
        **entry.content(), hash=entry.hash.hex(), object=_tell_object(entry, ids.region)
    )


def _tell_object(entry: TrailEntry, region: str) -> str | None:
    first, _, rest = entry.key.partition("/")
    if entry.table == "orders":
        return f"{_ORDER}{region}_{first}{rest.replace('-', '')}"
    prefix = _PREFIXES.get(entry.table)
    return None if prefix is None else f"{prefix}_{region}_{first}"


router = Router(path="/", tags=["trail"], route_handlers=[show_trail])
