"""Facts in the document: each type of the log, as it is sent to webhooks."""

from typing import Any, Final

from msgspec import Struct

from api.contract.examples import suggest
from engine.facts.answers import FactAnswer
from engine.facts.types import DATA_OF_TYPE, TYPES_WITHOUT_SOURCE, FactType

Json = dict[str, Any]

_PINGED: Final = "Your endpoint answers with a 2xx within 15 seconds; what it says is not read."
_HEADERS: Final[dict[str, tuple[str, str]]] = {
    "webhook-id": ("The same at each attempt: what came before is known by it.", "msg_2b7f"),
    "webhook-timestamp": ("Seconds since 1970 at this attempt.", "1796083200"),
    "webhook-signature": (
        "Standard Webhooks: `v1,<base64>` and `v1a,<base64>`, separated by spaces.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
}


def fact_types() -> list[type[Struct]]:
    """Return the structs that facts are made of."""
    return [FactAnswer, *dict.fromkeys(DATA_OF_TYPE.values())]


def fact_schemas(schemas: Json) -> Json:
    """Return a schema for each type: a fact whose `data` is that type's.

    Of the types themselves it says that clients are to expect more of them.
    """
    described: Json = schemas[FactType.__name__]
    words = f"{described['description']} More types come as the system grows: pass them over."
    types = {**described, "description": words, "x-open-values": True}
    return {FactType.__name__: types, **{schema_name(kind): _schema(kind) for kind in FactType}}


def webhooks(schemas: Json) -> Json:
    """Return the document's section of what is sent to endpoints."""
    return {kind.value: {"post": _operation(kind, schemas)} for kind in FactType}


def schema_name(kind: FactType) -> str:
    """Return the name of a type's schema: `order.confirmed` is `OrderConfirmedFact`."""
    words = kind.value.replace(".", "_").split("_")
    return "".join(word.capitalize() for word in words) + "Fact"


def _schema(kind: FactType) -> Json:
    data = DATA_OF_TYPE[kind]
    return {
        "title": schema_name(kind),
        "description": _words(kind),
        "allOf": [
            {"$ref": "#/components/schemas/FactAnswer"},
            {
                "type": "object",
                "properties": {
                    "type": {"const": kind.value},
                    "data": {"$ref": f"#/components/schemas/{data.__name__}"},
                },
                "required": ["type", "data"],
            },
        ],
    }


def _words(kind: FactType) -> str:
    words = (DATA_OF_TYPE[kind].__doc__ or "").strip()
    return (
        f"{words}\n\nDefined, and told by nothing yet." if kind in TYPES_WITHOUT_SOURCE else words
    )


def _operation(kind: FactType, schemas: Json) -> Json:
    data = {"$ref": f"#/components/schemas/{DATA_OF_TYPE[kind].__name__}"}
    show = suggest({"type": "string"}, schemas, "show")
    noun = kind.value.partition(".")[0]
    about = {"hold": "hold", "order": "order", "seats": "order", "show": "show"}.get(noun, noun)
    example = {
        "id": suggest({"type": "string"}, schemas, "fact"),
        "type": kind.value,
        "sequence": 1234,
        "occurred_at": suggest({"type": "string", "format": "date-time"}, schemas, ""),
        "show": show,
        "object": suggest({"type": "string"}, schemas, about),
        "data": suggest(data, schemas),
    }
    return {
        "tags": ["webhooks"],
        "summary": kind.value,
        "description": _words(kind),
        "operationId": f"fact_{kind.value.replace('.', '_')}",
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": words,
                "schema": {"type": "string", "examples": [value]},
            }
            for name, (words, value) in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": f"#/components/schemas/{schema_name(kind)}"},
                    "examples": {"example": {"value": example}},
                }
            },
        },
        "responses": {"2XX": {"description": _PINGED}},
        "security": [],
    }
