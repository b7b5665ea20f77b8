"""OAuth 2.1: tokens for clients, their end, what they are, and where to find all of it.

Token endpoint: RFC 6749 as draft-ietf-oauth-v2-1 narrows it; revocation RFC 7009, introspection
RFC 7662, metadata RFC 8414 and 9207, key set RFC 7517. `/oauth/authorize` is a page.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, assert_never

from litestar import Response, Router, get, post
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.status_codes import (
    HTTP_200_OK,
    HTTP_400_BAD_REQUEST,
    HTTP_401_UNAUTHORIZED,
    HTTP_429_TOO_MANY_REQUESTS,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from msgspec import UNSET, Struct, UnsetType

from api.context import runtime_of
from api.documents import ScopedOperation, describe
from api.oauth_forms import (
    FORM,
    HANDLERS,
    ErrorAnswer,
    ErrorCode,
    FormRequest,
    OAuthError,
    invalid_client,
    read_form,
    tell_json,
)
from api.oauth_introspection import Introspection, is_refresh_token, look_at_token
from api.oauth_log_in import log_in_client
from api.problems import ProblemKind
from api.reading import check_query
from engine.platform.errors import store_failures
from engine.platform.ids import Prefix
from engine.tenancy import oauth_grants
from engine.tenancy.oauth_clients import Client, GrantType
from engine.tenancy.oauth_endings import end_token
from engine.tenancy.oauth_grants import Given, InvalidGrant, InvalidScope, Redeemed
from engine.tenancy.principals import EVERY_SCOPE, Scope
from engine.tenancy.signing import TOKEN_LASTS_S

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
_KEPT_S: Final = 60


class TokenAnswer(Struct, frozen=True, kw_only=True):
    """Tokens (RFC 6749, 5.1)."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - none
    expires_in: int = TOKEN_LASTS_S
    scope: str
    refresh_token: str | UnsetType = UNSET


class Ended(Struct, frozen=True):
    """Nothing: it is over, or was nobody's."""


