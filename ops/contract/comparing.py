"""Tells two OpenAPI documents apart, and whether a difference breaks who was built for the first.

What a client sends may be asked for less, and what it gets may promise more; the other way round
something breaks. Words, examples and names of components break nobody.

It judges by what schemas say: a rule that is told in words only, it can't see. An answer's problem
of a new kind breaks nobody either: clients are told to expect kinds that they do not know.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, cast

from msgspec import Struct

from ops.contract.schemas import Json, Side, Way, compare_schemas, resolved

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PROBLEM: Final = "application/problem+json"
_FAILURE_MIN: Final = 400


class Weight(StrEnum):
    """What a difference does to clients."""

    BREAKING = "breaking"
    ADDITION = "addition"


class Difference(Struct, frozen=True, order=True):
    """One difference: where, what, and how much it weighs."""

    where: str
    what: str
    weight: Weight


def compare(old: Json, new: Json) -> list[Difference]:
    """List how a document differs from an older one; sentences and examples do not count."""
    return sorted(set(_of_paths(old, new)) | set(_of_webhooks(old, new)))


def is_breaking(differences: list[Difference]) -> bool:
    """Tell whether any of them breaks clients."""
    return any(difference.weight is Weight.BREAKING for difference in differences)


def major_of(document: Json) -> int:
    """Return a document's major version."""
    return int(document["info"]["version"].partition(".")[0])


def _breaking(where: str, what: str) -> Difference:
    return Difference(where, what, Weight.BREAKING)


def _addition(where: str, what: str) -> Difference:
    return Difference(where, what, Weight.ADDITION)


def _of_paths(old: Json, new: Json) -> Iterator[Difference]:
    before, after = _operations(old), _operations(new)
    for name, operation in before.items():
        if name not in after:
            yield _breaking(name, "the operation is gone")
        else:
            yield from _of_operation(name, Side(old, operation), Side(new, after[name]))
    for name in after.keys() - before.keys():
        yield _addition(name, "a new operation")


def _operations(document: Json) -> dict[str, Json]:
    return {
        f"{method.upper()} {path}": item[method]
        for path, item in document.get("paths", {}).items()
        for method in _METHODS
        if method in item
    }


def _of_operation(where: str, old: Side, new: Side) -> Iterator[Difference]:
    yield from _of_security(where, old, new)
    yield from _of_parameters(where, old, new)
    yield from _of_request(where, old, new)
    yield from _of_responses(where, old, new)
    if new.node.get("deprecated") and not old.node.get("deprecated"):
        yield _addition(where, "is deprecated")
    if old.node.get("operationId") != new.node.get("operationId"):
        yield _breaking(where, "another operationId, which generated clients call it by")


def _of_security(where: str, old: Side, new: Side) -> Iterator[Difference]:
    """Every way that was open must be open still, with no more scopes."""
    before, after = _ways(old), _ways(new)
    for way in before:
        if not any(_is_within(other, way) for other in after):
            told = ", ".join(f"{name} {sorted(scopes)}" for name, scopes in way.items())
            yield _breaking(where, f"asks for more than {told or 'nothing'}")
    if before != after and all(any(_is_within(o, way) for o in after) for way in before):
        yield _addition(where, "can be called in other ways too")


def _ways(side: Side) -> list[dict[str, frozenset[str]]]:
    ways = side.node.get("security", side.document.get("security", []))
    told = [{name: frozenset(scopes) for name, scopes in way.items()} for way in ways]
    return told or [{}]


def _is_within(way: Mapping[str, frozenset[str]], known: Mapping[str, frozenset[str]]) -> bool:
    return all(name in known and scopes <= known[name] for name, scopes in way.items())


def _of_parameters(where: str, old: Side, new: Side) -> Iterator[Difference]:
    before, after = _parameters(old), _parameters(new)
    for key, parameter in before.items():
        place = f"{where} {key[0]} parameter {key[1]}"
        if key not in after:
            yield _breaking(place, "is gone")
            continue
        other = after[key]
        if other.get("required") and not parameter.get("required"):
            yield _breaking(place, "is required now")
        if parameter.get("required") and not other.get("required"):
            yield _addition(place, "is not required any more")
        yield from _of_schema(
            place,
            old.at(parameter.get("schema", {})),
            new.at(other.get("schema", {})),
            Way.REQUEST,
        )
    for key in after.keys() - before.keys():
        place = f"{where} {key[0]} parameter {key[1]}"
        if after[key].get("required"):
            yield _breaking(place, "is new and required")
        else:
            yield _addition(place, "is new")


def _parameters(side: Side) -> dict[tuple[str, str], Json]:
    given = [resolved(side.document, node) for node in side.node.get("parameters", [])]
    return {(node["in"], _folded(node)): node for node in given}


def _folded(parameter: Json) -> str:
    """Return a parameter's name; paths name theirs as they like, and are compared by address."""
    name: str = parameter["name"]
    return name.lower() if parameter["in"] == "header" else name


