"""Requests made from the document: whatever is sent, the answer is one that the document has.

With `ONSALE_FUZZ_EXAMPLES=500` each call gets that many; twelve else.
"""

import json
import os
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks, openapi

from api.problems import MEDIA_TYPE, ProblemKind
from ops.contract.files import made
from ops.stack import Stack
from tests.api.people import Account
from tests.api.walked_world import CannotMakeError, Party, never_made

_EXAMPLES = int(os.environ.get("ONSALE_FUZZ_EXAMPLES", "12"))
_DOCUMENT: dict[str, Any] = made()
_SCHEMA: Any = openapi.from_dict(_DOCUMENT)
_CHECKS = cast("Any", checks.CHECKS)
# The first request of a worker is slow; so is filtering what schemathesis makes.
_UNHURRIED = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
_NAMED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
_JUDGED: list[Any] = [check for check in _CHECKS.get_all() if check.__name__ in _NAMED]
_STANDARD = {"type", "title", "status", "detail", "errors"}
_UNAVAILABLE = 503


@pytest.fixture(scope="module")
def reseller(stack: Stack) -> Iterator[Party]:
    """Somebody with a show, a hold, an order, and whatever else can be made."""
    account = Account(stack.settings, stack.base_url)
    try:
        party = Party(account.desk(), _DOCUMENT)
        for path in _DOCUMENT["paths"]:
            _ids(party, path)  # before anything else takes the places
        yield party
    finally:
        account.close()


def _operations() -> Iterator[tuple[str, str]]:
    for path, methods in _DOCUMENT["paths"].items():
        for method in methods:
            yield path, method


def _can_be_unfit(path: str, method: str) -> bool:
    """Tell whether there is more to be wrong than an id, which may be any text."""
    operation = _DOCUMENT["paths"][path][method]
    return "requestBody" in operation or any(
        parameter.get("in") in {"query", "header"} for parameter in operation["parameters"]
    )


_WAYS = [
    pytest.param(path, method, mode, id=f"{method.upper()} {path} {mode.value}")
    for path, method in _operations()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or _can_be_unfit(path, method)
]


def test_the_checks_that_judge_are_all_there() -> None:
    """By the names that this version of schemathesis has for them."""
    assert {check.__name__ for check in _JUDGED} == set(_NAMED)


@pytest.mark.parametrize(("path", "method", "mode"), _WAYS)
def test_every_answer_is_one_that_the_document_has(
    reseller: Party, path: str, method: str, mode: GenerationMode
) -> None:
    """Generated requests, fit and unfit, half of them about what is there."""
    operation = _SCHEMA[path][method.upper()]
    ids = _ids(reseller, path)

    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=_UNHURRIED,
    )
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def ask(case: Any, *, real: bool) -> None:  # noqa: ANN401 -- schemathesis' own
        for name in ids if real else ():
            case.path_parameters[name] = ids[name]
        response = case.call(
            base_url=str(reseller.desk.http.base_url),
            headers={"Authorization": f"Bearer {reseller.desk.key}"},
            timeout=20,
        )
        if response.status_code != _UNAVAILABLE:
            case.validate_response(response, checks=_JUDGED)
        else:
            case.validate_response(response, checks=_JUDGED[1:])
        _check_problem(response, path)

    ask()


def _ids(reseller: Party, path: str) -> dict[str, str]:
    """Return ids for a path; of a stream's show one that is not there: it would go on for long."""
    try:
        ids = reseller.ids_for(path)
    except CannotMakeError:
        # The isolation walk says what is missing.
        ids = {}
    is_stream = any(
        "text/event-stream" in response.get("content", {})
        for response in _DOCUMENT["paths"][path].get("get", {}).get("responses", {}).values()
    )
    return {name: never_made(value) for name, value in ids.items()} if is_stream else ids


def _check_problem(response: Any, path: str) -> None:  # noqa: ANN401 -- schemathesis' own
    """Hold a problem to its kind: its members are those that the document tells, and no others.

    OAuth's endpoints tell errors in RFC 6749's form, which the schema of the answer holds them to.
    """
    is_of_oauth = path.startswith("/oauth/")
    if response.status_code < 400 or (is_of_oauth and b'"error":' in response.content):
        return
    assert response.headers["content-type"] == [MEDIA_TYPE], response.content
    body = json.loads(response.content)
    kind = next(kind for kind in ProblemKind if kind.type == body["type"])
    name = "".join(word.capitalize() for word in kind.slug.split("-")) + "Problem"
    _, own = _DOCUMENT["components"]["schemas"].get(name, {"allOf": [{}, {}]})["allOf"]
    unknown = body.keys() - _STANDARD - own.get("properties", {}).keys()
    assert not unknown, f"say in api/contract/problems.py that {kind.slug} has {unknown}"


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE", "POST", "GET", "TRACE", "OPTIONS"])
def test_a_method_that_is_not_documented_is_refused(reseller: Party, method: str) -> None:
    """405 with what is there, or 404; nothing else, and nothing done."""
    http: httpx.Client = reseller.desk.http
    for path in _DOCUMENT["paths"]:
        if method.lower() in _DOCUMENT["paths"][path] or (method == "OPTIONS"):
            continue
        address = path.replace("{", "").replace("}", "")
        answer = http.request(method, address)
        assert answer.status_code in {404, 405}, (method, path, answer.text)
        if answer.status_code == 405:
            assert answer.headers["allow"]
