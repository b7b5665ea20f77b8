"""What breaks clients and what does not: a row for each rule of the comparer, both ways."""

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ops.contract.comparing import compare
from ops.places import ROOT

Json = dict[str, Any]
Edit = Callable[[Json], object]

_BASE: Json = {
    "info": {"version": "1.0.0"},
    "paths": {
        "/v1/things": {
            "post": {
                "operationId": "things_make",
                "security": [{"api_key": ["things:write"]}, {"oauth2": ["things:write"]}],
                "parameters": [
                    {"$ref": "#/components/parameters/Limit"},
                    {"name": "Key", "in": "header", "required": True, "schema": {"type": "string"}},
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/In"}}
                    },
                },
                "responses": {
                    "200": {
                        "headers": {"Location": {}},
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Out"}},
                            "text/event-stream": {
                                "schema": {"type": "string"},
                                "x-events": [
                                    {"event": "news", "data": {"$ref": "#/components/schemas/Out"}}
                                ],
                            },
                        },
                    },
                    "404": {"$ref": "#/components/responses/gone"},
                },
            },
            "get": {"operationId": "things_list", "security": [], "responses": {"200": {}}},
        }
    },
    "webhooks": {
        "thing.made": {
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Out"}}
                    }
                }
            }
        }
    },
    "components": {
        "parameters": {
            "Limit": {
                "name": "limit",
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "maximum": 100},
            }
        },
        "responses": {
            "gone": {
                "content": {
                    "application/problem+json": {
                        "schema": {
                            "oneOf": [
                                {"$ref": "#/components/schemas/GoneProblem"},
                                {"$ref": "#/components/schemas/LostProblem"},
                            ]
                        }
                    }
                }
            }
        },
        "schemas": {
            "In": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": 10, "minLength": 1},
                    "kind": {"enum": ["a", "b"]},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "many": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["name"],
                "additionalProperties": False,
            },
            "Out": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "maxLength": 10},
                    "kind": {"enum": ["a", "b"]},
                    "topic": {"enum": ["a", "b"], "x-open-values": True},
                    "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                    "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "at": {"type": "string", "format": "date-time"},
                },
                "required": ["name", "kind"],
            },
            "Base": {"type": "object", "properties": {"type": {"type": "string"}}},
            "GoneProblem": {
                "title": "GoneProblem",
                "allOf": [
                    {"$ref": "#/components/schemas/Base"},
                    {"properties": {"where": {"type": "string"}}, "required": ["where"]},
                ],
            },
            "LostProblem": {"title": "LostProblem", "type": "object"},
        },
    },
}


def _post(document: Json) -> Json:
    return document["paths"]["/v1/things"]["post"]


def _schema(document: Json, name: str) -> Json:
    return document["components"]["schemas"][name]


def _member(document: Json, name: str, member: str) -> Json:
    return _schema(document, name)["properties"][member]


def _new_operation(document: Json) -> None:
    document["paths"]["/v1/others"] = {"get": {"operationId": "others", "responses": {"200": {}}}}


def _limit(document: Json) -> Json:
    return document["components"]["parameters"]["Limit"]


def _answer(document: Json) -> Json:
    return _post(document)["responses"]["200"]


_EVENTS = "text/event-stream"

