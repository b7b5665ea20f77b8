"""Sentences of the document that belong to no single route."""

from typing import Any, Final

from engine.tenancy.principals import Scope

TITLE: Final = "Onsale"
SUMMARY: Final = "Ticket inventory: shows, holds, orders, waiting rooms, and news of them."
DESCRIPTION: Final = """\
Resellers sell tickets of their shows through this API: nothing is sold twice, and *sold* means
recorded.

**Who asks.** `Authorization: Bearer <credential>`: an API key, or an OAuth 2.1 access token. Each
call names the scope that it asks for. What is another reseller's is answered exactly as what never
was.

**Versions.** `/v1` changes by addition only. What else changes gets a dated version: pin one with
`Onsale-Version: <date>`; every answer under `/v1` says which one it has. Ignore members and types
that you do not know.

**Repeating.** `Idempotency-Key` makes a `POST` safe to repeat: the same key and body have one
effect and one answer. A `503` was not decided or is not known: repeat it with the same key.

**Forms.** Bodies are JSON in UTF-8. Money is in integer minor units of the currency beside it.
Times are RFC 3339 in UTC. Ids carry a prefix and the cell's region. In a `PATCH` what is left out
stays and `null` clears. Lists come in pages: `cursor=<next_cursor>` asks for the next one. `HEAD`
works wherever `GET` does.

**Problems.** Errors are `application/problem+json` (RFC 9457); a program compares `type`.

**News.** The section `webhooks` has every type of fact; they are sent to your endpoints, and kept
in the log. Streams are server-sent events, described at their calls.
"""

TAGS: Final[dict[str, str]] = {
    "shows": "Put shows on sale, list them, look at them.",
    "events": "What is promoted, and its performers: keep them, find them, look at them.",
    "venues": "Places, and the dated ways to set them up.",
    "prices": "What tickets cost, by price level and ticket type, now and on a schedule.",
    "spreadsheets": "Import shows and prices from CSV or XLSX, all or none; export them.",
    "availability": "What is open, held, sold and withheld: counts, seat map, seat by seat.",
    "house": "Places that the house withholds from sale, and gives back.",
    "allotments": "Places that only holders of a code, or a channel, may hold for a time.",
    "holds": "Claim places for a buyer until a deadline; change the selection, give it back.",
    "orders": "Sell what is held; look at orders, take them back.",
    "bundles": "Hold in several shows, and buy all of it or nothing.",
    "batches": "Many commands in one request, for systems with a queue of their own.",
    "waiting room": "A fair line before the sale: rules, joining, places, passes.",
    "live": "Seats as they change, as a stream.",
    "facts": "The log of everything that happened, from a durable cursor.",
    "webhooks": "Who is told of facts, what became of it, and telling again.",
    "buyers": "Buyers' data: stored sealed, looked up, exported, erased.",
    "accounts": "Open an account; its legal and billing information.",
    "users": "People of an account, their roles and invitations.",
    "credentials": "API keys and OAuth clients: make, rotate, revoke.",
    "oauth": "OAuth 2.1: tokens, revocation, introspection, metadata.",
    "trail": "The audit trail: who changed what, when, and from where.",
    "interchange": "What other systems read: calendars, schema.org, feeds. Public, for everybody.",
    "cells": "The regions that this deployment knows.",
    "health": "Whether the process answers, and where to read on.",
}
"""In the order of the page. A tag that is not here comes after them, without a sentence."""

SCOPES: Final[dict[Scope, str]] = {
    Scope.SHOWS_READ: "Look at shows, seats and availability; watch them live.",
    Scope.SHOWS_WRITE: "Put shows on sale, withhold places.",
    Scope.CATALOG_READ: "Look at your venues, events and performers, public or not.",
    Scope.CATALOG_WRITE: "Keep venues, their configurations, events and performers.",
    Scope.HOLDS_WRITE: "Hold places, look at holds, change and release them.",
    Scope.ORDERS_WRITE: "Buy what is held.",
    Scope.ORDERS_READ: "Look at orders.",
    Scope.ORDERS_RETURN: "Take orders back.",
    Scope.TICKETS_SCAN: "Let people in.",
    Scope.QUEUES_MANAGE: "Set a waiting room's rules, and read its identity key.",
    Scope.FACTS_READ: "Read the log of what happened.",
    Scope.WEBHOOKS_MANAGE: "Say who is told of facts, see what became of it, tell again.",
    Scope.BUYERS_READ: "Look buyers up: names, mail addresses.",
    Scope.BUYERS_MANAGE: "Store, export and erase buyers' data.",
    Scope.KEYS_MANAGE: "Make, rotate and revoke API keys and OAuth clients.",
    Scope.USERS_MANAGE: "Invite people, give them roles, log them out.",
    Scope.ACCOUNT_READ: "See legal and billing information.",
    Scope.ACCOUNT_MANAGE: "Change legal and billing information.",
    Scope.TRAIL_READ: "Read the audit trail.",
}

_SHOW: Final = "shw_dev_00f3a1c05e9b7d24"
_HOLD: Final = "hld_dev_" + "5f1c9a7d" * 4

EXAMPLES_BY_NAME: Final[dict[str, Any]] = {
    "show": _SHOW,
    "hold": _HOLD,
    "order": "ord_dev_" + _SHOW[-16:] + _HOLD[-32:],
    "ticket": "tkt_dev_" + "77aa02c4" * 4,
    "key": "key_dev_1f0a9c3355d2e871",
    "client": "oac_dev_1f0a9c3355d2e872",
    "user": "usr_dev_1f0a9c3355d2e873",
    "session": "ses_dev_1f0a9c3355d2e874",
    "reseller": "rsl_dev_1f0a9c3355d2e875",
    "sandbox": "rsl_dev_1f0a9c3355d2e876",
    "invitation": "inv_dev_1f0a9c3355d2e877",
    "fact": "fct_dev_00000000000004d2",
    "endpoint": "whe_dev_1f0a9c3355d2e878",
    "delivery": "whd_dev_1f0a9c3355d2e879",
    "venue": "ven_dev_1f0a9c3355d2e87a",
    "configuration": "cfg_dev_1f0a9c3355d2e87b",
    "event": "evt_dev_1f0a9c3355d2e87c",
    "performer": "prf_dev_1f0a9c3355d2e87d",
    "allotment": "alt_dev_1f0a9c3355d2e87e",
    "bundle": "bnd_dev_1f0a9c3355d2e87f",
    "buyer": "b-17",
    "currency": "EUR",
    "next_cursor": None,
    "name": "First Light",
    "zone": "Hall",
    "row": "A",
    "number": "1",
    "seat": "A-1-1",
    "area": "floor",
    "price_level": "vip",
    "ticket_type": "child",
    "price_version": 3,
    "sequence": "3-1204",
    "payment_reference": "pay_8731",
    "version": 1,
    "version_no": 1,
    "quantity": 2,
    "region": "dev",
    "email": "ada@shop.example",
}
"""What a member or a parameter of that name may be, where its schema has no example."""

ID_FORMS: Final[dict[str, str]] = {
    name: f"`{value[:4]}<region>_<{len(value.rpartition('_')[2])} hex digits>`"
    for name, value in EXAMPLES_BY_NAME.items()
    if isinstance(value, str) and "_dev_" in value
}
"""What an id looks like that has that name."""
