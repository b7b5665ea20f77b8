"""Reads requests: bodies, query strings and headers, with a problem for whatever does not fit."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, get_args

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from msgspec import Raw, Struct, structs

from api.context import ApiRequest
from api.inputs import LOOSE, Body, Moment, is_visible
from api.problems import Fault, ProblemError, ProblemKind, invalid
from engine.inventory.seating_plan_faults import Faults
from engine.inventory.seating_plan_shape import find_shape_faults

BODY_BYTES_MAX: Final = 64 * 1024
SHOW_BODY_BYTES_MAX: Final = 64 * 1024 * 1024

_KEY_CHARACTERS_MAX: Final = 255
_JSON: Final = re.compile(
    r"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;\s*charset\s*=\s*\"?utf-8\"?\s*)?;?\s*",
    re.IGNORECASE,
)
_PROBLEM_FAULTS_MAX: Final = 20
_VALUES_MAX: Final = 4_000_000
_ACCEPTED: Final = frozenset(
    {"*/*", "application/*", "application/json", "application/problem+json"}
)


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises."""

B = TypeVar("B", bound=Body)


def read_moment(parameter: str, text: str | None) -> datetime | None:
    """Return the moment that a query parameter names, if it is there.

    Raises:
        ProblemError: `invalid-request`.
    """
    try:
        # Where a calendar ends some moments are none in UTC.
        return None if text is None else msgspec.convert(text, Moment).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        reason = "is no moment of RFC 3339, with an offset"
        raise invalid(Fault(reason, parameter=parameter)) from None


async def read_body(request: ApiRequest, kind: type[B], *, with_faults: bool = False) -> B:
    """Return the body, decoded and checked.

    `with_faults`: even if its fields do not fit each other. Whoever asks for that tells `faults()`
    together with what only the stores can tell.

    Raises:
        ProblemError: `unsupported-media-type`, `malformed-json` or `invalid-request`.
        HTTPException: it is larger than the route allows (413).
    """
    check_content_type(single_header(request, "content-type"))
    content = await request.body()
    try:
        return decode_body(content, kind, with_faults=with_faults)
    except UNREADABLE as error:
        raise await explained(content, kind, error) from error


def decode_body(content: bytes, kind: type[B], *, with_faults: bool = False) -> B:
    """Return a body, decoded and checked; `with_faults`: as `read_body` has it.

    Raises:
        ProblemError: `invalid-request`: its fields fit, but not each other.
        One of UNREADABLE: it can't be decoded; `explained` tells why.
    """
    body = _decoder(kind).decode(content)
    if not body.is_legible():
        msg = "a text does not fit its pattern"
        raise msgspec.ValidationError(msg)
    faults = () if with_faults else body.faults()
    if faults:
        raise _first_of(faults)
    return body


async def explained(content: bytes, kind: type[Body], error: Exception) -> ProblemError:
    """Return what is wrong with a body that did not decode.

    A large one takes a while: beside the event loop, not on it.
    """
    return await asyncio.to_thread(explain, content, kind, error)


def check_content_type(given: str | None) -> None:
    """Refuse a body that does not say that it is JSON.

    Raises:
        ProblemError: `unsupported-media-type`.
    """
    if given is None or (given != "application/json" and not _JSON.fullmatch(given)):
        raise ProblemError(
            ProblemKind.UNSUPPORTED_MEDIA_TYPE,
            "Send the body as JSON in UTF-8, with the header `Content-Type: application/json`.",
            headers={"Accept-Post": "application/json"},
        )


def check_key(key: str | None) -> str:
    """Return an Idempotency-Key that is there, and fits.

    Raises:
        ProblemError: it is missing, or not 1 to 255 visible ASCII characters.
    """
    if key is None:
        raise ProblemError(
            ProblemKind.IDEMPOTENCY_KEY_MISSING,
            "Send an Idempotency-Key header: a fresh one for each new request, the same one when "
            "you repeat it.",
            errors=[Fault("is missing", header="Idempotency-Key")],
        )
    if not key or len(key) > _KEY_CHARACTERS_MAX or not is_visible(key):
        raise ProblemError(
            ProblemKind.IDEMPOTENCY_KEY_INVALID,
            "An Idempotency-Key is 1 to 255 visible ASCII characters.",
            errors=[Fault("not 1 to 255 visible ASCII characters", header="Idempotency-Key")],
        )
    return key


def optional_key(request: ApiRequest) -> str | None:
    """Return the request's Idempotency-Key, None if it has none.

    Raises:
        ProblemError: it is not 1 to 255 visible ASCII characters.
    """
    key = single_header(request, "idempotency-key")
    return None if key is None else check_key(key)


