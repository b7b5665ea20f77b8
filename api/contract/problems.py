"""Problems in the document: a schema, an example and a response for each kind."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from api.problems import MEDIA_TYPE, ProblemKind

Json = dict[str, Any]

_TEXT: Final[Json] = {"type": "string"}
_MOMENT: Final[Json] = {
    "type": "string",
    "format": "date-time",
    "examples": ["2026-12-01T09:00:00Z"],
}
_LABELS: Final[Json] = {"type": "array", "items": _TEXT, "examples": [["A-1-2"]]}


def _count(example: int) -> Json:
    return {"type": "integer", "examples": [example]}


def _words(*examples: str) -> Json:
    return {"type": "string", "examples": list(examples)}


def _places(example: str) -> Json:
    return {"type": "array", "items": _TEXT, "examples": [[example]]}


_UNKNOWN_PLACES: Final[Json] = {
    "seats?": _LABELS,
    "areas?": _places("pit"),
    "price_levels?": _places("gold"),
}
_BUNDLE: Final = "bnd_dev_1f0a9c3355d2e87f"
_REFUSALS: Final[Json] = {
    "type": "array",
    "description": "What each of the shows said that did not go along.",
    "items": {
        "type": "object",
        "properties": {"show": _TEXT, "problem": _TEXT, "detail": _TEXT},
        "required": ["show", "problem", "detail"],
    },
    "examples": [
        [
            {
                "show": "shw_dev_00f3a1c05e9b7d24",
                "problem": "urn:onsale:problem:seats-taken",
                "detail": "A-1-2 is not open any more; nothing was held.",
            }
        ]
    ],
}
_SHOWS_TO_COME: Final[Json] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"show": _TEXT, "name": _TEXT, "starts_at": _MOMENT},
        "required": ["show", "name", "starts_at"],
    },
    "examples": [
        [
            {
                "show": "shw_dev_00f3a1c05e9b7d24",
                "name": "First Light",
                "starts_at": "2027-03-01T19:00:00Z",
            }
        ]
    ],
}
_OR_NULL: Final[Json] = {"type": ["integer", "null"], "examples": [1204]}

MEMBERS: Final[Mapping[ProblemKind, Json]] = {
    ProblemKind.UNKNOWN_VERSION: {"versions": _places("2026-11-22")},
    ProblemKind.INSUFFICIENT_SCOPE: {"scope": _words("orders:write")},
    ProblemKind.NOT_ADMITTED: {
        "queue": _words("/v1/shows/shw_dev_00f3a1c05e9b7d24/queue"),
        "page": _words("/queue/shw_dev_00f3a1c05e9b7d24"),
    },
    ProblemKind.PROOF_REQUIRED: {
        "challenge": {
            "type": "object",
            "description": "What to solve; docs/API.md says how.",
            "examples": [{"challenge": "AZx1.b7Q", "bits": 16, "algorithm": "sha256"}],
        }
    },
    ProblemKind.SEATS_TAKEN: {"seats": _LABELS},
    ProblemKind.AREA_SHORT: {
        "areas": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "How many places are left, by area.",
            "examples": [{"floor": 1}],
        }
    },
    ProblemKind.NONE_TOGETHER: {"price_level": _words("vip"), "quantity": _count(4)},
    ProblemKind.OVER_BUYER_LIMIT: {"most": _count(8), "has": _count(7)},
    ProblemKind.OVER_HOLD_LIMIT: {"most": _count(8)},
    ProblemKind.PURCHASE_FAILED: {"order": _words("ord_dev_00f3a1c05e9b7d24" + "5f" * 16)},
    ProblemKind.HOLD_OF_BUNDLE: {"bundle": _words(_BUNDLE)},
    ProblemKind.BUNDLE_REFUSED: {"bundle": _words(_BUNDLE), "shows": _REFUSALS},
    ProblemKind.BUNDLE_ENDED: {
        "bundle": _words(_BUNDLE),
        "state": _words("released", "releasing", "failed", "failing"),
        "reason": _words("expired", "cancelled", "refused", "abandoned", "too-late"),
    },
    ProblemKind.ORDER_NOT_CONFIRMED: {"order_status": _words("recording")},
    ProblemKind.ORDER_COMPENSATED: {"choice": _words("credit", "voucher")},
    ProblemKind.NOT_ON_SALE: {"state": _words("paused")},
    ProblemKind.TRANSITION_REFUSED: {
        "state": _words("cancelled"),
        "action": _words("open"),
        "reason": _words("it is cancelled, which is final: add another date"),
        "allowed": _places("add-date"),
    },
    ProblemKind.CHOICE_REFUSED: {
        "reason": _words("over"),
        "choice": _words("refund", "keep", "credit", "voucher"),
        "offered": _places("refund"),
    },
    ProblemKind.TOO_EARLY: {"opens_at": _MOMENT},
    ProblemKind.SALES_ENDED: {"closed_at": _MOMENT},
    ProblemKind.PRICES_CHANGED: {"price_version": _count(3)},
    ProblemKind.BLOCKS_REFUSED: {"seats": _LABELS, "areas": _places("floor")},
    ProblemKind.SHOWS_TO_COME: {"shows": _SHOWS_TO_COME},
    ProblemKind.STILL_SELLING: {"shows": _SHOWS_TO_COME},
    ProblemKind.EDITS_REFUSED: {
        "seats": _LABELS,
        "areas": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "How many open places they have, by area.",
            "examples": [{"floor": 12}],
        },
    },
    ProblemKind.INVENTORY_CHANGED: {"inventory_version": _count(7)},
    ProblemKind.TOO_MANY_EDITS: {"most": _count(10_000)},
    ProblemKind.ALLOTMENT_REFUSED: {
        "seats": _LABELS,
        "areas": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "How many such places they have, by area.",
            "examples": [{"floor": 12}],
        },
    },
    ProblemKind.TOO_MANY_ALLOTMENTS: {"most": _count(100)},
    ProblemKind.QUEUE_CLOSED: {"state": _words("closed")},
    ProblemKind.NOT_YOUR_TURN: {
        "place": _OR_NULL,
        "serving": _count(800),
        "ahead": _OR_NULL,
        "admitted": {"type": "boolean", "examples": [False]},
    },
    ProblemKind.UNKNOWN_SEATS: _UNKNOWN_PLACES,
    ProblemKind.UNKNOWN_AREAS: _UNKNOWN_PLACES,
    ProblemKind.UNKNOWN_PRICE_LEVELS: _UNKNOWN_PLACES,
    ProblemKind.INVALID_REQUEST: {
        "more?": {"type": "integer", "description": "How many faults are not listed."}
    },
    ProblemKind.INVALID_SHEET: {
        "problems": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/ProblemInSheet"},
            "examples": [[{"line": 17, "column": "starts_at", "reason": "is missing"}]],
        },
        "more_problems": _count(0),
    },
    ProblemKind.INVALID_SEATING_PLAN: {"more?": _count(12)},
    ProblemKind.UNAVAILABLE: {"redis?": _words("ok"), "postgresql?": _words("does not answer")},
}
"""The members that a kind has beside the standard ones; a `?` ends what may be missing.

