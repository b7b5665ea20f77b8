"""Puts the document together: Litestar's view of the routes, and what they say of themselves.

Whatever is in the application is in the document: a new route needs nothing here. Bodies and
answers are the schemas of their structs, each said once under `components`.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, cast, get_args

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from msgspec import Struct

from api.contract.examples import examples_of
from api.contract.facts import fact_schemas, fact_types, webhooks
from api.contract.parameters import describe_parameters
from api.contract.problems import header_references, problem_components, problem_responses
from api.contract.public_forms import examples_in
from api.contract.security import security_of, security_schemes
from api.contract.streams import describe_stream, stream_types
from api.contract.words import DESCRIPTION, SUMMARY, TAGS, TITLE
from api.deprecation import Headers, Notices
from api.documents import ScopedOperation, deprecation_of, operation_class
from api.problems import MEDIA_TYPE, ProblemDetails
from api.versions import CURRENT

Json = dict[str, Any]

MAJOR: Final = 1
"""Of `/v1`: raised with a breaking change, which needs a path of its own."""

_JSON: Final = "application/json"
_EVENTS: Final = "text/event-stream"
_REFERENCE: Final = re.compile(r"^#/components/(\w+)/([\w.-]+)$")
_ANSWER_WORDS: Final = {
    "200": "As asked.",
    "201": "It is there.",
    "202": "On its way.",
    "204": "Done; there is nothing to tell.",
    "304": "Nothing has changed.",
}


def assemble(app: Litestar) -> Json:
    """Return the document of an application's routes.

    Raises:
        ValueError: two different structs of one name are bodies or answers.
    """
    drawn: Json = app.openapi_schema.to_schema()
    handlers = dict(handlers_of(app))
    types = [*_types(handlers.values()), *stream_types(), *fact_types(), ProblemDetails]
    schemas = _struct_schemas(types)
    components: Json = {
        **problem_components(),
        "responses": {},
        "headers": _HEADERS,
        "parameters": _PARAMETERS,
        "securitySchemes": security_schemes(),
    }
    # Litestar's own are for parameters only, as enumerations.
    components["schemas"] = {
        **drawn["components"]["schemas"],
        **components["schemas"],
        **schemas,
        **fact_schemas(schemas),
    }
    paths: Json = {}
    for path, methods in drawn["paths"].items():
        if path.startswith("/schema"):
            continue
        for method, operation in methods.items():
            handler = handlers[path, method]
            paths.setdefault(path, {})[method] = _operation(path, operation, handler, components)
    document: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": f"{MAJOR}.0.0+{CURRENT}",
            "summary": SUMMARY,
            "description": DESCRIPTION,
        },
        "servers": [{"url": "/", "description": "The cell that serves this document."}],
        "tags": _tags(paths),
        "paths": _sorted(paths),
        "webhooks": webhooks(components["schemas"]),
        "components": components,
    }
    _drop_unused(document)
    return document


def handlers_of(app: Litestar) -> Iterator[tuple[tuple[str, str], HTTPRouteHandler]]:
    """Yield each route with its address and its method in small letters."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for method in handler.http_methods:
                    yield (route.path_format or "/", str(method).lower()), handler


def _types(handlers: Iterable[HTTPRouteHandler]) -> list[Any]:
    """Return all types that are bodies or answers of routes."""
    found: list[Any] = []
    for handler in handlers:
        found += answer_types(handler).values()
        described = operation_class(handler)
        if described is not None and described.body is not None:
            found.append(described.body)
    return [kind for kind in found if _is_struct(kind)]


def answer_types(handler: HTTPRouteHandler) -> dict[str, Any]:
    """Return what a route answers with when all went well, by status."""
    annotation: Any = handler.parsed_fn_signature.return_type.annotation
    arguments = get_args(annotation)
    of_response = bool(arguments) and not _is_struct(annotation)
    told: dict[str, Any] = {str(handler.status_code): arguments[0] if of_response else annotation}
    for status, spec in (handler.responses or {}).items():
        told[str(status)] = spec.data_container
    return told