class Metadata(Struct, frozen=True, kw_only=True):
    """Where everything is (RFC 8414)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    introspection_endpoint: str
    jwks_uri: str
    scopes_supported: list[str]
    response_types_supported: list[str]
    response_modes_supported: list[str]
    grant_types_supported: list[str]
    code_challenge_methods_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    revocation_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]
    authorization_response_iss_parameter_supported: bool


_OF_FORMS: Final = (ProblemKind.BODY_TOO_LARGE, ProblemKind.REQUEST_TIMEOUT)
_ERRORS: Final = {
    HTTP_400_BAD_REQUEST: ResponseSpec(ErrorAnswer, description="As RFC 6749, 5.2, has it."),
    HTTP_401_UNAUTHORIZED: ResponseSpec(
        ErrorAnswer, description="`invalid_client`: there is no such client, or not by this secret."
    ),
    HTTP_429_TOO_MANY_REQUESTS: ResponseSpec(
        ErrorAnswer, description="Too many wrong secrets came for this client."
    ),
    HTTP_503_SERVICE_UNAVAILABLE: ResponseSpec(
        ErrorAnswer, description="`temporarily_unavailable`: repeat in a second."
    ),
}


def _describe_form(*fields: str, required: tuple[str, ...]) -> type[Operation]:
    base: type[ScopedOperation] = describe(scope=None, problems=_OF_FORMS)
    schema = Schema(
        type=OpenAPIType.OBJECT,
        properties={field: Schema(type=OpenAPIType.STRING) for field in fields},
        required=list(required),
    )

    class WithForm(base):
        def __post_init__(self) -> None:
            super().__post_init__()
            self.request_body = RequestBody(
                content={FORM: OpenAPIMediaType(schema=schema)}, required=True
            )

    return WithForm


@post(
    "/oauth/token",
    summary="Get tokens",
    status_code=HTTP_200_OK,
    responses=_ERRORS,
    operation_class=_describe_form(
        *("grant_type", "client_id", "client_secret", "scope", "code", "redirect_uri"),
        *("code_verifier", "refresh_token"),
        required=("grant_type",),
    ),
)
async def give_tokens(request: FormRequest) -> Response[TokenAnswer]:
    """Give an access token for client credentials, a code with PKCE, or a refresh token.

    A refresh token is good once: the answer has the next. A code or refresh token that comes a
    second time ends all that it gave. Answers and errors are as RFC 6749 has them.
    """
    form = await read_form(request)
    ways: dict[str, Callable[[Any, Client, dict[str, str]], Awaitable[_Outcome]]] = {
        "client_credentials": _by_credentials,
        "authorization_code": _by_code,
        "refresh_token": _by_refresh_token,
    }
    way = ways.get(form.get("grant_type", ""))
    if "grant_type" not in form:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "grant_type is missing.")
    if way is None:
        raise OAuthError(ErrorCode.UNSUPPORTED_GRANT_TYPE, f"Supported: {', '.join(ways)}.")
    client = await log_in_client(request, form)
    with store_failures():
        outcome = await way(request, client, form)
    given = _given(outcome)
    token = await runtime_of(request).access_tokens.make(given.bearer, given.at_s)
    answer = TokenAnswer(
        access_token=token,
        scope=" ".join(sorted(given.bearer.scopes)),
        refresh_token=UNSET if given.refresh_token is None else given.refresh_token,
    )
    return tell_json(answer)


@post(
    "/oauth/revoke",
    summary="End a token",
    status_code=HTTP_200_OK,
    responses=_ERRORS,
    operation_class=_describe_form(
        *("token", "token_type_hint", "client_id", "client_secret"), required=("token",)
    ),
)
async def revoke(request: FormRequest) -> Response[Ended]:
    """End a token of the asking client's own: an access token, or a refresh token with its grant.

    `200` for whatever is no token of theirs too. An access token is refused within 30 seconds.
    """
    form = await read_form(request)
    client = await log_in_client(request, form)
    token = form.get("token")
    if token is None:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "token is missing.")
    runtime = runtime_of(request)
    named = runtime.ids.entity(Prefix.OAUTH_CLIENT, client.id)
    if is_refresh_token(token):
        with store_failures():
            await oauth_grants.end_by_refresh_token(runtime.app_engine, client, token)
    else:
        claims = await runtime.access_tokens.read(token)
        if claims is not None and claims.client_id == named:
            with store_failures():
                await end_token(runtime.app_engine, client.reseller_id, claims.jti)
    return tell_json(Ended())


@post(
    "/oauth/introspect",
    summary="Look at a token",
    status_code=HTTP_200_OK,
    responses=_ERRORS,
    operation_class=_describe_form(
        *("token", "token_type_hint", "client_id", "client_secret"), required=("token",)
    ),
)
async def introspect(request: FormRequest) -> Response[Introspection]:
    """Tell a client that has a secret what a token of its reseller's is.

    Of other resellers' tokens that they are not good, as of those that are not.
    """
    form = await read_form(request)
    client = await log_in_client(request, form)
    if client.is_public:
        raise invalid_client(by_header=False)
    token = form.get("token")
    if token is None:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "token is missing.")
    answer = await look_at_token(runtime_of(request), client, token)
    return tell_json(answer)


@get(
    "/.well-known/oauth-authorization-server",
    summary="Where OAuth's endpoints are",
    operation_class=describe(scope=None),
)
async def tell_metadata(request: FormRequest) -> Response[Metadata]:
    """Tell the authorization server's metadata (RFC 8414)."""
    check_query(request)
    issuer = runtime_of(request).access_tokens.issuer
    by_secret = ["client_secret_basic", "client_secret_post"]
    answer = Metadata(
        issuer=issuer,
        authorization_endpoint=f"{issuer}/oauth/authorize",
        token_endpoint=f"{issuer}/oauth/token",
        revocation_endpoint=f"{issuer}/oauth/revoke",
        introspection_endpoint=f"{issuer}/oauth/introspect",
        jwks_uri=f"{issuer}/.well-known/jwks.json",
        scopes_supported=[str(scope) for scope in Scope],
        response_types_supported=["code"],
        response_modes_supported=["query"],
        grant_types_supported=["authorization_code", "refresh_token", "client_credentials"],
        code_challenge_methods_supported=["S256"],
        token_endpoint_auth_methods_supported=[*by_secret, "none"],
        revocation_endpoint_auth_methods_supported=[*by_secret, "none"],
        introspection_endpoint_auth_methods_supported=by_secret,
        authorization_response_iss_parameter_supported=True,
    )
    return Response(answer, headers={"Cache-Control": f"public, max-age={_KEPT_S}"})