def single_header(connection: ASGIConnection[Any, Any, Any, Any], name: str) -> str | None:
    """Return a header that may come once.

    Raises:
        ProblemError: it came twice: one reader would take the first, another the last.
    """
    wanted = name.encode()
    values = [value for header, value in connection.scope["headers"] if header == wanted]
    if len(values) > 1:
        raise repeated_header(name)
    return values[0].decode("latin-1").strip() if values else None


def repeated_header(name: str) -> ProblemError:
    """Return the problem of a header that came more often than once."""
    return ProblemError(
        ProblemKind.MALFORMED_REQUEST,
        f"The header {name} came more than once.",
        errors=[Fault("came more than once", header=name)],
    )


def check_query(request: ApiRequest, *known: str) -> None:
    """Refuse query parameters that the route does not have, or that come twice.

    A misspelt filter that is ignored would answer another question than was asked.

    Raises:
        ProblemError: `invalid-request`.
    """
    check_parameters([name for name, _ in request.query_params.multi_items()], *known)


def check_parameters(names: Sequence[str], *known: str) -> None:
    """Refuse names of query parameters that are not known, or that come twice.

    Raises:
        ProblemError: `invalid-request`.
    """
    faults: list[Fault] = []
    for name in dict.fromkeys(names):
        if name not in known:
            listed = ", ".join(known) or "none"
            faults.append(Fault(f"unknown; known here: {listed}", parameter=name[:80]))
        elif names.count(name) > 1:
            faults.append(Fault("came more than once", parameter=name))
    if faults:
        raise _first_of(faults)


def explain(content: bytes, kind: type[Struct], error: Exception) -> ProblemError:
    """Return what is wrong with a body that did not decode; `error` is its first fault."""
    # Every value but the first follows one of these, so this bounds what is built of it.
    if sum(content.count(start) for start in (b",", b"[", b"{")) > _VALUES_MAX:
        return invalid(_fault_of(error))
    try:
        loose = msgspec.json.decode(content)
    except RecursionError:
        return _malformed("it is nested too deeply")
    except msgspec.ValidationError as unreadable:  # a number that no float holds
        return invalid(_fault_of(unreadable))
    except (msgspec.DecodeError, UnicodeDecodeError) as malformed:
        return _malformed("it is empty" if not content else str(malformed))
    faults = Faults()
    find_shape_faults(loose, kind, faults)
    raw = _raw_fields(loose, kind)
    found = [fault for fault in faults.listed if fault.pointer not in raw]
    if not found:
        return invalid(_fault_of(error))
    # The walk has a fault for each of those.
    unlisted = faults.count - len(raw) - len(found)
    return _first_of([Fault(f.reason, pointer=f.pointer) for f in found], unlisted)


def _first_of(faults: Sequence[Fault], unlisted: int = 0) -> ProblemError:
    """Return the problem of the first faults, and how many more there are."""
    listed = faults[:_PROBLEM_FAULTS_MAX]
    return invalid(*listed, more=len(faults) - len(listed) + unlisted)


def _raw_fields(loose: object, kind: type[Struct]) -> set[str]:
    """Return the pointers to the fields that are there, and that somebody else reads as they came.

    The walk finds a fault at each: nothing that was decoded is `Raw`.
    """
    return {
        f"/{field.encode_name}"
        for field in structs.fields(kind)
        if Raw in {field.type, *get_args(field.type)}
        and isinstance(loose, dict)
        and field.encode_name in loose
    }


def _malformed(reason: str) -> ProblemError:
    return ProblemError(ProblemKind.MALFORMED_JSON, f"The body can't be read: {reason}.")


def _fault_of(error: Exception) -> Fault:
    """Turn msgspec's message, with its path such as `$.seats[0]`, into a fault."""
    reason, _, path = str(error).partition(" - at `$")
    return Fault(reason, pointer="".join(f"/{step}" for step in re.findall(r"\w+", path)))


_decoders: dict[type[Body], msgspec.json.Decoder[Any]] = {}


def _decoder(kind: type[B]) -> "msgspec.json.Decoder[B]":
    known = _decoders.get(kind)
    if known is None:
        known = _decoders[kind] = msgspec.json.Decoder(LOOSE.get(kind, kind))
    return known


async def require_json_accepted(
    connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
) -> None:
    """Refuse a client that takes no JSON, before anything is done for it. Raises `check_accept`."""
    check_accept(connection.headers.get("accept"))


def check_accept(accept: str | None) -> None:
    """Refuse what accepts no JSON.

    Raises:
        ProblemError: `not-acceptable`.
    """
    if accept is None or accept.strip() in ("", "*/*", "application/json"):
        return
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        refused = any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters)
        if media_type in _ACCEPTED and not refused:
            return
    raise ProblemError(
        ProblemKind.NOT_ACCEPTABLE,
        "Answers are application/json, and errors application/problem+json: accept these.",
    )
