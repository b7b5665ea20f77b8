"""Says who acts in a request, for the audit trail: by which credential, and from where."""

from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from api.context import runtime_of
from api.fastlane.call import address_behind
from engine.platform.acting import ACTING, Actor, ActorKind
from engine.platform.ids import EntityId, Ids
from engine.tenancy.principals import Principal, PrincipalKind

_KINDS: Final = {PrincipalKind.KEY: ActorKind.KEY, PrincipalKind.TOKEN: ActorKind.TOKEN}
_CREDENTIALS: Final = {ActorKind.KEY: "key", ActorKind.TOKEN: "oac"}


async def note_visitor(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Note that somebody acts who has shown nothing yet: the guard of every route."""
    ACTING.set(Actor(ActorKind.VISITOR, address=address_of(connection)))


def note_user(connection: ASGIConnection[Any, Any, Any, Any], user: EntityId) -> None:
    """Note that a person acts who has logged in: by a session, not by a credential."""
    region = runtime_of(connection).ids.region
    name = f"usr_{region}_{user:016x}"
    ACTING.set(Actor(ActorKind.USER, name, address_of(connection)))


def note_client(connection: ASGIConnection[Any, Any, Any, Any], client: EntityId) -> None:
    """Note that an OAuth client acts by itself, which has shown its secret."""
    region = runtime_of(connection).ids.region
    name = f"{_CREDENTIALS[ActorKind.TOKEN]}_{region}_{client:016x}"
    ACTING.set(Actor(ActorKind.TOKEN, name, address_of(connection)))


def note_principal(connection: ASGIConnection[Any, Any, Any, Any], principal: Principal) -> None:
    """Note that a credential's principal acts."""
    ACTING.set(actor_of(principal, runtime_of(connection).ids, address_of(connection)))


def actor_of(principal: Principal, ids: Ids, address: str) -> Actor:
    """Return a principal as the trail tells it: `user:usr_eu_... token:oac_eu_...` for a person."""
    kind = _KINDS[principal.kind]
    credential = f"{_CREDENTIALS[kind]}_{ids.region}_{principal.credential:016x}"
    if principal.user is None:
        return Actor(kind, credential, address)
    user = f"usr_{ids.region}_{principal.user:016x}"
    return Actor(ActorKind.USER, f"{user} {kind}:{credential}", address)


def address_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Return the address that a request comes from, as far as trusted proxies tell."""
    client = connection.client
    lines = connection.headers.getall("x-forwarded-for", [])
    proxies = runtime_of(connection).settings.trusted_proxies
    return address_behind(proxies, ", ".join(lines), client.host if client else "")
