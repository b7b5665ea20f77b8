"""The API's document as its page shows it: calls by their tags, members in rows, examples."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, cast

from markupsafe import Markup, escape
from msgspec import Struct

Json = dict[str, Any]

_DEPTH_MAX: Final = 4
_WELL: Final = 300
_NARROW: Final = 72
_SPECIALS: Final = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"\*([^*\s][^*]*)\*"), r"<em>\1</em>"),
)


class Row(Struct, frozen=True):
    """A member or a parameter."""

    name: str
    kind: str
    needed: bool
    words: Markup


class Sample(Struct, frozen=True):
    """An example: of a body, of an answer, of an event."""

    title: str
    text: str


class Shape(Struct, frozen=True):
    """What a body or an answer is made of."""

    title: str
    words: Markup
    rows: list[Row]
    samples: list[Sample]
    events: list[Row]


class Failure(Struct, frozen=True):
    """A kind of problem, as a call lists it."""

    status: str
    slugs: list[str]


class Call(Struct, frozen=True):
    """One call, or one fact that is sent."""

    anchor: str
    method: str
    path: str
    summary: str
    words: Markup
    scope: str
    deprecated: bool
    parameters: list[Row]
    body: Shape | None
    curl: str
    answers: list[Shape]
    failures: list[Failure]
    found_by: str
    """What the filter looks in, in small letters."""


class Section(Struct, frozen=True):
    """The calls of one tag."""

    anchor: str
    title: str
    words: Markup
    calls: list[Call]


class Problem(Struct, frozen=True):
    """A kind of problem with its own members."""

    slug: str
    status: int
    title: str
    rows: list[Row]
    sample: Sample


class Reference(Struct, frozen=True):
    """The whole page."""

    title: str
    version: str
    summary: str
    words: Markup
    scopes: list[tuple[str, str]]
    sections: list[Section]
    problems: list[Problem]


def view(document: Json) -> Reference:
    """Return what the page shows of a document."""
    return _Reader(document).reference()


def marked_up(text: str) -> Markup:
    """Return the paragraphs of a text, with its code, emphasis and nothing else."""
    paragraphs: list[str] = []
    for part in re.split(r"\n\s*\n", text.strip()):
        marked = str(escape(part))
        for pattern, replacement in _SPECIALS:
            marked = pattern.sub(replacement, marked)
        if marked:
            paragraphs.append(f"<p>{marked}</p>")
    return Markup("\n".join(paragraphs))  # noqa: S704 - escaped above


class _Reader:
    def __init__(self, document: Json) -> None:
        self._document = document
        self._components: Json = document["components"]

    def reference(self) -> Reference:
        info = self._document["info"]
        flows = self._components["securitySchemes"]["oauth2"]["flows"]
        return Reference(
            title=info["title"],
            version=info["version"],
            summary=info["summary"],
            words=marked_up(info["description"]),
            scopes=list(flows["clientCredentials"]["scopes"].items()),
            sections=list(self._sections()),
            problems=list(self._problems()),
        )

    def _sections(self) -> Iterator[Section]:
        calls = [
            (operation["tags"][0] if operation["tags"] else "", self._call(path, method, operation))
            for path, methods in self._document["paths"].items()
            for method, operation in methods.items()
        ]
        for tag in self._document["tags"]:
            name = tag["name"]
            yield Section(
                anchor=f"tag-{_slug(name)}",
                title=name.capitalize(),
                words=marked_up(tag["description"]),
                calls=[call for of, call in calls if of == name],
            )
        facts = [self._fact(n, item["post"]) for n, item in self._document["webhooks"].items()]
        if facts:
            words = (
                "What is sent to your webhook endpoints by the Standard Webhooks specification, "
                "and kept in the log of facts."
            )
            yield Section("tag-fact-types", "Types of facts", marked_up(words), facts)

    def _call(self, path: str, method: str, operation: Json) -> Call:
        security = operation["security"]
        scope = next(iter(security[0].values()), [""])[0] if security else ""
        parameters = [self._resolved(node) for node in operation["parameters"]]
        body = self._resolved(operation.get("requestBody", {}))
        return Call(
            anchor=operation["operationId"],
            method=method.upper(),
            path=path,
            summary=operation["summary"],
            words=marked_up(operation["description"]),
            scope=scope,
            deprecated=bool(operation.get("deprecated")),
            parameters=[self._parameter(node) for node in parameters],
            body=self._shape("Body", "", body) if body else None,
            curl=self._curl(path, method, parameters, body, is_open=not security),
            answers=list(self._answers(operation)),
            failures=list(self._failures(operation)),
            found_by=" ".join(
                (method, path, operation["summary"], operation["operationId"], scope)
            ).lower(),
        )

    def _fact(self, name: str, operation: Json) -> Call:
        body = self._shape("Body", "", operation["requestBody"])
        return Call(
            anchor=operation["operationId"],
            method="FACT",
            path=name,
            summary=name,
            words=marked_up(operation["description"]),
            scope="",
            deprecated=False,
            parameters=[],
            body=body,
            curl="",
            answers=[],
            failures=[],
            found_by=f"webhook fact {name}".lower(),
        )

    def _parameter(self, node: Json) -> Row:
        place = {"path": "in the path", "query": "in the query", "header": "header"}[node["in"]]
        return Row(
            name=node["name"],
            kind=f"{self._kind(node.get('schema', {}))}, {place}",
            needed=bool(node.get("required")),
            words=marked_up(node.get("description", "")),
        )

    def _answers(self, operation: Json) -> Iterator[Shape]:
        for status, response in operation["responses"].items():
            if status.isdigit() and int(status) < _WELL:
                node = self._resolved(response)
                yield self._shape(status, node["description"], node)

    def _failures(self, operation: Json) -> Iterator[Failure]:
        for status, response in operation["responses"].items():
            if status.isdigit() and int(status) >= _WELL:
                content = self._resolved(response).get("content", {})
                named = [slug for media in content.values() for slug in media.get("examples", {})]
                yield Failure(status, named)

    def _shape(self, title: str, words: str, node: Json) -> Shape:
        rows: list[Row] = []
        samples: list[Sample] = []
        events: list[Row] = []
        for media in node.get("content", {}).values():
            rows += self._rows(media.get("schema", {}))
            for name, example in media.get("examples", {}).items():
                value = self._resolved(example).get("value")
                text = value if isinstance(value, str) else _written(value)
                samples.append(Sample(name.replace("-", " "), text))
            events += [
                Row(e["event"], self._kind(e["data"]), needed=False, words=marked_up(e["when"]))
                for e in media.get("x-events", [])
            ]
        return Shape(title, marked_up(words), rows, samples, events)

    def _rows(self, schema: Json, prefix: str = "", depth: int = 0) -> list[Row]:
        node = self._merged(schema)
        rows: list[Row] = []
        needed = node.get("required", [])
        for name, member in node.get("properties", {}).items():
            inner = self._merged(member)
            words = member.get("description") or inner.get("description", "")
            full = f"{prefix}{name}"
            rows.append(Row(full, self._kind(member), name in needed, marked_up(words)))
            if depth < _DEPTH_MAX:
                rows += self._rows(inner, f"{full}.", depth + 1)
                items = inner.get("items")
                if isinstance(items, dict):
                    rows += self._rows(cast("Json", items), f"{full}[].", depth + 1)
        return rows

    def _merged(self, schema: Json) -> Json:
        """Return a schema with its parts put together, and of a nullable one what it is else."""
        node = self._resolved(schema)
        if "allOf" in node:
            merged: Json = {"properties": {}, "required": []}
            for part in node["allOf"]:
                other = self._merged(part)
                merged["properties"] |= other.get("properties", {})
                merged["required"] += other.get("required", [])
            return {**merged, "description": node.get("description", "")}
        for key in ("anyOf", "oneOf"):
            real = [c for c in cast("list[Json]", node.get(key, [])) if c.get("type") != "null"]
            if len(real) == 1:
                return {**self._merged(real[0]), **{k: v for k, v in node.items() if k != key}}
        return node

    def _kind(self, schema: Json) -> str:
        """Say in few words what passes."""
        node = self._resolved(schema)
        for key in ("anyOf", "oneOf"):
            if key in node:
                return " or ".join(dict.fromkeys(self._kind(choice) for choice in node[key]))
        if "const" in node:
            return f"“{node['const']}”"
        if "enum" in node:
            return " or ".join(f"“{value}”" for value in node["enum"])
        has_members = "properties" in node or "allOf" in node
        kind = node.get("type", "object" if has_members else "any value")
        if isinstance(kind, list):
            return " or ".join(cast("list[str]", kind))
        return self._kind_of_many(kind, node)

    def _kind_of_many(self, kind: str, node: Json) -> str:
        if kind == "array" and isinstance(node.get("items"), dict):
            return f"list of {self._kind(node['items'])}"
        if kind == "array" and "prefixItems" in node:
            return f"list of {len(node['prefixItems'])}"
        if kind == "object" and isinstance(node.get("additionalProperties"), dict):
            return f"map to {self._kind(node['additionalProperties'])}"
        return "time" if node.get("format") == "date-time" else kind + _bounds(node)

    def _curl(
        self, path: str, method: str, parameters: list[Json], body: Json, *, is_open: bool
    ) -> str:
        address = path
        headers: list[str] = [] if is_open else ["Authorization: Bearer $ONSALE_KEY"]
        for node in parameters:
            if node["in"] == "path":
                address = address.replace(f"{{{node['name']}}}", str(node.get("example", "...")))
            elif node["name"] == "Idempotency-Key":
                headers.append("Idempotency-Key: $(uuidgen)")
            elif node["in"] == "header" and node.get("required"):
                headers.append(f"{node['name']}: $TOKEN")
        words = [f'curl "$ONSALE{address}"']
        if method != "get":
            words[0] = f'curl -X {method.upper()} "$ONSALE{address}"'
        content = body.get("content", {}).get("application/json", {})
        example = next(iter(content.get("examples", {}).values()), None)
        if example is not None:
            headers.append("Content-Type: application/json")
        words += [f'-H "{header}"' for header in headers]
        if example is not None:
            text = json.dumps(example["value"], ensure_ascii=False)
            if len(text) > _NARROW:
                text = _written(example["value"])
            words.append("-d '" + text.replace("'", "'\\''") + "'")
        return " \\\n  ".join(words)

    def _problems(self) -> Iterator[Problem]:
        for slug, example in self._components["examples"].items():
            value = example["value"]
            name = "".join(word.capitalize() for word in slug.split("-")) + "Problem"
            parts = self._components["schemas"].get(name, {}).get("allOf", [{}])
            own = {
                "properties": {
                    member: schema
                    for member, schema in parts[-1].get("properties", {}).items()
                    if member not in {"type", "title", "status"}
                },
                "required": parts[-1].get("required", []),
            }
            sample = Sample(slug, _written(value))
            yield Problem(slug, value["status"], value["title"], self._rows(own), sample)

    def _resolved(self, node: Json) -> Json:
        while "$ref" in node:
            section, name = node["$ref"].split("/")[-2:]
            node = self._components[section][name]
        return node


def _bounds(node: Json) -> str:
    low = node.get("minimum", node.get("minLength", node.get("exclusiveMinimum")))
    high = node.get("maximum", node.get("maxLength"))
    unit = " characters" if node.get("type") == "string" else ""
    if low is None and high is None:
        return ""
    if high is None:
        return f", at least {low:g}{unit}"
    if not low:
        return f", at most {high:g}{unit}" if high < 10**6 else f", at most {high}{unit}"
    return f", {low:g} to {high:g}{unit}" if high < 10**6 else f", {low} to {high}{unit}"


def _written(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _slug(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower())
