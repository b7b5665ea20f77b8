"""The document: whole, valid, checked in, with examples that are true, and no promise broken."""

import secrets
from collections.abc import Iterator
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.contract.assembling import handlers_of
from api.contract.problems import MEMBERS
from api.contract.streams import STREAMS
from api.contract.words import EXAMPLES_BY_NAME, SCOPES, TAGS
from api.documents import operation_class
from api.fastlane import app as fastlane
from api.problems import ProblemKind
from engine.tenancy.principals import Scope
from ops.contract.comparing import compare, is_breaking, major_of
from ops.contract.files import DOCUMENT, RELEASED, made, read
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, ShowDesk
from tests.api.people import Account
from web.app import compose

Json = dict[str, Any]

_DOCUMENT = made()
_OPERATIONS = [
    pytest.param(path, method, id=f"{method.upper()} {path}")
    for path, methods in _DOCUMENT["paths"].items()
    for method in methods
]


def test_it_is_valid() -> None:
    """By the specification's own schema, and its rules beyond it."""
    faults = [str(error) for error in OpenAPIV31SpecValidator(_DOCUMENT).iter_errors()]
    assert faults == []


def test_the_checked_in_document_is_what_the_code_says() -> None:
    """`./onsale contract write` mends it; look at the difference before."""
    differences = compare(read(DOCUMENT), _DOCUMENT)
    assert read(DOCUMENT) == _DOCUMENT, [f"{d.where}: {d.what}" for d in differences]


def test_nothing_that_was_released_is_broken() -> None:
    """Unless the major version says so."""
    released = read(RELEASED)
    differences = compare(released, _DOCUMENT)
    broken = [f"{d.where}: {d.what}" for d in differences if d.weight == "breaking"]
    assert not is_breaking(differences) or major_of(_DOCUMENT) > major_of(released), broken


@pytest.mark.parametrize(("path", "method"), _OPERATIONS)
def test_every_operation_tells_what_a_person_needs(path: str, method: str) -> None:
    """Words, a tag that is described, a name, and what its ids look like."""
    operation = _DOCUMENT["paths"][path][method]
    assert operation["summary"]
    assert operation["description"], "give the route a docstring"
    for tag in operation["tags"]:
        assert tag in TAGS, f"say what the tag {tag!r} is in api/contract/words.py"
    assert operation["tags"], "give the router a tag"
    for parameter in operation["parameters"]:
        if parameter.get("in") == "path":
            name = parameter["name"]
            assert name in EXAMPLES_BY_NAME, f"give {{{name}}} an example in api/contract/words.py"
    for status, response in operation["responses"].items():
        for media_type, content in _content(response).items():
            if media_type != "application/octet-stream":
                assert content.get("examples"), f"{status} {media_type} has no example"


def test_operations_have_names_of_their_own() -> None:
    """Generated clients call them by these."""
    names = [
        op["operationId"] for methods in _DOCUMENT["paths"].values() for op in methods.values()
    ]
    assert len(set(names)) == len(names)


def test_every_example_fits_its_schema() -> None:
    """Of requests, of answers, of problems and of what webhooks carry."""
    wrong = [
        f"{where}: {error.json_path} {error.message}"
        for where, schema, value in _examples(_DOCUMENT)
        for error in _validator(schema).iter_errors(value)
    ]
    assert wrong == []


def test_every_problem_has_a_schema_and_an_example_that_are_used() -> None:
    """But those that belong to no operation: an unknown address, or method."""
    examples = _DOCUMENT["components"]["examples"]
    unused = {kind.slug for kind in ProblemKind} - set(examples)
    assert unused <= {"not-found", "method-not-allowed"}
    assert MEMBERS.keys() <= set(ProblemKind)


def test_every_scope_is_described_and_asked_for_as_the_route_does() -> None:
    """By a key and by a token alike; what is public says that it is."""
    assert set(SCOPES) == set(Scope)
    for (path, method), handler in handlers_of(compose()):
        operation = _DOCUMENT["paths"].get(path, {}).get(method)
        described = operation_class(handler)
        if operation is None or described is None:
            continue
        scope = described.scope
        nobody: list[Any] = [{}] if described.anybody else []
        asked = [*nobody, {"api_key": [scope]}, {"oauth2": [scope]}]
        expected = [] if scope is None else asked
        assert operation["security"] == expected, (path, method)


def _fast_routes() -> Iterator[tuple[str, str, Any]]:
    """Yield address, method and route of all that the fast lane serves, from its own tables."""
    show = EXAMPLES_BY_NAME["show"]
    hold = EXAMPLES_BY_NAME["hold"]
    for path, methods in _DOCUMENT["paths"].items():
        for method in methods:
            found = fastlane._find_route(  # pyright: ignore[reportPrivateUsage]
                method.upper(), path.format_map(_Ids({"show": show, "hold": hold}))
            )
            if found is not None:
                yield path, method, found[0]


