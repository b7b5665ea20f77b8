"""Compares JSON schemas: of requests, which may widen, and of answers, which may narrow."""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Final, cast

from msgspec import Struct

Json = dict[str, Any]
Found = tuple[str, str, bool]
"""Where within the schema, what, and whether it breaks clients."""


_OPEN: Final = "x-open-values"
"""Marks values of answers that become more as the system grows."""


class Way(Enum):
    """Who writes what a schema describes."""

    REQUEST = "request"
    RESPONSE = "response"


class Side(Struct, frozen=True):
    """A part of one of the two documents."""

    document: Json
    node: Json

    def at(self, node: Json) -> "Side":
        """Return another part of the same document."""
        return Side(self.document, node)


_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_DEPTH_MAX: Final = 24


def resolved(document: Json, node: Json) -> Json:
    """Return what a node refers to, or the node itself."""
    while "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def compare_schemas(
    old: Side, new: Side, way: Way, place: str = "", depth: int = 0
) -> Iterator[Found]:
    """Yield how two schemas differ in what they let pass."""
    if depth > _DEPTH_MAX:
        return
    before, after = _plain(old), _plain(new)
    if before == after and _is_closed(before):
        return
    yield from _of_types(before, after, way, place)
    yield from _of_values(before, after, way, place)
    yield from _of_bounds(before, after, way, place)
    yield from _of_members(old.at(before), new.at(after), way, place, depth)
    yield from _of_items(old.at(before), new.at(after), way, place, depth)
    yield from _of_choices(old.at(before), new.at(after), way, place, depth)


def _is_closed(schema: Json) -> bool:
    """Tell whether a schema refers to nothing, so that equal ones are the same."""
    return "$ref" not in str(schema)


def _plain(side: Side) -> Json:
    """Return a schema with `allOf` put together, and a single choice or a nullable one unfolded."""
    schema = resolved(side.document, side.node)
    if "allOf" in schema:
        merged: Json = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            other = _plain(side.at(part))
            both = {**merged.get("properties", {}), **other.get("properties", {})}
            required = [*merged.get("required", []), *other.get("required", [])]
            merged = {**merged, **other, "properties": both, "required": sorted(set(required))}
        schema = merged
    for key in ("anyOf", "oneOf"):
        choices = cast("list[Json]", schema.get(key, []))
        real = [choice for choice in choices if choice.get("type") != "null"]
        if choices and len(real) == 1:
            inner = _plain(side.at(real[0]))
            rest = {name: value for name, value in schema.items() if name != key}
            schema = {**rest, **inner}
            if len(real) < len(choices):
                schema["type"] = sorted({*_types(inner), "null"})
                if "enum" in schema:
                    schema["enum"] = [*schema["enum"], None]
    return schema


def _types(schema: Json) -> set[str]:
    kind = schema.get("type")
    if kind is None:
        return set()
    named = {kind} if isinstance(kind, str) else set(cast("list[str]", kind))
    return named | {"integer"} if "number" in named else named


def _judge(
    old: set[Any], new: set[Any], way: Way, place: str, tell: Callable[[set[Any]], str]
) -> Iterator[Found]:
    """Yield what went and what came of a set of things that pass; empty: anything passes."""
    if old == new:
        return
    gone = (old - new) if old else new
    came = (new - old) if new else old
    if not old:
        yield place, f"only {tell(new)} now", way is Way.REQUEST
        return
    if not new:
        yield place, f"not only {tell(old)} any more", way is Way.RESPONSE
        return
    if gone:
        yield place, f"no {tell(gone)} any more", way is Way.REQUEST
    if came:
        yield place, f"{tell(came)} too", way is Way.RESPONSE


def _of_types(old: Json, new: Json, way: Way, place: str) -> Iterator[Found]:
    before, after = _types(old), _types(new)
    if before and after and not before & after:
        yield place, f"was {_listed(before)}, is {_listed(after)}", True
        return
    yield from _judge(before, after, way, place, _listed)


def _listed(names: set[Any]) -> str:
    return ", ".join(sorted(str(name) for name in names))


