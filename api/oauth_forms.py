"""OAuth's own way of asking and answering: forms, and errors as RFC 6749 has them."""

import base64
import binascii
import re
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from litestar import Request, Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException
from msgspec import UNSET, Struct, UnsetType

from api.problems import ProblemError
from api.reading import single_header
from engine.platform.errors import StoreUnavailableError

FORM: Final = "application/x-www-form-urlencoded"
NO_STORE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}

_FIELDS_MAX: Final = 30
_VALUE_CHARACTERS_MAX: Final = 4096
_BASIC: Final = re.compile(r"basic +([A-Za-z0-9+/]+=*)", re.IGNORECASE)
_REALM: Final = 'Basic realm="onsale"'

FormRequest = Request[Any, Any, Any]


class ErrorCode(StrEnum):
    """What can be wrong (RFC 6749, 4.1.2.1 and 5.2)."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    ACCESS_DENIED = "access_denied"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"


class ErrorAnswer(Struct, frozen=True):
    """What is wrong (RFC 6749, 5.2)."""

    error: str
    error_description: str | UnsetType = UNSET


class OAuthError(Exception):
    """Ends a request with an error of RFC 6749's."""

    def __init__(
        self,
        error: ErrorCode,
        description: str = "",
        *,
        status: int = HTTPStatus.BAD_REQUEST,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Take its code, and a sentence in ASCII that helps."""
        super().__init__(error, description)
        self.error = error
        self.description = description
        self.status = status
        self.headers = headers or {}


class ClientLogIn(Struct, frozen=True):
    """Who a client says that it is. A public client has no secret."""

    client: str
    secret: str | None
    by_header: bool


async def read_form(request: FormRequest) -> dict[str, str]:
    """Return a form's fields; those without a value are left out, as RFC 6749 says.

    Raises:
        OAuthError: `invalid_request`: it is no form, or a field came twice.
    """
    kind = (single_header(request, "content-type") or "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise OAuthError(ErrorCode.INVALID_REQUEST, f"Send a form: Content-Type: {FORM}.")
    return read_fields((await request.body()).decode("latin-1"))


def read_fields(encoded: str) -> dict[str, str]:
    """Return the fields of a form or a query. Raises as `read_form`."""
    try:
        pairs = parse_qsl(encoded, max_num_fields=_FIELDS_MAX, errors="strict")
    except ValueError:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "The fields can't be read.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "A parameter came twice.")
        if len(value) > _VALUE_CHARACTERS_MAX or "\x00" in value:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "A parameter is too long, or can't be one.")
        fields[name] = value
    return fields


def read_log_in(request: FormRequest, form: dict[str, str]) -> ClientLogIn:
    """Return who a client says that it is: by the header or by the form, not both.

    Raises:
        OAuthError: `invalid_request` or `invalid_client`.
    """
    header = single_header(request, "authorization")
    if header is None:
        if "client_id" not in form:
            raise invalid_client(by_header=False)
        return ClientLogIn(form["client_id"], form.get("client_secret"), by_header=False)
    if "client_secret" in form:
        raise OAuthError(
            ErrorCode.INVALID_REQUEST, "Log in by the header or in the form, not both."
        )
    match = _BASIC.fullmatch(header)
    if match is None:
        raise invalid_client(by_header=True)
    try:
        told = base64.b64decode(match[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid_client(by_header=True) from None
    client, colon, secret = told.partition(":")
    client, secret = unquote_plus(client), unquote_plus(secret)
    if not colon or form.get("client_id", client) != client:
        raise invalid_client(by_header=True)
    return ClientLogIn(client, secret, by_header=True)


def invalid_client(*, by_header: bool) -> OAuthError:
    """Return what is told whoever is not the client that they say they are."""
    headers = {"WWW-Authenticate": _REALM} if by_header else {}
    return OAuthError(
        ErrorCode.INVALID_CLIENT,
        "There is no such client, or this is not its secret.",
        status=HTTPStatus.UNAUTHORIZED,
        headers=headers,
    )


T = TypeVar("T", bound=Struct)


def tell_json(answer: T) -> Response[T]:
    """Answer with JSON that nobody may keep."""
    return Response(answer, media_type=MediaType.JSON, headers=NO_STORE)


def tell_oauth_error(_: Request[Any, Any, Any], error: OAuthError) -> Response[bytes]:
    """Answer with an error."""
    answer = ErrorAnswer(error.error, error.description or UNSET)
    return Response(
        msgspec.json.encode(answer),
        status_code=error.status,
        media_type=MediaType.JSON,
        headers={**NO_STORE, **error.headers},
    )


def tell_unavailable(request: Request[Any, Any, Any], _: StoreUnavailableError) -> Response[bytes]:
    """Answer while a store is away."""
    return tell_oauth_error(
        request,
        OAuthError(
            ErrorCode.TEMPORARILY_UNAVAILABLE,
            "A store can't be asked; repeat in a moment.",
            status=HTTPStatus.SERVICE_UNAVAILABLE,
            headers={"Retry-After": "1"},
        ),
    )


def tell_problem(request: Request[Any, Any, Any], problem: ProblemError) -> Response[bytes]:
    """Answer in OAuth's words what is refused for every request alike."""
    error = OAuthError(
        ErrorCode.INVALID_REQUEST,
        problem.detail,
        status=problem.kind.status,
        headers={**problem.headers},
    )
    return tell_oauth_error(request, error)


def tell_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answer what Litestar refuses by itself, such as a body that is too large."""
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    return tell_oauth_error(
        request, OAuthError(ErrorCode.INVALID_REQUEST, error.detail, status=error.status_code)
    )


HANDLERS: Final[dict[Any, Any]] = {
    OAuthError: tell_oauth_error,
    StoreUnavailableError: tell_unavailable,
    ProblemError: tell_problem,
    HTTPException: tell_http,
}
"""For the routes that answer so."""
