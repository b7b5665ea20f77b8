"""Parameters in the document: those of every call, and what ids in a path look like."""

from typing import Any, cast

from api.contract.words import EXAMPLES_BY_NAME, ID_FORMS

Json = dict[str, Any]

_NOISE = ("deprecated", "allowEmptyValue", "allowReserved")


def describe_parameters(path: str, drawn: list[Json]) -> list[Json]:
    """Return an operation's parameters, each with its words."""
    told = [_tidied(parameter) for parameter in drawn]
    if path.startswith("/v1"):
        told.append({"$ref": "#/components/parameters/Onsale-Version"})
    return told


def _tidied(parameter: Json) -> Json:
    tidy = {key: value for key, value in parameter.items() if value or key not in _NOISE}
    schema: Json = dict(tidy.get("schema", {}))
    schema.pop("description", None)
    tidy["schema"] = _without_null(schema)
    name = parameter["name"]
    if parameter["in"] == "path":
        if name in ID_FORMS:
            tidy["description"] = f"The {name}'s id: {ID_FORMS[name]}."
        if name in EXAMPLES_BY_NAME:
            tidy["example"] = EXAMPLES_BY_NAME[name]
    return tidy


def _without_null(schema: Json) -> Json:
    """Return the schema of a parameter that is either there or not: `null` can't be sent."""
    choices = cast("list[Json]", schema.get("oneOf", schema.get("anyOf", [])))
    real = [choice for choice in choices if choice.get("type") != "null"]
    if len(real) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in {"oneOf", "anyOf"}}
    return {**real[0], **rest}
