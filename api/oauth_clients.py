"""OAuth clients: register, list, look at, change, rotate the secret, end."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, assert_never

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_204_NO_CONTENT
from msgspec import UNSET, Struct, structs

from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.key_outcomes import lacking_scopes, not_approved
from api.oauth_client_inputs import ClientBody, ClientChangeBody, Kind, RotateSecretBody
from api.paging import PAGE_DEFAULT, Cursor, Limit, read_cursor
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.reading import check_query, read_body
from api.repeating import Keeper, answer_once
from api.written import written_json
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Ids, Prefix
from engine.tenancy import oauth_clients
from engine.tenancy.keys import NotApproved, ScopesExceeded
from engine.tenancy.oauth_clients import (
    CLIENTS_MAX,
    Client,
    ClientChange,
    ClientEnded,
    GrantType,
    NewClient,
    NoRedirect,
    NoSecret,
    Registered,
    TooManyClients,
    UnknownClient,
)
from engine.tenancy.principals import Scope

_OF_CLIENT: Final = (ProblemKind.OAUTH_CLIENT_NOT_FOUND,)
_REPEATED: Final = (ProblemKind.REQUEST_UNDER_WAY, ProblemKind.KEY_REUSED)

_Refused = (
    ScopesExceeded
    | NotApproved
    | TooManyClients
    | UnknownClient
    | ClientEnded
    | NoSecret
    | NoRedirect
)


class ClientAnswer(Struct, frozen=True, kw_only=True):
    """An OAuth client, without its secret."""

    client: str
    """What it calls itself: its `client_id`."""
    name: str
    kind: Kind
    grant_types: list[GrantType]
    redirect_uris: list[str]
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None
    old_secret_until: datetime | None
    """Until when the secret before the last rotation is taken."""


class RegisteredAnswer(ClientAnswer, frozen=True, kw_only=True):
    """A client. `secret` is told this once; null when a call is repeated, and of public ones."""

    secret: str | None


class ClientPage(Struct, frozen=True):
    """A reseller's OAuth clients, the newest first. `next_cursor` is null on the last page."""

    oauth_clients: list[ClientAnswer]
    next_cursor: str | None


@post(
    "/",
    summary="Register an OAuth client",
    operation_class=describe(
        scope=Scope.KEYS_MANAGE,
        body=ClientBody,
        key="honoured",
        problems=(*_REPEATED, ProblemKind.TOO_MANY_CREDENTIALS, ProblemKind.NOT_APPROVED),
    ),
)
async def create(request: ApiRequest) -> Response[RegisteredAnswer]:
    """Register a client with at most the scopes that your own credential has.

    `secret` is told this once. A repetition of the call tells the same client with it null.
    """
    check_query(request)
    body = await read_body(request, ClientBody)
    new = NewClient(
        name=body.name,
        grant_types=tuple(body.grant_types),
        redirect_uris=tuple(body.redirect_uris),
        scopes=frozenset(body.scopes),
        is_public=body.kind == "public",
    )

    async def make() -> Registered | _Refused:
        runtime = runtime_of(request)
        return await oauth_clients.register_client(
            runtime.app_engine,
            request.user,
            runtime.settings.region,
            new,
            granted_by=request.auth.scopes,
        )

    return await _answer(request, "oauth-clients", body.fingerprint(), make, HTTP_201_CREATED)


@get("/", summary="List your OAuth clients", operation_class=describe(scope=Scope.KEYS_MANAGE))
async def list_own(
    request: ApiRequest,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> ClientPage:
    """List the clients that are yours, those that were revoked too, the newest first."""
    check_query(request, "cursor", "limit")
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.OAUTH_CLIENT, cursor)
    with store_failures():
        found = await oauth_clients.list_clients(
            runtime.app_engine, request.user, after=after, limit=limit + 1
        )
    page = [_tell(client, runtime.ids) for client in found[:limit]]
    return ClientPage(page, page[-1].client if len(found) > limit else None)


@get(
    "/{client:str}",
    summary="Look at an OAuth client",
    operation_class=describe(scope=Scope.KEYS_MANAGE, problems=_OF_CLIENT),
)
async def look(request: ApiRequest, client: FromPath[str]) -> ClientAnswer:
    """Tell what is known of a client: never its secret."""
    check_query(request)
    named = _parse(request, client)
    runtime = runtime_of(request)
    with store_failures():
        found = await oauth_clients.find_client(runtime.app_engine, request.user, named)
    return _told(request, found)


@patch(
    "/{client:str}",
    summary="Change an OAuth client",
    operation_class=describe(
        scope=Scope.KEYS_MANAGE,
        body=ClientChangeBody,
        problems=(*_OF_CLIENT, ProblemKind.CREDENTIAL_ENDED),
    ),
)
async def change(request: ApiRequest, client: FromPath[str]) -> ClientAnswer:
    """Change a client's name, its addresses, or its scopes; other scopes end its access tokens.

    Needs every scope that the client has, or is to have.
    """
    check_query(request)
    named = _parse(request, client)
    body = await read_body(request, ClientChangeBody)
    uris, scopes = body.redirect_uris, body.scopes
    asked = ClientChange(
        name=body.name,
        redirect_uris=UNSET if uris is UNSET else tuple(uris),
        scopes=UNSET if scopes is UNSET else frozenset(scopes),
    )
    with store_failures():
        changed = await oauth_clients.change_client(
            runtime_of(request).app_engine,
            request.user,
            named,
            asked,
            granted_by=request.auth.scopes,
        )
    return _told(request, changed)


