"""Scopes in the words of people who are asked whether an app may have them."""

from typing import Final

from engine.tenancy.principals import Scope

SCOPE_WORDS: Final[dict[Scope, str]] = {
    Scope.SHOWS_READ: "See shows, seats and how many are left",
    Scope.SHOWS_WRITE: "Run shows: sell, set prices, withhold places, move, cancel",
    Scope.CATALOG_READ: "See venues, events and performers, also what is not public yet",
    Scope.CATALOG_WRITE: "Keep venues, events and performers",
    Scope.HOLDS_WRITE: "Hold places for buyers, and let them go",
    Scope.ORDERS_WRITE: "Sell what is held",
    Scope.ORDERS_READ: "See orders",
    Scope.ORDERS_RETURN: "Take orders back",
    Scope.TICKETS_SCAN: "Let people in by their tickets",
    Scope.QUEUES_MANAGE: "Set up waiting rooms",
    Scope.FACTS_READ: "Read the log of what happened",
    Scope.WEBHOOKS_MANAGE: "Decide which systems are told what happened",
    Scope.BUYERS_READ: "See buyers' names and mail addresses",
    Scope.BUYERS_MANAGE: "Store, export and erase buyers' personal data",
    Scope.KEYS_MANAGE: "Make and revoke API keys and OAuth clients",
    Scope.USERS_MANAGE: "Invite people, change their roles, log them out",
    Scope.ACCOUNT_READ: "See legal and billing information",
    Scope.ACCOUNT_MANAGE: "Change legal and billing information",
    Scope.TRAIL_READ: "Read the audit trail",
}