def _of_values(old: Json, new: Json, way: Way, place: str) -> Iterator[Found]:
    before, after = _values(old), _values(new)
    for where, what, breaks in _judge(
        before, after, way, place, lambda values: f"value {_listed(values)}"
    ):
        # Clients were told to expect values that they do not know.
        is_expected = way is Way.RESPONSE and old.get(_OPEN) is True and new.get(_OPEN) is True
        yield where, what, breaks and not is_expected
    for key in ("pattern", "format", "contentEncoding"):
        was, is_now = old.get(key), new.get(key)
        if was != is_now:
            # Which of two patterns is the narrower, nobody can tell; none at all is the widest.
            narrower, wider = is_now is not None, was is not None
            breaks = narrower if way is Way.REQUEST else wider
            yield place, f"{key} was {was!r}, is {is_now!r}", breaks


def _values(schema: Json) -> set[Any]:
    if "const" in schema:
        return {str(schema["const"])}
    return {str(value) for value in schema.get("enum", [])}


def _of_bounds(old: Json, new: Json, way: Way, place: str) -> Iterator[Found]:
    for key in (*_UPPER, *_LOWER):
        was, is_now = old.get(key), new.get(key)
        if was == is_now:
            continue
        sign = 1 if key in _UPPER else -1
        narrows = is_now is not None and (was is None or sign * is_now < sign * was)
        breaks = narrows if way is Way.REQUEST else not narrows
        yield place, f"{key} was {was}, is {is_now}", breaks


def _of_members(old: Side, new: Side, way: Way, place: str, depth: int) -> Iterator[Found]:
    before: Json = old.node.get("properties", {})
    after: Json = new.node.get("properties", {})
    was_required = set(old.node.get("required", []))
    is_required = set(new.node.get("required", []))
    for name in before.keys() - after.keys():
        # A request that has what is not known any more is refused, unless others are welcome.
        yield f"{place}/{name}", "is gone", True
    for name in after.keys() - before.keys():
        needed = way is Way.REQUEST and name in is_required
        yield f"{place}/{name}", "is new and required" if needed else "is new", needed
    for name in before.keys() & after.keys():
        inner = f"{place}/{name}"
        if name in is_required - was_required:
            yield (
                inner,
                "is required now" if way is Way.REQUEST else "is always there now",
                (way is Way.REQUEST),
            )
        if name in was_required - is_required:
            yield inner, "may be missing now", way is Way.RESPONSE
        yield from compare_schemas(old.at(before[name]), new.at(after[name]), way, inner, depth + 1)
    yield from _of_others(old, new, way, place, depth)


def _of_others(old: Side, new: Side, way: Way, place: str, depth: int) -> Iterator[Found]:
    """Compare what may stand beside the named members."""
    before = old.node.get("additionalProperties", True)
    after = new.node.get("additionalProperties", True)
    if isinstance(before, dict) and isinstance(after, dict):
        yield from compare_schemas(
            old.at(cast("Json", before)), new.at(cast("Json", after)), way, f"{place}/*", depth + 1
        )
    elif before != after and after is False:
        yield place, "takes no other members any more", way is Way.REQUEST
    elif before != after:
        yield place, "other members are of another kind", before is not False


def _of_items(old: Side, new: Side, way: Way, place: str, depth: int) -> Iterator[Found]:
    before, after = old.node.get("items"), new.node.get("items")
    if isinstance(before, dict) and isinstance(after, dict):
        yield from compare_schemas(
            old.at(cast("Json", before)), new.at(cast("Json", after)), way, f"{place}/-", depth + 1
        )


def _of_choices(old: Side, new: Side, way: Way, place: str, depth: int) -> Iterator[Found]:
    """Compare alternatives by the name that they go by, else by their order."""
    before, after = _choices(old), _choices(new)
    yield from _judge(set(before), set(after), way, place, lambda names: f"choice {_listed(names)}")
    for name in before.keys() & after.keys():
        yield from compare_schemas(
            old.at(before[name]), new.at(after[name]), way, f"{place}({name})", depth + 1
        )


def _choices(side: Side) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key in ("anyOf", "oneOf"):
        for n, choice in enumerate(cast("list[Json]", side.node.get(key, []))):
            schema = resolved(side.document, choice)
            name = schema.get("title") or schema.get("type") or str(n)
            found[str(name)] = choice
    return found
