"""Who asks, and what they may: scopes, roles, and the principal that a credential stands for."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from engine.platform.ids import EntityId


class Scope(StrEnum):
    """What a credential may do. Every route that is not public names one."""

    SHOWS_READ = "shows:read"
    """Look at shows, seats, availability; watch them live."""
    SHOWS_WRITE = "shows:write"
    """Put shows on sale, withhold places."""
    CATALOG_READ = "catalog:read"
    """Look at one's own venues, events and performers, public or not."""
    CATALOG_WRITE = "catalog:write"
    """Keep venues, their configurations, events and performers."""
    HOLDS_WRITE = "holds:write"
    """Hold places, look at holds, change and release them."""
    ORDERS_WRITE = "orders:write"
    """Buy what is held."""
    ORDERS_READ = "orders:read"
    """Look at orders."""
    ORDERS_RETURN = "orders:return"
    """Take orders back."""
    TICKETS_SCAN = "tickets:scan"
    """Let people in."""
    QUEUES_MANAGE = "queues:manage"
    """Set a waiting room's rules, and read the key that identities are signed with."""
    FACTS_READ = "facts:read"
    """Read the log of what happened."""
    WEBHOOKS_MANAGE = "webhooks:manage"
    """Say who is told of facts, see what became of it, tell again."""
    BUYERS_READ = "buyers:read"
    """Look buyers up: names, mail addresses."""
    BUYERS_MANAGE = "buyers:manage"
    """Store, export and erase buyers' data."""
    KEYS_MANAGE = "keys:manage"
    """Make, rotate and revoke API keys and OAuth clients."""
    USERS_MANAGE = "users:manage"
    """Invite people, give them roles, log them out."""
    ACCOUNT_READ = "account:read"
    """See legal and billing information."""
    ACCOUNT_MANAGE = "account:manage"
    """Change legal and billing information."""
    TRAIL_READ = "trail:read"
    """Read the audit trail."""


EVERY_SCOPE: Final = frozenset(Scope)


class Role(StrEnum):
    """What somebody is in a reseller's account."""

    OWNER = "owner"
    MANAGER = "manager"
    FINANCE = "finance"
    SUPPORT = "support"
    READ_ONLY = "read-only"
    SCANNER = "scanner"


SCOPES_OF_ROLE: Final[dict[Role, frozenset[Scope]]] = {
    Role.OWNER: EVERY_SCOPE,
    Role.MANAGER: EVERY_SCOPE - {Scope.ACCOUNT_MANAGE, Scope.USERS_MANAGE},
    Role.FINANCE: frozenset(
        {
            *(Scope.SHOWS_READ, Scope.CATALOG_READ, Scope.ORDERS_READ, Scope.ORDERS_RETURN),
            *(Scope.FACTS_READ, Scope.ACCOUNT_READ, Scope.TRAIL_READ),
        }
    ),
    Role.SUPPORT: frozenset(
        {
            *(Scope.SHOWS_READ, Scope.HOLDS_WRITE, Scope.ORDERS_READ, Scope.ORDERS_RETURN),
            *(Scope.BUYERS_READ, Scope.CATALOG_READ),
        }
    ),
    Role.READ_ONLY: frozenset({Scope.SHOWS_READ, Scope.CATALOG_READ, Scope.ORDERS_READ}),
    Role.SCANNER: frozenset({Scope.SHOWS_READ, Scope.TICKETS_SCAN}),
}


class Mode(StrEnum):
    """What a reseller is: in earnest, or to try things out."""

    LIVE = "live"
    SANDBOX = "sandbox"


class PrincipalKind(StrEnum):
    """What somebody asks by."""

    KEY = "key"
    TOKEN = "token"  # noqa: S105 - an OAuth access token, not one


class Principal(Struct, frozen=True):
    """Who asks: one reseller's, with the scopes that their credential has."""

    reseller: EntityId
    kind: PrincipalKind
    credential: EntityId
    """The API key's id, or the OAuth client's."""
    scopes: frozenset[Scope]
    user: EntityId | None = None
    """The person whom a token was given to; None: a system."""


class Recognised(Struct, frozen=True):
    """A credential that is good, and for how long it will be."""

    principal: Principal
    ends_in_s: float | None = None
    """None: until somebody ends it."""