def _is_struct(kind: Any) -> bool:  # noqa: ANN401 - whatever a route returns
    return isinstance(kind, type) and issubclass(kind, Struct)


def _struct_schemas(types: list[Any]) -> Json:
    distinct = list(dict.fromkeys(types))
    _, schemas = msgspec.json.schema_components(
        distinct, ref_template="#/components/schemas/{name}"
    )
    doubled = {
        f"{kind.__module__}.{kind.__name__}" for kind in distinct if kind.__name__ not in schemas
    }
    if doubled:
        msg = f"of structs with the same name, call one otherwise: {', '.join(sorted(doubled))}"
        raise ValueError(msg)
    return schemas


def _operation(path: str, drawn: Json, handler: HTTPRouteHandler, components: Json) -> Json:
    described = operation_class(handler)
    tags: list[str] = drawn.get("tags", [])
    operation: Json = {
        "tags": tags,
        "summary": drawn.get("summary", handler.handler_name),
        "description": drawn.get("description", ""),
        "operationId": _operation_id(handler),
        "parameters": describe_parameters(path, drawn.get("parameters", [])),
    }
    if drawn.get("requestBody"):
        operation["requestBody"] = drawn["requestBody"]
    problems: Json = {}
    if described is not None:
        problems, named = problem_responses(described.problems)
        components["responses"].update(named)
        if described.body is not None:
            operation["requestBody"] = _request_body(described, components["schemas"])
        if described.deprecation is not None:
            operation["deprecated"] = True
            operation["description"] += f"\n\n{described.deprecation.words()}"
    answers = _answers(path, drawn, handler, components["schemas"])
    for status in answers.keys() & problems.keys():  # who tells errors in another form, too
        problem = components["responses"][problems[status]["$ref"].rpartition("/")[2]]
        problems[status] = _either(answers[status], problem)
    operation["responses"] = {**answers, **problems}
    operation["security"] = security_of(handler, described)
    return operation


def _either(answer: Json, problem: Json) -> Json:
    """Return a response that has one of two forms."""
    return {
        "description": f"{answer['description']} Or: {problem['description']}",
        "headers": {**problem.get("headers", {}), **answer.get("headers", {})},
        "content": {**problem["content"], **answer["content"]},
    }


def _operation_id(handler: HTTPRouteHandler) -> str:
    """Return what generated clients call an operation by: unique, as a function in a module is."""
    module = handler.fn.__module__.rpartition(".")[2]
    return f"{module}_{handler.fn.__name__}"


def _request_body(described: type[ScopedOperation], schemas: Json) -> Json:
    assert described.body is not None  # noqa: S101 - asked before
    reference = {"$ref": f"#/components/schemas/{described.body.__name__}"}
    return {
        "required": described.body_required,
        "content": {
            _JSON: {"schema": reference, "examples": examples_of(reference, schemas)},
        },
    }


def _answers(path: str, drawn: Json, handler: HTTPRouteHandler, schemas: Json) -> Json:
    """Return the answers of a call that went well, by status."""
    types = answer_types(handler)
    answers: Json = {}
    for status, given in sorted(drawn["responses"].items()):
        if status not in types or MEDIA_TYPE in given.get("content", {}):
            continue
        words = given.get("description", "")
        own = status != str(handler.status_code)
        answer: Json = {
            "description": words if own else _ANSWER_WORDS.get(status, words),
            "headers": _answer_headers(status, given, handler),
        }
        for media_type, content in given.get("content", {}).items():
            if status == "204":
                continue
            answer.setdefault("content", {})[media_type] = _content(
                path, media_type, content["schema"], types[status], schemas
            )
            if media_type != _JSON and "examples" in content:  # a file's
                answer["content"][media_type]["examples"] = content["examples"]
        answers[status] = answer
    return answers