_BREAKING: dict[str, Edit] = {
    "a path is gone": lambda d: d["paths"].clear(),
    "an operation is gone": lambda d: d["paths"]["/v1/things"].pop("get"),
    "another operationId": lambda d: _post(d).update(operationId="things_create"),
    "another scope": lambda d: _post(d).update(security=[{"api_key": ["things:all"]}]),
    "one more scope": lambda d: _post(d)["security"][1]["oauth2"].append("more"),
    "no keys any more": lambda d: _post(d)["security"].pop(0),
    "what was public is not": lambda d: d["paths"]["/v1/things"]["get"].update(
        security=[{"api_key": []}]
    ),
    "a parameter is gone": lambda d: _post(d)["parameters"].pop(0),
    "a new required parameter": lambda d: _post(d)["parameters"].append(
        {"name": "q", "in": "query", "required": True, "schema": {}}
    ),
    "a parameter is required now": lambda d: _limit(d).update(required=True),
    "a parameter of another type": lambda d: _limit(d).update(schema={"type": "string"}),
    "a parameter's bound is tighter": lambda d: _limit(d)["schema"].update(maximum=50),
    "a parameter has a bound at last": lambda d: _limit(d)["schema"].update(minimum=1),
    "no body any more": lambda d: _post(d).pop("requestBody"),
    "a body of another type": lambda d: _post(d)["requestBody"].update(
        content={"text/plain": {"schema": {}}}
    ),
    "a new required member is asked for": lambda d: (
        _schema(d, "In")["properties"].update(more={"type": "string"}),
        _schema(d, "In")["required"].append("more"),
    ),
    "a member is required now": lambda d: _schema(d, "In")["required"].append("kind"),
    "a member is not taken any more": lambda d: _schema(d, "In")["properties"].pop("kind"),
    "a value is not taken any more": lambda d: _member(d, "In", "kind")["enum"].remove("b"),
    "only some values are taken": lambda d: _member(d, "In", "name").update(enum=["x"]),
    "null is not taken any more": lambda d: _member(d, "In", "note")["anyOf"].pop(),
    "less text is taken": lambda d: _member(d, "In", "name").update(maxLength=5),
    "more text is needed": lambda d: _member(d, "In", "name").update(minLength=2),
    "a pattern is asked for": lambda d: _member(d, "In", "name").update(pattern="^a"),
    "items of another type": lambda d: _member(d, "In", "many").update(items={"type": "string"}),
    "an answer is gone": lambda d: _post(d)["responses"].pop("200"),
    "a new answer of success": lambda d: _post(d)["responses"].update({"202": {}}),
    "a header is gone": lambda d: _answer(d)["headers"].clear(),
    "an answer's media type is gone": lambda d: _answer(d)["content"].pop("application/json"),
    "an answer's member is gone": lambda d: _schema(d, "Out")["properties"].pop("note"),
    "an answer's member may be missing": lambda d: _schema(d, "Out")["required"].remove("kind"),
    "an answer's member is of another type": lambda d: _member(d, "Out", "name").update(
        type="integer"
    ),
    "an answer's member may be null": lambda d: _member(d, "Out", "name").update(
        type=["string", "null"]
    ),
    "an answer's value is new": lambda d: _member(d, "Out", "kind")["enum"].append("c"),
    "an answer's value is new, and nobody had been told that more come": lambda d: (
        _member(d, "Out", "kind").update({"x-open-values": True}),
        _member(d, "Out", "kind")["enum"].append("c"),
    ),
    "an answer's value may be any": lambda d: _member(d, "Out", "kind").pop("enum"),
    "an answer's text may be longer": lambda d: _member(d, "Out", "name").update(maxLength=20),
    "an answer's text has no bound": lambda d: _member(d, "Out", "name").pop("maxLength"),
    "an answer's format is gone": lambda d: _member(d, "Out", "at").pop("format"),
    "an answer's values in a map": lambda d: _member(d, "Out", "map").update(
        additionalProperties={"type": "string"}
    ),
    "a problem's member is gone": lambda d: _schema(d, "GoneProblem")["allOf"].pop(),
    "an event is gone": lambda d: _answer(d)["content"][_EVENTS]["x-events"].clear(),
    "an event's data is of another kind": lambda d: _answer(d)["content"][_EVENTS]["x-events"][
        0
    ].update(data={"type": "string"}),
    "a webhook is gone": lambda d: d["webhooks"].clear(),
}