A kind that is not here has none: tests/api/test_schemathesis.py holds answers to it.
"""

_DETAILS: Final = {
    ProblemKind.SEATS_TAKEN: "A-1-2 is not open any more; nothing was held.",
    ProblemKind.INVALID_REQUEST: "field '/ttl_s': expected at least 30.",
    ProblemKind.INSUFFICIENT_SCOPE: "This needs a credential with the scope orders:write.",
    ProblemKind.UNKNOWN_VERSION: "There is no version '2020-01-01'; known: 2026-11-22.",
}
_WITH_ERRORS: Final = {
    ProblemKind.INVALID_REQUEST: [{"reason": "expected at least 30", "pointer": "/ttl_s"}],
    ProblemKind.TICKET_TYPES_REFUSED: [
        {"reason": "at most 2 in one hold", "pointer": "/ticket_types/child"},
    ],
    ProblemKind.KEY_REUSED: [
        {"reason": "was used with another body", "header": "Idempotency-Key"},
    ],
}
_HEADERS: Final = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_HEADERS_OF_KIND: Final = {
    ProblemKind.TOO_EARLY: ("Retry-After",),
    ProblemKind.NOT_YOUR_TURN: ("Retry-After",),
    ProblemKind.REQUEST_UNDER_WAY: ("Retry-After",),
    ProblemKind.INSUFFICIENT_SCOPE: ("WWW-Authenticate",),
    ProblemKind.METHOD_NOT_ALLOWED: ("Allow",),
}


def problem_components() -> dict[str, Json]:
    """Return the document's `schemas` and `examples` of problems."""
    return {
        "schemas": {schema_name(kind): _schema(kind) for kind in ProblemKind},
        "examples": {kind.slug: _example(kind) for kind in ProblemKind},
    }