@post(
    "/{client:str}/rotate-secret",
    summary="Rotate an OAuth client's secret",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.KEYS_MANAGE,
        body=RotateSecretBody,
        key="honoured",
        problems=(*_OF_CLIENT, ProblemKind.CREDENTIAL_ENDED, *_REPEATED),
    ),
)
async def rotate(request: ApiRequest, client: FromPath[str]) -> Response[RegisteredAnswer]:
    """Give a confidential client another secret; the one that it had goes on for `overlap_s`."""
    check_query(request)
    named = _parse(request, client)
    body = await read_body(request, RotateSecretBody)

    async def make() -> Registered | _Refused:
        runtime = runtime_of(request)
        return await oauth_clients.rotate_secret(
            runtime.app_engine,
            request.user,
            runtime.settings.region,
            named,
            overlap=timedelta(seconds=body.overlap_s),
            granted_by=request.auth.scopes,
        )

    scope = f"oauth-clients rotate {named:016x}"
    return await _answer(request, scope, body.fingerprint(), make, HTTP_200_OK)


@delete(
    "/{client:str}",
    summary="Revoke an OAuth client",
    status_code=HTTP_204_NO_CONTENT,
    operation_class=describe(scope=Scope.KEYS_MANAGE, problems=_OF_CLIENT),
)
async def revoke(request: ApiRequest, client: FromPath[str]) -> None:
    """End a client and its tokens for good. They are refused everywhere within 30 seconds."""
    check_query(request)
    named = _parse(request, client)
    runtime = runtime_of(request)
    with store_failures():
        found = await oauth_clients.revoke_client(runtime.app_engine, request.user, named)
    _told(request, found)


async def _answer(
    request: ApiRequest,
    scope: str,
    fingerprint: int,
    make: Callable[[], Awaitable[Registered | _Refused]],
    status: int,
) -> Response[RegisteredAnswer]:
    """Answer with a client and its fresh secret, which is not kept for repetitions."""
    ids = runtime_of(request).ids
    fresh: list[bytes] = []

    async def act(_keeper: Keeper) -> tuple[int, RegisteredAnswer]:
        with store_failures():
            made = await make()
        if not isinstance(made, Registered):
            raise _problem_of(made)
        told = structs.asdict(_tell(made.client, ids))
        fresh.append(msgspec.json.encode(RegisteredAnswer(**told, secret=made.secret)))
        return status, RegisteredAnswer(**told, secret=None)

    answered = await answer_once(request, scope, fingerprint, act)
    named = msgspec.json.decode(answered.body, type=RegisteredAnswer).client
    return written_json(
        RegisteredAnswer,
        fresh[0] if fresh else answered.body,
        status_code=answered.status,
        headers={"Location": f"/v1/oauth-clients/{named}", "Cache-Control": "no-store"},
    )


def _parse(request: ApiRequest, text: str) -> EntityId:
    try:
        return runtime_of(request).ids.parse_entity(Prefix.OAUTH_CLIENT, text)
    except IdError:
        raise _problem_of(UnknownClient()) from None


def _told(request: ApiRequest, outcome: Client | _Refused) -> ClientAnswer:
    if not isinstance(outcome, Client):
        raise _problem_of(outcome)
    return _tell(outcome, runtime_of(request).ids)


def _tell(client: Client, ids: Ids) -> ClientAnswer:
    return ClientAnswer(
        client=ids.entity(Prefix.OAUTH_CLIENT, client.id),
        name=client.name,
        kind="public" if client.is_public else "confidential",
        grant_types=list(client.grant_types),
        redirect_uris=list(client.redirect_uris),
        scopes=sorted(client.scopes),
        created_at=client.created_at,
        revoked_at=client.revoked_at,
        old_secret_until=client.old_secret_until,
    )


def _problem_of(refused: _Refused) -> ProblemError:  # noqa: PLR0911 - one for each outcome
    match refused:
        case ScopesExceeded(scopes):
            return lacking_scopes(scopes)
        case NotApproved():
            return not_approved()
        case TooManyClients():
            return ProblemError(
                ProblemKind.TOO_MANY_CREDENTIALS,
                f"There are {CLIENTS_MAX} clients; revoke one that is not needed any more.",
            )
        case UnknownClient():
            return ProblemError(
                ProblemKind.OAUTH_CLIENT_NOT_FOUND, "You have no such OAuth client."
            )
        case ClientEnded():
            return ProblemError(
                ProblemKind.CREDENTIAL_ENDED, "The client was revoked; register a new one."
            )
        case NoSecret():
            return invalid(Fault("a public client has no secret", pointer=""))
        case NoRedirect():
            return invalid(Fault("the client needs at least one", pointer="/redirect_uris"))
        case _:
            assert_never(refused)


router: Final = Router(
    path="/v1/oauth-clients",
    tags=["credentials"],
    route_handlers=[create, list_own, look, change, rotate, revoke],
)