def _content(path: str, media_type: str, drawn: Json, kind: Any, schemas: Json) -> Json:  # noqa: ANN401 - a type
    if media_type == _EVENTS:
        told = describe_stream(path, schemas)
        return {"schema": {"type": "string"}, **told}
    schema = {"$ref": f"#/components/schemas/{kind.__name__}"} if _is_struct(kind) else drawn
    content: Json = {"schema": schema}
    if media_type == _JSON:
        content["examples"] = examples_of(schema, schemas)
    elif (told := examples_in(media_type)) is not None:
        content["examples"] = told
    return content


def _answer_headers(status: str, drawn: Json, handler: HTTPRouteHandler) -> Json:
    described = operation_class(handler)
    names: list[str] = []
    if described is not None and described.deprecation is not None:
        names += [name.title() for name, _ in described.deprecation.headers()]
    if status in {"201", "202"}:
        names.append("Location")
    return {**drawn.get("headers", {}), **header_references(names)}


def _tags(paths: Json) -> list[Json]:
    used = {tag for methods in paths.values() for op in methods.values() for tag in op["tags"]}
    order = [*(tag for tag in TAGS if tag in used), *sorted(used - set(TAGS))]
    return [{"name": tag, "description": TAGS.get(tag, "")} for tag in order]


def _sorted(paths: Json) -> Json:
    return {path: paths[path] for path in sorted(paths)}


def _drop_unused(document: Json) -> None:
    """Leave out components that nothing names, and sort the rest."""
    components = document["components"]
    used: set[tuple[str, str]] = set()
    waiting: list[Any] = [document["paths"], document.get("webhooks", {})]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for key, value in cast("Json", node).items():
                match = _REFERENCE.match(value) if isinstance(value, str) else None
                if match is None:
                    waiting.append(value)
                elif (found := (match[1], match[2])) not in used and key != "description":
                    used.add(found)
                    waiting.append(components[found[0]][found[1]])
        elif isinstance(node, list):
            waiting += cast("list[Any]", node)
    for section in ("schemas", "responses", "examples", "headers", "parameters"):
        named = components[section]
        components[section] = {
            name: named[name] for name in sorted(named) if (section, name) in used
        }


_HEADERS: Final[Json] = {
    "X-Request-Id": {
        "description": "Yours if you sent one, else made here; it is in the log.",
        "schema": {"type": "string"},
    },
    "Onsale-Version": {
        "description": "The dated version that this answer has. Under `/v1` always there.",
        "schema": {"type": "string", "examples": [CURRENT]},
    },
    "Retry-After": {
        "description": "Seconds to wait before repeating.",
        "schema": {"type": "string", "pattern": "^[0-9]+$", "examples": ["1"]},
    },
    "WWW-Authenticate": {
        "description": "Which credential is wanted (RFC 6750).",
        "schema": {"type": "string", "examples": ['Bearer realm="onsale"']},
    },
    "Allow": {"description": "What this address takes.", "schema": {"type": "string"}},
    "Location": {
        "description": "Where what was made is looked at.",
        "schema": {"type": "string", "examples": ["/v1/shows/shw_dev_00f3a1c05e9b7d24"]},
    },
    "Deprecation": {
        "description": "Since when this call is better left (RFC 9745).",
        "schema": {"type": "string", "examples": ["@1796083200"]},
    },
    "Sunset": {
        "description": "When this call ends (RFC 8594).",
        "schema": {"type": "string", "examples": ["Tue, 01 Dec 2026 00:00:00 GMT"]},
    },
    "Link": {"description": "What to use instead (RFC 8288).", "schema": {"type": "string"}},
}
_PARAMETERS: Final[Json] = {
    "Onsale-Version": {
        "name": "Onsale-Version",
        "in": "header",
        "required": False,
        "description": "The dated version that you were built for; without it the newest counts.",
        "schema": {"type": "string", "enum": [CURRENT]},
    }
}


def notices_of(app: Litestar) -> Notices:
    """Return the calls that are to go, for what serves some of them in front of Litestar."""
    found: list[tuple[str, re.Pattern[str], Headers]] = []
    for (path, method), handler in handlers_of(app):
        deprecation = deprecation_of(handler)
        if deprecation is not None:
            pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
            found.append((method.upper(), pattern, deprecation.headers()))
    return tuple(found)