def problem_responses(kinds: Iterable[ProblemKind]) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return an operation's responses by status, and the components that they name."""
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    responses: dict[str, Json] = {}
    components: dict[str, Json] = {}
    for status, of_status in sorted(by_status.items()):
        of_status.sort(key=lambda kind: kind.slug)
        slugs = [kind.slug for kind in of_status]
        name = slugs[0] if len(slugs) == 1 else ".".join([str(status), *slugs])
        components[name] = _response(of_status)
        responses[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return responses, components


def schema_name(kind: ProblemKind) -> str:
    """Return the name of a kind's schema: `seats-taken` is `SeatsTakenProblem`."""
    return "".join(word.capitalize() for word in kind.slug.split("-")) + "Problem"


def _schema(kind: ProblemKind) -> Json:
    members = MEMBERS.get(kind, {})
    own: Json = {
        "type": "object",
        "properties": {
            "type": {"const": kind.type},
            "title": {"const": kind.title},
            "status": {"const": kind.status},
            **{name.removesuffix("?"): schema for name, schema in members.items()},
        },
        "required": ["type", *(name for name in members if not name.endswith("?"))],
    }
    return {
        "title": schema_name(kind),
        "description": f"{kind.title}.",
        "allOf": [{"$ref": "#/components/schemas/ProblemDetails"}, own],
    }


def _example(kind: ProblemKind) -> Json:
    value: Json = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": _DETAILS.get(kind, f"{kind.title}."),
    }
    if kind in _WITH_ERRORS:
        value["errors"] = _WITH_ERRORS[kind]
    for name, schema in MEMBERS.get(kind, {}).items():
        if "examples" in schema:
            value[name.removesuffix("?")] = schema["examples"][0]
    return {"summary": kind.title, "value": value}


def _response(kinds: list[ProblemKind]) -> Json:
    refs = {kind.type: f"#/components/schemas/{schema_name(kind)}" for kind in kinds}
    schema: Json
    if len(kinds) == 1:
        schema = {"$ref": refs[kinds[0].type]}
    else:
        schema = {
            "oneOf": [{"$ref": ref} for ref in refs.values()],
            "discriminator": {"propertyName": "type", "mapping": refs},
        }
    headers = dict.fromkeys(
        name
        for kind in kinds
        for name in (*_HEADERS.get(kind.status, ()), *_HEADERS_OF_KIND.get(kind, ()))
    )
    return {
        "description": " ".join(f"`{kind.slug}`: {kind.title}." for kind in kinds),
        "headers": header_references(headers),
        "content": {
            MEDIA_TYPE: {
                "schema": schema,
                "examples": {
                    kind.slug: {"$ref": f"#/components/examples/{kind.slug}"} for kind in kinds
                },
            }
        },
    }


def header_references(names: Iterable[str]) -> Json:
    """Return a response's headers: those named, and what every answer has."""
    return {
        name: {"$ref": f"#/components/headers/{name}"}
        for name in (*names, "X-Request-Id", "Onsale-Version")
    }