_HARMLESS: dict[str, Edit] = {
    "nothing": lambda d: d,
    "other words": lambda d: _post(d).update(summary="Make it", description="Or not."),
    "a new operation": _new_operation,
    "it is deprecated": lambda d: _post(d).update(deprecated=True),
    "a key will do without the scope": lambda d: _post(d)["security"][0].update(api_key=[]),
    "it is public": lambda d: _post(d).update(security=[]),
    "another way in": lambda d: _post(d)["security"].append({"basic": []}),
    "a new parameter that may be left out": lambda d: _post(d)["parameters"].append(
        {"name": "q", "in": "query", "required": False, "schema": {}}
    ),
    "a parameter may be left out": lambda d: _post(d)["parameters"][1].update(required=False),
    "a parameter's bound is wider": lambda d: _limit(d)["schema"].update(maximum=200),
    "a header's name in other letters": lambda d: _post(d)["parameters"][1].update(name="KEY"),
    "the body may be left out": lambda d: _post(d)["requestBody"].update(required=False),
    "a new member that may be left out": lambda d: _schema(d, "In")["properties"].update(more={}),
    "a member may be left out": lambda d: _schema(d, "In")["required"].clear(),
    "one more value is taken": lambda d: _member(d, "In", "kind")["enum"].append("c"),
    "any value is taken": lambda d: _member(d, "In", "kind").pop("enum"),
    "null is taken too": lambda d: _member(d, "In", "name").update(type=["string", "null"]),
    "more text is taken": lambda d: _member(d, "In", "name").update(maxLength=50),
    "numbers where integers were": lambda d: _member(d, "In", "many").update(
        items={"type": "number"}
    ),
    "an answer's new member": lambda d: _schema(d, "Out")["properties"].update(more={}),
    "an answer's member is always there": lambda d: _schema(d, "Out")["required"].append("note"),
    "an answer's member is never null": lambda d: _member(d, "Out", "note")["anyOf"].pop(),
    "an answer's value is gone": lambda d: _member(d, "Out", "kind")["enum"].remove("b"),
    "an answer's value is new, where more were to come": lambda d: _member(d, "Out", "topic")[
        "enum"
    ].append("c"),
    "an answer's text is shorter": lambda d: _member(d, "Out", "name").update(maxLength=5),
    "a new header": lambda d: _answer(d)["headers"].update(Other={}),
    "a new media type": lambda d: _answer(d)["content"].update({"text/csv": {"schema": {}}}),
    "a new failure": lambda d: _post(d)["responses"].update({"409": {}}),
    "a failure less": lambda d: _post(d)["responses"].pop("404"),
    "a problem of another kind": lambda d: d["components"]["responses"]["gone"]["content"][
        "application/problem+json"
    ]["schema"]["oneOf"].pop(),
    "a new event": lambda d: _answer(d)["content"][_EVENTS]["x-events"].append(
        {"event": "more", "data": {}}
    ),
    "a new webhook": lambda d: d["webhooks"].update({"thing.gone": {"post": {}}}),
    "a component of another name": lambda d: (
        d["components"]["schemas"].update(Other=_schema(d, "Out")),
        _answer(d)["content"]["application/json"].update(
            schema={"$ref": "#/components/schemas/Other"}
        ),
    ),
}


def _changed(edit: Edit) -> list[str]:
    new = copy.deepcopy(_BASE)
    edit(new)
    return [d.what for d in compare(_BASE, new) if d.weight == "breaking"]


@pytest.mark.parametrize("edit", _BREAKING.values(), ids=_BREAKING.keys())
def test_it_breaks_clients(edit: Edit) -> None:
    """Whoever was built for the older document may fail on the newer."""
    assert _changed(edit)


@pytest.mark.parametrize("edit", _HARMLESS.values(), ids=_HARMLESS.keys())
def test_it_breaks_nobody(edit: Edit) -> None:
    """They go on as they are."""
    assert _changed(edit) == []


@pytest.mark.parametrize(
    "edit",
    [edit for name, edit in _HARMLESS.items() if name not in {"nothing", "other words"}],
    ids=[name for name in _HARMLESS if name not in {"nothing", "other words"}],
)
def test_an_addition_is_told(edit: Edit) -> None:
    """But for what is the same by another name."""
    new = copy.deepcopy(_BASE)
    edit(new)
    told = compare(_BASE, new)
    assert told or edit in {
        _HARMLESS["a header's name in other letters"],
        _HARMLESS["a component of another name"],
        _HARMLESS["the body may be left out"],
    }


def test_the_command_says_what_is_so() -> None:
    """0 and a sentence while the document is the code's; as JSON too."""
    for words in ((), ("--json",)):
        done = subprocess.run(
            [sys.executable, "-m", "ops", "contract", "check", *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        if words:
            assert json.loads(done.stdout)["breaks"] is False
        else:
            assert "breaks nobody" in done.stdout
