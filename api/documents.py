"""The OpenAPI document: what Litestar can't see of the routes is said here.

Bodies are read by `api.reading`, so that every fault is told in one way; their schemas come from
the same structs that they are decoded with.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar, Final, Literal, cast

import msgspec
from litestar import Response, Router
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    RequestBody,
    Schema,
    SecurityScheme,
)

from api.inputs import Body
from api.problems import MEDIA_TYPE, TYPE_PREFIX, ProblemDetails, ProblemError, ProblemKind
from engine.tenancy.principals import Scope

_ALWAYS: Final = (
    ProblemKind.MALFORMED_REQUEST,
    ProblemKind.NOT_ACCEPTABLE,
    ProblemKind.MISDIRECTED_REQUEST,
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
_VERSION: Final = "1"

KeyUse = Literal["required", "honoured", "none"]
TokenUse = Literal["required", "in_query_too", "none"]


class ScopedOperation(Operation):
    """An operation that says which scope it asks for; None: it is open to everybody."""

    scope: ClassVar[Scope | None]


def describe(  # noqa: PLR0913 - what a route says of itself
    *,
    scope: Scope | None,
    body: type[Body] | None = None,
    body_required: bool = True,
    key: KeyUse = "none",
    queued: TokenUse = "none",
    problems: Iterable[ProblemKind] = (),
) -> type[ScopedOperation]:
    """Return the kind of operation that a route documents itself with, and is guarded by."""
    kinds = [*_ALWAYS, *problems]
    if scope is not None:
        kinds += (ProblemKind.UNAUTHORIZED, ProblemKind.INSUFFICIENT_SCOPE)
    if body is not None:
        kinds += _WITH_BODY
    if key != "none":
        kinds += _WITH_KEY

    @dataclass
    class Described(ScopedOperation):
        def __post_init__(self) -> None:
            if body is not None:
                self.request_body = RequestBody(content=_json(body), required=body_required)
            self.security = [{}] if scope is None else [{"api_key": []}]
            if queued != "none":
                self.parameters = [*(self.parameters or []), *_token_parameters(queued)]
            if key != "none":
                self.parameters = [*(self.parameters or []), _key_parameter(key)]
            self.responses = {**(self.responses or {}), **_problem_responses(kinds)}

    Described.scope = scope
    return Described


def openapi_config() -> OpenAPIConfig:
    """Return the head of the document, which is served at `/schema`."""
    return OpenAPIConfig(
        title="Onsale",
        version=_VERSION,
        summary="Ticket inventory: holds, purchases, availability.",
        description="Guide: docs/API.md. Errors are problem details (RFC 9457).",
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "api_key": SecurityScheme(
                    type="http", scheme="bearer", description="A reseller's API key."
                )
            }
        ),
        security=[{"api_key": []}],
        openapi_router=Router(path="/schema", route_handlers=[], after_request=_tell_nothing_there),
        render_plugins=[
            JsonRenderPlugin(path=["/", "/openapi.json"]),
            YamlRenderPlugin(path=["/openapi.yaml"]),
        ],
    )


async def _tell_nothing_there(response: Response[Any]) -> Response[Any]:
    """Put a problem in the place of the page that Litestar shows for unknown paths."""
    if response.status_code != HTTPStatus.NOT_FOUND:
        return response
    problem = ProblemError(ProblemKind.NOT_FOUND, "The document is at /schema/openapi.json.")
    return Response(problem.body(), status_code=problem.kind.status, media_type=MEDIA_TYPE)


def _json(kind: type[Body]) -> dict[str, OpenAPIMediaType]:
    return {"application/json": OpenAPIMediaType(schema=_schema(kind))}


def _schema(kind: type[msgspec.Struct]) -> Schema:
    """Return a struct's JSON schema with all references resolved: none of the structs recurse."""
    document: dict[str, Any] = msgspec.json.schema(kind)
    parts: dict[str, Any] = document.get("$defs", {})

    def resolved(node: Any) -> Any:  # noqa: ANN401 - a JSON value
        if isinstance(node, dict):
            members = cast("dict[str, Any]", node)
            reference: str | None = members.get("$ref")
            if reference is not None:
                return resolved(parts[reference.rpartition("/")[2]])
            return {name: resolved(value) for name, value in members.items() if name != "$defs"}
        if isinstance(node, list):
            return [resolved(item) for item in cast("list[Any]", node)]
        return node

    # Litestar writes plain dictionaries out as they are.
    return cast("Schema", resolved(document))


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


def _problem_responses(kinds: Iterable[ProblemKind]) -> dict[str, OpenAPIResponse]:
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in dict.fromkeys(kinds):
        by_status.setdefault(kind.status, []).append(kind)
    return {
        str(status): OpenAPIResponse(
            description=" ".join(
                f"`{TYPE_PREFIX}{kind.slug}`: {kind.title}." for kind in of_status
            ),
            content={MEDIA_TYPE: OpenAPIMediaType(schema=_schema(ProblemDetails))},
        )
        for status, of_status in sorted(by_status.items())
    }