class _Ids(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return str(EXAMPLES_BY_NAME.get(name, name))


def test_the_fast_lane_asks_for_the_scopes_that_are_documented() -> None:
    """Its routes are written down by their twins."""
    seen: set[int] = set()
    for path, method, route in _fast_routes():
        security = _DOCUMENT["paths"][path][method]["security"]
        scope = getattr(route, "scope", None)
        if scope is not None:
            assert security == [{"api_key": [scope]}, {"oauth2": [scope]}], path
        else:
            # A route that judges by itself who may call it is no open one.
            is_open = isinstance(route, fastlane._Open)  # pyright: ignore[reportPrivateUsage]
            assert bool(security) != is_open, path
        seen.add(id(route))
    tables = [value for name, value in vars(fastlane).items() if name.startswith("_OF_")]
    routes = [route for table in tables for route in _leaves(table)]
    # HEAD is served as GET is.
    assert {id(route) for route in routes} <= seen, "a route of the fast lane has no twin"


def _leaves(table: Any) -> Iterator[Any]:  # noqa: ANN401 - tables within tables
    if not isinstance(table, dict):
        yield table
        return
    for name, inner in cast("Json", table).items():
        if name != "HEAD":
            yield from _leaves(inner)


def test_streams_say_what_they_tell() -> None:
    """Each event with the schema of its data."""
    for path, methods in _DOCUMENT["paths"].items():
        for operation in methods.values():
            for response in operation["responses"].values():
                if "text/event-stream" in _content(response):
                    assert path in STREAMS, f"list the events of {path} in api/contract/streams.py"
                    assert _content(response)["text/event-stream"]["x-events"]


def _sendable() -> Iterator[Any]:
    """Yield what can be asked alone: of a show that is there, and of no other thing."""
    for path, methods in _DOCUMENT["paths"].items():
        for method, operation in methods.items():
            names = {p["name"] for p in operation["parameters"] if p.get("in") == "path"}
            content = operation.get("requestBody", {}).get("content", {})
            if not (names <= {"show"} and "application/json" in content) or path in _NOT_ALONE:
                continue
            for title, example in content["application/json"]["examples"].items():
                where = f"{method.upper()} {path} {title}"
                yield pytest.param(path, method, example["value"], id=where)


_NOT_ALONE = {
    "/v1/shows/{show}/purchases": "needs a hold",
    "/v1/shows/{show}/queue/pass": "needs a token",
    "/v1/invitations/accept": "needs a token",
    "/v1/events": "needs a performer",
    "/v1/bundles": "needs two shows",
}
"""What needs something else first, and what; a test of its own sends it."""


@pytest.fixture(scope="module")
def owner(stack: Stack) -> Iterator[FrontDesk]:
    """A reseller with an account."""
    account = Account(stack.settings, stack.base_url)
    yield account.desk()
    account.close()


@pytest.mark.parametrize(("path", "method", "body"), list(_sendable()))
def test_an_example_can_be_sent_as_it_stands(
    owner: FrontDesk, path: str, method: str, body: object
) -> None:
    """And is answered as the document says."""
    shown = path
    if "{show}" in path:
        shown = path.replace("{show}", _hall(owner, is_open="queue" not in path).id)
    operation = _DOCUMENT["paths"][path][method]
    answer = owner.http.request(
        method.upper(), shown, json=body, headers={"Idempotency-Key": secrets.token_hex(8)}
    )
    told = answer.text
    if path == "/v1/shows/{show}/queue" and method == "post":
        # A show without a waiting room: test_waiting_room.py joins one.
        assert answer.status_code == 404, told
    else:
        assert answer.status_code < 300, told
    schema = _content(operation["responses"][str(answer.status_code)])
    schema = schema[answer.headers["content-type"]]["schema"]
    assert list(_validator(schema).iter_errors(answer.json())) == []


def _hall(desk: FrontDesk, *, is_open: bool) -> ShowDesk:
    """Return a show of the hall that the examples are about: two VIP seats, and a floor."""
    example = _DOCUMENT["paths"]["/v1/shows"]["post"]["requestBody"]["content"]
    [body] = [e["value"] for e in example["application/json"]["examples"].values()]
    plan = {**body["plan"]}
    floor = {
        "area_id": "floor",
        "shape": "rectangle",
        "position": {"x": 0, "y": 20},
        "rectangle": {"width": 50, "height": 20},
        "capacity": 50,
        "category": "VIP",
    }
    plan["zones"] = [{**plan["zones"][0], "areas": [floor]}]
    opens_at = "2020-01-01T00:00:00Z" if is_open else body["opens_at"]
    answer = desk.post("/v1/shows", {**body, "opens_at": opens_at, "plan": plan})
    assert answer.status_code == 201, answer.text
    return ShowDesk(desk, answer.json()["show"])


def test_the_document_is_served_with_an_etag_and_compressed(desk: FrontDesk) -> None:
    """As JSON at two addresses, and as YAML."""
    first = desk.get("/schema/openapi.json")
    assert first.json() == _DOCUMENT
    assert first.headers["content-encoding"] == "gzip"
    again = desk.get("/schema", {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert "openapi: 3.1.0" in desk.get("/schema/openapi.yaml").text
    assert desk.get("/schema/nothing").status_code == 404


def _resolved(node: Json) -> Json:
    while "$ref" in node:
        section, name = node["$ref"].split("/")[-2:]
        node = _DOCUMENT["components"][section][name]
    return node


def _content(response: Json) -> Json:
    return _resolved(response).get("content", {})


def _validator(schema: Json) -> Draft202012Validator:
    whole = {**schema, "components": _DOCUMENT["components"]}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _examples(node: Any, where: str = "") -> Iterator[tuple[str, Json, Any]]:  # noqa: ANN401 - JSON
    """Yield the examples of all media types, each with its schema."""
    if isinstance(node, list):
        for n, item in enumerate(cast("list[Any]", node)):
            yield from _examples(item, f"{where}/{n}")
    elif isinstance(node, dict):
        members = cast("Json", node)
        examples = members.get("examples")
        if "schema" in members and isinstance(examples, dict):
            for title, example in cast("Json", examples).items():
                yield f"{where} {title}", members["schema"], _resolved(example)["value"]
        for key, value in members.items():
            if key != "examples":
                yield from _examples(value, f"{where}/{key}")
