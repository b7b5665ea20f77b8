"""What routes say of themselves that Litestar can't see; `api.contract` makes the document of it.

Bodies are read by `api.reading`, so that every fault is told in one way; their schemas come from
the same structs that they are decoded with.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, cast

from litestar.openapi.spec import (
    Example,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    RequestBody,
    Schema,
)

from api.deprecation import Deprecated
from api.inputs import Body
from api.problems import MEDIA_TYPE, ProblemKind
from engine.tenancy.principals import Scope

NO_OTHERS: Final[Mapping[str, str]] = {}

_ALWAYS: Final = (
    ProblemKind.MALFORMED_REQUEST,
    ProblemKind.UNKNOWN_VERSION,
    ProblemKind.NOT_ACCEPTABLE,
    ProblemKind.MISDIRECTED_REQUEST,
    ProblemKind.URL_TOO_LONG,
    ProblemKind.INVALID_REQUEST,
    ProblemKind.RATE_LIMITED,
    ProblemKind.INTERNAL_ERROR,
    ProblemKind.SHOW_RECOVERING,
    ProblemKind.IN_DOUBT,
    ProblemKind.OVERLOADED,
    ProblemKind.UNAVAILABLE,
)
_WITH_BODY: Final = (
    ProblemKind.MALFORMED_JSON,
    ProblemKind.REQUEST_TIMEOUT,
    ProblemKind.BODY_TOO_LARGE,
    ProblemKind.UNSUPPORTED_MEDIA_TYPE,
)
_WITH_KEY: Final = (ProblemKind.IDEMPOTENCY_KEY_MISSING, ProblemKind.IDEMPOTENCY_KEY_INVALID)

KeyUse = Literal["required", "honoured", "none"]
TokenUse = Literal["required", "in_query_too", "none"]


@dataclass
class ScopedOperation(Operation):
    """An operation that says which scope it asks for (None: it is open to everybody), and more.

    `api.contract` makes the document of it.
    """

    scope: ClassVar[Scope | None]
    anybody: ClassVar[bool]
    body: ClassVar[type[Body] | None]
    body_required: ClassVar[bool]
    problems: ClassVar[tuple[ProblemKind, ...]]
    deprecation: ClassVar[Deprecated | None]

    def __post_init__(self) -> None:
        """Add what Litestar can't see; overridden by `describe`."""


def describe(  # noqa: PLR0913 - what a route says of itself
    *,
    scope: Scope | None,
    anybody: bool = False,
    body: type[Body] | None = None,
    body_required: bool = True,
    other_body: RequestBody | None = None,
    also_answers: Mapping[str, str] = NO_OTHERS,
    key: KeyUse = "none",
    queued: TokenUse = "none",
    problems: Iterable[ProblemKind] = (),
    deprecated: Deprecated | None = None,
) -> type[ScopedOperation]:
    """Return the kind of operation that a route documents itself with, and is guarded by.

    With `anybody` the route serves who shows no credential, too: what is public, of everybody. Who
    shows one needs the scope, and is told of what is their own.
    """
    kinds = [*_ALWAYS, *problems]
    if scope is not None:
        kinds += (ProblemKind.UNAUTHORIZED, ProblemKind.INSUFFICIENT_SCOPE)
    if body is not None:
        kinds += _WITH_BODY
    elif other_body is not None:  # one that is no JSON
        kinds += [kind for kind in _WITH_BODY if kind is not ProblemKind.MALFORMED_JSON]
    if key != "none":
        kinds += _WITH_KEY

    class Described(ScopedOperation):
        def __post_init__(self) -> None:
            if other_body is not None:
                self.request_body = other_body
            for media_type, example in also_answers.items():
                _add_media_type(self, media_type, example)
            if queued != "none":
                self.parameters = [*(self.parameters or []), *_token_parameters(queued)]
            if key != "none":
                self.parameters = [*(self.parameters or []), _key_parameter(key)]

    Described.scope = scope
    Described.anybody = anybody
    Described.body = body
    Described.body_required = body_required
    Described.problems = tuple(dict.fromkeys(kinds))
    Described.deprecation = deprecated
    return Described


def _add_media_type(operation: Operation, media_type: str, example: str) -> None:
    """Say that what went well is told as a file of this form, and what one begins with."""
    text = cast("Schema", {"type": "string"})
    told = OpenAPIMediaType(schema=text, examples={"example": Example(value=example)})
    for response in (operation.responses or {}).values():
        if isinstance(response, OpenAPIResponse) and MEDIA_TYPE not in (response.content or {}):
            response.content = {**(response.content or {}), media_type: told}


def _key_parameter(use: KeyUse) -> Parameter:
    return Parameter(
        name="Idempotency-Key",
        param_in="header",
        required=use == "required",
        description="Fresh for each new request, the same when it is repeated.",
        schema=cast(
            "Schema",
            {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
        ),
    )


def _token_parameters(use: TokenUse) -> list[Parameter]:
    required = use == "required"
    description = "What joining the line gave."
    schema = cast("Schema", {"type": "string", "maxLength": 400})
    header = Parameter(
        name="Queue-Token",
        param_in="header",
        required=required,
        description=description,
        schema=schema,
    )
    if required:
        return [header]
    query = Parameter(
        name="token", param_in="query", required=False, description=description, schema=schema
    )
    return [header, query]


def operation_class(handler: object) -> type[ScopedOperation] | None:
    """Return what a route says of itself; None: nothing, as it does not use `describe`."""
    kind = getattr(handler, "operation_class", None)
    return kind if isinstance(kind, type) and issubclass(kind, ScopedOperation) else None


def deprecation_of(handler: object) -> Deprecated | None:
    """Return since when a route is to go; None: it is to stay."""
    described = operation_class(handler)
    return None if described is None else described.deprecation
