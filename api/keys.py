"""API keys: make, list, look at, rename, rotate, revoke."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_201_CREATED, HTTP_204_NO_CONTENT
from msgspec import UNSET

from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.key_answers import IssuedKeyAnswer, KeyAnswer, KeyPage, tell_issued, tell_key
from api.key_inputs import KeyBody, KeyChangeBody, RotateKeyBody
from api.key_outcomes import KeyRefused, key_not_found, problem_of_key
from api.paging import PAGE_DEFAULT, Cursor, Limit, read_cursor
from api.problems import ProblemKind
from api.reading import check_query, read_body
from api.repeating import Keeper, answer_once
from api.written import written_json
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Prefix
from engine.tenancy import keys
from engine.tenancy.keys import IssuedKey, Key, NewKey
from engine.tenancy.principals import Scope

_MADE: Final = (
    ProblemKind.REQUEST_UNDER_WAY,
    ProblemKind.KEY_REUSED,
    ProblemKind.TOO_MANY_CREDENTIALS,
    ProblemKind.NOT_APPROVED,
)
_OF_KEY: Final = (ProblemKind.KEY_NOT_FOUND,)


@post(
    "/",
    summary="Make an API key",
    operation_class=describe(scope=Scope.KEYS_MANAGE, body=KeyBody, key="honoured", problems=_MADE),
)
async def create(request: ApiRequest) -> Response[IssuedKeyAnswer]:
    """Make an API key with at most the scopes that your own credential has.

    `text` is the key: keep it, it is stored nowhere and told this once. A repetition of the call
    tells the same key with `text` null.
    """
    check_query(request)
    body = await read_body(request, KeyBody)
    new = NewKey(name=body.name, scopes=frozenset(body.scopes), expires_at=body.expires_at)

    async def make() -> tuple[IssuedKey, Key] | KeyRefused:
        runtime = runtime_of(request)
        return await keys.issue_key(
            runtime.app_engine,
            request.user,
            runtime.settings.region,
            new,
            granted_by=request.auth.scopes,
        )

    return await _issue(request, "keys", body.fingerprint(), make)


@get("/", summary="List your API keys", operation_class=describe(scope=Scope.KEYS_MANAGE))
async def list_own(
    request: ApiRequest,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> KeyPage:
    """List the keys that are yours, those that have ended too, the newest first."""
    check_query(request, "cursor", "limit")
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.API_KEY, cursor)
    with store_failures():
        found = await keys.list_keys(runtime.app_engine, request.user, after=after, limit=limit + 1)
    page = [tell_key(key, runtime.ids) for key in found[:limit]]
    return KeyPage(page, page[-1].key if len(found) > limit else None)


@get(
    "/{key:str}",
    summary="Look at an API key",
    operation_class=describe(scope=Scope.KEYS_MANAGE, problems=_OF_KEY),
)
async def look(request: ApiRequest, key: FromPath[str]) -> KeyAnswer:
    """Tell what is known of a key: never its text."""
    check_query(request)
    runtime = runtime_of(request)
    with store_failures():
        found = await keys.find_key(runtime.app_engine, request.user, _parse(request, key))
    return _tell(request, found)


@patch(
    "/{key:str}",
    summary="Rename an API key",
    operation_class=describe(scope=Scope.KEYS_MANAGE, body=KeyChangeBody, problems=_OF_KEY),
)
async def change(request: ApiRequest, key: FromPath[str]) -> KeyAnswer:
    """Change a key's name. What it may do stays as it is: make another."""
    check_query(request)
    named = _parse(request, key)
    body = await read_body(request, KeyChangeBody)
    app = runtime_of(request).app_engine
    with store_failures():
        if body.name is UNSET:
            found = await keys.find_key(app, request.user, named)
        else:
            found = await keys.rename_key(app, request.user, named, body.name)
    return _tell(request, found)


@post(
    "/{key:str}/rotate",
    summary="Rotate an API key",
    operation_class=describe(
        scope=Scope.KEYS_MANAGE,
        body=RotateKeyBody,
        key="honoured",
        problems=(
            *_OF_KEY,
            ProblemKind.CREDENTIAL_ENDED,
            ProblemKind.NOT_APPROVED,
            ProblemKind.REQUEST_UNDER_WAY,
            ProblemKind.KEY_REUSED,
        ),
    ),
)
async def rotate(request: ApiRequest, key: FromPath[str]) -> Response[IssuedKeyAnswer]:
    """Make a key with the same name and scopes; the old one goes on for `overlap_s`."""
    check_query(request)
    named = _parse(request, key)
    body = await read_body(request, RotateKeyBody)

    async def make() -> tuple[IssuedKey, Key] | KeyRefused:
        runtime = runtime_of(request)
        return await keys.rotate_key(
            runtime.app_engine,
            request.user,
            runtime.settings.region,
            named,
            overlap=timedelta(seconds=body.overlap_s),
            expires_at=body.expires_at,
            granted_by=request.auth.scopes,
        )

    return await _issue(request, f"keys rotate {named:016x}", body.fingerprint(), make)


@delete(
    "/{key:str}",
    summary="Revoke an API key",
    status_code=HTTP_204_NO_CONTENT,
    operation_class=describe(scope=Scope.KEYS_MANAGE, problems=_OF_KEY),
)
async def revoke(request: ApiRequest, key: FromPath[str]) -> None:
    """End a key for good. It is refused everywhere within 30 seconds."""
    check_query(request)
    runtime = runtime_of(request)
    with store_failures():
        found = await keys.revoke_key(runtime.app_engine, request.user, _parse(request, key))
    _tell(request, found)


async def _issue(
    request: ApiRequest,
    scope: str,
    fingerprint: int,
    make: Callable[[], Awaitable[tuple[IssuedKey, Key] | KeyRefused]],
) -> Response[IssuedKeyAnswer]:
    """Answer with a fresh key. What is kept for repetitions has not its text: that is no hash."""
    ids = runtime_of(request).ids
    fresh: list[bytes] = []

    async def act(_keeper: Keeper) -> tuple[int, IssuedKeyAnswer]:
        with store_failures():
            made = await make()
        if not isinstance(made, tuple):
            raise problem_of_key(made)
        issued, key = made
        fresh.append(msgspec.json.encode(tell_issued(key, ids, issued.text)))
        return HTTP_201_CREATED, tell_issued(key, ids, None)

    answered = await answer_once(request, scope, fingerprint, act)
    named = msgspec.json.decode(answered.body, type=IssuedKeyAnswer).key
    return written_json(
        IssuedKeyAnswer,
        fresh[0] if fresh else answered.body,
        status_code=answered.status,
        headers={"Location": f"/v1/keys/{named}", "Cache-Control": "no-store"},
    )


def _parse(request: ApiRequest, text: str) -> EntityId:
    try:
        return runtime_of(request).ids.parse_entity(Prefix.API_KEY, text)
    except IdError:
        raise key_not_found() from None


def _tell(request: ApiRequest, found: Key | keys.UnknownKey) -> KeyAnswer:
    if isinstance(found, keys.UnknownKey):
        raise problem_of_key(found)
    return tell_key(found, runtime_of(request).ids)


router: Final = Router(
    path="/v1/keys",
    tags=["credentials"],
    route_handlers=[create, list_own, look, change, rotate, revoke],
)
