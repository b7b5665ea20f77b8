"""Who may call what, in the document: API keys, and OAuth 2.1 with a scope for each operation."""

from typing import Any, cast

from litestar.handlers import HTTPRouteHandler

from api.contract.words import SCOPES
from api.credentials import require_scope
from api.documents import ScopedOperation

Json = dict[str, Any]


def security_schemes() -> Json:
    """Return the ways to show a credential."""
    scopes = {scope.value: words for scope, words in SCOPES.items()}
    return {
        "api_key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, as `Authorization: Bearer onsale_...`.",
        },
        "oauth2": {
            "type": "oauth2",
            "description": "An access token of OAuth 2.1 (RFC 9068), as `Authorization: Bearer`. "
            "PKCE with S256 is required of everybody; refresh tokens rotate.",
            "flows": {
                "clientCredentials": {"tokenUrl": "/oauth/token", "scopes": scopes},
                "authorizationCode": {
                    "authorizationUrl": "/oauth/authorize",
                    "tokenUrl": "/oauth/token",
                    "refreshUrl": "/oauth/token",
                    "scopes": scopes,
                },
            },
        },
    }


def security_of(handler: HTTPRouteHandler, described: type[ScopedOperation] | None) -> list[Json]:
    """Return what an operation asks for; nothing if it is open to everybody.

    A call that the fast lane serves is guarded there, by the same scope.
    """
    guards = cast("tuple[object, ...]", handler.resolve_guards())
    if described is None or described.scope is None:
        if require_scope in guards:
            msg = f"{handler} is guarded, and names no scope"
            raise ValueError(msg)
        return []
    scopes = [described.scope.value]
    nobody: list[Json] = [{}] if described.anybody else []
    return [*nobody, {"api_key": scopes}, {"oauth2": scopes}]
