"""The whole application as tests need it: a credential without scopes, an older version, old calls.

Served by a process of its own (`stand_in_stack`), so that nothing of it is in anybody else's way.
"""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Router, get
from msgspec import Struct

from api.app import in_front
from api.availability import show_availability
from api.contract.assembling import operation_class
from api.credentials import CREDENTIALS, Credentials
from api.deprecation import Deprecated
from api.documents import describe
from api.versions import CURRENT, Change, Versions
from engine.platform.ids import EntityId
from engine.tenancy.principals import Principal, PrincipalKind
from ops.child import Plan
from web.app import compose

NO_SCOPES: Final = "a credential without scopes"
OLD_VERSION: Final = "2026-01-01"
_OLD: Final = Deprecated(
    since=datetime(2026, 12, 1, tzinfo=UTC),
    sunset=datetime(2027, 6, 1, tzinfo=UTC),
    link="https://onsale.example/docs",
)
_NOBODY: Final = Principal(EntityId(1), PrincipalKind.KEY, EntityId(1), frozenset())


class _WithOneMore(Struct):
    """The application's own credentials, and one that is good for nothing."""

    own: Credentials

    def recall(self, authorization: str | None) -> Principal | None:
        return None if self._is_bare(authorization) else self.own.recall(authorization)

    async def identify(self, authorization: str | None, *more: Any) -> Principal:  # noqa: ANN401 - as its own
        if self._is_bare(authorization):
            return _NOBODY
        return await self.own.identify(authorization, *more)

    @staticmethod
    def _is_bare(authorization: str | None) -> bool:
        return authorization == f"Bearer {NO_SCOPES}"

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever it has
        return getattr(self.own, name)


@get("/old", summary="An old call", operation_class=describe(scope=None, deprecated=_OLD))
async def old_call() -> dict[str, str]:
    """Answer, and be on the way out."""
    return {"said": "as ever"}


def _older_hold(body: dict[str, Any]) -> dict[str, Any]:
    """In January a hold's buyer was its `customer`."""
    return {"buyer" if name == "customer" else name: value for name, value in body.items()}


def _older_answer(body: dict[str, Any]) -> dict[str, Any]:
    return {"customer" if name == "buyer" else name: value for name, value in body.items()}


def _older_list(body: dict[str, Any]) -> dict[str, Any]:
    """In January a list of shows was called `items`."""
    return {"items" if name == "shows" else name: value for name, value in body.items()}


_VERSIONS: Final = Versions(
    first=OLD_VERSION,
    changes=(
        Change(
            before=CURRENT,
            method="POST",
            path=re.compile(r"/v1/shows/[^/]+/holds"),
            request=_older_hold,
            response=_older_answer,
        ),
        Change(before=CURRENT, method="GET", path=re.compile(r"/v1/shows"), response=_older_list),
    ),
)


def serve_this(plan: Plan) -> Plan:
    """Let a stack's API serve this application."""
    if plan.name != "api":
        return plan
    command = plan.command

    def other() -> list[str]:
        return [f"{__name__}:app" if word == "web.app:app" else word for word in command()]

    return replace(plan, command=other)


def _compose() -> Any:  # noqa: ANN401 - what Granian calls
    litestar = compose()
    litestar.register(Router(path="/v1", tags=["old"], route_handlers=[old_call]))
    served_in_front = operation_class(show_availability)
    assert served_in_front is not None
    served_in_front.deprecation = _OLD

    def add_one() -> None:
        litestar.state[CREDENTIALS] = _WithOneMore(litestar.state[CREDENTIALS])

    litestar.on_startup.append(add_one)
    return in_front(litestar, _VERSIONS)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - the application, made where it is served
    if name == "app":
        return _compose()
    raise AttributeError(name)