@get(
    "/.well-known/jwks.json",
    summary="What access tokens are verified with",
    operation_class=describe(scope=None),
)
async def tell_keys(request: FormRequest) -> Response[dict[str, Any]]:
    """Tell the public keys (RFC 7517). A new one is here for two minutes before it signs."""
    check_query(request)
    keys = await runtime_of(request).access_tokens.published_keys()
    return Response({"keys": keys}, headers={"Cache-Control": f"public, max-age={_KEPT_S}"})


_Outcome = Given | InvalidGrant | InvalidScope


async def _by_credentials(request: FormRequest, client: Client, form: dict[str, str]) -> _Outcome:
    if client.is_public:
        raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT, "A public client can't act by itself.")
    _require_grant(client, GrantType.CLIENT_CREDENTIALS)
    app = runtime_of(request).app_engine
    return await oauth_grants.give_to_client(app, client, _scopes(form))


async def _by_code(request: FormRequest, client: Client, form: dict[str, str]) -> _Outcome:
    _require_grant(client, GrantType.AUTHORIZATION_CODE)
    for field in ("code", "redirect_uri", "code_verifier"):
        if field not in form:
            raise OAuthError(ErrorCode.INVALID_REQUEST, f"{field} is missing.")
    if not _VERIFIER.fullmatch(form["code_verifier"]):
        raise OAuthError(ErrorCode.INVALID_REQUEST, "code_verifier is not one of RFC 7636.")
    runtime = runtime_of(request)
    redeemed = Redeemed(form["code"], form["redirect_uri"], form["code_verifier"])
    return await oauth_grants.redeem_code(
        runtime.app_engine, client, runtime.settings.region, redeemed
    )


async def _by_refresh_token(request: FormRequest, client: Client, form: dict[str, str]) -> _Outcome:
    _require_grant(client, GrantType.AUTHORIZATION_CODE)
    token = form.get("refresh_token")
    if token is None:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "refresh_token is missing.")
    if not is_refresh_token(token):
        return InvalidGrant()
    runtime = runtime_of(request)
    return await oauth_grants.redeem_refresh_token(
        runtime.app_engine, client, runtime.settings.region, token, _scopes(form)
    )


def _given(outcome: _Outcome) -> Given:
    match outcome:
        case Given():
            return outcome
        case InvalidGrant():
            raise OAuthError(
                ErrorCode.INVALID_GRANT, "It is not this client's, was used, or is over."
            )
        case InvalidScope():
            raise OAuthError(ErrorCode.INVALID_SCOPE, "More is asked for than there is to give.")
        case _:
            assert_never(outcome)


def _require_grant(client: Client, kind: GrantType) -> None:
    if kind not in client.grant_types:
        raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT, f"The client is not registered for {kind}.")


def _scopes(form: dict[str, str]) -> frozenset[Scope]:
    return read_scopes(form.get("scope", ""))


def read_scopes(text: str) -> frozenset[Scope]:
    """Read scopes with spaces between them.

    Raises:
        OAuthError: `invalid_scope`: one is none.
    """
    named = text.split(" ") if text else []
    if any(name not in EVERY_SCOPE for name in named):
        raise OAuthError(ErrorCode.INVALID_SCOPE, "A scope is unknown; the metadata lists them.")
    return frozenset(Scope(name) for name in named)


router: Final = Router(
    path="/",
    tags=["oauth"],
    exception_handlers=HANDLERS,
    route_handlers=[give_tokens, revoke, introspect, tell_metadata, tell_keys],
)