def _of_request(where: str, old: Side, new: Side) -> Iterator[Difference]:
    before = old.at(resolved(old.document, old.node.get("requestBody", {})))
    after = new.at(resolved(new.document, new.node.get("requestBody", {})))
    place = f"{where} request"
    if before.node and not after.node:
        yield _breaking(place, "takes no body any more")
        return
    if after.node.get("required") and not before.node.get("required"):
        yield _breaking(place, "needs a body now")
    yield from _of_content(place, before, after, Way.REQUEST)


def _of_responses(where: str, old: Side, new: Side) -> Iterator[Difference]:
    before, after = old.node.get("responses", {}), new.node.get("responses", {})
    for status, node in before.items():
        place = f"{where} {status}"
        is_failure = status.isdigit() and int(status) >= _FAILURE_MIN
        if status not in after:
            # One failure less is nothing to miss; an answer of success is what clients wait for.
            told = _addition if is_failure else _breaking
            yield told(place, "is not answered any more")
            continue
        was = old.at(resolved(old.document, node))
        is_now = new.at(resolved(new.document, after[status]))
        yield from _of_headers(place, was, is_now)
        yield from _of_content(place, was, is_now, Way.RESPONSE)
    for status in after.keys() - before.keys():
        is_failure = status.isdigit() and int(status) >= _FAILURE_MIN
        told = _addition if is_failure else _breaking
        yield told(f"{where} {status}", "is a new answer")


def _of_headers(where: str, old: Side, new: Side) -> Iterator[Difference]:
    before, after = old.node.get("headers", {}), new.node.get("headers", {})
    for name in before.keys() - after.keys():
        yield _breaking(f"{where} header {name}", "is gone")
    for name in after.keys() - before.keys():
        yield _addition(f"{where} header {name}", "is new")


def _of_content(where: str, old: Side, new: Side, way: Way) -> Iterator[Difference]:
    before, after = old.node.get("content", {}), new.node.get("content", {})
    for media_type in before:
        place = f"{where} {media_type}"
        if media_type not in after:
            yield _breaking(place, "is gone")
            continue
        was, is_now = before[media_type], after[media_type]
        if media_type == _PROBLEM:
            yield from _of_problems(place, old.at(was), new.at(is_now))
            continue
        yield from _of_schema(
            place, old.at(was.get("schema", {})), new.at(is_now.get("schema", {})), way
        )
        yield from _of_events(place, old.at(was), new.at(is_now))
    for media_type in after.keys() - before.keys():
        yield _addition(f"{where} {media_type}", "is new")


def _of_problems(where: str, old: Side, new: Side) -> Iterator[Difference]:
    """Compare kind by kind: others may come and go."""
    before, after = _kinds(old), _kinds(new)
    for name in before.keys() - after.keys():
        yield _addition(f"{where} {name}", "is not told any more")
    for name in after.keys() - before.keys():
        yield _addition(f"{where} {name}", "is a new problem")
    for name in before.keys() & after.keys():
        yield from _of_schema(
            f"{where} {name}", old.at(before[name]), new.at(after[name]), Way.RESPONSE
        )


def _kinds(side: Side) -> dict[str, Json]:
    schema = side.node.get("schema", {})
    choices = cast("list[Json]", schema.get("oneOf", [schema]))
    return {choice.get("$ref", "problem").rpartition("/")[2]: choice for choice in choices}


def _of_events(where: str, old: Side, new: Side) -> Iterator[Difference]:
    before = {event["event"]: event["data"] for event in old.node.get("x-events", [])}
    after = {event["event"]: event["data"] for event in new.node.get("x-events", [])}
    for name in before.keys() - after.keys():
        yield _breaking(f"{where} event {name}", "is gone")
    for name in after.keys() - before.keys():
        yield _addition(f"{where} event {name}", "is new")
    for name in before.keys() & after.keys():
        yield from _of_schema(
            f"{where} event {name}", old.at(before[name]), new.at(after[name]), Way.RESPONSE
        )


def _of_webhooks(old: Json, new: Json) -> Iterator[Difference]:
    """What is sent to clients is theirs to read, like an answer."""
    before: Json = old.get("webhooks", {})
    after: Json = new.get("webhooks", {})
    for name in before.keys() - after.keys():
        yield _breaking(f"webhook {name}", "is gone")
    for name in after.keys() - before.keys():
        yield _addition(f"webhook {name}", "is new")
    for name in before.keys() & after.keys():
        was, is_now = before[name]["post"], after[name]["post"]
        yield from _of_content(
            f"webhook {name}",
            Side(old, was.get("requestBody", {})),
            Side(new, is_now.get("requestBody", {})),
            Way.RESPONSE,
        )


def _of_schema(where: str, old: Side, new: Side, way: Way) -> Iterator[Difference]:
    for place, what, breaks in compare_schemas(old, new, way):
        told = _breaking if breaks else _addition
        yield told(f"{where} {place}".rstrip(), what)
