"""What each call sends, and how its answer is read: the same for both clients."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Generic, TypeVar, cast
from uuid import uuid4

import msgspec
from msgspec import Struct

from onsale_client.errors import problem_of
from onsale_client.offer_models import ImportedSheet
from onsale_client.wire import KEY_HEADER, Headers, Query, Request, Response, path_of

T = TypeVar("T")

_TYPE_PREFIX: Final = "urn:onsale:problem:"
_SHEETS: Final = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class Call(Struct, Generic[T], frozen=True):
    """A call: what is sent, and what its answer is read as."""

    method: str
    path: str
    kind: type[T] | None
    """The answer's type; None: there is none."""
    body: object = None
    """Sent as JSON; bytes as they are, of the type that a header tells."""
    key: str | None = None
    is_repeatable: bool = False
    headers: Headers = {}
    reader: Callable[[Request, Response], T] | None = None
    """Reads an answer that is more than a body."""

    def request(self, headers: Headers) -> Request:
        """Return the request, with these headers too."""
        sent = headers | self.headers
        content = None
        if isinstance(self.body, bytes):
            content = self.body
        elif self.body is not None:
            content = msgspec.json.encode(self.body)
            sent["Content-Type"] = "application/json"
        if self.key is not None:
            sent[KEY_HEADER] = self.key
        return Request(self.method, self.path, sent, content, self.is_repeatable)

    def read(self, request: Request, response: Response) -> T:
        """Return what an answer says.

        Raises:
            ProblemError: it is a problem.
        """
        if self.reader is not None and response.status < HTTPStatus.BAD_REQUEST:
            return self.reader(request, response)
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            raise problem_of(request, response)
        if self.kind is None:
            return cast("T", None)
        return msgspec.json.decode(response.body, type=self.kind)


class Answered(Struct, Generic[T], frozen=True):
    """An answer with its ETag; `value` is None if nothing has changed since it was sent."""

    value: T | None
    etag: str | None


class Told(Struct, frozen=True):
    """What one command of a batch is answered: the status and the body of the single call."""

    status: int
    body: Any = None

    @property
    def slug(self) -> str:
        """The problem's slug; empty if it is none."""
        if not isinstance(self.body, dict):
            return ""
        told = cast("dict[str, Any]", self.body)
        kind = str(told.get("type", ""))
        return kind.removeprefix(_TYPE_PREFIX) if kind.startswith(_TYPE_PREFIX) else ""


class _Batch(Struct):
    answers: list[Told]


class Sheet(Struct, frozen=True):
    """An exported sheet."""

    content: bytes
    next_cursor: str | None
    """Of the sheet with what this one has no room for."""
    left_out: str | None
    """A show whose price list is too long for any sheet."""


def import_sheet(
    what: str, content: bytes, form: str, *, dry_run: bool, key: str | None
) -> Call[ImportedSheet]:
    """Return the call that imports a sheet of `shows` or `prices`."""
    path = path_of("imports", what, query={"dry_run": flag(dry_run)})
    headers = {"Content-Type": _SHEETS[form]}
    key = key or uuid4().hex
    return Call("POST", path, ImportedSheet, body=content, key=key, headers=headers)


def export_sheet(what: str, form: str, cursor: str | None, show: str | None = None) -> Call[Sheet]:
    """Return the call that exports `shows` or `prices`."""

    def read(_: Request, response: Response) -> Sheet:
        told = response.headers
        next_cursor, left_out = told.get("onsale-next-cursor"), told.get("onsale-left-out")
        return Sheet(response.body, next_cursor, left_out)

    query = {"format": form, "show": show, "cursor": cursor}
    return Call("GET", path_of("exports", what, query=query), None, reader=read)


def availability_since(
    show: str, etag: str | None, kind: type[T], query: Query
) -> Call[Answered[T]]:
    """Return the call for an availability that is told only if it has changed."""

    def read(_: Request, response: Response) -> Answered[T]:
        is_same = response.status == HTTPStatus.NOT_MODIFIED
        value = None if is_same else msgspec.json.decode(response.body, type=kind)
        return Answered(value, response.headers.get("etag"))

    headers = {} if etag is None else {"If-None-Match": etag}
    path = path_of("shows", show, "availability", query=query)
    return Call("GET", path, None, headers=headers, reader=read)


def batch(show: str, commands: Sequence[Mapping[str, Any]]) -> Call[list[Told]]:
    """Return the call that carries out many commands: safe to repeat, since each has its key."""

    def read(_: Request, response: Response) -> list[Told]:
        return msgspec.json.decode(response.body, type=_Batch).answers

    path = path_of("shows", show, "batch")
    body = {"commands": list(commands)}
    return Call("POST", path, None, body=body, is_repeatable=True, reader=read)


def selection(
    seats: Sequence[str],
    areas: Mapping[str, int] | None,
    best_available: tuple[str, int] | None,
    ticket_types: Mapping[str, Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """Return what to hold, as a body has it."""
    best = best_available and {"price_level": best_available[0], "quantity": best_available[1]}
    return places(seats, areas) | given({"best_available": best, "ticket_types": ticket_types})


def right(access_code: str | None, channel: str | None, buyer: str | None) -> Query:
    """Return what shows a right to places of an allotment, as a query has it."""
    return {"access_code": access_code, "channel": channel, "buyer": buyer}


def flag(is_so: bool | None) -> str | None:  # noqa: FBT001 - a query's
    """Return a flag, as a query has it."""
    return None if is_so is None else str(is_so).lower()


def places(seats: Sequence[str], areas: Mapping[str, int] | None) -> dict[str, Any]:
    """Return seats and places in areas, as a body has them."""
    return given({"seats": list(seats) or None, "areas": dict(areas or {}) or None})


def given(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are not None."""
    return {name: value for name, value in members.items() if value is not None}
